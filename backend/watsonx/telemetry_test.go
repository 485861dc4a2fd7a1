package watsonx_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/internal/watsonxtest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// traced is what a test of exported spans needs: both servers, a collector, and a program's runner.
type traced struct {
	iam       *watsonxtest.IAM
	service   *watsonxtest.Service
	collector *otlptest.Server
	tel       *telemetry.Telemetry
	runner    mellea.Runner
	port      int64
}

func newTraced(t *testing.T, key string, opts ...watsonx.Option) *traced {
	t.Helper()
	x := &traced{collector: otlptest.Start(t), iam: watsonxtest.NewIAM(t, theKey)}
	x.service = watsonxtest.NewService(t, x.iam)
	var log bytes.Buffer
	tel, err := telemetry.Setup(t.Context(), telemetry.WithLogger(slog.New(slog.NewTextHandler(&log, nil))), telemetry.WithContent(true),
		telemetry.WithEnviron([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + x.collector.HTTP}))
	if err != nil {
		t.Fatal(err)
	}
	x.tel = tel
	transport := &http.Transport{}
	t.Cleanup(func() {
		_ = tel.Shutdown(t.Context())
		transport.CloseIdleConnections()
		if log.Len() > 0 {
			t.Errorf("logged %s, want nothing", log.String())
		}
	})
	b := newBackend(transport, append([]watsonx.Option{watsonx.WithBaseURL(x.service.URL), watsonx.WithIAMURL(x.iam.URL), watsonx.WithAPIKey(key)}, opts...)...)
	x.runner = mellea.On(b, mellea.WithHooks(tel))
	u := must(url.Parse(x.service.URL))
	x.port = int64(must(strconv.Atoi(u.Port())))
	return x
}

// span returns the only exported span of a name, after the conventions have been checked and no secret was found.
func (x *traced) span(t *testing.T, name string, n int, without ...check.ID) otlptest.Span {
	t.Helper()
	if err := x.tel.ForceFlush(t.Context()); err != nil {
		t.Fatal(err)
	}
	spans := x.collector.Spans(t, n)
	raw := x.collector.Raw()
	for _, secret := range []string{theKey, "eyJ", "wrong-key"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("the exported spans have %q in them", secret)
		}
	}
	var all coltrace.ExportTraceServiceRequest
	if err := proto.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	for _, f := range check.Spans(&all).AtLeast(check.Improvement).Without(append(without, "not_stable", "recommended_attribute_not_present")...) {
		t.Error(f)
	}
	for _, s := range spans {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("got no span %q", name)
	return otlptest.Span{}
}

// keep returns the attributes of names.
func keep(s otlptest.Span, names ...string) map[string]any {
	got := map[string]any{}
	for _, n := range names {
		if v, ok := s.Attributes[n]; ok {
			got[n] = v
		}
	}
	return got
}

var described = []string{
	"gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "gen_ai.response.model", "gen_ai.response.id", "gen_ai.response.finish_reasons",
	"gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.request.seed", "server.address", "server.port", "mellea.response.request_id",
	"mellea.request.retries", "error.type", "mellea.error.category",
}

func TestExportedChat(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTraced(t, theKey)
			if _, err := mellea.Chat(t.Context(), x.runner, "first"); err != nil {
				t.Fatal(err)
			}
			x.iam.Revoke() // so that the second chat renews its token
			opts := []mellea.CallOption{mellea.Seed(7)}
			if stream {
				opts = append(opts, mellea.Stream(func(int, backend.Chunk) {}))
			}
			res, err := mellea.Instruct(t.Context(), x.runner, "say hello", opts...)
			if err != nil || !strings.HasPrefix(res.Text(), "echo: ") {
				t.Fatalf("got %q, %v, want an echo", res.Text(), err)
			}
			if err := x.tel.ForceFlush(t.Context()); err != nil {
				t.Fatal(err)
			}
			var got otlptest.Span
			for _, s := range x.collector.Spans(t, 4) {
				if s.Name == "chat "+theModel && s.Attributes["gen_ai.request.seed"] != nil {
					got = s
				}
			}
			_ = x.span(t, "chat "+theModel, 4)
			want := map[string]any{
				"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ibm.watsonx.ai", "gen_ai.request.model": theModel, "gen_ai.response.model": theModel,
				"gen_ai.response.id": "chatcmpl-1", "gen_ai.response.finish_reasons": []any{"stop"}, "gen_ai.request.seed": int64(7),
				"gen_ai.usage.input_tokens": int64(2), "gen_ai.usage.output_tokens": int64(3), "server.address": "127.0.0.1", "server.port": x.port,
				"mellea.response.request_id": "service-request-1", "mellea.request.retries": int64(1),
			}
			if diff := cmp.Diff(keep(got, described...), want); diff != "" {
				t.Errorf("attributes (-got +want):\n%s", diff)
			}
			if got.Kind != "client" {
				t.Errorf("got kind %s, want client", got.Kind)
			}
			if retry, ok := got.Event("retry"); !ok {
				t.Errorf("got events %v, want one for the retry", got.Events)
			} else if retry.Attributes["http.response.status_code"] == nil && len(retry.Attributes) == 0 {
				t.Errorf("got retry %v, want it to say why", retry)
			}
			_, chunk := got.Event("first_chunk")
			if chunk != stream {
				t.Errorf("got a first_chunk event: %t, want it: %t", chunk, stream)
			}
			requests := x.service.Requests()
			last := requests[len(requests)-1].Header.Get("Traceparent")
			if !strings.Contains(last, got.SpanID) {
				t.Errorf("got traceparent %q at the service, want it to name span %s", last, got.SpanID)
			}
		})
	}
}

func TestExportedFailures(t *testing.T) {
	t.Parallel()
	t.Run("an API key that IAM does not know", func(t *testing.T) {
		t.Parallel()
		x := newTraced(t, "wrong-key")
		if _, err := mellea.Chat(t.Context(), x.runner, "hello"); err == nil {
			t.Fatal("got no error, want one")
		}
		want := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ibm.watsonx.ai", "gen_ai.request.model": theModel, "server.address": "127.0.0.1", "server.port": x.port,
			"mellea.response.request_id": "iam-request-1", "error.type": "authentication", "mellea.error.category": "auth"}
		if diff := cmp.Diff(keep(x.span(t, "chat "+theModel, 2), described...), want); diff != "" {
			t.Errorf("attributes (-got +want):\n%s", diff)
		}
	})
	t.Run("a failure with a trace", func(t *testing.T) {
		t.Parallel()
		x := newTraced(t, theKey)
		x.service.Answer = func(w http.ResponseWriter, r watsonxtest.Request) bool {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			_, _ = w.Write(watsonxtest.Dialect{}.Failure(403, "authorization_rejected", "not with "+r.Header.Get("Authorization")))
			return true
		}
		if _, err := mellea.Chat(t.Context(), x.runner, "hello"); err == nil {
			t.Fatal("got no error, want one")
		}
		want := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ibm.watsonx.ai", "gen_ai.request.model": theModel, "server.address": "127.0.0.1", "server.port": x.port,
			"mellea.response.request_id": watsonxtest.Trace, "error.type": "authorization_rejected", "mellea.error.category": "auth"}
		if diff := cmp.Diff(keep(x.span(t, "chat "+theModel, 2), described...), want); diff != "" {
			t.Errorf("attributes (-got +want):\n%s", diff)
		}
	})
	t.Run("an error in the middle of a stream", func(t *testing.T) {
		t.Parallel()
		x := newTraced(t, theKey)
		x.service.Answer = func(w http.ResponseWriter, _ watsonxtest.Request) bool {
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, chunks(delta(`"content":"a"`, ""))+"id: 2\nevent: error\ndata: "+string(watsonxtest.Dialect{}.Failure(504, "downstream_request_failed", "late"))+"\n\n")
			return true
		}
		if _, err := mellea.Chat(t.Context(), x.runner, "hello", mellea.Stream(func(int, backend.Chunk) {})); err == nil {
			t.Fatal("got no error, want one")
		}
		want := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ibm.watsonx.ai", "gen_ai.request.model": theModel, "gen_ai.response.model": theModel, "gen_ai.response.id": "chatcmpl-1",
			"gen_ai.response.finish_reasons": []any{"error"}, "server.address": "127.0.0.1", "server.port": x.port, "mellea.response.request_id": watsonxtest.Trace, "error.type": "downstream_request_failed", "mellea.error.category": "timeout"}
		if diff := cmp.Diff(keep(x.span(t, "chat "+theModel, 2), described...), want); diff != "" {
			t.Errorf("attributes (-got +want):\n%s", diff)
		}
	})
}

func TestExportedBatch(t *testing.T) {
	t.Parallel()
	x := newTraced(t, theKey)
	res, err := mellea.GenerateBatch(t.Context(), x.runner, []string{"one", "two words"})
	if err != nil || res.Failed() != 0 {
		t.Fatalf("got %d failed items, %v, want none", res.Failed(), err)
	}
	want := map[string]any{"gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "ibm.watsonx.ai", "gen_ai.request.model": theModel, "gen_ai.response.model": theModel,
		"gen_ai.response.finish_reasons": []any{"stop", "stop"}, "gen_ai.usage.input_tokens": int64(3), "gen_ai.usage.output_tokens": int64(5), "server.address": "127.0.0.1", "server.port": x.port}
	// The checker takes several finish reasons for several choices of one request, not for several prompts.
	got := x.span(t, "text_completion "+theModel, 1, "conditionally_required_attribute_not_present")
	if diff := cmp.Diff(keep(got, described...), want); diff != "" {
		t.Errorf("attributes (-got +want):\n%s", diff)
	}
	if got.Kind != "client" || len(x.service.Requests()) != 2 {
		t.Errorf("got kind %s and %d requests, want one client span for 2", got.Kind, len(x.service.Requests()))
	}
}
