package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/pflag"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/replay"
)

// probeTime bounds the question whether an Ollama server answers.
const probeTime = time.Second

// The backends that --backend names.
const (
	useOllama = "ollama"
	useOpenAI = "openai"
	useReplay = "replay"
)

var backendNames = []string{useOpenAI, useOllama, useReplay}

// server is the choice of a model server, as flags and environment make it.
type server struct {
	backend string // "" leaves it to what is there
	model   string
	baseURL string
	replay  string // a recording to answer from
	record  string // a file to record to
}

// serverFlags adds the flags that choose a model server.
func (s *server) flags(f *pflag.FlagSet) {
	f.StringVar(&s.backend, "backend", "", "`name`: openai, ollama or replay; $MELLEA_BACKEND; by default Ollama if it answers,\nOpenAI if OPENAI_API_KEY is set")
	f.StringVar(&s.model, "model", "", "`name` of the model; $MELLEA_MODEL; by default the newest model of Ollama")
	f.StringVar(&s.baseURL, "base-url", "", "`URL` of the model server; $OPENAI_BASE_URL, $OLLAMA_HOST")
}

// open returns the backend that was chosen. The close function completes a recording; it must be called, and is never
// nil.
func (a *app) open(ctx context.Context, s server) (backend.Backend, func() error, error) {
	b, err := a.choose(ctx, s)
	if err != nil || s.record == "" {
		return b, func() error { return nil }, err
	}
	r, err := replay.RecordFile(b, s.record)
	if err != nil {
		return nil, func() error { return nil }, err
	}
	return r, r.Close, nil
}

// model returns the model that was named. A recording has a model of its own, which the environment does not replace.
func (a *app) model(s server) string {
	if s.model != "" || s.replay != "" || s.backend == useReplay {
		return s.model
	}
	return a.env["MELLEA_MODEL"]
}

func (a *app) choose(ctx context.Context, s server) (backend.Backend, error) {
	name, from := s.backend, "--backend"
	switch {
	case s.replay != "":
		name = useReplay
	case name == "":
		name, from = a.env["MELLEA_BACKEND"], "MELLEA_BACKEND"
	}
	switch name {
	case useReplay:
		return a.openReplay(s)
	case useOllama:
		return a.ollama(s), nil
	case useOpenAI:
		return a.openai(s)
	case "":
		return a.find(ctx, s)
	}
	text := fmt.Sprintf("%s: there is no backend %q", from, name)
	if near := nearest(name, backendNames); near != "" {
		text += fmt.Sprintf(", did you mean %q?", near)
	}
	return nil, &usageError{text: text + " Known are openai, ollama and replay"}
}

// find takes the model server that is there.
func (a *app) find(ctx context.Context, s server) (backend.Backend, error) {
	local := a.ollama(s)
	probe, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	_, err := local.Version(probe)
	switch {
	case err == nil:
		return local, nil
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case a.env["OPENAI_API_KEY"] != "":
		return a.openai(s)
	}
	var failure *backend.Error
	if errors.As(err, &failure) && failure.Code == backend.CodeConfiguration {
		return nil, err
	}
	return nil, &usageError{err: err, text: "no model server: start Ollama (`ollama serve`) or set OLLAMA_HOST to where it runs, " +
		"set OPENAI_API_KEY to use OpenAI, or choose a server with --backend and --base-url; `mellea demo` needs none"}
}

func (a *app) ollama(s server) *ollama.Backend {
	opts := []ollama.Option{ollama.WithLogger(a.warnings())}
	if address := cmp.Or(s.baseURL, a.env["OLLAMA_HOST"]); address != "" {
		opts = append(opts, ollama.WithBaseURL(address))
	}
	if s.model != "" {
		opts = append(opts, ollama.WithModel(s.model))
	}
	return ollama.New(opts...)
}

func (a *app) openai(s server) (backend.Backend, error) {
	if s.model == "" {
		return nil, &usageError{text: "which model? OpenAI has many: name one with --model or MELLEA_MODEL"}
	}
	opts := []openai.Option{
		openai.WithModel(s.model), openai.WithLogger(a.warnings()),
		openai.WithBaseURL(cmp.Or(s.baseURL, a.env["OPENAI_BASE_URL"])),
		openai.WithOrganization(a.env["OPENAI_ORG_ID"]), openai.WithProject(a.env["OPENAI_PROJECT_ID"]),
	}
	if key := a.env["OPENAI_API_KEY"]; key != "" {
		opts = append(opts, openai.WithAPIKey(key))
	}
	return openai.New(opts...), nil
}

func (a *app) openReplay(s server) (backend.Backend, error) {
	if s.replay == "" {
		return nil, &usageError{text: "--backend replay answers from a recording: name it with --replay FILE (make one with --record FILE)"}
	}
	if s.backend != "" && s.backend != useReplay {
		return nil, &usageError{text: "--replay answers from a recording: leave out --backend " + s.backend}
	}
	b, err := replay.Open(s.replay)
	if err != nil {
		return nil, err
	}
	if b.Truncated() {
		a.warn("the recording %s is cut off: its last exchange is lost", s.replay)
	}
	return b, nil
}

// warn tells the user of something that does not stop the command.
func (a *app) warn(format string, args ...any) {
	fmt.Fprintln(a.Stderr, "mellea: warning: "+oneLine(fmt.Sprintf(format, args...)))
}

// warnings is the logger for what libraries report.
func (a *app) warnings() *slog.Logger { return slog.New(warningHandler{a: a}) }
