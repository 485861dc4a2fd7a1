package integration_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/telemetry"
)

// TestLiteLLM runs the backend against a real LiteLLM proxy in front of a real Ollama.
func TestLiteLLM(t *testing.T) {
	server := components.StartOllama(t)
	proxy := components.StartLiteLLM(t, server)
	options := []litellm.Option{litellm.WithBaseURL(proxy.URL), litellm.WithAPIKey(proxy.Key), litellm.WithRetries(0)}
	b := litellm.New(append(options, litellm.WithModel(components.LiteLLMSmall))...)
	fails := func(t *testing.T, b backend.Backend, model string) (backend.Generation, *backend.Error) {
		t.Helper()
		req := question("hi")
		req.Options = req.Options.WithModel(model)
		out, err := b.Generate(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		r, err := out.Reply(t.Context())
		var e *backend.Error
		if !errors.As(err, &e) || e.Remedy == "" {
			t.Fatalf("error = %v, want a *backend.Error with a remedy", err)
		}
		return r.Generation, e
	}

	t.Run("tells the call, the deployment and the cost", func(t *testing.T) {
		for _, req := range []backend.Request{question(capital), streamed(question(capital))} {
			r := generate(t, b, req)
			g := r.Generation
			if !strings.Contains(r.Message.Text(), "Rome") {
				t.Errorf("reply = %q, want Rome in it", r.Message.Text())
			}
			if g.RequestID == "" || g.ResponseID == "" || g.RequestID == g.ResponseID {
				t.Errorf("request id %q, response id %q, want the proxy's call and the reply's own", g.RequestID, g.ResponseID)
			}
			if g.Deployment != components.LiteLLMSmall+"-1" {
				t.Errorf("deployment = %q, want that of the proxy's configuration", g.Deployment)
			}
			if want := proxyPort(t, proxy.URL); g.Provider != "litellm" || g.ServerPort != want {
				t.Errorf("provider %q at port %d, want litellm at %d", g.Provider, g.ServerPort, want)
			}
			want := float64(g.Usage.InputTokens)*components.LiteLLMInputCost + float64(g.Usage.OutputTokens)*components.LiteLLMOutputCost
			if g.Usage.InputTokens == 0 || g.Usage.OutputTokens == 0 {
				t.Errorf("usage = %+v, want it counted", g.Usage)
			}
			// The header of a stream leaves before its cost is known.
			if !g.Streaming && (!g.Cost.Reported || math.Abs(g.Cost.USD-want) > 1e-12) {
				t.Errorf("cost = %+v, want %g", g.Cost, want)
			}
			if g.Streaming && g.Cost.Reported && g.Cost.USD == 0 {
				t.Errorf("cost of a stream = %+v, want none rather than nothing", g.Cost)
			}
		}
	})

	testStream(t, b)
	testFormat(t, b)
	testCancel(t, b)
	scripted := components.Scripted(t, server, weatherScript)
	testTools(t, b, "openai/"+scripted)

	t.Run("a provider's prefix", func(t *testing.T) {
		for _, model := range []string{"ollama_chat/" + server.Model, "openai/" + server.Model} {
			req := question(capital)
			req.Options = req.Options.WithModel(model)
			r := generate(t, b, req)
			if !strings.Contains(r.Message.Text(), "Rome") || r.Generation.Model != model || r.Generation.ResponseModel == "" {
				t.Errorf("reply %q of model %q by %q, want Rome in it", r.Message.Text(), r.Generation.Model, r.Generation.ResponseModel)
			}
		}
	})

	t.Run("a fallback is the response model", func(t *testing.T) {
		for _, req := range []backend.Request{question(capital), streamed(question(capital))} {
			req.Options = req.Options.WithModel(components.LiteLLMFragile)
			g := generate(t, b, req).Generation
			if g.Model != components.LiteLLMFragile || g.ResponseModel == components.LiteLLMFragile || g.ResponseModel == "" {
				t.Errorf("streamed %t: model %q was answered by %q, want the one it fell back to", g.Streaming, g.Model, g.ResponseModel)
			}
			if g.Deployment != components.LiteLLMSmall+"-1" {
				t.Errorf("streamed %t: deployment = %q, want that of the model it fell back to", g.Streaming, g.Deployment)
			}
		}
	})

	t.Run("no server answers", func(t *testing.T) {
		g, e := fails(t, b, components.LiteLLMBroken)
		if e.Status < 500 || e.RequestID == "" || g.RequestID != e.RequestID {
			t.Errorf("error = %v, want a failure of the server with the proxy's call", e)
		}
	})
	t.Run("a model it does not know", func(t *testing.T) {
		if _, e := fails(t, b, "no-such-model"); e.Status < 400 || e.Status >= 500 || !strings.Contains(e.Remedy, "model") {
			t.Errorf("error = %v, want a status of 4xx and a remedy about the model", e)
		}
	})
	t.Run("a virtual key", func(t *testing.T) { testVirtualKeys(t, proxy, fails) })

	t.Run("lists its models", func(t *testing.T) {
		models, err := b.ListModels(t.Context())
		for _, name := range []string{components.LiteLLMSmall, components.LiteLLMFragile, components.LiteLLMBroken} {
			if err != nil || !slices.ContainsFunc(models, func(m backend.ModelInfo) bool { return m.Name == name }) {
				t.Errorf("ListModels() = %+v, %v, want %s among them", models, err, name)
			}
		}
	})

	t.Run("completes raw prompts", func(t *testing.T) {
		req := backend.BatchRequest{Prompts: content.ListOf("The capital of Italy is", "Two and two make", "The sky is"), Options: question("").Options}
		r, err := b.GenerateBatch(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for i, it := range r.Items.All() {
			if it.Err != nil || it.Text == "" {
				t.Errorf("completion %d = %q, %v, want some text", i, it.Text, it.Err)
			}
		}
		if g := r.Generation; g.RequestID == "" || g.Usage.OutputTokens == 0 || g.FinishReasons.Len() != 3 {
			t.Errorf("metadata = %+v, want it complete", g)
		}
	})

	t.Run("conformance", func(t *testing.T) {
		backendtest.RunReal(t, b, backendtest.Real{Name: "litellm", Against: "LiteLLM 1.106.12 before Ollama 0.17.4, " + server.Model + " and scripted models for tools and images",
			Temperature: true, Seed: true, RequestID: true, ModelUnknown: "no-such-model",
			Tools:  &backendtest.RealTools{Model: "openai/" + scripted, Prompt: weatherPrompt, Result: `{"rain":true}`, Spec: weather(t)},
			Images: pictures(t, "ollama_chat/"+components.Seeing(t, server))})
	})
}

// testVirtualKeys shows what the proxy makes of keys that may do less than its master key.
func testVirtualKeys(t *testing.T, proxy *components.LiteLLM, fails func(*testing.T, backend.Backend, string) (backend.Generation, *backend.Error)) {
	with := func(key string) *litellm.Backend {
		return litellm.New(litellm.WithBaseURL(proxy.URL), litellm.WithAPIKey(key), litellm.WithRetries(0), litellm.WithModel(components.LiteLLMSmall))
	}
	t.Run("may use its model", func(t *testing.T) {
		for _, req := range []backend.Request{question(capital), streamed(question(capital))} {
			r := generate(t, with(proxy.Keys.Small), req)
			if g := r.Generation; !strings.Contains(r.Message.Text(), "Rome") || g.RequestID == "" || g.Deployment != components.LiteLLMSmall+"-1" || !g.Streaming && !g.Cost.Reported {
				t.Errorf("reply %q with %+v, want Rome with the proxy's call, deployment and cost", r.Message.Text(), g)
			}
		}
		models, err := with(proxy.Keys.Small).ListModels(t.Context())
		if err != nil || len(models) != 1 || models[0].Name != components.LiteLLMSmall {
			t.Errorf("ListModels() = %+v, %v, want the one that the key may use", models, err)
		}
	})
	limited := with(proxy.Keys.Limited)
	generate(t, limited, question(capital)) // its one call of this minute
	for name, c := range map[string]struct {
		backend  *litellm.Backend
		model    string
		status   int
		code     string
		category telemetry.Category
		remedy   string
	}{
		"may not use another model":             {with(proxy.Keys.Small), components.LiteLLMFragile, http.StatusForbidden, "key_model_access_denied", telemetry.Auth, "may not use this model"},
		"may not use a model that there is not": {with(proxy.Keys.Small), "no-such-model", http.StatusForbidden, "key_model_access_denied", telemetry.Auth, "may not use this model"},
		"has expired":                           {with(proxy.Keys.Expired), components.LiteLLMSmall, http.StatusUnauthorized, "expired_key", telemetry.Auth, "has expired"},
		"is blocked":                            {with(proxy.Keys.Blocked), components.LiteLLMSmall, http.StatusUnauthorized, "auth_error", telemetry.Auth, "key"},
		"has done its calls of this minute":     {limited, components.LiteLLMSmall, http.StatusTooManyRequests, "throttling_error", telemetry.RateLimit, "too many requests"},
		"cannot be looked up":                   {with("sk-no-such-key"), components.LiteLLMSmall, http.StatusBadRequest, "no_db_connection", telemetry.InvalidRequest, "no database"},
	} {
		t.Run(name, func(t *testing.T) {
			_, e := fails(t, c.backend, c.model)
			if category := telemetry.ClassifyError(e); e.Status != c.status || e.Code != c.code || category != c.category || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("error = %v of category %s, want %d (%s), category %s and a remedy with %q", e, category, c.status, c.code, c.category, c.remedy)
			}
			if c.status == http.StatusTooManyRequests && (e.RetryAfter <= 0 || e.RequestID == "") {
				t.Errorf("retry after %v, request %q, want what the proxy says", e.RetryAfter, e.RequestID)
			}
			for _, key := range []string{proxy.Keys.Small, proxy.Keys.Expired, proxy.Keys.Blocked, proxy.Keys.Limited, "sk-no-such-key"} {
				if strings.Contains(fmt.Sprintf("%v %+v %s", e, e, e.Message), key) {
					t.Errorf("%+v holds the key", e)
				}
			}
		})
	}
}

func proxyPort(t *testing.T, url string) int {
	t.Helper()
	n, err := strconv.Atoi(url[strings.LastIndexByte(url, ':')+1:])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestLiteLLMTrace reads the trace of calls through a proxy back from a real Jaeger: one that was answered, and one that
// fell back.
func TestLiteLLMTrace(t *testing.T) {
	server := components.StartOllama(t)
	proxy := components.StartLiteLLM(t, server)
	jaeger := components.StartJaeger(t)
	tel, err := telemetry.Setup(t.Context(), telemetry.WithEnviron([]string{
		"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + jaeger.OTLPHTTP,
	}))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	for _, model := range []string{components.LiteLLMSmall, components.LiteLLMFragile} {
		t.Run(model, func(t *testing.T) {
			b := &heard{Backend: litellm.New(litellm.WithBaseURL(proxy.URL), litellm.WithAPIKey(proxy.Key), litellm.WithModel(model))}
			s, err := mellea.Start(t.Context(), b, mellea.WithHooks(tel))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Chat(t.Context(), capital, mellea.MaxTokens(24)); err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := tel.ForceFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
			r, err := b.out.Reply(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			g := r.Generation
			_, traceID, _ := strings.Cut(b.traceparent, "-")
			traceID, _, _ = strings.Cut(traceID, "-")
			spans := jaegerTrace(t, jaeger.QueryURL, traceID)
			i := slices.IndexFunc(spans, func(s jaegerSpan) bool { return s.name == "chat "+model })
			if i < 0 {
				t.Fatalf("no span chat %s among %+v", model, spans)
			}
			want := map[string]string{
				"span.kind": "client", "gen_ai.operation.name": "chat", "gen_ai.provider.name": "litellm", "gen_ai.request.model": model,
				"gen_ai.response.model": g.ResponseModel, "gen_ai.response.id": g.ResponseID, "mellea.response.request_id": g.RequestID,
				"server.address": "127.0.0.1", "server.port": strconv.Itoa(proxyPort(t, proxy.URL)),
			}
			for key, value := range want {
				if got := fmt.Sprint(spans[i].tags[key]); got != value || value == "" {
					t.Errorf("%s = %q, want %q", key, got, value)
				}
			}
			if g.RequestID == g.ResponseID {
				t.Errorf("request id %q is the response's, want the proxy's call", g.RequestID)
			}
		})
	}
}

// heard is a backend that keeps its last output and the trace context of its call.
type heard struct {
	backend.Backend
	out         *backend.Output
	traceparent string
}

func (h *heard) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	backend.Inject(ctx, func(key, value string) {
		if http.CanonicalHeaderKey(key) == "Traceparent" {
			h.traceparent = value
		}
	})
	var err error
	h.out, err = h.Backend.Generate(ctx, req) //nolint:wrapcheck // a decorator
	return h.out, err
}
