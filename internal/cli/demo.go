package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/cli/demo"
)

// demoSpeed is how many times faster than it was recorded the demonstration runs: fast enough not to bore, slow enough
// to follow.
const demoSpeed = 4

type demoFlags struct {
	server server
	live   bool
	speed  float64
}

func (a *app) demoCommand() *cobra.Command {
	var f demoFlags
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Show a small program that fails a requirement, repairs itself and passes",
		Long: `Demo prints a small generative program, runs it and prints the trace it leaves.

It needs nothing: the model's replies are a recording that is part of this command. With --live the
same program runs on a model server, chosen as in mellea run; a model may then fail all attempts,
which ends with exit code 1.`,
		Example: `  mellea demo
  mellea demo --speed 1
  mellea demo --live --backend ollama --model llama3.2`,
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.demo(cmd.Context(), f, cmd.Flags().Changed("speed"))
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.BoolVar(&f.live, "live", false, "use a model server instead of the recording")
	fs.Float64Var(&f.speed, "speed", demoSpeed, "`times` as fast as it was recorded; 0 waits for nothing")
	f.server.flags(fs)
	fs.StringVar(&f.server.record, "record", "", "with --live, record to `file`")
	traceFlag(fs)
	_ = fs.MarkHidden("record") // it fails only for a flag that does not exist
	a.complete(cmd, "backend", liveNames)
	return cmd
}

func (a *app) demo(ctx context.Context, f demoFlags, speedGiven bool) error {
	b, origin, closeBackend, err := a.demoBackend(ctx, f, speedGiven)
	if err != nil {
		return err
	}
	st := a.style(a.Stdout)
	a.say(st.bold("The program:") + "\n\n" + indent(demo.Source) + "\n" + st.bold("It runs on "+origin+":") + "\n\n")
	err = a.runDemo(ctx, b)
	if closed := closeBackend(); closed != nil {
		err = errors.Join(err, fmt.Errorf("recording: %w", closed))
	}
	a.spans.title = "\n" + st.bold("Its trace:") + "\n\n" // printed when its last span, that of this command, has ended
	return err
}

// demoBackend returns what the demonstration runs on, and how to call it.
func (a *app) demoBackend(ctx context.Context, f demoFlags, speedGiven bool) (backend.Backend, string, func() error, error) {
	none := func() error { return nil }
	s := f.server
	if !f.live {
		if s != (server{}) {
			return nil, "", none, &usageError{text: "--backend, --model, --base-url, --project and --space choose a model server: give --live as well"}
		}
		if f.speed < 0 || f.speed != f.speed {
			return nil, "", none, &usageError{text: "--speed: it is how many times as fast as recorded, such as 1 or 10, or 0 for no waiting"}
		}
		timing := replay.Instant
		if f.speed > 0 {
			timing = replay.Scaled(1 / f.speed)
		}
		b, err := demo.Replay(timing)
		if err != nil {
			return nil, "", none, err
		}
		return b, fmt.Sprintf("a recording (%s)", strings.TrimSuffix(b.Note(), ".")), none, nil
	}
	if speedGiven {
		return nil, "", none, &usageError{text: "--speed is for the recording: leave it out with --live"}
	}
	if s.backend == useReplay {
		return nil, "", none, &usageError{text: "--live is for a model server: use `mellea demo` alone for the recording"}
	}
	record := s.record
	s.record, s.model = "", a.model(s)
	live, err := a.choose(ctx, s)
	if err != nil {
		return nil, "", none, err
	}
	info, err := live.Info(ctx)
	if err != nil {
		return nil, "", none, err
	}
	origin := oneLine(info.Provider + ", model " + info.Model)
	if record == "" {
		return live, origin, none, nil
	}
	r, err := replay.RecordFile(live, record, replay.WithNote(recordingNote(ctx, live, info)))
	if err != nil {
		return nil, "", none, err
	}
	return r, origin, r.Close, nil
}

// recordingNote says which model made a recording, and when.
func recordingNote(ctx context.Context, b backend.Backend, info backend.Info) string {
	maker := info.Provider
	if o, ok := b.(*ollama.Backend); ok {
		if v, err := o.Version(ctx); err == nil {
			maker = "Ollama " + v
		}
	}
	return fmt.Sprintf("made by the model %s on %s, %s", info.Model, maker, time.Now().UTC().Format(time.DateOnly))
}

// runDemo runs the program and shows its attempts, on a terminal or not: they are what the demonstration is about.
func (a *app) runDemo(ctx context.Context, b backend.Backend) error {
	show := &progress{out: a.Stdout, style: a.style(a.Stdout), live: true, transients: a.Stdout.Terminal,
		deltas: &indenter{w: shown(a.Stdout)}, watched: true,
		name: func(_ int, r hookpoint.RequirementStart) string { return label(r.Requirement) }}
	s, err := mellea.Start(ctx, b, mellea.WithHooks(append(a.hooks(), show)...))
	if err != nil {
		return err
	}
	defer s.Close() // its own errors are those of the calls it gave up
	res, err := demo.Explain(ctx, s, show.chunk)
	show.finish()
	var unmet *mellea.UnmetError
	if err != nil && !errors.As(err, &unmet) {
		return err
	}
	what := "The result:"
	if unmet != nil {
		what = "The best attempt:"
	}
	st := a.style(a.Stdout)
	text := res.Text()
	if a.Stdout.Terminal {
		text = escape(text)
	}
	a.say("\n" + st.bold(what) + "\n\n" + indent(text))
	return err
}

// say prints to standard output. A reader that has gone ends the command with a signal or does not matter.
func (a *app) say(text string) { fmt.Fprint(a.Stdout, text) }

// indent returns text with spaces before each line and a line feed at its end.
func indent(text string) string {
	var b strings.Builder
	w := indenter{w: &b}
	_, _ = io.WriteString(&w, strings.ReplaceAll(strings.TrimRight(text, "\n"), "\t", "    ")+"\n")
	return b.String()
}

// An indenter puts spaces before each line that is not empty.
type indenter struct {
	w      io.Writer
	inside bool // in a line that has begun
}

func (i *indenter) Write(p []byte) (int, error) {
	for line := range strings.Lines(string(p)) {
		if !i.inside && line != "\n" {
			line = "    " + line
		}
		if _, err := io.WriteString(i.w, line); err != nil {
			return 0, err
		}
		i.inside = !strings.HasSuffix(line, "\n")
	}
	return len(p), nil
}

// Close closes the writer below when it is an [escaper].
func (i *indenter) Close() error {
	if c, ok := i.w.(*escaper); ok {
		return c.Close()
	}
	return nil
}
