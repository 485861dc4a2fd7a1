package semconvtest

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// program is what a program exported: a call that failed, a streamed one of two chunks, and the loop around them.
func program() (spans []otlptest.Span, series []otlptest.Series) {
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	call := labels{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "p", "gen_ai.request.model": "m"}
	with := func(more labels) labels {
		all := maps.Clone(call)
		maps.Copy(all, more)
		return all
	}
	failed := labels{"mellea.outcome": "error", "mellea.error.category": "unknown", "error.type": "made_up"}
	spans = []otlptest.Span{
		{Name: "GET /", Scope: "shop", SpanID: "0", Start: at(0), End: at(900)},
		{Name: "action", Scope: "mellea.application", SpanID: "1", Parent: "0", Start: at(0), End: at(500), Attributes: failed},
		{Name: "chat m", Scope: "mellea.backend", SpanID: "2", Parent: "1", Start: at(0), End: at(500), Attributes: with(failed)},
		{Name: "sampling", Scope: "mellea.application", SpanID: "3", Start: at(0), End: at(800),
			Attributes: labels{"mellea.sampling.strategy_type": "reject", "mellea.sampling.success": true}, Events: []otlptest.Event{{Name: "iteration"}}},
		{Name: "chat m", Scope: "mellea.backend", SpanID: "4", Parent: "3", Start: at(0), End: at(750),
			Attributes: with(labels{"gen_ai.usage.input_tokens": int64(5), "gen_ai.usage.output_tokens": int64(0), "gen_ai.usage.text.input_tokens": int64(3),
				"mellea.usage.cost.usd": 0.5, "gen_ai.response.time_to_first_chunk": 0.25}),
			Events: []otlptest.Event{{Name: "chunk_processed", Time: at(250)}, {Name: "chunk_processed", Time: at(650)}, {Name: "first_chunk", Time: at(250)}}},
	}
	add := func(name string, of labels, v float64, n uint64) {
		series = append(series, otlptest.Series{Scope: "mellea.metrics", Name: name, Attributes: of, Value: v, Count: n})
	}
	add("gen_ai.client.inference.duration", with(labels{"error.type": "_OTHER"}), 0.5, 1) // a code that no provider has
	add("gen_ai.client.inference.duration", call, 0.75, 1)
	add("gen_ai.client.inference.time_to_first_chunk", call, 0.25, 1)
	add("gen_ai.client.inference.time_per_output_chunk", call, 0.4, 1)
	add("gen_ai.client.inference.operation.input_tokens", call, 5, 1)
	add("gen_ai.client.inference.operation.output_tokens", call, 0, 1)
	add("gen_ai.client.inference.usage.input_tokens", with(labels{"gen_ai.token.modality": "text"}), 3, 0)
	add("gen_ai.client.inference.usage.input_tokens", with(labels{"gen_ai.token.modality": "unknown"}), 2, 0)
	add("mellea.llm.cost.usd", call, 0.5, 0)
	add("mellea.llm.errors", with(labels{"error.type": "_OTHER", "mellea.error.category": "unknown"}), 1, 0)
	add("mellea.sampling.attempts", labels{"mellea.sampling.strategy_type": "reject"}, 1, 0)
	add("mellea.sampling.successes", labels{"mellea.sampling.strategy_type": "reject"}, 1, 0)
	add("mellea.hook.open_operations", nil, 0, 0)
	add("mellea.hook.plugin_failures", nil, 7, 0)
	return spans, append(series, otlptest.Series{Scope: "shop", Name: "shop.orders", Value: 1})
}

func TestMetricsThatAreRight(t *testing.T) {
	t.Parallel()
	if got := differences(program()); len(got) > 0 {
		t.Errorf("differences:\n%s", strings.Join(got, "\n"))
	}
}

// Whatever is wrong with one series is found, and nothing else.
func TestMetricsThatAreWrong(t *testing.T) {
	t.Parallel()
	_, right := program()
	for i, s := range right {
		if s.Scope != "mellea.metrics" || untold[s.Name] {
			continue
		}
		other := maps.Clone(s.Attributes)
		if other == nil {
			other = labels{}
		}
		other["gen_ai.request.model"] = "another"
		for name, test := range map[string]struct {
			change func(*otlptest.Series)
			want   int
		}{
			"another value":  {func(s *otlptest.Series) { s.Value += 0.125 }, 1},
			"another scope":  {func(s *otlptest.Series) { s.Scope = "" }, 1}, // it is missing
			"another label":  {func(s *otlptest.Series) { s.Attributes = other }, 2},
			"another number": {func(s *otlptest.Series) { s.Count++ }, 1},
		} {
			if name == "another number" && s.Count == 0 || name == "another scope" && s.Value == 0 && s.Count == 0 {
				continue // of a counter, and of one that may be left out
			}
			if name == "another label" && s.Value == 0 && s.Count == 0 {
				test.want = 1
			}
			spans, series := program()
			test.change(&series[i])
			got := differences(spans, series)
			if len(got) != test.want || !strings.HasPrefix(got[0], s.Name+"{") {
				t.Errorf("%s {%s} with %s: differences %q, want %d", s.Name, s.Labels(), name, got, test.want)
			}
		}
	}
}

// Of a stream whose chunk events were thinned out, the time is known within bounds.
func TestChunksOfALongStream(t *testing.T) {
	t.Parallel()
	at := func(ms int) time.Time { return time.UnixMilli(int64(ms)) }
	d := derive([]otlptest.Span{{Name: "chat m", Scope: "mellea.backend", Start: at(0), End: at(900), Attributes: labels{},
		Events: []otlptest.Event{{Name: "chunk_processed", Time: at(100)}, {Name: "chunk_processed", Time: at(500)}, {Name: "first_chunk", Time: at(100)},
			{Name: "stream_complete", Time: at(800), Attributes: labels{"mellea.generation.chunks": int64(300), "mellea.generation.events_suppressed": int64(298)}}}}},
		func(string) bool { return false })
	got := d.want["gen_ai.client.inference.time_per_output_chunk{}"]
	want := &total{least: 0.4, most: 0.7, count: 299, histogram: true}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(total{})); diff != "" {
		t.Errorf("time per chunk (-want +got):\n%s", diff)
	}
}
