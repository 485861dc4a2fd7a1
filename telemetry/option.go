package telemetry

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"os"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/metric"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// An Option configures [Setup]. What an option says wins over the environment.
type Option func(*options)

type options struct {
	lookup  func(string) (string, bool)
	environ []string
	logger  *slog.Logger

	traces     *bool
	console    io.Writer
	provider   trace.TracerProvider
	exporters  []sdktrace.SpanExporter
	tracesFile *string
	global     bool
	sessions   SessionMode
	content    *bool
	maxBytes   *int
	asStrings  bool
	redact     Redactor
	store      ContentStore
	storeSet   bool
	hashKey    []byte
	baggageTo  []string
	chunkEvery *int

	metrics        *bool
	meterProvider  metric.MeterProvider
	readers        []sdkmetric.Reader
	metricsConsole io.Writer
	registerer     prometheus.Registerer
	naming         Naming
	prices         *Pricing

	logs           *bool
	loggerProvider otellog.LoggerProvider
	logExporters   []sdklog.Exporter
	logsConsole    io.Writer
	logsJSON       *bool
	logFile        *fileConfig
	webhook        string
	webhookTLS     *tls.Config
	logLevel       slog.Leveler
	packageLevels  []levelRule
	eventContent   *bool
}

func newOptions(opts []Option) options {
	o := options{lookup: os.LookupEnv, environ: os.Environ()}
	for _, opt := range opts {
		if opt != nil {
			opt(&o)
		}
	}
	return o
}

// WithLookupEnv replaces the process environment by lookup, which has the signature of [os.LookupEnv]. Unknown names
// cannot be found out through it: see [WithEnviron]. The OpenTelemetry SDK reads some variables itself, from the process:
// limits on spans, OTEL_RESOURCE_ATTRIBUTES beneath what lookup says of it, and the certificates of a collector that is
// reached by gRPC. What it cannot use of the process's variables it prints, values included, to the logger and the error
// handler of package otel; a program that does not want that replaces these.
func WithLookupEnv(lookup func(name string) (string, bool)) Option {
	return func(o *options) { o.lookup, o.environ = lookup, nil }
}

// WithEnviron replaces the process environment by a list in the form of [os.Environ].
func WithEnviron(environ []string) Option {
	return func(o *options) { o.lookup, o.environ = lookupIn(environ), environ }
}

func lookupIn(environ []string) func(string) (string, bool) {
	values := make(map[string]string, len(environ))
	for _, kv := range environ {
		if name, value, ok := strings.Cut(kv, "="); ok {
			values[name] = value
		}
	}
	return func(name string) (string, bool) {
		v, ok := values[name]
		return v, ok
	}
}

// WithLogger sets where warnings go. The default is [slog.Default] at the time of the warning.
func WithLogger(l *slog.Logger) Option { return func(o *options) { o.logger = l } }

// WithTraces switches tracing on or off.
func WithTraces(on bool) Option { return func(o *options) { o.traces = &on } }

// WithTracerProvider traces with an application's own provider, and switches tracing on. Exporters, sampling and the
// resource are the provider's business then: the variables for them are not read, and [Telemetry.Shutdown] flushes the
// provider but leaves it running.
func WithTracerProvider(p trace.TracerProvider) Option { return func(o *options) { o.provider = p } }

// WithSpanExporter exports to e as well, in batches, and switches tracing on. Shutdown shuts e down.
func WithSpanExporter(e sdktrace.SpanExporter) Option {
	return func(o *options) { o.exporters = append(o.exporters, e) }
}

// WithConsole prints spans to w as [TreePrinter] does, and switches tracing on. MELLEA_TRACES_CONSOLE does the same to
// standard error.
func WithConsole(w io.Writer) Option { return func(o *options) { o.console = w } }

// WithGlobal also makes the tracer provider the global one of OpenTelemetry, and the propagator with it, until Shutdown.
func WithGlobal() Option { return func(o *options) { o.global = true } }

// SessionSpans sets how spans of sessions and of calls are related. The default is [Nest].
func SessionSpans(mode SessionMode) Option { return func(o *options) { o.sessions = mode } }

// WithContent switches the capture of content on spans on or off: prompts, replies, reasons, texts of requirements and
// errors. The default is off.
func WithContent(on bool) Option { return func(o *options) { o.content = &on } }

// WithContentMaxBytes sets the cap on one captured value, [DefaultContentMaxBytes] by default. Over it the oldest
// messages go first, then texts are cut; documents stay valid. Below 1 it means the default.
func WithContentMaxBytes(n int) Option { return func(o *options) { o.maxBytes = &n } }

// WithContentStrings records messages and tool definitions as JSON strings, for trace stores that cannot hold structured
// attributes.
func WithContentStrings() Option { return func(o *options) { o.asStrings = true } }

// WithRedactor passes all content through r before it is recorded.
func WithRedactor(r Redactor) Option { return func(o *options) { o.redact = r } }

// WithContentStore puts messages, tool definitions, arguments and results into a store, and a reference to each on its
// span: mellea.content.input_messages.ref and its like. It does not depend on [WithContent], which puts them on spans too.
// Content is stored after the redactor has seen it, whole up to 8 MiB a document, and only of spans that are recorded.
//
// The store never slows or fails a call: what is too much for it, or fails, is lost, counted by
// [Telemetry.DroppedContent], and reported once. [Telemetry.Shutdown] waits for what is under way. MELLEA_TRACES_CONTENT_DIR
// names a folder to be the store, a [ContentDir]. nil is none, whatever the variable says.
func WithContentStore(s ContentStore) Option {
	return func(o *options) { o.store, o.storeSet = s, true }
}

// WithHashKey sets the key of the hashes of tool arguments, so that several processes agree on them. The default is
// random for each process. The key is copied.
func WithHashKey(key []byte) Option {
	return func(o *options) { o.hashKey = append([]byte(nil), key...) }
}

// WithBaggageTo sends OpenTelemetry baggage to the model servers with these host names. To all others only traceparent
// and tracestate are sent.
func WithBaggageTo(hosts ...string) Option {
	return func(o *options) { o.baggageTo = append(o.baggageTo, hosts...) }
}

// WithChunkEvents adds an event for every n-th streamed chunk to spans of generations, at most 100 a span; 0 switches
// them off.
func WithChunkEvents(n int) Option { return func(o *options) { o.chunkEvery = &n } }

// warner sends each different warning once.
type warner struct {
	logger *slog.Logger
	sent   map[string]bool
}

func (w *warner) warn(ctx context.Context, text string) {
	if w.sent[text] {
		return
	}
	if w.sent == nil {
		w.sent = map[string]bool{}
	}
	w.sent[text] = true
	logger(w.logger).LogAttrs(ctx, slog.LevelWarn, "telemetry: "+text)
}

func logger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.Default()
	}
	return l
}
