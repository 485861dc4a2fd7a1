package otlpserve_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/internal/otlpserve"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is what arrived, by name.
type heard struct {
	mu    sync.Mutex
	names []string
	ids   []string
	err   error
}

func (h *heard) add(names ...string) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.names = append(h.names, names...)
	return h.err
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.names
}

func (h *heard) sink() otlpserve.Sink {
	return otlpserve.Sink{
		Traces: func(m *coltrace.ExportTraceServiceRequest) error {
			var names []string
			for _, r := range m.GetResourceSpans() {
				for _, in := range r.GetScopeSpans() {
					for _, s := range in.GetSpans() {
						names = append(names, "span "+s.GetName())
						h.mu.Lock()
						h.ids = append(h.ids, string(s.GetSpanId()))
						h.mu.Unlock()
					}
				}
			}
			return h.add(names...)
		},
		Metrics: func(m *colmetrics.ExportMetricsServiceRequest) error {
			return h.add("metric " + m.GetResourceMetrics()[0].GetScopeMetrics()[0].GetMetrics()[0].GetName())
		},
		Logs: func(m *collogs.ExportLogsServiceRequest) error {
			return h.add("log " + m.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()[0].GetEventName())
		},
	}
}

func listen(t *testing.T, h *heard) string {
	t.Helper()
	s, err := otlpserve.Listen(t.Context(), ":0", h.sink())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	if !strings.HasPrefix(s.Address(), "127.0.0.1:") {
		t.Errorf("listens at %s, want the loopback interface", s.Address())
	}
	return s.Address()
}

// The SDK's exporters of both protocols deliver to one port.
func TestBothProtocolsOnOnePort(t *testing.T) {
	t.Parallel()
	h := &heard{}
	address := listen(t, h)
	rpc := func(opts ...otlptracegrpc.Option) sdktrace.SpanExporter {
		return exporter(t)(otlptracegrpc.New(t.Context(), append(opts, otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())...))
	}
	web := func(opts ...otlptracehttp.Option) sdktrace.SpanExporter {
		return exporter(t)(otlptracehttp.New(t.Context(), append(opts, otlptracehttp.WithEndpoint(address), otlptracehttp.WithInsecure())...))
	}
	for name, e := range map[string]sdktrace.SpanExporter{
		"grpc": rpc(), "grpc, gzip": rpc(otlptracegrpc.WithCompressor("gzip")),
		"http": web(), "http, gzip": web(otlptracehttp.WithCompression(otlptracehttp.GzipCompression)),
	} {
		p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(e))
		_, span := p.Tracer("t").Start(t.Context(), name)
		span.End()
		if err := p.Shutdown(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := h.all(); got[len(got)-1] != "span "+name {
			t.Errorf("%s: arrived %q", name, got)
		}
	}
	me, err := otlpmetricgrpc.New(t.Context(), otlpmetricgrpc.WithEndpoint(address), otlpmetricgrpc.WithInsecure())
	if err != nil {
		t.Fatal(err)
	}
	mp := sdkmetric.NewMeterProvider(sdkmetric.WithReader(sdkmetric.NewPeriodicReader(me)))
	counter, _ := mp.Meter("t").Int64Counter("calls")
	counter.Add(t.Context(), 1)
	if err := mp.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := h.all(); got[len(got)-1] != "metric calls" {
		t.Errorf("arrived %q, want the metric last", got)
	}
}

func exporter(t *testing.T) func(sdktrace.SpanExporter, error) sdktrace.SpanExporter {
	return func(e sdktrace.SpanExporter, err error) sdktrace.SpanExporter {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	span := `{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x","spanId":"eee19b7ec3c1b174"}]}]}]}`
	zip := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		_, _ = io.WriteString(z, s)
		_ = z.Close()
		return b.String()
	}
	for _, tt := range []struct {
		name, path, kind, encoding, body string
		status                           int
		want                             []string
	}{
		{"spans as JSON", "/v1/traces", "application/json; charset=utf-8", "", span, 200, []string{"span x"}},
		{"spans as JSON, packed", "/v1/traces", "application/json", "gzip", zip(span), 200, []string{"span x"}},
		{"logs as JSON", "/v1/logs", "application/json", "", `{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"eventName":"e"}]}]}]}`, 200, []string{"log e"}},
		{"metrics as JSON", "/v1/metrics", "application/json", "", `{"resourceMetrics":[{"scopeMetrics":[{"metrics":[{"name":"m"}]}]}]}`, 200, []string{"metric m"}},
		{"another signal", "/v1/logs", "application/json", "", span, 400, nil},
		{"broken JSON", "/v1/traces", "application/json", "", span[:40], 400, nil},
		{"broken protobuf", "/v1/traces", "application/x-protobuf", "", "\xff\xff\xff", 400, nil},
		{"no gzip", "/v1/traces", "application/json", "gzip", span, 400, nil},
		{"gzip that ends too early", "/v1/traces", "application/json", "gzip", zip(span)[:30], 400, nil},
		{"another encoding", "/v1/traces", "application/json", "zstd", span, 400, nil},
		{"another type", "/v1/traces", "text/plain", "", span, 415, nil},
		{"no type", "/v1/traces", "", "", span, 415, nil},
		{"another path", "/v1/spans", "application/json", "", span, 404, nil},
		{"a bomb", "/v1/traces", "application/x-protobuf", "gzip", zip(strings.Repeat("\x00", otlpserve.MaxRequest+1)), 413, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := &heard{}
			status, answer := post(t, "http://"+listen(t, h)+tt.path, tt.kind, tt.encoding, tt.body)
			if status != tt.status {
				t.Errorf("status %d (%s), want %d", status, answer, tt.status)
			}
			if diff := cmp.Diff(tt.want, h.all()); diff != "" {
				t.Errorf("arrived (-want +got):\n%s", diff)
			}
			if status == 200 && answer != "{}" {
				t.Errorf("answer %q, want {}", answer)
			}
			if tt.path == "/v1/traces" && status == 200 && h.ids[0] != "\xee\xe1\x9b\x7e\xc3\xc1\xb1\x74" {
				t.Errorf("span id %x: ids are hex digits in JSON", h.ids[0])
			}
		})
	}
}

// Who takes what arrives may refuse it, and the sender is told.
func TestRefused(t *testing.T) {
	t.Parallel()
	h := &heard{err: errors.New("there is no room")}
	address := listen(t, h)
	body, err := proto.Marshal(&coltrace.ExportTraceServiceRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if status, answer := post(t, "http://"+address+"/v1/traces", "application/x-protobuf", "", string(body)); status != 413 || !strings.Contains(answer, "no room") {
		t.Errorf("status %d, %q, want 413 and the reason", status, answer)
	}
	client := otlptracegrpc.NewClient(otlptracegrpc.WithEndpoint(address), otlptracegrpc.WithInsecure())
	if err := client.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := client.UploadTraces(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no room") {
		t.Errorf("error %v, want the reason", err)
	}
	if err := client.Stop(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"", "4318", "localhost", "[::1"} {
		if s, err := otlpserve.Listen(t.Context(), address, otlpserve.Sink{}); err == nil {
			s.Close(t.Context())
			t.Errorf("listens at %q, want an error", address)
		}
	}
}

func post(t *testing.T, url, kind, encoding, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	if encoding != "" {
		r.Header.Set("Content-Encoding", encoding)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
