package telemetry_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.opentelemetry.io/otel"
	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

func TestMain(m *testing.M) {
	// Whatever happens, the SDK is to print nothing of its own.
	var errs atomic.Int64
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		errs.Add(1)
		fmt.Fprintln(os.Stderr, "the SDK reported an error of its own:", err)
	}))
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if errs.Load() > 0 && code == 0 {
			code = 1
		}
		os.Exit(code)
	}))
}

// logbook is a logger that keeps what it is told.
type logbook struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logbook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logbook) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// lines returns what was logged, line by line.
func (l *logbook) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	text := strings.TrimSpace(l.b.String())
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// environ is an environment in the form of os.Environ.
func environ(kv ...string) telemetry.Option { return telemetry.WithEnviron(kv) }

// setup starts telemetry that exports to server over HTTP and fails the test on a warning.
func setup(t *testing.T, server *otlptest.Server, opts ...telemetry.Option) *telemetry.Telemetry {
	t.Helper()
	var book logbook
	all := []telemetry.Option{telemetry.WithLogger(book.logger()), environ("MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)}
	tel, err := telemetry.Setup(t.Context(), append(all, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = tel.Shutdown(context.Background())
		if lines := book.lines(); lines != nil {
			t.Errorf("logged %q, want nothing", lines)
		}
	})
	return tel
}

// flush exports what has ended.
func flush(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	if err := tel.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// text is a value as it stands in a tree.
func text(v any) string { return fmt.Sprint(v) }
