package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// refused returns the address of a port where nobody listens.
func refused(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return "http://" + l.Addr().String()
}

// A collector that is not there costs a program one warning: calls work, Shutdown returns, spans are counted as lost.
func TestUnreachableCollector(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ(
				"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+refused(t),
				"OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_EXPORTER_OTLP_HEADERS=authorization=planted",
				"OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")))
			s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			err := tel.Shutdown(t.Context())
			if lost := new(telemetry.ExportError); !errors.As(err, &lost) || tel.DroppedSpans() != 4 {
				t.Errorf("Shutdown: %v with %d spans dropped, want an ExportError and 4", err, tel.DroppedSpans())
			}
			checkWarnings(t, book, []string{"spans are lost"})
			if line := book.lines()[0]; strings.Contains(line, "planted") || !strings.Contains(line, protocol) {
				t.Errorf("the warning is %s", line)
			}
		})
	}
}

// failing is an exporter that does as it is told.
type failing struct {
	export func(context.Context, []sdktrace.ReadOnlySpan) error

	mu       sync.Mutex
	calls    int
	shutdown int
}

func (f *failing) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	f.mu.Lock()
	f.calls++
	f.mu.Unlock()
	return f.export(ctx, spans)
}

func (f *failing) Shutdown(context.Context) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.shutdown++
	return nil
}

// An exporter that fails or panics loses its spans and nothing else (epic 3a #1577).
func TestFailingExporter(t *testing.T) {
	t.Parallel()
	for name, export := range map[string]func(context.Context, []sdktrace.ReadOnlySpan) error{
		"fails":  func(context.Context, []sdktrace.ReadOnlySpan) error { return errors.New("planted") },
		"panics": func(context.Context, []sdktrace.ReadOnlySpan) error { panic("planted") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			book, broken, good := &logbook{}, &failing{export: export}, tracetest.NewInMemoryExporter()
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithLogger(book.logger()),
				telemetry.WithSpanExporter(broken), telemetry.WithSpanExporter(keeping{good})))
			s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			if err := tel.ForceFlush(t.Context()); err == nil {
				t.Error("ForceFlush reports no loss")
			}
			_ = tel.Shutdown(t.Context())
			if got := len(good.GetSpans()); got != 4 {
				t.Errorf("the other exporter got %d spans, want 4", got)
			}
			checkWarnings(t, book, []string{"spans are lost"})
			if strings.Contains(book.lines()[0], "planted") {
				t.Errorf("the warning is %s", book.lines()[0])
			}
			if broken.shutdown != 1 {
				t.Errorf("the exporter was shut down %d times, want once", broken.shutdown)
			}
		})
	}
}

// keeping keeps an in-memory exporter's spans beyond its Shutdown.
type keeping struct{ *tracetest.InMemoryExporter }

func (keeping) Shutdown(context.Context) error { return nil }

// panicProcessor panics when a span starts, or ends.
type panicProcessor struct{ onStart bool }

func (p panicProcessor) OnStart(context.Context, sdktrace.ReadWriteSpan) {
	if p.onStart {
		panic("planted")
	}
}

func (p panicProcessor) OnEnd(sdktrace.ReadOnlySpan) {
	if !p.onStart {
		panic("planted")
	}
}
func (panicProcessor) Shutdown(context.Context) error   { return nil }
func (panicProcessor) ForceFlush(context.Context) error { return nil }

// A span processor of the program's that panics does not break a call, nor strand the spans around it.
func TestFailingProcessor(t *testing.T) {
	t.Parallel()
	for _, onStart := range []bool{true, false} {
		provider := sdktrace.NewTracerProvider(sdktrace.WithSpanProcessor(panicProcessor{onStart}))
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithTracerProvider(provider)))
		set := (*hook.Set)(nil).With(tel).Report(func(hook.Failure) {})
		ran := false
		_, err := hookpoint.Component.Do(t.Context(), set, hookpoint.ComponentStart{}, func(context.Context, hookpoint.ComponentStart) (hookpoint.ComponentEnd, error) {
			ran = true
			return hookpoint.ComponentEnd{}, nil
		})
		if err != nil || !ran {
			t.Errorf("onStart %v: ran %v with %v", onStart, ran, err)
		}
		if got := set.Stats(); got.OpenOperations != 0 || got.PluginFailures == 0 {
			t.Errorf("onStart %v: %+v, want a failure and no open operation", onStart, got)
		}
	}
}

// The queue is bounded: what finds no room is dropped and counted, and nobody waits.
func TestQueueIsBounded(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	book := &logbook{}
	stuck := &failing{export: func(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
		select {
		case <-gate:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), telemetry.WithSpanExporter(stuck),
		environ("OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")))
	for range 10 {
		_, end := tel.StartCommand(t.Context(), "run", "", nil)
		end(0)
	}
	if got := tel.DroppedSpans(); got != 6 {
		t.Errorf("%d spans dropped, want 6", got)
	}
	close(gate)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	checkWarnings(t, book, []string{"the queue is full"})
}

// shutsDownWithin checks that Shutdown takes exactly want, of the bubble's time, when its context has a deadline after
// within, 0 for none, and something does not end. A second one says the same.
func shutsDownWithin(t *testing.T, tel *telemetry.Telemetry, within, want time.Duration) {
	t.Helper()
	ctx := context.Background()
	if within > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, within)
		defer cancel()
	}
	began := time.Now()
	err := tel.Shutdown(ctx)
	if got := time.Since(began); got != want {
		t.Errorf("Shutdown took %v, want %v", got, want)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want the deadline", err)
	}
	if again := tel.Shutdown(context.Background()); !errors.Is(again, err) {
		t.Errorf("Shutdown again: %v, want %v", again, err)
	}
}

// Shutdown gives up after 5 s without a deadline, at the deadline with one, and leaves nothing running.
func TestShutdownIsBounded(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		within, want time.Duration
	}{
		"no deadline": {want: telemetry.ShutdownTimeout},
		"a deadline":  {within: time.Second, want: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				book := &logbook{}
				stuck := &failing{export: func(ctx context.Context, _ []sdktrace.ReadOnlySpan) error {
					<-ctx.Done()
					return ctx.Err()
				}}
				tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithLogger(book.logger()), telemetry.WithSpanExporter(stuck)))
				_, end := tel.StartCommand(t.Context(), "run", "", nil)
				end(0)
				shutsDownWithin(t, tel, test.within, test.want)
			})
		})
	}
}

// A collector that restarts costs nothing: batches are sent again, as long as the program does not want to end.
func TestBatchesAreSentAgain(t *testing.T) {
	t.Parallel()
	for _, status := range []int{http.StatusServiceUnavailable, http.StatusTooManyRequests, http.StatusBadRequest} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			calls := 0
			again := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				mu.Lock()
				defer mu.Unlock()
				calls++
				if calls == 1 {
					http.Error(w, "planted", status)
					return
				}
				close(again)
			}))
			defer server.Close()
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ(
				"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)))
			_, end := tel.StartCommand(t.Context(), "run", "", nil)
			end(0)
			err := tel.ForceFlush(t.Context())
			_ = tel.Shutdown(t.Context())
			if status == http.StatusBadRequest {
				if lost := new(telemetry.ExportError); !errors.As(err, &lost) || calls != 1 {
					t.Errorf("%d calls and %v, want one and an ExportError: what a collector refuses is not sent again", calls, err)
				}
				checkWarnings(t, book, []string{"HTTP status 400"})
				return
			}
			if err != nil {
				t.Errorf("ForceFlush: %v", err)
			}
			<-again
			checkWarnings(t, book, nil)
		})
	}
}

// What answers instead of a collector is named, as it is a mistake in the configuration.
func TestNoCollector(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter)
		warns  string
	}{
		"a user interface": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>planted"))
		}, "a web page answered: is the endpoint a collector's, and not that of its user interface?"},
		"another path": {func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) }, "HTTP status 404: is the path right?"},
		"gRPC": {func(w http.ResponseWriter) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			_, _ = conn.Write([]byte("\x00\x00\x06\x04\x00\x00\x00\x00\x00\x00\x05\x00\x00@\x00"))
			conn.Close()
		}, "is the port that of gRPC?"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { c.answer(w) }))
			defer server.Close()
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ(
				"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL)))
			_, end := tel.StartCommand(t.Context(), "run", "", nil)
			end(0)
			if lost := new(telemetry.ExportError); !errors.As(tel.Shutdown(t.Context()), &lost) || tel.DroppedSpans() != 1 {
				t.Errorf("%d spans dropped, want 1 and an ExportError", tel.DroppedSpans())
			}
			checkWarnings(t, book, []string{c.warns})
			if strings.Contains(strings.Join(book.lines(), ""), "planted") {
				t.Errorf("the warning quotes the answer: %q", book.lines())
			}
		})
	}
}

// A queue that overflows because nothing gets through says so: the queue is not what has to be put right.
func TestFullQueueNamesCause(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		book := &logbook{}
		down := &failing{export: func(context.Context, []sdktrace.ReadOnlySpan) error {
			return &url.Error{Op: "Post", URL: "http://planted", Err: errors.New("connection refused")}
		}}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), telemetry.WithSpanExporter(down),
			environ("OTEL_BSP_MAX_QUEUE_SIZE=4", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=2")))
		for range 5 {
			_, end := tel.StartCommand(t.Context(), "run", "", nil)
			end(0)
			synctest.Wait() // for the first batch to have been tried
		}
		checkWarnings(t, book, []string{"the queue is full, as nothing gets through: connection refused"})
		_ = tel.Shutdown(t.Context())
	})
}

// Setup can be called again after Shutdown, and what has been shut down records nothing more (7.1 no. 7).
func TestSetupAgain(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	for range 2 {
		tel := setup(t, server)
		_, end := tel.StartCommand(t.Context(), "run", "", nil)
		end(0)
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		_, end = tel.StartCommand(t.Context(), "late", "", nil)
		end(0)
	}
	if diff := cmp.Diff("mellea run\nmellea run\n", otlptest.Tree(server.Spans(t, 2))); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// A program's own provider gets the spans, and is left running (7.3 no. 39).
func TestOwnProvider(t *testing.T) {
	t.Parallel()
	memory := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(memory))
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithTracerProvider(provider),
		environ("MELLEA_TRACES_OTLP=true", "OTEL_SDK_DISABLED=true")))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(memory.GetSpans()); got != 4 {
		t.Errorf("%d spans after Shutdown, want 4", got)
	}
	_, span := provider.Tracer("").Start(t.Context(), "own")
	if !span.IsRecording() {
		t.Error("Shutdown has stopped the program's provider")
	}
	span.End()
	if err := provider.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A provider that is not the SDK's works as well.
func TestForeignProvider(t *testing.T) {
	t.Parallel()
	memory := tracetest.NewInMemoryExporter()
	sdk := sdktrace.NewTracerProvider(sdktrace.WithSyncer(memory))
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithTracerProvider(foreign{TracerProvider: sdk})))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := len(memory.GetSpans()); got != 4 {
		t.Errorf("%d spans, want 4", got)
	}
}

// foreign hides that a provider is the SDK's.
type foreign struct{ trace.TracerProvider }

// The global provider is replaced only when asked for, and put back by Shutdown.
func TestGlobal(t *testing.T) { //nolint:paralleltest // it changes the global provider
	before := otel.GetTracerProvider()
	plain := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithSpanExporter(discard{})))
	if otel.GetTracerProvider() != before {
		t.Error("Setup has replaced the global provider")
	}
	_ = plain.Shutdown(t.Context())
	global := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithSpanExporter(discard{}), telemetry.WithGlobal()))
	if otel.GetTracerProvider() != global.TracerProvider() {
		t.Error("WithGlobal has not replaced the global provider")
	}
	_ = global.Shutdown(t.Context())
	if otel.GetTracerProvider() != before {
		t.Error("Shutdown has not put the global provider back")
	}
}
