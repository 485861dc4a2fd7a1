package cli

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"

	"github.com/spf13/pflag"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry"
)

// withTelemetry runs a command beneath its span, ends the span with the exit code and flushes what was recorded,
// however the command ends. Commands without a name are not traced.
func (a *app) withTelemetry(ctx context.Context, name, sub string, args []string, command func(context.Context) int) (code int) {
	if name == "" {
		return command(ctx)
	}
	options := a.telemetryOptions(name)
	if a.traceFile != "" {
		options = append(options, telemetry.WithTracesFile(a.traceFile))
	}
	tel, err := telemetry.Setup(ctx, options...)
	if err != nil && ctx.Err() == nil {
		fmt.Fprintln(a.Stderr, "mellea: --trace-file: "+describe(err, a.secrets()...))
		return ExitFailed
	}
	if err != nil { // the command says that ctx has ended
		return command(ctx)
	}
	a.telemetry = tel
	if console, ok := a.consoleLogs(); console || ok {
		a.logs.is(&sinks{tel.LogHandler(), console})
	}
	defer func() {
		defer a.logs.is(nil)
		// Flushing has a bound of its own: it must also happen when ctx was cancelled. What is lost is a warning.
		_ = tel.Shutdown(context.WithoutCancel(ctx))
		a.spans.print(a.Stdout)
	}()
	ctx, end := tel.StartCommand(ctx, name, sub, args)
	code = ExitFailed // when the command panics
	defer func() { end(code) }()
	return command(ctx)
}

// telemetryOptions are those of the environment. The demonstration records its trace whatever the environment says.
func (a *app) telemetryOptions(command string) []telemetry.Option {
	logger, environ := a.warnings(), a.Environ
	var more []telemetry.Option
	switch command {
	case "env": // its output is what the others warn of
		logger = slog.New(slog.DiscardHandler)
	case "demo":
		environ = slices.DeleteFunc(slices.Clone(environ), suppresses)
		more = append(more, telemetry.WithSpanExporter(&a.spans))
	}
	switch console, _ := a.consoleLogs(); {
	case console:
		more = append(more, telemetry.WithLogsConsole(a.Stderr.Writer))
	case a.env["MELLEA_LOGS_CONSOLE"] == "":
		environ = append(slices.Clip(environ), "MELLEA_LOGS_CONSOLE=false")
	}
	return append(more, telemetry.WithLogger(logger), telemetry.WithEnviron(environ))
}

// consoleLogs reports whether log lines go to standard error, where warnings are lines of the command otherwise, and
// whether they go somewhere else. To standard error they go when a variable of theirs is set that is about it: a command's
// output does not change because there is a log file as well.
func (a *app) consoleLogs() (console, elsewhere bool) {
	set := func(name string) bool { return strings.TrimSpace(a.env[name]) != "" }
	elsewhere = set("MELLEA_LOGS_FILE") || set("MELLEA_LOGS_OTLP") || set("MELLEA_LOGS_WEBHOOK")
	switch strings.ToLower(strings.TrimSpace(a.env["MELLEA_LOGS_CONSOLE"])) {
	case "":
		return set("MELLEA_LOGS_JSON") || set("MELLEA_LOGS_LEVEL"), elsewhere
	case "0", "false", "no", "off":
		return false, elsewhere
	}
	return true, elsewhere
}

// traceFlag adds the flag that names the file of the trace. Its value is taken from the arguments before they are parsed:
// the trace begins before that.
func traceFlag(fs *pflag.FlagSet) {
	fs.String(traceFileFlag, "", "append the trace to `file`, as OTLP JSON; mellea cost reads it")
}

const traceFileFlag = "trace-file"

// traceFile returns the file that the trace is to go to, "" for none.
func traceFile(args []string) string {
	file := ""
	for i, arg := range args {
		if arg == "--" {
			break
		}
		if value, ok := strings.CutPrefix(arg, "--"+traceFileFlag+"="); ok {
			file = value
		} else if arg == "--"+traceFileFlag && i+1 < len(args) {
			file = args[i+1]
		}
	}
	return file
}

// suppresses reports whether an entry of the environment can keep spans from being recorded.
func suppresses(entry string) bool {
	name, _, _ := strings.Cut(entry, "=")
	switch name {
	case "OTEL_SDK_DISABLED", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG", "MELLEA_TRACE_APPLICATION", "MELLEA_TRACE_BACKEND":
		return true
	}
	return false
}

// hooks are the plugins that every session of the command installs.
func (a *app) hooks() []hook.Source {
	return append([]hook.Source{a.telemetry}, a.Hooks...)
}

// traceID returns the id of the trace that ctx is part of, "" when it is not recorded.
func traceID(ctx context.Context) string {
	if span := trace.SpanContextFromContext(ctx); span.IsSampled() {
		return span.TraceID().String()
	}
	return ""
}

// spanList keeps spans until they are printed.
type spanList struct {
	mu    sync.Mutex
	spans []sdktrace.ReadOnlySpan
	title string // stands above them; "" prints nothing
}

// ExportSpans implements [sdktrace.SpanExporter].
func (l *spanList) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.spans = append(l.spans, spans...)
	return nil
}

// Shutdown implements [sdktrace.SpanExporter].
func (*spanList) Shutdown(context.Context) error { return nil }

// print prints the spans as a tree.
func (l *spanList) print(o Output) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.title == "" {
		return
	}
	fmt.Fprint(o, l.title)
	p := telemetry.NewTreePrinter(o.Writer)
	_ = p.ExportSpans(context.Background(), l.spans) // neither fails
	_ = p.Shutdown(context.Background())
}
