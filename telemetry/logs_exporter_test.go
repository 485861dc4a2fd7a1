package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// keptLogs is an exporter that keeps what it is given.
type keptLogs struct {
	mu       sync.Mutex
	records  []sdklog.Record
	shutdown int
	fail     error
}

func (k *keptLogs) Export(_ context.Context, records []sdklog.Record) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, r := range records {
		k.records = append(k.records, r.Clone())
	}
	return k.fail
}

func (*keptLogs) ForceFlush(context.Context) error { return nil }

func (k *keptLogs) Shutdown(context.Context) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.shutdown++
	return nil
}

func (k *keptLogs) bodies() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	var all []string
	for _, r := range k.records {
		if r.EventName() == "" {
			all = append(all, r.Body().AsString())
		}
	}
	return all
}

// late is the handler of a program that has made LogHandler its default: warnings of telemetry come back to it. (Tests run
// in parallel and cannot change the default.)
type late struct{ h *atomic.Pointer[slog.Handler] }

func newLate() late { return late{&atomic.Pointer[slog.Handler]{}} }

func (l late) is(h slog.Handler) { l.h.Store(&h) }

func (l late) handler() slog.Handler {
	if h := l.h.Load(); h != nil {
		return *h
	}
	return slog.DiscardHandler
}

func (l late) Enabled(ctx context.Context, level slog.Level) bool {
	return l.handler().Enabled(ctx, level)
}
func (l late) Handle(ctx context.Context, r slog.Record) error { return l.handler().Handle(ctx, r) }
func (l late) WithAttrs(attrs []slog.Attr) slog.Handler        { return l.handler().WithAttrs(attrs) }
func (l late) WithGroup(name string) slog.Handler              { return l.handler().WithGroup(name) }

// Lines arrive by both protocols, with level, body, time, attributes, resource and scope.
func TestLogsByOTLP(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, specific := range []bool{false, true} {
			t.Run(protocol, func(t *testing.T) {
				t.Parallel()
				server := otlptest.Start(t)
				endpoint := server.HTTP
				if protocol == "grpc" {
					endpoint = server.GRPC
				}
				env := []string{"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
					"OTEL_SERVICE_NAME=mail", "OTEL_EXPORTER_OTLP_HEADERS=x-key=a", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip"}
				if specific {
					if protocol != "grpc" {
						endpoint += "/v1/logs"
					}
					env = append(env, "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT="+endpoint, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL="+protocol,
						"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_PROTOCOL=planted")
				}
				tel, _ := logs(t, environ(env...), telemetry.WithLogLevel(slog.LevelDebug))
				l := slog.New(tel.LogHandler())
				before := time.Now().Add(-time.Millisecond)
				l.Debug("low")
				l.Info("middle", "n", 1, slog.Group("g", "s", "x"))
				l.Warn("high")
				l.Error("top", "err", errors.New("broken"))
				flush(t, tel)
				all := server.Records(t, 4)
				type line struct {
					Body     any
					Severity int
					Text     string
					Attrs    map[string]any
				}
				var got []line
				for _, r := range all {
					got = append(got, line{r.Body, r.Severity, r.SeverityText, r.Attributes})
					if r.Scope != "mellea.logs" || r.Resource["service.name"] != "mail" || r.Event != "" {
						t.Errorf("record %+v", r)
					}
					if r.Time.Before(before) || r.Time.After(time.Now()) {
						t.Errorf("time %v", r.Time)
					}
				}
				want := []line{
					{"low", 5, "DEBUG", map[string]any{}},
					{"middle", 9, "INFO", map[string]any{"n": int64(1), "g": map[string]any{"s": "x"}}},
					{"high", 13, "WARN", map[string]any{}},
					{"top", 17, "ERROR", map[string]any{"exception.type": "*errors.errorString", "exception.message": "broken"}},
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("lines (-want +got):\n%s", diff)
				}
				if key := server.Headers()[0]; key["x-key"] == nil && key["X-Key"] == nil {
					t.Errorf("headers %v have no x-key", key)
				}
			})
		}
	}
}

// A collector that is not there costs one warning: calls work, lines are counted as lost, the console has them.
func TestUnreachableLogCollector(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			book := &logbook{}
			tel, out := logs(t, telemetry.WithLogger(book.logger()), environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+refused(t),
				"OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_EXPORTER_OTLP_HEADERS=authorization=planted", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=2"))
			s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			l := slog.New(tel.LogHandler())
			for range 4 {
				l.Info("line")
			}
			err := tel.Shutdown(t.Context())
			if lost := new(telemetry.ExportError); !errors.As(err, &lost) || lost.Logs != 5 || tel.DroppedLogs() != 5 {
				t.Errorf("Shutdown: %v with %d lost, want an ExportError of 5", err, tel.DroppedLogs())
			}
			checkWarnings(t, book, []string{"log records are lost"})
			if line := book.lines()[0]; strings.Contains(line, "planted") || !strings.Contains(line, protocol) {
				t.Errorf("the warning is %s", line)
			}
			if strings.Count(out.String(), "line") != 4 {
				t.Errorf("the console got %q", out)
			}
		})
	}
}

// A program whose default logger is LogHandler is told on the console that logs cannot be exported, and not by logs that
// cannot be exported.
func TestLogExporterDoesNotLogToItself(t *testing.T) {
	t.Parallel()
	broken := &keptLogs{fail: fmt.Errorf("planted: %w", &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED})}
	hook := receive(t, nil)
	loop := newLate()
	tel, out := logs(t, append(hook.options(), telemetry.WithLogger(slog.New(loop)), telemetry.WithLogExporter(broken))...)
	h := tel.LogHandler()
	loop.is(h)
	slog.New(h).Info("line")
	for range 3 {
		_ = tel.ForceFlush(t.Context())
	}
	_ = tel.Shutdown(t.Context())
	if diff := cmp.Diff([]string{"line"}, broken.bodies()); diff != "" {
		t.Errorf("exported (-want +got):\n%s", diff)
	}
	if got := len(hook.lines()); got != 1 {
		t.Errorf("the webhook got %d lines, want 1", got)
	}
	if got := strings.Count(out.String(), "log records are lost"); got != 1 || strings.Contains(out.String(), "planted") || !strings.Contains(out.String(), `error="dial tcp: connection refused"`) {
		t.Errorf("the console got %q", out)
	}
}

// Where the console is off the file has the report, and a program that logs by the handler does not wait for itself.
func TestReportsWithoutAConsole(t *testing.T) {
	t.Parallel()
	broken := &keptLogs{fail: errors.New("planted")}
	path := filepath.Join(t.TempDir(), "app.log")
	loop := newLate()
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_LOGS_CONSOLE=false", "MELLEA_LOGS_FILE="+path),
		telemetry.WithLogger(slog.New(loop)), telemetry.WithLogExporter(broken)))
	loop.is(tel.LogHandler())
	slog.New(tel.LogHandler()).Info("line")
	_ = tel.Shutdown(t.Context())
	text := must[[]byte](t)(os.ReadFile(path))
	if got := bytes.Count(text, []byte("log records are lost")); got != 1 || bytes.Contains(text, []byte("planted")) {
		t.Errorf("the file has %q", text)
	}
}

// stuckLogs exports nothing until its context ends.
type stuckLogs struct{ keptLogs }

func (*stuckLogs) Export(ctx context.Context, _ []sdklog.Record) error {
	<-ctx.Done()
	return ctx.Err()
}

// Shutdown gives up after 5 s without a deadline, at the deadline with one, and nobody waits before that.
func TestLogShutdownIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ within, want time.Duration }{
		"no deadline": {want: telemetry.ShutdownTimeout},
		"a deadline":  {within: time.Second, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				book := &logbook{}
				tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), telemetry.WithLogExporter(&stuckLogs{}),
					environ("MELLEA_LOGS_CONSOLE=false", "OTEL_BLRP_MAX_QUEUE_SIZE=4", "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE=2")))
				began := time.Now()
				l := slog.New(tel.LogHandler())
				for range 10 {
					l.Info("line")
				}
				if got := time.Since(began); got != 0 || tel.DroppedLogs() != 6 {
					t.Errorf("10 lines took %v and %d were dropped, want no time and 6", got, tel.DroppedLogs())
				}
				shutsDownWithin(t, tel, test.within, test.want)
				checkWarnings(t, book, []string{"the queue is full"})
			})
		})
	}
}

// Setup works again after Shutdown, and what was shut down exports nothing more.
func TestLogsSetupAgain(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	for range 2 {
		tel, _ := logs(t, environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP))
		slog.New(tel.LogHandler()).Info("line")
		for range 2 {
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		slog.New(tel.LogHandler()).Info("late")
	}
	if got := len(server.Records(t, 2)); got != 2 {
		t.Errorf("%d lines arrived, want 2", got)
	}
}

// An application's own provider gets lines and events, and is left running.
func TestOwnLoggerProvider(t *testing.T) {
	t.Parallel()
	kept := &keptLogs{}
	provider := sdklog.NewLoggerProvider(sdklog.WithProcessor(sdklog.NewBatchProcessor(kept)))
	tel, _ := logs(t, telemetry.WithLoggerProvider(provider), environ("MELLEA_LOGS_OTLP=true", "OTEL_SDK_DISABLED=true"))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
	slog.New(tel.LogHandler()).Info("line")
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(kept.records); got != 2 {
		t.Errorf("%d records after Shutdown, want an event and a line", got)
	}
	var r otellog.Record
	provider.Logger("own").Emit(t.Context(), r)
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(kept.records) != 3 || tel.LoggerProvider() != otellog.LoggerProvider(provider) {
		t.Errorf("%d records, want that the provider goes on", len(kept.records))
	}
}

// The global provider is replaced only when asked for, and put back by Shutdown.
func TestGlobalLoggerProvider(t *testing.T) { //nolint:paralleltest // it changes the global provider
	before := otel.GetLoggerProvider()
	plain, _ := logs(t, telemetry.WithLogExporter(&keptLogs{}))
	if otel.GetLoggerProvider() != before {
		t.Error("Setup has replaced the global provider")
	}
	_ = plain.Shutdown(t.Context())
	kept := &keptLogs{}
	global, _ := logs(t, telemetry.WithLogExporter(kept), telemetry.WithGlobal())
	if otel.GetLoggerProvider() != global.LoggerProvider() {
		t.Error("WithGlobal has not replaced the global provider")
	}
	_ = global.Shutdown(t.Context())
	if otel.GetLoggerProvider() != before {
		t.Error("Shutdown has not put the global provider back")
	}
	if kept.shutdown != 1 {
		t.Errorf("the exporter was shut down %d times, want once", kept.shutdown)
	}
	if _, err := telemetry.Setup(t.Context(), environ(), telemetry.WithLogExporter(nil)); err == nil {
		t.Error("with no exporter: no error")
	}
}

// reporter is a transport that tells of each request.
type reporter struct{ t *testing.T }

func (r reporter) RoundTrip(req *http.Request) (*http.Response, error) {
	r.t.Errorf("a program's transport has seen a request to %s", req.URL.Host)
	return nil, errors.New("no")
}

// Exports do not go through the transport of the program: one that logs or traces each request would make each export the
// reason for another.
func TestExportsGoRoundTheProgramsTransport(t *testing.T) { //nolint:paralleltest // it replaces the default transport
	before := http.DefaultTransport
	defer func() { http.DefaultTransport = before }()
	server, hook := otlptest.Start(t), receive(t, nil)
	http.DefaultTransport = reporter{t}
	tel, _ := logs(t, append(hook.options(), environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP))...)
	slog.New(tel.LogHandler()).Info("line")
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(server.Records(t, 1)) != 1 || len(hook.lines()) != 1 {
		t.Error("the line has not arrived")
	}
}

// A text that is not UTF-8, which OTLP cannot carry, costs neither its line nor those beside it.
func TestLinesThatAreNotUTF8(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel, _ := logs(t, environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP))
	l := slog.New(tel.LogHandler())
	l.Info("before")
	l.With("w\xff", "x\xff").WithGroup("g\xff").Info("m\xff", "k\xff", "v\xff", "list", []string{"a\xff"}, slog.Group("in", "s", "y\xff"),
		"err", errors.New("e\xff"), "map", map[string]any{"q\xff": "r\xff"})
	l.Info("after")
	flush(t, tel)
	all := server.Records(t, 3)
	want := map[string]any{"w\uFFFD": "x\uFFFD", "g\uFFFD": map[string]any{"k\uFFFD": "v\uFFFD", "list": []any{"a\uFFFD"}, "in": map[string]any{"s": "y\uFFFD"},
		"err": "e\uFFFD", "map": map[string]any{"q\uFFFD": "r\uFFFD"}}}
	if diff := cmp.Diff(want, all[1].Attributes); diff != "" || all[1].Body != "m\uFFFD" {
		t.Errorf("body %q; attributes (-want +got):\n%s", all[1].Body, diff)
	}
	if tel.DroppedLogs() != 0 {
		t.Errorf("%d lines lost, want none", tel.DroppedLogs())
	}
}
