package telemetry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"slices"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/resource"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// logsPillar is the part of a [Telemetry] that is logs. Its zero value writes nothing.
type logsPillar struct {
	journal  *journal
	levels   *levels
	sinks    []logSink
	bindings []hook.Binding

	provider  otellog.LoggerProvider
	sdk       *sdklog.LoggerProvider // nil with an application's own
	exporters []*queuedLogs
	webhook   *webhook
	file      *rotatingFile
}

// checkLogs returns the errors of options.
func checkLogs(o options) error {
	if slices.Contains(o.logExporters, nil) {
		return errors.New("telemetry: WithLogExporter was given no exporter")
	}
	if o.webhook != "" {
		if _, err := webhookURL(o.webhook); err != nil {
			return fmt.Errorf("telemetry: the URL of WithLogWebhook %w", err)
		}
	}
	return nil
}

// startLogs starts what the configuration asks for. What cannot be started is a warning, or the error of an option.
func (t *Telemetry) startLogs(ctx context.Context, c config, o options, w *warner) error {
	l := c.logs
	p := &t.logs
	p.journal = &journal{capture: capture{on: l.content, max: c.maxBytes, redact: o.redact}}
	p.levels = &levels{base: l.level, rules: l.rules}
	if l.off {
		return nil
	}
	if l.console != nil {
		p.sinks = append(p.sinks, logSink{Handler: lineSink(l.console, l.json), near: true})
	}
	if err := p.startFile(ctx, l, o, w); err != nil {
		return err
	}
	if l.webhook != nil {
		p.webhook = newWebhook(l.webhook, o.webhookTLS, o.logger)
		p.sinks = append(p.sinks, logSink{Handler: lineSink(p.webhook, true), tell: p.webhook.tell})
	}
	if l.export {
		p.startExport(ctx, l, o, w)
	}
	if l.enabled {
		p.bindings = logsPlugins(p.journal)
	}
	return nil
}

// lineSink writes records as lines. What is wanted has been decided before.
func lineSink(w io.Writer, json bool) slog.Handler {
	if json {
		return slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.Level(math.MinInt)})
	}
	return newLineHandler(w, isTerminal(w))
}

func (p *logsPillar) startFile(ctx context.Context, c logsConfig, o options, w *warner) error {
	if c.file == nil {
		return nil
	}
	f, err := openRotating(*c.file)
	switch {
	case err != nil && c.file.fromEnv:
		w.warn(ctx, "MELLEA_LOGS_FILE cannot be opened, so no log file is written: is its directory there, and may this user write to it? "+fileProblem(err))
		return nil
	case err != nil:
		return fmt.Errorf("telemetry: WithLogFile: %w", err)
	}
	p.file = f
	var told atomic.Bool
	p.sinks = append(p.sinks, logSink{Handler: lineSink(f, c.json), near: true, tell: func() {
		// The report may come here again, and fail again.
		if failed := f.failing.Swap(nil); failed != nil && told.CompareAndSwap(false, true) {
			logger(o.logger).LogAttrs(locally(context.WithoutCancel(ctx)), slog.LevelWarn, "telemetry: the log file cannot be written; further failures are not logged",
				slog.String("error", fileProblem(*failed)))
		}
	}})
	return nil
}

// startExport makes the provider for lines and events, or takes the application's own.
func (p *logsPillar) startExport(ctx context.Context, c logsConfig, o options, w *warner) {
	p.provider = o.loggerProvider
	if c.sdk && !p.startSDK(ctx, c, o, w) {
		return
	}
	scope := []otellog.LoggerOption{otellog.WithInstrumentationVersion(moduleVersion()), otellog.WithSchemaURL(semconv.SchemaURL)}
	p.journal.calls = p.provider.Logger(semconv.ScopeBackend, scope...)
	p.journal.program = p.provider.Logger(semconv.ScopeApplication, scope...)
	p.sinks = append(p.sinks, logSink{traced: true, Handler: otelslog.NewHandler(semconv.ScopeLogs,
		otelslog.WithLoggerProvider(validProvider{p.provider}), otelslog.WithVersion(moduleVersion()))})
}

// startSDK reports whether there is somewhere to export to.
func (p *logsPillar) startSDK(ctx context.Context, c logsConfig, o options, w *warner) bool {
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(c.resource...))
	if err != nil {
		w.warn(ctx, "the resource is incomplete")
	}
	all := []sdklog.LoggerProviderOption{sdklog.WithResource(res)}
	add := func(e sdklog.Exporter, name string, release func()) {
		q := newQueuedLogs(e, name, o.logger, c.batch, release)
		p.exporters = append(p.exporters, q)
		all = append(all, sdklog.WithProcessor(q))
	}
	for _, e := range o.logExporters {
		add(e, fmt.Sprintf("%T", e), nil)
	}
	if c.otlp != nil {
		e, release, err := newOTLPLogExporter(ctx, c.otlp)
		if err != nil {
			w.warn(ctx, "the OTLP exporter could not be made, so logs are not exported: "+exportError(err))
		} else {
			add(e, "OTLP "+c.otlp.protocol+" to "+c.otlp.endpoint.Host, release)
		}
	}
	if len(p.exporters) == 0 {
		return false
	}
	p.sdk = sdklog.NewLoggerProvider(all...)
	p.provider = p.sdk
	return true
}

// fileProblem is what went wrong, without the name of the file.
func fileProblem(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Err.Error()
	}
	if le, ok := errors.AsType[*os.LinkError](err); ok {
		return le.Err.Error()
	}
	return err.Error()
}

// LogHandler returns a handler for package slog that writes to the sinks that Setup was told of: the console, a file, a
// webhook, an exporter. With nothing configured it writes lines of level INFO and above to standard error, and so does
// that of a nil Telemetry. [slog.Default] is left as it is.
//
// To each record it adds what the context tells, where that is known and the program has not said it itself: the
// trace_id and span_id of the current span; and, with logs on and the Telemetry installed, the session_id, the
// request_id and model of the call to a model that the line is written in, or that asked for the tool it is written in,
// and the sampling_iteration, counted from 1. They stand outside of the groups that the program opens.
//
// Attributes of a group that a program opens are resolved when a record is written. The handler may be used by several
// goroutines at once, and after Shutdown, when only the console still shows what it is given.
func (t *Telemetry) LogHandler() slog.Handler {
	if t == nil {
		t = &Telemetry{logs: logsPillar{journal: &journal{}, levels: &levels{base: slog.LevelInfo},
			sinks: []logSink{{Handler: lineSink(os.Stderr, false), near: true}}}}
	}
	p := &t.logs
	return &logHandler{levels: p.levels, journal: p.journal, sinks: p.sinks}
}

// LoggerProvider returns the provider that log lines and log events are exported by, for a program's own events; nil when
// they are not exported.
func (t *Telemetry) LoggerProvider() otellog.LoggerProvider {
	if t == nil {
		return nil
	}
	return t.logs.provider
}

// DroppedLogs returns how many log lines and events were not delivered, by OTLP or the webhook: they found a queue full,
// or what they were sent in failed.
func (t *Telemetry) DroppedLogs() int64 {
	if t == nil {
		return 0
	}
	var n int64
	for _, q := range t.logs.exporters {
		n += q.dropped.Load()
	}
	if h := t.logs.webhook; h != nil {
		n += h.dropped.Load()
	}
	return n
}

// makeGlobal makes the provider that of OpenTelemetry and returns what undoes it.
func (p *logsPillar) makeGlobal() (restore func()) {
	if p.provider == nil {
		return func() {}
	}
	before := otel.GetLoggerProvider()
	otel.SetLoggerProvider(p.provider)
	return func() {
		if otel.GetLoggerProvider() == p.provider {
			otel.SetLoggerProvider(before)
		}
	}
}

// flush exports what has been logged.
func (p *logsPillar) flush(ctx context.Context) error {
	var posting sync.WaitGroup
	var err error
	if p.webhook != nil {
		posting.Go(func() { err = p.webhook.flush(ctx) })
	}
	var exported error
	if f, ok := p.provider.(interface{ ForceFlush(context.Context) error }); ok {
		exported = f.ForceFlush(ctx)
	}
	posting.Wait()
	return errors.Join(exported, err)
}

// shutdown exports what has been logged and stops. An application's own provider is flushed and goes on.
func (p *logsPillar) shutdown(ctx context.Context) error {
	var all sync.WaitGroup
	for _, q := range p.exporters {
		all.Go(func() { _ = q.Shutdown(ctx) })
	}
	if p.webhook != nil {
		all.Go(func() { _ = p.webhook.Shutdown(ctx) })
	}
	var err error
	if p.sdk == nil {
		if f, ok := p.provider.(interface{ ForceFlush(context.Context) error }); ok {
			err = f.ForceFlush(ctx)
		}
	}
	all.Wait()
	if p.sdk != nil || p.webhook != nil {
		err = errors.Join(err, ctx.Err())
	}
	if p.sdk != nil {
		_ = p.sdk.Shutdown(context.WithoutCancel(ctx)) // its processors have stopped
	}
	if err != nil {
		return fmt.Errorf("telemetry: logs: %w", err)
	}
	return nil
}

// close closes the file, when everything that may have something to say has stopped.
func (p *logsPillar) close() error {
	if p.file == nil {
		return nil
	}
	if err := p.file.Close(); err != nil {
		return fmt.Errorf("telemetry: logs: %w", err)
	}
	return nil
}
