package telemetry_test

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
)

// What each step of a repaired call says of itself, with content capture off and on.
func TestStepAttributes(t *testing.T) {
	t.Parallel()
	type attrs = map[string]any
	off := map[string]attrs{
		"action": {"mellea.component.type": "instruction", "mellea.action.has_requirements": true, "mellea.action.has_strategy": true,
			"mellea.action.has_format": false, "mellea.action.tool_calls": false, "mellea.action.num_generate_logs": int64(2),
			"mellea.action.response_length": int64(4), "mellea.sampling.strategy_type": "repair", "mellea.sampling.success": true},
		"sampling": {"mellea.sampling.strategy_type": "repair", "mellea.sampling.loop_budget": int64(3), "mellea.sampling.requirement_count": int64(2),
			"mellea.sampling.iterations_used": int64(2), "mellea.sampling.success": true},
		"validation": {"mellea.validation.requirement_count": int64(2), "mellea.sampling.iteration": int64(1), "mellea.validation.passed": false,
			"mellea.validation.passed_count": int64(1), "mellea.validation.failed_count": int64(1)},
		"requirement": {"mellea.requirement.type": "custom", "mellea.requirement.name": "custom", "mellea.requirement.passed": false, "mellea.requirement.score": 0.5},
	}
	on := map[string]attrs{
		"action":      {"mellea.action.response": "good"},
		"validation":  {"mellea.validation.failure_reasons": []any{"it says bad"}},
		"requirement": {"mellea.requirement.name": "say good", "mellea.requirement.reason": "it says bad"},
	}
	for name, content := range map[string]bool{"content off": false, "content on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.WithContent(content))
			s := start(t, t.Context(), says("bad", "good"), mellea.WithHooks(tel))
			scored := requirement.New("custom", func(_ context.Context, env requirement.Env) (requirement.Verdict, error) {
				if env.Text() == "bad" {
					return requirement.Scored(false, 0.5, "it says bad"), nil
				}
				return requirement.Pass(), nil
			}).Describe("say good")
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Say something", mellea.Check(scored, requirement.MaxWords(5)),
				mellea.Strategy(sampling.Repair(3))))
			_ = s.Close()
			flush(t, tel)
			spans := server.Spans(t, 12)
			for _, span := range []string{"action", "sampling", "validation", "requirement"} {
				want := maps.Clone(off[span])
				if content {
					maps.Copy(want, on[span])
				}
				got := named(t, spans, span).Attributes
				if span == "action" {
					// Which template, and how long it is, is the formatter's business.
					length, _ := got["mellea.formatter.rendered_length"].(int64)
					if template, _ := got["mellea.formatter.template"].(string); template == "" || length == 0 {
						t.Errorf("rendered by %q to %d bytes, want both", template, length)
					}
					delete(got, "mellea.formatter.rendered_length")
					delete(got, "mellea.formatter.template")
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-want +got):\n%s", span, diff)
				}
			}
			wantEvents := []otlptest.Event{
				{Name: "iteration", Attributes: attrs{"mellea.sampling.iteration": int64(1), "mellea.sampling.all_validations_passed": false,
					"mellea.validation.valid_count": int64(1), "mellea.validation.requirement_count": int64(2)}},
				{Name: "repair", Attributes: attrs{"mellea.sampling.repair_iteration": int64(1), "mellea.sampling.repair_type": "reasons",
					"mellea.validation.failed_count": int64(1)}},
				{Name: "iteration", Attributes: attrs{"mellea.sampling.iteration": int64(2), "mellea.sampling.all_validations_passed": true,
					"mellea.validation.valid_count": int64(2), "mellea.validation.requirement_count": int64(2)}},
				{Name: "select", Attributes: attrs{"mellea.sampling.iteration": int64(2), "mellea.sampling.success": true}},
			}
			if diff := cmp.Diff(wantEvents, named(t, spans, "sampling").Events, cmpopts.IgnoreFields(otlptest.Event{}, "Time")); diff != "" {
				t.Errorf("events of sampling (-want +got):\n%s", diff)
			}
		})
	}
}

// A budget that is spent is no error: the span says so, and why only with content on.
func TestBudgetSpent(t *testing.T) {
	t.Parallel()
	for name, content := range map[string]bool{"content off": false, "content on": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.WithContent(content))
			s := start(t, t.Context(), says("bad"), mellea.WithHooks(tel))
			_, err := s.Instruct(t.Context(), "Say something", mellea.Check(requirement.Contains("good")), mellea.Strategy(sampling.Reject(2)))
			if err == nil {
				t.Fatal("the requirement was met")
			}
			_ = s.Close()
			flush(t, tel)
			got := named(t, server.Spans(t, 9), "sampling")
			if got.Status != "unset" || got.Attributes["mellea.sampling.success"] != false || got.Attributes["mellea.outcome"] != nil {
				t.Errorf("status %s, attributes %v", got.Status, got.Attributes)
			}
			if _, why := got.Attributes["mellea.sampling.failure_reason"]; why != content {
				t.Errorf("has mellea.sampling.failure_reason: %v, want %v", why, content)
			}
		})
	}
}
