package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// ShutdownTimeout bounds [Telemetry.Shutdown] when its context has no deadline.
const ShutdownTimeout = 5 * time.Second

// A Telemetry is what [Setup] made. It is safe for concurrent use, and may be installed any number of times: each step
// of a program counts once.
type Telemetry struct {
	tracer   *tracer
	bindings []hook.Binding
	command  bool // runs of the command line are traced
	hashKey  []byte
	content  *contentQueue // nil without a store

	provider  trace.TracerProvider
	sdk       *sdktrace.TracerProvider // nil with an application's own
	exporters []*queuedExporter
	console   *TreePrinter
	restore   func() // undoes WithGlobal
	metrics   metricsPillar
	logs      logsPillar

	once     sync.Once
	shutdown error
}

// Setup reads the configuration and starts what it asks for. It reads the environment now and never again, and warns
// about what it cannot use; the program runs on without. The error is that of an option, or of ctx.
//
// With everything off the Telemetry has no bindings, and its Shutdown does nothing.
func Setup(ctx context.Context, opts ...Option) (*Telemetry, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("telemetry: setup: %w", context.Cause(ctx))
	}
	o := newOptions(opts)
	if o.lookup == nil {
		return nil, errors.New("telemetry: WithLookupEnv was given no function")
	}
	if slices.Contains(o.exporters, nil) {
		return nil, errors.New("telemetry: WithSpanExporter was given no exporter")
	}
	if err := checkLogs(o); err != nil {
		return nil, err
	}
	c, env := resolve(o)
	w := &warner{logger: o.logger}
	for _, text := range env.warnings {
		w.warn(ctx, text)
	}
	t := &Telemetry{hashKey: o.hashKey}
	if err := t.startTraces(ctx, c, o, w); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if err := t.startMetrics(ctx, c.metrics, o, w); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if err := t.startLogs(ctx, c, o, w); err != nil {
		return nil, errors.Join(err, t.Shutdown(ctx))
	}
	if o.global {
		t.makeGlobal()
	}
	return t, nil
}

func (t *Telemetry) startTraces(ctx context.Context, c config, o options, w *warner) error {
	if !c.enabled {
		return nil
	}
	if len(t.hashKey) == 0 {
		t.hashKey = make([]byte, 32)
		_, _ = rand.Read(t.hashKey) // never fails
	}
	if c.sdk {
		if err := t.startSDK(ctx, c, o, w); err != nil {
			return err
		}
	} else {
		t.provider = o.provider
	}
	t.tracer = newTracer(t.provider, c, o)
	t.tracer.hashKey = t.hashKey
	t.tracer.reuse = t.sdk != nil
	t.startStore(ctx, c, o, w)
	t.bindings = plugins(t.tracer, c.scopes)
	t.command = c.scopes.application
	return nil
}

// startStore starts what hands content to its store.
func (t *Telemetry) startStore(ctx context.Context, c config, o options, w *warner) {
	store := o.store
	if c.contentDir != "" {
		dir, err := NewContentDir(c.contentDir)
		if err != nil {
			w.warn(ctx, "content is not stored in MELLEA_TRACES_CONTENT_DIR: "+storeError(err))
			return
		}
		store = dir
	}
	if store == nil {
		return
	}
	t.content = newContentQueue(store, o.logger)
	t.tracer.capture.store = t.content
}

func newTracer(p trace.TracerProvider, c config, o options) *tracer {
	scope := []trace.TracerOption{trace.WithInstrumentationVersion(moduleVersion()), trace.WithSchemaURL(semconv.SchemaURL)}
	t := &tracer{
		application: p.Tracer(semconv.ScopeApplication, scope...),
		backend:     p.Tracer(semconv.ScopeBackend, scope...),
		sessions:    o.sessions,
		capture:     capturing(c, o),
		chunkEvery:  c.chunkEvery,
	}
	if c.propagate {
		t.propagator = propagation.TraceContext{}
	}
	if c.baggage {
		t.baggageTo = map[string]bool{}
		for _, host := range o.baggageTo {
			t.baggageTo[strings.ToLower(host)] = true
		}
	}
	return t
}

// moduleVersion returns the version this module was built in a program with, "" in a test or a work tree.
func moduleVersion() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	const path = "github.com/mellea-go/mellea"
	if info.Main.Path == path {
		return info.Main.Version
	}
	for _, dep := range info.Deps {
		if dep.Path == path {
			return dep.Version
		}
	}
	return ""
}

// The least limits on a span. Events are chunks, retries and milestones together. Attributes are all that a span may have
// beside content: usage and errors are to be there whatever the limit.
const (
	minimumEvents     = 128
	minimumAttributes = 64
)

func (t *Telemetry) startSDK(ctx context.Context, c config, o options, w *warner) error {
	file, err := c.fileExporter(ctx, o, w)
	if err != nil {
		return err
	}
	limits := sdktrace.NewSpanLimits()
	if limits.EventCountLimit >= 0 {
		limits.EventCountLimit = max(limits.EventCountLimit, minimumEvents)
	}
	if limits.AttributeCountLimit >= 0 {
		limits.AttributeCountLimit = max(limits.AttributeCountLimit, minimumAttributes)
	}
	// No process detector: command lines are content.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(c.resource...))
	if err != nil {
		w.warn(ctx, "the resource is incomplete")
	}
	all := []sdktrace.TracerProviderOption{
		sdktrace.WithSampler(c.sampler),
		sdktrace.WithRawSpanLimits(limits),
		sdktrace.WithResource(res),
		sdktrace.WithoutPanicRecording(), // the value of a panic is content
	}
	add := func(e sdktrace.SpanExporter, name string, release func()) {
		q := newQueuedExporter(e, name, o.logger, c.batch, release)
		t.exporters = append(t.exporters, q)
		all = append(all, sdktrace.WithSpanProcessor(q))
	}
	for _, e := range o.exporters {
		add(e, fmt.Sprintf("%T", e), nil)
	}
	if c.otlp != nil {
		e, release, err := newOTLPExporter(ctx, c.otlp)
		if err != nil {
			w.warn(ctx, "the OTLP exporter could not be made, so spans are not exported: "+exportError(err))
		} else {
			add(e, "OTLP "+c.otlp.protocol+" to "+c.otlp.endpoint.Host, release)
		}
	}
	if file != nil {
		add(file, "file "+c.file, nil)
	}
	if c.console != nil {
		t.console = NewTreePrinter(c.console)
		all = append(all, sdktrace.WithSpanProcessor(immediate{t.console}))
	}
	t.sdk = sdktrace.NewTracerProvider(all...)
	t.provider = t.sdk
	return nil
}

// immediate exports each span as it ends.
type immediate struct{ e sdktrace.SpanExporter }

func (immediate) OnStart(context.Context, sdktrace.ReadWriteSpan) {}
func (p immediate) OnEnd(s sdktrace.ReadOnlySpan) {
	if s.SpanContext().IsSampled() {
		_ = p.e.ExportSpans(context.Background(), []sdktrace.ReadOnlySpan{s})
	}
}
func (p immediate) Shutdown(ctx context.Context) error { return p.e.Shutdown(ctx) }
func (immediate) ForceFlush(context.Context) error     { return nil }

func (t *Telemetry) makeGlobal() {
	restoreMeters, restoreLogs := t.metrics.makeGlobal(), t.logs.makeGlobal()
	t.restore = func() {
		restoreMeters()
		restoreLogs()
	}
	if t.provider == nil {
		return
	}
	provider, propagator := otel.GetTracerProvider(), otel.GetTextMapPropagator()
	otel.SetTracerProvider(t.provider)
	otel.SetTextMapPropagator(propagation.NewCompositeTextMapPropagator(propagation.TraceContext{}, propagation.Baggage{}))
	t.restore = func() {
		restoreMeters()
		restoreLogs()
		if otel.GetTracerProvider() == t.provider {
			otel.SetTracerProvider(provider)
			otel.SetTextMapPropagator(propagator)
		}
	}
}

// Bindings returns the plugins of what is on, nil when nothing is. It makes a Telemetry a [hook.Source].
func (t *Telemetry) Bindings() []hook.Binding {
	if t == nil {
		return nil
	}
	return slices.Concat(t.bindings, t.metrics.bindings, t.logs.bindings)
}

// TracerProvider returns the provider spans are made by, for a program's own spans; nil when traces are off.
func (t *Telemetry) TracerProvider() trace.TracerProvider {
	if t == nil {
		return nil
	}
	return t.provider
}

// DroppedSpans returns how many ended spans were not exported: they found the queue full, or their export failed.
func (t *Telemetry) DroppedSpans() int64 {
	if t == nil {
		return 0
	}
	var n int64
	for _, q := range t.exporters {
		n += q.dropped.Load()
	}
	return n
}

// ExportError says that spans, or log lines and events, were lost while they were flushed.
type ExportError struct{ Spans, Logs int64 }

func (e *ExportError) Error() string {
	lost := fmt.Sprintf("%d spans", e.Spans)
	switch {
	case e.Spans == 0:
		lost = fmt.Sprintf("%d log records", e.Logs)
	case e.Logs > 0:
		lost += fmt.Sprintf(" and %d log records", e.Logs)
	}
	return "telemetry: " + lost + " were not exported: see the warning in the log"
}

// ForceFlush exports what has ended, what has been recorded and what has been logged, within ctx: give it a deadline, as a
// collector that does not answer is asked again for up to 15 s. It returns an *[ExportError] when something was lost on
// the way.
func (t *Telemetry) ForceFlush(ctx context.Context) error {
	if t == nil {
		return nil
	}
	lost := t.losses()
	err := errors.Join(t.flushSpans(ctx), t.metrics.flush(ctx), t.logs.flush(ctx))
	if t.content != nil {
		t.content.flush(ctx)
	}
	return errors.Join(err, lost())
}

func (t *Telemetry) flushSpans(ctx context.Context) error {
	if f, ok := t.provider.(interface{ ForceFlush(context.Context) error }); ok {
		return f.ForceFlush(ctx)
	}
	return nil
}

// losses returns a function that returns the error for what has been lost since, nil for nothing: an *[ExportError], a
// *[ContentLostError] or both.
func (t *Telemetry) losses() func() error {
	spans, logs, documents := t.DroppedSpans(), t.DroppedLogs(), t.DroppedContent()
	return func() error {
		var exported, stored error
		if e := (&ExportError{Spans: t.DroppedSpans() - spans, Logs: t.DroppedLogs() - logs}); e.Spans > 0 || e.Logs > 0 {
			exported = e
		}
		if n := t.DroppedContent() - documents; n > 0 {
			stored = &ContentLostError{Documents: n}
		}
		return errors.Join(exported, stored)
	}
}

// Shutdown exports what has ended and what has been recorded, and stops, within ctx, or [ShutdownTimeout] when it has no
// deadline. What comes later is not recorded. Further calls return the result of the first. Setup may be called again after it.
//
// An error says that something was lost; nothing has to be done about it.
func (t *Telemetry) Shutdown(ctx context.Context) error {
	if t == nil {
		return nil
	}
	t.once.Do(func() { t.shutdown = t.stop(ctx) })
	return t.shutdown
}

func (t *Telemetry) stop(ctx context.Context) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, ShutdownTimeout)
		defer cancel()
	}
	if t.restore != nil {
		t.restore()
	}
	// All at the same time: a collector that does not answer is not to cost the one what the other waited.
	lost := t.losses()
	var all sync.WaitGroup
	var spans, metrics, logs error
	all.Go(func() { metrics = t.metrics.shutdown(ctx) })
	all.Go(func() { logs = t.logs.shutdown(ctx) })
	if t.content != nil {
		all.Go(func() { t.content.shutdown(ctx) })
	}
	if t.sdk != nil {
		spans = t.stopProcessors(ctx)
	} else {
		spans = t.flushSpans(ctx)
	}
	all.Wait()
	return errors.Join(spans, lost(), metrics, logs, t.logs.close())
}

// stopProcessors shuts the provider down. The provider gives up at the first processor that its context does not last
// for, so exporters that had no turn are shut down here.
func (t *Telemetry) stopProcessors(ctx context.Context) error {
	var all sync.WaitGroup
	for _, q := range t.exporters {
		all.Go(func() { _ = q.Shutdown(ctx) })
	}
	if t.console != nil {
		_ = t.console.Shutdown(ctx)
	}
	all.Wait()
	err := ctx.Err()
	_ = t.sdk.Shutdown(context.WithoutCancel(ctx)) // its processors have stopped
	if err != nil {
		return fmt.Errorf("telemetry: shutdown: %w", err)
	}
	return nil
}
