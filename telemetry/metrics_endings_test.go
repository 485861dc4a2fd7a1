package telemetry_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/tool"
)

// However a call ends it is timed, and error.type is a label of the failed ones only.
func TestDurationsOfEveryEnding(t *testing.T) {
	t.Parallel()
	waits := &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, _ *backend.Writer) error {
		<-ctx.Done()
		return ctx.Err()
	}}
	deny := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		return g, hook.Reject("closed", "")
	})
	tests := map[string]struct {
		backend backend.Backend
		hooks   hook.Source
		cancel  bool
		want    any
	}{
		"ok":        {backend: says("hello")},
		"error":     {backend: fails(&backend.Error{Provider: "openai", Op: "chat", Status: 503, Code: "server_error"}), want: "server_error"},
		"rejected":  {backend: says("hello"), hooks: deny},
		"cancelled": {backend: waits, cancel: true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			series, spans := measured(t, tt.backend, func(s *mellea.Session) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if tt.cancel {
					time.AfterFunc(time.Millisecond, cancel)
				}
				_, _ = s.With(mellea.WithHooks(tt.hooks)).Instruct(ctx, "hi")
			}, nil)
			var got []otlptest.Series
			for _, s := range series {
				if s.Name == semconv.MetricGenAIClientInferenceDuration {
					got = append(got, s)
				}
			}
			if len(got) != 1 || got[0].Count != 1 || got[0].Attributes["error.type"] != tt.want {
				t.Errorf("durations %+v, want one of a call with error.type %v", got, tt.want)
			}
			if d := duration(t, spans, "chat m1").Seconds(); len(got) == 1 && got[0].Value != d {
				t.Errorf("%v s on the metric, %v s on the span", got[0].Value, d)
			}
		})
	}
}

// The duration of a tool that fails has the error's type.
func TestDurationsOfTools(t *testing.T) {
	t.Parallel()
	series, _ := measured(t, says("hello"), func(s *mellea.Session) {
		calls := []tool.Call{{ToolCall: content.ToolCall{Name: "weather", Arguments: `{"city":"Bern"}`}}, {ToolCall: content.ToolCall{Name: "nobody"}}}
		_, _ = s.With(mellea.WithTools(weather)).CallTools(t.Context(), slices.Values(calls))
	}, nil)
	got := map[string]any{}
	for _, s := range series {
		if s.Name == semconv.MetricGenAIExecuteToolDuration {
			got[s.Attributes["gen_ai.tool.name"].(string)] = s.Attributes["error.type"]
		}
	}
	if diff := cmp.Diff(got, map[string]any{"weather": nil, "_OTHER": "*tool.UnknownError"}); diff != "" {
		t.Errorf("error types (-got +want):\n%s", diff)
	}
}

// Under the names up to version 1.41 a stream has what it had then, with units and buckets.
func TestLegacyNames(t *testing.T) {
	t.Parallel()
	series := streamed(t, 3, "MELLEA_METRICS_SEMCONV=legacy")
	type row struct {
		Unit    string
		Count   uint64
		Buckets int
		First   float64
	}
	got := map[string]row{}
	for _, s := range series {
		if strings.HasPrefix(s.Name, "gen_ai.") {
			r := got[s.Name]
			got[s.Name] = row{s.Unit, r.Count + s.Count, len(s.Bounds), s.Bounds[0]}
		}
	}
	want := map[string]row{
		"gen_ai.client.operation.duration":              {"s", 1, 14, 0.01},
		"gen_ai.client.operation.time_to_first_chunk":   {"s", 1, 14, 0.01},
		"gen_ai.client.operation.time_per_output_chunk": {"s", 2, 14, 0.01},
		"gen_ai.client.token.usage":                     {"{token}", 2, 14, 1},
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("legacy metrics (-got +want):\n%s", diff)
	}
}

// What a background plugin did not get to see is counted.
func TestDroppedOutcomesAreCounted(t *testing.T) {
	t.Parallel()
	open := make(chan struct{})
	series, _ := measured(t, says("hello"), func(s *mellea.Session) {
		slow := hookpoint.Generation.Async(func(context.Context, hookpoint.GenerationOutcome) { <-open }, hook.QueueSize(1))
		s = s.With(mellea.WithHooks(slow))
		for range 5 {
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
		}
		close(open)
	}, nil)
	// One is under way and one waits, at least; which of the others found room is a matter of timing.
	if got := values(series, "mellea.hook.async_dropped")["mellea.hook.async_dropped"]; got < 1 || got > 4 {
		t.Errorf("%v outcomes were dropped, want some of 5", got)
	}
}

// Spans that nobody takes are counted on a metric, as DroppedSpans says.
func TestDroppedSpansAreCounted(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger((&logbook{}).logger()), environ("MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=http://127.0.0.1:1", "OTEL_BSP_MAX_QUEUE_SIZE=2", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE=1",
		"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT="+server.HTTP+"/v1/metrics")))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	for range 10 {
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	}
	_ = s.Close()
	before := tel.DroppedSpans()
	_ = tel.Shutdown(t.Context()) // an ExportError
	got := values(server.Series(), "mellea.traces.spans_dropped")["mellea.traces.spans_dropped"]
	if before < 10 || got < float64(before) || got > float64(tel.DroppedSpans()) {
		t.Errorf("%v spans on the metric, %d before Shutdown and %d after it", got, before, tel.DroppedSpans())
	}
}

// A model without a price is warned about once.
func TestUnpricedModelsAreWarnedAboutOnce(t *testing.T) {
	t.Parallel()
	book := &logbook{}
	measured(t, says("hello"), func(s *mellea.Session) {
		for range 3 {
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
		}
	}, nil, telemetry.WithLogger(book.logger()))
	if got := strings.Count(strings.Join(book.lines(), "\n"), "m1"); got != 1 {
		t.Errorf("the model is named %d times, want once:\n%s", got, strings.Join(book.lines(), "\n"))
	}
}

// The table of this version has the prices of caches and of what may wait, where the providers have them.
func TestDefaultPricesOfParts(t *testing.T) {
	t.Parallel()
	for model, parts := range map[string]string{"gpt-4o": "read batch", "gpt-4o-mini": "read batch", "o3": "read"} {
		p, ok := telemetry.DefaultPricing().Lookup("openai", model)
		if !ok || p.CacheRead == nil || *p.CacheRead <= 0 || *p.CacheRead >= p.Input {
			t.Errorf("%s: no price of what a cache gives: %+v", model, p)
		}
		if strings.Contains(parts, "batch") && (p.BatchInput == nil || p.BatchOutput == nil || *p.BatchInput >= p.Input) {
			t.Errorf("%s: no price of what may wait: %+v", model, p)
		}
	}
}

// The default registry of Prometheus has the metrics where the environment says so, until Shutdown.
func TestPrometheusDefaultRegistry(t *testing.T) { //nolint:paralleltest // it is about the default registry
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_PROMETHEUS=true")))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	_ = s.Close()
	has := func() bool {
		families, err := prometheus.DefaultGatherer.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "gen_ai_client_inference_duration_seconds" {
				return true
			}
		}
		return false
	}
	if !has() {
		t.Error("the default registry has no duration")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if has() {
		t.Error("the default registry has the metrics after Shutdown")
	}
}

// Whoever scrapes OpenMetrics finds exemplars.
func TestServedExemplars(t *testing.T) {
	t.Parallel()
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_PROMETHEUS=true", "MELLEA_METRICS_PROMETHEUS_ADDR=:0"),
		telemetry.WithConsole(io.Discard)))
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	req := must[*http.Request](t)(http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+tel.MetricsAddress()+"/metrics", nil))
	req.Header.Set("Accept", "application/openmetrics-text; version=1.0.0")
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	resp := must[*http.Response](t)(client.Do(req))
	defer func() { _ = resp.Body.Close() }()
	page := must[[]byte](t)(io.ReadAll(resp.Body))
	if !regexp.MustCompile(`inference_duration_seconds_bucket\{[^}]*\} 1 # \{[^}]*trace_id="[0-9a-f]{32}"`).Match(page) {
		t.Errorf("the page has no exemplar:\n%s", page)
	}
}

// WithGlobal replaces the global meter provider until Shutdown.
func TestGlobalMeterProvider(t *testing.T) { //nolint:paralleltest // it changes the global provider
	before := otel.GetMeterProvider()
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_METRICS_ENABLED=true"), telemetry.WithMetricsConsole(&bytes.Buffer{}), telemetry.WithGlobal()))
	if otel.GetMeterProvider() != tel.MeterProvider() {
		t.Error("WithGlobal has not replaced the global provider")
	}
	_ = tel.Shutdown(t.Context())
	if otel.GetMeterProvider() != before {
		t.Error("Shutdown has not put the global provider back")
	}
}

// The hash of a tool's arguments tells nothing outside a process that shares no key.
func TestHashesDifferByProcess(t *testing.T) {
	t.Parallel()
	hash := func() any {
		server := otlptest.Start(t)
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)))
		s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel), mellea.WithTools(weather))
		call := tool.Call{ToolCall: content.ToolCall{Name: "weather", Arguments: `{"city":"Bern"}`}}
		_ = must[[]mellea.ToolRun](t)(s.CallTools(t.Context(), slices.Values([]tool.Call{call})))
		_ = s.Close()
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, span := range server.Spans(t, 1) {
			if h := span.Attributes["mellea.tool.arguments_hash"]; h != nil {
				return h
			}
		}
		return nil
	}
	if a, b := hash(), hash(); a == nil || a == b {
		t.Errorf("two set-ups hash the same arguments to %v and %v", a, b)
	}
}

// No key is in any byte that is exported, whatever becomes of the call: not that of the backend, nor the user and the
// password of its address.
func TestNoKeyOfABackendIsExported(t *testing.T) {
	t.Parallel()
	for _, d := range dialects {
		for name, reply := range map[string]http.HandlerFunc{
			"refused": func(w http.ResponseWriter, r *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(w, `{"error":{"message":"`+r.Header.Get("Authorization")+` is no key","code":"invalid_api_key"}}`)
			},
			"cut off": func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", d.media)
				_, _ = io.WriteString(w, d.piece)
			},
		} {
			t.Run(d.name+", "+name, func(t *testing.T) {
				t.Parallel()
				address := answering(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					reply(w, r)
				})
				if d.name != "watsonx" { // it refuses such an address
					address = strings.Replace(address, "http://", "http://someone:planted-password@", 1)
				}
				var err error
				server := received(t, d.open(address, network()), func(s *mellea.Session) { _, err = s.Instruct(t.Context(), "hi", streaming) },
					[]string{"MELLEA_LOGS_OTLP=true"})
				if err == nil {
					t.Fatal("the call does not fail")
				}
				raw := server.Raw()
				if len(raw) == 0 || len(server.Records(t, 0)) == 0 {
					t.Fatal("nothing was exported")
				}
				for _, secret := range []string{"planted-key", "planted-password", "someone"} {
					if bytes.Contains(raw, []byte(secret)) || strings.Contains(err.Error(), secret) {
						t.Errorf("%s is exported, or in the error: %v", secret, err)
					}
				}
				if _, ok := errors.AsType[*backend.Error](err); !ok {
					t.Errorf("the error is %T", err)
				}
			})
		}
	}
}
