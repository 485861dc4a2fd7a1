package cli_test

import (
	"context"
	"errors"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/cli"
	"github.com/mellea-go/mellea/internal/otlptest"
)

// TestExitCodes goes through every exit code, and looks that telemetry was flushed with each: the root span has arrived
// when the command returns, and carries the code.
func TestExitCodes(t *testing.T) {
	t.Parallel()
	deny := hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error {
		return hook.Reject("over_budget", "enough for today")
	}, hook.Name("budget"))
	for name, c := range map[string]struct {
		args      []string
		stdin     string
		env       []string
		status    int    // of the server
		message   string // of its error
		hooks     []hook.Source
		interrupt syscall.Signal // while the model replies
		hang      bool           // the model never replies
		code      int
		stdout    string
		text      string // on standard error
	}{
		"done":             {args: []string{"run", "hi"}, stdout: "a reply\n"},
		"met":              {args: []string{"run", "hi", "--check", "max-words:2"}, stdout: "a reply\n"},
		"unmet":            {args: []string{"run", "hi", "--check", "max-words:1"}, code: 1, stdout: "a reply\n", text: "mellea: requirements not met after 3 attempts: Use at most 1 word (has 2 words, at most 1 are allowed)\n"},
		"no prompt":        {args: []string{"run"}, code: 2, text: "mellea: run needs a prompt"},
		"two prompts":      {args: []string{"run", "a", "b"}, code: 2, text: "put the prompt in quotes"},
		"empty prompt":     {args: []string{"run", ""}, code: 2, text: "the prompt is empty"},
		"empty input":      {args: []string{"run", "-"}, code: 2, text: "standard input is empty"},
		"unknown flag":     {args: []string{"run", "hi", "--chek", "json"}, code: 2, text: "mellea: there is no flag --chek, did you mean --check?"},
		"unknown letter":   {args: []string{"run", "hi", "-z"}, code: 2, text: "there is no flag -z"},
		"value missing":    {args: []string{"run", "hi", "--model"}, code: 2, text: "--model"},
		"unknown check":    {args: []string{"run", "hi", "--check", "max-word:3"}, code: 2, text: `did you mean "max-words"?`},
		"unknown strategy": {args: []string{"run", "hi", "--strategy", "repeat"}, code: 2, text: "there is no strategy"},
		"near strategy":    {args: []string{"run", "hi", "--strategy", "repiar"}, code: 2, text: `did you mean "repair"?`},
		"budget of none":   {args: []string{"run", "hi", "--strategy", "none", "--budget", "2"}, code: 2, text: "leave out --budget"},
		"no budget":        {args: []string{"run", "hi", "--budget", "0"}, code: 2, text: "--budget 0"},
		"budget no number": {args: []string{"run", "hi", "--budget", "x"}, code: 2, text: "--budget"},
		"output":           {args: []string{"run", "hi", "--output", "xml"}, code: 2, text: "it is text or json"},
		"empty require":    {args: []string{"run", "hi", "--require", ""}, code: 2, text: "--require needs a text"},
		"variable":         {args: []string{"run", "hi", "--var", "x"}, code: 2, text: "--var x: write it as name=value"},
		"option":           {args: []string{"run", "hi", "--option", "=1"}, code: 2, text: "write it as name=value"},
		"option value":     {args: []string{"run", "hi", "--option", "seed=x"}, code: 2, text: "--option seed=x: the value is not a whole number"},
		"time-out value":   {args: []string{"run", "hi", "--timeout", "-1s"}, code: 2, text: "--timeout"},
		"missing variable": {args: []string{"run", "hi {{name}}"}, code: 2, text: "give it with --var name=VALUE"},
		"bad template":     {args: []string{"run", "hi {{"}, code: 2, text: "pipe the prompt to `mellea run -`"},
		"bad setting":      {args: []string{"run", "hi", "--backend", "openai", "--model", "m", "--base-url", "ftp://x"}, code: 2, text: "mellea: openai"},
		"server error":     {args: []string{"run", "hi"}, status: http.StatusBadRequest, message: "no\x1b[31m\nway", code: 3, text: `; the server says: no\x1b[31m way`},
		"missing model":    {args: []string{"run", "hi"}, status: http.StatusNotFound, message: "model 'tiny' not found", code: 3, text: "ollama pull tiny"},
		"time-out":         {args: []string{"run", "hi", "--timeout", "50ms"}, hang: true, code: 3, text: "mellea: not done after 50ms: raise --timeout"},
		"no recording":     {args: []string{"run", "hi", "--replay", filepath.Join(t.TempDir(), "none")}, code: 3, text: "no such file"},
		"no schema":        {args: []string{"run", "hi", "--check", "schema:" + filepath.Join(t.TempDir(), "none")}, code: 3, text: "no such file"},
		"no place":         {args: []string{"run", "hi", "--record", filepath.Join(t.TempDir(), "no", "where")}, code: 3, text: "no such file"},
		"rejected":         {args: []string{"run", "hi"}, hooks: []hook.Source{deny}, code: 4, text: "budget"},
		"SIGINT":           {args: []string{"run", "hi"}, interrupt: syscall.SIGINT, code: 130, text: "mellea: interrupted"},
		"SIGTERM":          {args: []string{"run", "hi"}, interrupt: syscall.SIGTERM, code: 143, text: "mellea: interrupted"},
		"hooks":            {args: []string{"hooks", "--output", "json"}},
		"hooks, wrong":     {args: []string{"hooks", "x"}, code: 2, text: "takes no argument"},
		"version":          {args: []string{"version"}},
		"env":              {args: []string{"env", "--output", "json"}},
		"demo":             {args: []string{"demo", "--speed", "0"}},
		"demo, wrong":      {args: []string{"demo", "--speed", "-1"}, code: 2, text: "--speed"},
		"demo, no --live":  {args: []string{"demo", "--model", "x"}, code: 2, text: "give --live as well"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			f := newFake(t, "a reply")
			f.fails(c.status, c.message)
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			if c.hang {
				f.hangs()
			}
			if c.interrupt != 0 {
				there := f.hangs()
				go func() {
					<-there
					cancel(&cli.Interrupted{Signal: int(c.interrupt)})
				}()
			}
			env := f.env("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.HTTP)
			got := process{ctx: ctx, env: env, stdin: c.stdin, hooks: c.hooks}.run(t, c.args...)
			if got.code != c.code || !strings.Contains(got.stderr, c.text) {
				t.Errorf("exit %d, stderr %q, want %d and %q", got.code, got.stderr, c.code, c.text)
			}
			if c.stdout != "" && got.stdout != c.stdout {
				t.Errorf("stdout = %q, want %q", got.stdout, c.stdout)
			}
			if c.code != 0 && c.code != 1 && got.stdout != "" {
				t.Errorf("stdout = %q, want nothing", got.stdout)
			}
			// What Run did not flush never arrives.
			spans := collector.Spans(t, 1)
			root := slices.IndexFunc(spans, func(s otlptest.Span) bool { return s.Parent == "" })
			if root < 0 || spans[root].Name != "mellea "+c.args[0] || spans[root].Attributes["process.exit.code"] != int64(c.code) {
				t.Errorf("the root span is %+v, want mellea %s with process.exit.code %d", spans, c.args[0], c.code)
			}
		})
	}
}

func TestUnknownCommand(t *testing.T) {
	t.Parallel()
	for args, want := range map[string]string{
		"rnu":       `mellea: there is no command "rnu", did you mean "run"?`,
		"serve":     `mellea: there is no command "serve" ('mellea --help' lists them)`,
		"--verbose": "mellea: there is no flag --verbose",
	} {
		got := process{}.run(t, args)
		if got.code != 2 || !strings.Contains(got.stderr, want) {
			t.Errorf("mellea %s: exit %d, %q, want 2 and %q", args, got.code, got.stderr, want)
		}
		wantLines(t, "stderr", got.stderr, "mellea: ")
	}
}

func TestErrorsAreOneLine(t *testing.T) {
	t.Parallel()
	got := process{env: nowhere}.run(t, "run", "hi", "--check", "one\n\x1b]0;evil\x07two")
	wantLines(t, "stderr", got.stderr, `\x1b]0;evil\x07`)
}

// TestStandardOutputFails looks that a result that cannot be written is a failure.
func TestStandardOutputFails(t *testing.T) {
	t.Parallel()
	f := newFake(t, "a reply")
	for _, args := range [][]string{{"run", "hi"}, {"run", "hi", "--output", "json"}} {
		var stderr strings.Builder
		code := cli.Run(t.Context(), cli.System{Stdout: cli.Output{Writer: full{}}, Stderr: cli.Output{Writer: &stderr}, Environ: f.env()}, args...)
		if code != 3 || !strings.Contains(stderr.String(), "standard output: the disk is full") {
			t.Errorf("mellea %q: exit %d, %q, want 3", args, code, stderr.String())
		}
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("the disk is full") }

func TestInterruptedWhileReading(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	in := &blocked{begun: make(chan struct{}), end: make(chan struct{})}
	go func() {
		<-in.begun
		cancel(&cli.Interrupted{Signal: int(syscall.SIGINT)})
	}()
	defer close(in.end)
	var stderr strings.Builder
	if code := cli.Run(ctx, cli.System{Stdin: in, Stderr: cli.Output{Writer: &stderr}}, "run", "-"); code != 130 {
		t.Errorf("exit %d, %q, want 130", code, stderr.String())
	}
}

// blocked is a terminal at which nobody types.
type blocked struct{ begun, end chan struct{} }

func (b *blocked) Read([]byte) (int, error) {
	close(b.begun)
	<-b.end
	return 0, errors.New("closed")
}
