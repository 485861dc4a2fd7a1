package telemetry_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

var backendUsage = content.Usage{InputTokens: 7, OutputTokens: 3}

// priced says what a call cost.
type priced struct {
	*scripted

	cost backend.Cost
}

func (b *priced) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	b.answer = func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("hello"))
		w.Generation().Cost = b.cost
		return nil
	}
	return b.scripted.Generate(ctx, req)
}

// Metrics go where the variables say, each exporter by its own.
func TestMetricsEnvironment(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env    []string
		opts   []telemetry.Option
		path   string // of what was exported, "" for nothing
		warned []string
	}{
		"off":  {env: []string{"OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}},
		"http": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, path: "/v1/metrics"},
		"grpc": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=GRPC", "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=grpc"},
			path: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"},
		"an endpoint of their own": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT=HTTP/v1/metrics"}, path: "/v1/metrics"},
		"no endpoint": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTP"},
			warned: []string{"metrics are not exported, as there is no endpoint: set OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT"}},
		"an exporter without metrics": {env: []string{"MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"},
			warned: []string{"an exporter of metrics is on, but metrics are not: set MELLEA_METRICS_ENABLED=true"}},
		"an option wins":          {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, opts: []telemetry.Option{telemetry.WithMetrics(false)}},
		"the SDK is switched off": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "OTEL_SDK_DISABLED=true"}},
		"unknown names": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "MELLEA_METRICS_SEMCONV=1.30"}, path: "/v1/metrics",
			warned: []string{"MELLEA_METRICS_SEMCONV must be latest, legacy or both: the default, latest, is used"}},
		"an address alone": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "MELLEA_METRICS_PROMETHEUS_ADDR=:0"}, path: "/v1/metrics",
			warned: []string{"MELLEA_METRICS_PROMETHEUS_ADDR is set, but MELLEA_METRICS_PROMETHEUS is not on: nothing is served"}},
		"prices that are none": {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "MELLEA_PRICING_FILE=metrics_config_test.go"}, path: "/v1/metrics",
			warned: []string{"MELLEA_PRICING_FILE cannot be used, so the prices of this version are: prices, line 1"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			vars := make([]string, len(tt.env))
			for i, kv := range tt.env {
				vars[i] = strings.NewReplacer("=HTTP", "="+server.HTTP, "=GRPC", "="+server.GRPC).Replace(kv)
			}
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append([]telemetry.Option{environ(vars...), telemetry.WithLogger(book.logger())}, tt.opts...)...))
			s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkWarnings(t, book, tt.warned)
			if got := len(server.Series()) > 0; got != (tt.path != "") {
				t.Errorf("metrics exported: %v, want %v", got, tt.path != "")
			}
			for _, path := range server.Paths() {
				if path != tt.path {
					t.Errorf("exported to %s, want %s", path, tt.path)
				}
			}
		})
	}
}

// Prometheus scrapes what is served, on the loopback interface unless it is told otherwise.
func TestPrometheusServed(t *testing.T) {
	t.Parallel()
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_PROMETHEUS=true", "MELLEA_METRICS_PROMETHEUS_ADDR=:0")))
	s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	address := tel.MetricsAddress()
	if host, _, err := net.SplitHostPort(address); err != nil || host != "127.0.0.1" {
		t.Errorf("served at %q, want the loopback interface", address)
	}
	page := scrape(t, address)
	for _, want := range []string{
		`gen_ai_client_inference_duration_seconds_count{gen_ai_operation_name="chat",gen_ai_provider_name="openai",gen_ai_request_model="gpt-4o"`,
		`gen_ai_client_inference_usage_input_tokens_total{`,
		`mellea_llm_cost_usd`,
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %s:\n%s", want, page)
		}
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address); err == nil {
		_ = conn.Close()
		t.Error("it is served after Shutdown")
	}
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+"/metrics", nil))
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp := must[*http.Response](t)(client.Do(req))
	defer func() { _ = resp.Body.Close() }()
	return string(must[[]byte](t)(io.ReadAll(resp.Body)))
}

// A registry has the metrics until Shutdown, and then those of the next Setup.
func TestPrometheusRegistered(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewRegistry()
	for range 2 {
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithPrometheus(registry)))
		s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel))
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
		_ = s.Close()
		families, err := registry.Gather()
		if err != nil || len(families) < 5 {
			t.Errorf("the registry has %d metrics (%v)", len(families), err)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		if families, _ := registry.Gather(); len(families) != 0 {
			t.Errorf("the registry has %d metrics after Shutdown", len(families))
		}
	}
}

// The console has a line for each series.
func TestMetricsConsole(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithMetricsConsole(&out)))
	s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"metrics\n", `  gen_ai.client.inference.operation.input_tokens{gen_ai.operation.name="chat"`, " n=1 mean=7 min=7 max=7\n", "  mellea.llm.cost.usd{", "} 4.75e-05\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// An application's own provider is recorded with, and goes on after Shutdown.
func TestOwnMeterProvider(t *testing.T) {
	t.Parallel()
	reader := sdkmetric.NewManualReader()
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithReader(reader))
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithMeterProvider(provider)))
	if tel.MeterProvider() != provider {
		t.Error("MeterProvider is another one")
	}
	s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel, tel)) // twice counts once
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var rm metricdata.ResourceMetrics
	if err := reader.Collect(t.Context(), &rm); err != nil {
		t.Fatalf("the provider was shut down: %v", err)
	}
	for _, m := range rm.ScopeMetrics[0].Metrics {
		if h, ok := m.Data.(metricdata.Histogram[int64]); ok && m.Name == "gen_ai.client.inference.operation.input_tokens" {
			if h.DataPoints[0].Count != 1 {
				t.Errorf("the call counts %d times", h.DataPoints[0].Count)
			}
			return
		}
	}
	t.Error("nothing was recorded")
}

// Why metrics are not exported is said without the URL, which may hold a key.
func TestMetricsRefused(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_METRICS_ENABLED=true",
		"MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL+"/planted")))
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkWarnings(t, book, []string{"HTTP status 404: is the path right?"})
	if lines := book.lines(); strings.Contains(strings.Join(lines, ""), "planted") {
		t.Errorf("the path is logged: %q", lines)
	}
}

// A collector that is down fails nothing and is reported once.
func TestMetricsCollectorDown(t *testing.T) {
	t.Parallel()
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_METRICS_ENABLED=true",
		"MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_METRIC_EXPORT_INTERVAL=5")))
	s := start(t, t.Context(), gpt4o(backendUsage), mellea.WithHooks(tel))
	for range 20 {
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
		_ = tel.ForceFlush(t.Context())
	}
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	checkWarnings(t, book, []string{"metrics could not be exported; further failures are not logged"})
}
