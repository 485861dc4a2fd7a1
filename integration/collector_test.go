package integration_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/telemetry"
)

// TestCollectorKilled kills a real collector during 10,000 calls and starts it again. No call fails, memory stays
// bounded, what is lost is counted and reported once for each signal, and what comes after the restart gets through.
func TestCollectorKilled(t *testing.T) {
	components.Require(t, components.CollectorServer)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, stop, err := components.RunCollector(ctx, components.StartJaeger(t), components.StartPrometheus(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})

	var warnings lockedBuffer
	tel, err := telemetry.Setup(t.Context(), telemetry.WithLogger(slog.New(slog.NewTextHandler(&warnings, nil))),
		telemetry.WithEnviron([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true",
			"MELLEA_METRICS_OTLP=true", "MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + c.OTLPHTTP}))
	if err != nil {
		t.Fatal(err)
	}
	s, err := mellea.Start(t.Context(), hello{}, mellea.WithHooks(tel))
	if err != nil {
		t.Fatal(err)
	}
	call := func(n int, prompt string) {
		for range n {
			if _, err := s.Instruct(t.Context(), prompt); err != nil {
				t.Fatalf("a call fails: %v", err)
			}
		}
	}
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	call(2000, "while it is up")
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	call(3000, "while it is down")
	before := held() // with queues that are full
	call(3000, "while it is down")
	if grown := held() - before; grown > 4<<20 {
		t.Errorf("3000 calls more without a collector hold %d kB more", grown>>10)
	}
	if err := c.Restart(ctx); err != nil {
		t.Fatal(err)
	}
	call(2000, "while it is up again")
	// A collector that starts makes its files anew, so that what is in them came after the crash.
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		call(1, "and later")
		if text, err := os.ReadFile(c.Traces); err == nil && bytes.Contains(text, []byte(`"name":"action"`)) {
			break
		}
		if time.Now().After(end) {
			t.Fatal("nothing gets through to the collector that was started again")
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	ending, done := context.WithTimeout(t.Context(), 30*time.Second)
	defer done()
	_ = tel.Shutdown(ending) // that spans were lost is an error of Shutdown
	if tel.DroppedSpans() == 0 || tel.DroppedLogs() == 0 {
		t.Errorf("%d spans and %d log records are counted as lost, want some of each", tel.DroppedSpans(), tel.DroppedLogs())
	}
	for _, report := range []string{"spans are lost", "log records are lost"} {
		if got := strings.Count(warnings.String(), report); got != 1 {
			t.Errorf("%q is said %d times, want once:\n%s", report, got, warnings.String())
		}
	}
	if got := strings.Count(warnings.String(), "metrics could not be exported"); got > 1 {
		t.Errorf("it is said %d times that metrics were not exported", got)
	}
	if got := len(regexp.MustCompile(`lost=[1-9]`).FindAllString(warnings.String(), -1)); got != 2 {
		t.Errorf("%d reports have a count, want 2: %s", got, warnings.String())
	}
}

// hello is a backend that remembers nothing.
type hello struct{ backend.Backend }

func (hello) Info(context.Context) (backend.Info, error) {
	return backend.Info{Provider: "openai", Model: "m-1"}, nil
}

func (hello) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	g := backend.Generation{Provider: "openai", Model: "m-1", Sent: req.Options}
	return backend.Start(ctx, req, g, func(_ context.Context, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		return nil
	}), nil
}

// lockedBuffer takes what several goroutines write.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
