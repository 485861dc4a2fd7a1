package telemetry_test

import (
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// A batch is one span beneath the session's, whatever the number of its prompts and of those that failed.
func TestBatch(t *testing.T) {
	t.Parallel()
	common := map[string]any{
		"gen_ai.operation.name": "text_completion", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m1",
		"server.address": "models.example.com", "server.port": int64(8443), "gen_ai.request.temperature": 0.0,
		"gen_ai.response.id": "cmpl-1", "mellea.response.request_id": "req_b", "mellea.request.retries": int64(1),
	}
	tests := map[string]struct {
		prompts []string
		failed  bool
		status  string
		want    map[string]any
	}{
		"all went well": {prompts: []string{"a", "b"}, status: "unset", want: map[string]any{
			"mellea.request.num_actions": int64(2), "gen_ai.response.finish_reasons": []any{"stop", "stop"},
			"gen_ai.usage.input_tokens": int64(14), "gen_ai.usage.output_tokens": int64(6), "mellea.usage.total_tokens": int64(20),
		}},
		"one failed": {prompts: []string{"a", "fail", "c"}, status: "unset", want: map[string]any{
			"mellea.request.num_actions": int64(3), "mellea.batch.failed_count": int64(1), "gen_ai.response.finish_reasons": []any{"stop", "error", "stop"},
			"gen_ai.usage.input_tokens": int64(14), "gen_ai.usage.output_tokens": int64(6), "mellea.usage.total_tokens": int64(20),
		}},
		"all failed": {prompts: []string{"fail", "fail"}, failed: true, status: "error", want: map[string]any{
			"mellea.request.num_actions": int64(2), "mellea.outcome": "error", "error.type": "bad_item", "mellea.error.category": "unknown",
		}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server)
			b := says("unused")
			s := start(t, t.Context(), b, mellea.WithHooks(tel))
			_, err := s.GenerateBatch(t.Context(), tt.prompts, mellea.Temperature(0))
			if (err != nil) != tt.failed {
				t.Errorf("got error %v, want one: %t", err, tt.failed)
			}
			_ = s.Close()
			flush(t, tel)
			spans := server.Spans(t, 3)
			var got otlptest.Span
			for _, span := range spans {
				if span.Name == "text_completion m1" {
					got = span
				}
			}
			want := map[string]any{}
			for _, m := range []map[string]any{common, tt.want} {
				maps.Copy(want, m)
			}
			if diff := cmp.Diff(got.Attributes, want); diff != "" {
				t.Errorf("attributes (-got +want):\n%s", diff)
			}
			if got.Kind != "client" || got.Status != tt.status {
				t.Errorf("got kind %s and status %q, want client and %q", got.Kind, got.Status, tt.status)
			}
			for _, span := range spans {
				if span.Name == "session" && got.Parent != span.SpanID {
					t.Error("the span is not beneath that of the session")
				}
			}
			if len(b.headers) != 1 || b.headers[0]["traceparent"] == "" {
				t.Errorf("got headers %v, want a traceparent for the server", b.headers)
			}
		})
	}
}

// With content on, prompts and completions are recorded in their order, and a failed item leaves no completion.
func TestBatchContent(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true))
	r := mellea.On(says("unused"), mellea.WithHooks(tel))
	res, err := mellea.GenerateBatch(t.Context(), r, []string{"first", "fail", "third"})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Failed(), 1; got != want {
		t.Errorf("got %d failed items, want %d", got, want)
	}
	flush(t, tel)
	a := server.Spans(t, 1)[0].Attributes
	text := func(role, text string) any {
		return map[string]any{"role": role, "parts": []any{map[string]any{"type": "text", "content": text}}}
	}
	if diff := cmp.Diff(a["gen_ai.input.messages"], []any{text("user", "first"), text("user", "fail"), text("user", "third")}); diff != "" {
		t.Errorf("input (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(a["gen_ai.output.messages"], []any{text("assistant", "planted-completion"), text("assistant", "planted-completion")}); diff != "" {
		t.Errorf("output (-got +want):\n%s", diff)
	}
}

var _ backend.Batcher = (*scripted)(nil)
