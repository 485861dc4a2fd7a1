package telemetry_test

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Calls of tools are counted by name and status, and timed as their spans are. A thousand names that a model makes up are
// one.
func TestToolMetrics(t *testing.T) {
	t.Parallel()
	deny := hookpoint.Tool.Guard(func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		if strings.Contains(p.Call.Arguments, "denied") {
			return p, hook.Reject("no", "")
		}
		return p, nil
	})
	invented := 0
	b := &scripted{answer: func(_ context.Context, n int, _ backend.Request, w *backend.Writer) error {
		calls := []content.ToolCall{{Name: "weather", Arguments: `{"city":"Bern"}`}, {Name: "weather", Arguments: `{}`},
			{Name: "weather", Arguments: `{"city":"planted-error"}`}, {Name: "weather", Arguments: `{"city":"denied"}`}}
		if n > 1 {
			calls = nil
		}
		for ; n > 1 && n < 6 && len(calls) < 250; invented++ {
			calls = append(calls, content.ToolCall{Name: "invented_" + strconv.Itoa(invented)})
		}
		for i, c := range calls {
			if err := w.ToolCall(time.Now(), backend.ToolDelta{Index: i, Name: c.Name, Arguments: c.Arguments}); err != nil {
				return err
			}
		}
		return nil
	}}
	series, spans := measured(t, b, func(s *mellea.Session) {
		res, err := s.With(mellea.WithTools(weather), mellea.WithHooks(deny)).Chat(t.Context(), "go")
		if err != nil || len(res.ToolRuns) != 1004 {
			t.Errorf("got %d runs, %v", len(res.ToolRuns), err)
		}
	}, nil)
	want := map[string]float64{
		"mellea.tool.calls gen_ai.tool.name=weather mellea.tool.status=success": 1,
		"mellea.tool.calls gen_ai.tool.name=weather mellea.tool.status=failure": 3,
		"mellea.tool.calls gen_ai.tool.name=_OTHER mellea.tool.status=failure":  1000,
	}
	if diff := cmp.Diff(values(series, "mellea.tool."), want); diff != "" {
		t.Errorf("calls (-got +want):\n%s", diff)
	}
	timed := map[string]float64{}
	for _, s := range spans {
		if strings.HasPrefix(s.Name, "execute_tool ") {
			timed[s.Name] += s.End.Sub(s.Start).Seconds()
		}
	}
	sums := map[string]float64{}
	for name, v := range values(series, "gen_ai.execute_tool.duration") {
		for _, tool := range []string{"weather", "_OTHER"} {
			if strings.Contains(name, "gen_ai.tool.name="+tool) {
				sums["execute_tool "+tool] += v
			}
		}
	}
	for name, want := range timed {
		if got := sums[name]; got < want*0.999 || got > want*1.001 {
			t.Errorf("%s: %v s on metrics, %v s on spans", name, got, want)
		}
	}
	wantErrors := map[string]float64{
		"mellea.llm.errors error.type=*tool.UnknownError mellea.error.category=tool_error":  1000,
		"mellea.llm.errors error.type=*tool.ArgumentError mellea.error.category=tool_error": 1,
		"mellea.llm.errors error.type=*tool.Error mellea.error.category=tool_error":         1,
	}
	if diff := cmp.Diff(values(series, "mellea.llm.errors"), wantErrors); diff != "" {
		t.Errorf("errors (-got +want):\n%s", diff)
	}
}
