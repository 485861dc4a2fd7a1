package bench

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/telemetry"
)

// BenchmarkExport shows what a collector does to a call, by what it is: one that takes all, one that takes connections
// and never answers, and none. All three signals are on. Spans that nobody takes are dropped meanwhile; the call is not
// to notice.
func BenchmarkExport(b *testing.B) {
	url := serve(b, chatResponse())
	for _, to := range []struct {
		name     string
		endpoint func(b *testing.B) string
	}{
		{"collector-up", up}, {"collector-hangs", hangs}, {"collector-down", down},
	} {
		b.Run(to.name, func(b *testing.B) {
			s := exporting(b, url, to.endpoint(b))
			b.ReportAllocs()
			for b.Loop() {
				chat(b, s)
			}
		})
	}
}

// up is a collector that reads all and keeps nothing.
func up(b *testing.B) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	b.Cleanup(s.Close)
	return s.URL
}

// hangs takes connections and says nothing.
func hangs(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

// down is an address where nobody listens.
func down(b *testing.B) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	return "http://" + l.Addr().String()
}

func exporting(b *testing.B, url, endpoint string) *mellea.Session {
	b.Helper()
	tel, err := telemetry.Setup(context.Background(), telemetry.WithLogger(slog.New(slog.DiscardHandler)), telemetry.WithEnviron([]string{
		"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint}))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel() // what waits is not wanted
		_ = tel.Shutdown(ctx)
	})
	return session(b, url, false, mellea.WithHooks(tel))
}
