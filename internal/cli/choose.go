package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
)

// probeTime bounds the question whether an Ollama server answers.
const probeTime = time.Second

// The backends that --backend names.
const (
	useOllama      = "ollama"
	useOpenAI      = "openai"
	useHuggingFace = "huggingface"
	useLiteLLM     = "litellm"
	useWatsonx     = "watsonx"
	useReplay      = "replay"
)

// listingNames are those of backends that can tell which models they have, liveNames of all that are no recording.
var (
	listingNames = []string{useOpenAI, useOllama, useHuggingFace, useLiteLLM, useWatsonx}
	liveNames    = listingNames
	backendNames = append(slices.Clip(liveNames), useReplay)
)

// server is the choice of a model server, as flags and environment make it.
type server struct {
	backend string // "" leaves it to what is there
	model   string
	baseURL string
	project string // what pays for it: of watsonx and OpenAI
	space   string // of watsonx
	replay  string // a recording to answer from
	record  string // a file to record to
	// listing says that the models are to be listed, so that none need be named.
	listing bool
}

// flags adds the flags that choose a backend and a model.
func (s *server) flags(f *pflag.FlagSet) {
	s.backendFlag(f)
	f.StringVar(&s.model, "model", "", "`name` of the model; $MELLEA_MODEL; by default the newest model of Ollama.\nFor huggingface a hub id, a folder or a .gguf file")
	s.placeFlags(f)
}

// listFlags adds the flags that choose a backend.
func (s *server) listFlags(f *pflag.FlagSet) {
	s.backendFlag(f)
	s.placeFlags(f)
}

func (s *server) backendFlag(f *pflag.FlagSet) {
	f.StringVar(&s.backend, "backend", "", "`name`: "+strings.Join(backendNames, ", ")+"; $MELLEA_BACKEND;\nby default Ollama if it answers, OpenAI if OPENAI_API_KEY is set")
}

// placeFlags adds the flags that say where a backend is and on whose account. There is none for a key: see [noKeyFlag].
func (s *server) placeFlags(f *pflag.FlagSet) {
	f.StringVar(&s.baseURL, "base-url", "", "`URL` of the server; $OPENAI_BASE_URL, $OLLAMA_HOST,\n$HF_ENDPOINT, $LITELLM_PROXY_API_BASE, $WATSONX_URL")
	f.StringVar(&s.project, "project", "", "`id` of the project, for watsonx and openai; $WATSONX_PROJECT_ID, $OPENAI_PROJECT_ID")
	f.StringVar(&s.space, "space", "", "`id` of the deployment space, for watsonx in place of a project; $WATSONX_SPACE_ID")
}

// open returns the backend that was chosen. The close function completes a recording and lets go of a model in process;
// it must be called, and is never nil.
func (a *app) open(ctx context.Context, s server) (backend.Backend, func() error, error) {
	none := func() error { return nil }
	b, err := a.choose(ctx, s)
	if err != nil {
		return nil, none, err
	}
	release := none
	if c, ok := b.(io.Closer); ok {
		release = c.Close
	}
	if s.record == "" {
		return b, release, nil
	}
	r, err := replay.RecordFile(b, s.record)
	if err != nil {
		return nil, none, errors.Join(err, release())
	}
	return r, func() error { return errors.Join(r.Close(), release()) }, nil
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
	if err := s.checkAccount(name); err != nil {
		return nil, err
	}
	switch name {
	case useReplay:
		return a.openReplay(s)
	case useOllama:
		return a.ollama(s), nil
	case useOpenAI:
		return a.openai(s)
	case useHuggingFace:
		return a.huggingface(s)
	case useLiteLLM:
		return a.litellm(s)
	case useWatsonx:
		return a.watsonx(s)
	case "":
		return a.find(ctx, s)
	}
	text := fmt.Sprintf("%s: there is no backend %q", from, name)
	if near := nearest(name, backendNames); near != "" {
		text += fmt.Sprintf(", did you mean %q?", near)
	}
	return nil, &usageError{text: text + " Known are " + strings.Join(backendNames, ", ")}
}

// checkAccount refuses a project or a space for a backend that has none: it would not be what pays.
func (s *server) checkAccount(backend string) error {
	switch {
	case s.project != "" && s.space != "":
		return &usageError{text: "--project and --space: a request belongs to one of them, so give one"}
	case s.project != "" && backend != useWatsonx && backend != useOpenAI:
		return &usageError{text: "--project is for --backend watsonx and --backend openai"}
	case s.space != "" && backend != useWatsonx:
		return &usageError{text: "--space is for --backend watsonx"}
	}
	return nil
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
