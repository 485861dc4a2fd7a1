package tracecost

import (
	"bytes"
	"fmt"
	"maps"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/telemetry"
)

type attrs map[string]any

func value(v any) *commonpb.AnyValue {
	switch v := v.(type) {
	case string:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: v}}
	case int:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: int64(v)}}
	case float64:
		return &commonpb.AnyValue{Value: &commonpb.AnyValue_DoubleValue{DoubleValue: v}}
	}
	panic(fmt.Sprintf("%T", v))
}

// A node is a span: its scope, its number, that of its parent and its attributes.
type node struct {
	scope         string
	trace, id, in int
	at            time.Time
	attrs         attrs
}

func (n node) span() *tracepb.ResourceSpans {
	s := &tracepb.Span{TraceId: bytes.Repeat([]byte{byte(n.trace)}, 16), SpanId: bytes.Repeat([]byte{byte(n.id)}, 8)}
	if n.in > 0 {
		s.ParentSpanId = bytes.Repeat([]byte{byte(n.in)}, 8)
	}
	if !n.at.IsZero() {
		s.StartTimeUnixNano = uint64(n.at.UnixNano())
	}
	for k, v := range n.attrs {
		s.Attributes = append(s.Attributes, &commonpb.KeyValue{Key: k, Value: value(v)})
	}
	return &tracepb.ResourceSpans{ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: n.scope}, Spans: []*tracepb.Span{s}}}}
}

func chat(more attrs) attrs {
	a := attrs{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
		"gen_ai.usage.input_tokens": 100, "gen_ai.usage.output_tokens": 10}
	maps.Copy(a, more)
	return a
}

func prices(t testing.TB) *telemetry.Pricing {
	t.Helper()
	p, err := telemetry.ParsePricing([]byte(`{"prices": [
		{"model": "m", "input": 10, "output": 100, "cache_read": 1, "cache_write": 20, "batch_input": 5, "batch_output": 50, "audio_input": 1000},
		{"model": "m-2026", "input": 1000, "output": 1000}
	]}`))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func rows(t testing.TB, by By, nodes ...node) []Row {
	t.Helper()
	l := New(by, prices(t))
	for _, n := range nodes {
		l.Add(n.span())
	}
	return l.Rows()
}

const eps = 1e-12

// What one span counts for, by whatever convention it tells of it.
func TestCalls(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		attrs attrs
		want  *Row // nil is not a call
	}{
		{"today's names", chat(attrs{"gen_ai.usage.cache_read.input_tokens": 40, "gen_ai.usage.cache_write.input_tokens": 10, "gen_ai.usage.reasoning.output_tokens": 5}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10, CacheReadTokens: 40, CacheWriteTokens: 10, ReasoningTokens: 5}, USD: (50*10 + 40*1 + 10*20 + 10*100) / 1e6}},
		{"the names before", attrs{"gen_ai.system": "openai", "gen_ai.request.model": "m", "gen_ai.usage.prompt_tokens": 100, "gen_ai.usage.completion_tokens": 10, "gen_ai.usage.cache_creation.input_tokens": 10},
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10, CacheWriteTokens: 10}, USD: (90*10 + 10*20 + 10*100) / 1e6}},
		{"OpenLLMetry", attrs{"llm.request.type": "chat", "gen_ai.system": "openai", "gen_ai.response.model": "m", "llm.usage.prompt_tokens": 1, "llm.usage.completion_tokens": 1, "gen_ai.usage.reasoning_tokens": 1},
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 1, OutputTokens: 1, ReasoningTokens: 1}, USD: 110 / 1e6}},
		{"OpenInference", attrs{"openinference.span.kind": "LLM", "llm.provider": "openai", "llm.model_name": "m", "llm.token_count.prompt": 1, "llm.token_count.completion": 1},
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 1, OutputTokens: 1}, USD: 110 / 1e6}},
		{"numbers as texts and fractions", chat(attrs{"gen_ai.usage.input_tokens": " 7 ", "gen_ai.usage.output_tokens": 2.0}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 7, OutputTokens: 2}, USD: 270 / 1e6}},
		{"cached beside the input", chat(attrs{"gen_ai.usage.input_tokens": 3, "gen_ai.usage.cache_read.input_tokens": 100}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 103, OutputTokens: 10, CacheReadTokens: 100}, USD: (3*10 + 100 + 10*100) / 1e6}},
		{"audio", chat(attrs{"gen_ai.usage.audio.input_tokens": 50}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10, Audio: content.Modality{InputTokens: 50}}, USD: (50*10 + 50*1000 + 10*100) / 1e6}},
		{"priced by the model that answered", chat(attrs{"gen_ai.response.model": "m-2026"}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}, USD: 110 * 1000 / 1e6}},
		{"a tier that may wait", chat(attrs{"openai.request.service_tier": "auto", "openai.response.service_tier": "flex"}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}, USD: (100*5 + 10*50) / 1e6}},
		{"a tier that was not given", chat(attrs{"openai.request.service_tier": "flex", "openai.response.service_tier": "default"}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}, USD: (100*10 + 10*100) / 1e6}},
		{"what the server said", chat(attrs{"mellea.usage.cost.usd": 0.5}),
			&Row{Key: "m", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}, USD: 0.5}},
		{"no price", chat(attrs{"gen_ai.request.model": "other"}),
			&Row{Key: "other", Provider: "openai", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}, Unpriced: 1}},
		{"one's own machine", chat(attrs{"gen_ai.provider.name": "ollama", "gen_ai.request.model": "other"}),
			&Row{Key: "other", Provider: "ollama", Calls: 1, Usage: content.Usage{InputTokens: 100, OutputTokens: 10}}},
		{"nothing used", attrs{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "other"},
			&Row{Key: "other", Provider: "openai", Calls: 1}},
		{"nonsense", chat(attrs{"gen_ai.usage.input_tokens": -5, "gen_ai.usage.output_tokens": math.Inf(1), "gen_ai.usage.cache_read.input_tokens": "many", "mellea.usage.cost.usd": math.NaN()}),
			&Row{Key: "m", Provider: "openai", Calls: 1}},

		{"an agent", chat(attrs{"gen_ai.operation.name": "invoke_agent"}), nil},
		{"a workflow", chat(attrs{"gen_ai.operation.name": "invoke_workflow"}), nil},
		{"an operation of somebody's own", chat(attrs{"gen_ai.operation.name": "my_step"}), nil},
		{"a chain", attrs{"openinference.span.kind": "CHAIN", "llm.provider": "openai", "llm.model_name": "m", "llm.token_count.prompt": 1}, nil},
		{"no model", attrs{"gen_ai.system": "openai", "gen_ai.usage.prompt_tokens": 100}, nil},
		{"something else", attrs{"http.request.method": "GET"}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := []Row{}
			if tt.want != nil {
				want = append(want, *tt.want)
			}
			if diff := cmp.Diff(rows(t, ByModel, node{trace: 1, id: 1, attrs: tt.attrs}), want, cmpopts.EquateApprox(0, eps)); diff != "" {
				t.Errorf("rows (-got +want):\n%s", diff)
			}
		})
	}
}

// A call counts once, however many spans tell of it.
func TestNoCallCountsTwice(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		nodes []node
		want  int // calls
	}{
		{"two calls", []node{{trace: 1, id: 1, attrs: chat(nil)}, {trace: 1, id: 2, attrs: chat(nil)}}, 2},
		{"the same span again", []node{{trace: 1, id: 1, attrs: chat(nil)}, {trace: 1, id: 1, attrs: chat(nil)}}, 1},
		{"the same id in another trace", []node{{trace: 1, id: 1, attrs: chat(nil)}, {trace: 2, id: 1, attrs: chat(nil)}}, 2},
		{"an agent above", []node{{trace: 1, id: 2, in: 1, attrs: chat(nil)}, {trace: 1, id: 1, attrs: chat(attrs{"gen_ai.operation.name": "invoke_agent"})}}, 1},
		{"a wrapper that ends later", []node{{scope: "openai", trace: 1, id: 2, in: 1, attrs: chat(nil)}, {scope: "langchain", trace: 1, id: 1, attrs: chat(nil)}}, 1},
		{"a wrapper that comes first", []node{{scope: "langchain", trace: 1, id: 1, attrs: chat(nil)}, {scope: "openai", trace: 1, id: 2, in: 1, attrs: chat(nil)}}, 1},
		{"the same reply, further down", []node{{scope: "a", trace: 1, id: 1, attrs: chat(attrs{"gen_ai.response.id": "r"})}, {scope: "b", trace: 1, id: 3, in: 2, attrs: chat(attrs{"gen_ai.response.id": "r"})}}, 1},
		{"a judge beneath what it guards", []node{{scope: "mellea.backend", trace: 1, id: 2, in: 1, attrs: chat(nil)}, {scope: "mellea.backend", trace: 1, id: 1, attrs: chat(nil)}}, 2},
		{"another call beneath", []node{{scope: "a", trace: 1, id: 2, in: 1, attrs: chat(nil)}, {scope: "b", trace: 1, id: 1, attrs: chat(attrs{"gen_ai.usage.input_tokens": 101})}}, 2},
		{"siblings", []node{{scope: "a", trace: 1, id: 2, in: 1, attrs: chat(nil)}, {scope: "b", trace: 1, id: 3, in: 1, attrs: chat(nil)}}, 2},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := Total(rows(t, ByModel, tt.nodes...)).Calls; got != tt.want {
				t.Errorf("%d calls, want %d", got, tt.want)
			}
		})
	}
}

func TestBy(t *testing.T) {
	t.Parallel()
	day := time.Date(2026, 11, 25, 23, 59, 0, 0, time.UTC)
	nodes := []node{
		{trace: 1, id: 3, in: 2, at: day, attrs: chat(nil)},
		{trace: 1, id: 2, in: 1, attrs: attrs{"x": 1}},
		{trace: 1, id: 4, in: 1, at: day.Add(time.Minute), attrs: chat(attrs{"gen_ai.request.model": "other", "gen_ai.operation.name": "text_completion"})},
		{trace: 1, id: 1, attrs: attrs{"mellea.session.id": "s1"}}, // ends last
		{trace: 2, id: 5, in: 9, at: day, attrs: chat(attrs{"gen_ai.conversation.id": "c1"})},
		{trace: 2, id: 6, at: day, attrs: chat(attrs{"mellea.session.id": "s1"})},
		{trace: 2, id: 7, in: 7, at: day, attrs: chat(nil)}, // its own parent
	}
	one := content.Usage{InputTokens: 100, OutputTokens: 10}
	times := func(n int) (u content.Usage) {
		for range n {
			u = u.Add(one)
		}
		return u
	}
	const usd = 0.002
	for by, want := range map[By][]Row{
		ByModel:     {{Key: "m", Provider: "openai", Calls: 4, Usage: times(4), USD: 4 * usd}, {Key: "other", Provider: "openai", Calls: 1, Usage: one, Unpriced: 1}},
		ByOperation: {{Key: "chat", Calls: 4, Usage: times(4), USD: 4 * usd}, {Key: "text_completion", Calls: 1, Usage: one, Unpriced: 1}},
		ByTrace: {{Key: "02020202020202020202020202020202", Calls: 3, Usage: times(3), USD: 3 * usd},
			{Key: "01010101010101010101010101010101", Calls: 2, Usage: times(2), USD: usd, Unpriced: 1}},
		BySession: {{Key: "s1", Calls: 3, Usage: times(3), USD: 2 * usd, Unpriced: 1}, {Key: NoSession, Calls: 1, Usage: one, USD: usd}, {Key: "c1", Calls: 1, Usage: one, USD: usd}},
		ByDay:     {{Key: "2026-11-25", Calls: 4, Usage: times(4), USD: 4 * usd}, {Key: "2026-11-26", Calls: 1, Usage: one, Unpriced: 1}},
	} {
		t.Run(string(by), func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(rows(t, by, nodes...), want, cmpopts.EquateApprox(0, eps)); diff != "" {
				t.Errorf("rows (-got +want):\n%s", diff)
			}
		})
	}
}

func TestUnpriced(t *testing.T) {
	t.Parallel()
	l := New(ByDay, prices(t))
	for i := range 3 {
		l.Add(node{trace: 1, id: i + 1, attrs: chat(attrs{"gen_ai.response.model": "other-2026", "gen_ai.request.model": "other"})}.span())
	}
	want := []Row{{Key: "other-2026", Provider: "openai", Calls: 3, Usage: content.Usage{InputTokens: 300, OutputTokens: 30}, Unpriced: 3}}
	if diff := cmp.Diff(l.Unpriced(), want); diff != "" {
		t.Errorf("models (-got +want):\n%s", diff)
	}
}

// What is remembered is bounded, whatever the number of spans.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	l := New(BySession, prices(t))
	l.recent, l.tree = newRecent(100), newTree(100)
	n := node{attrs: chat(attrs{"gen_ai.response.id": "r"})}
	for i := range 5000 {
		n.trace, n.id, n.in = i%200, i/200+1, 250
		r := n.span()
		r.ScopeSpans[0].Spans[0].TraceId[0] = byte(i)
		l.Add(r)
	}
	if len(l.recent.facts) > 100 || len(l.recent.ring) > 100 || len(l.tree.spans) > 100 || len(l.tree.waiting) > 101 {
		t.Errorf("%d and %d facts, %d spans, %d sums are kept", len(l.recent.facts), len(l.recent.ring), len(l.tree.spans), len(l.tree.waiting))
	}
	if got := Total(l.Rows()).Calls; got != 5000 {
		t.Errorf("%d calls, want 5000", got)
	}
}

func TestNamesAndRowsAreBounded(t *testing.T) {
	t.Parallel()
	l := New(ByModel, prices(t))
	for i := range maxRows {
		enter(l.rows, key{fmt.Sprint(i), ""}, Row{Calls: 1})
	}
	l.Add(node{trace: 1, id: 1, attrs: chat(attrs{"gen_ai.request.model": "one more"})}.span())
	l.Add(node{trace: 1, id: 2, attrs: chat(attrs{"gen_ai.request.model": "and another"})}.span())
	if got := l.rows[key{Others, ""}]; got == nil || got.Calls != 2 || len(l.rows) != maxRows+1 {
		t.Errorf("%d rows, others are %+v", len(l.rows), got)
	}
	long := rows(t, ByModel, node{trace: 1, id: 1, attrs: chat(attrs{"gen_ai.request.model": strings.Repeat("é", 1000)})})
	if got := long[0].Key; got != strings.Repeat("é", maxName/2) {
		t.Errorf("the name has %d bytes", len(got))
	}
}

// Whatever a file holds, sums are sums: no row is negative or no number, and all rows together are the total whatever
// they are of.
func FuzzLedger(f *testing.F) {
	for _, n := range []node{{trace: 1, id: 2, in: 1, attrs: chat(nil)}, {trace: 1, id: 1, attrs: chat(attrs{"gen_ai.usage.input_tokens": math.MaxInt, "session.id": "\x1b[31m"})}} {
		line, err := otlpfile.AppendSpans(nil, n.span())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(line)
		f.Add(append(line, line...))
	}
	p := prices(f)
	f.Fuzz(func(t *testing.T, file []byte) {
		var first *Row
		for _, by := range All {
			l := New(by, p)
			for rec := range otlpfile.Read(bytes.NewReader(file)) {
				if rec.Spans != nil {
					l.Add(rec.Spans)
				}
			}
			rows := l.Rows()
			for _, r := range rows {
				if !(r.USD >= 0) || math.IsInf(r.USD, 0) || r.Calls <= 0 || r.Usage.InputTokens < 0 || r.Usage.OutputTokens < 0 || r.Unpriced > r.Calls {
					t.Errorf("by %s: row %+v", by, r)
				}
			}
			total := Total(rows)
			if first == nil {
				first = &total
			}
			if diff := cmp.Diff(total, *first, cmpopts.EquateApprox(1e-9, 0)); diff != "" {
				t.Errorf("total by %s (-got +by model):\n%s", by, diff)
			}
		}
	})
}

// Calls whose ids are none count all the same, and nothing of the ids is kept.
func TestIDsThatAreNone(t *testing.T) {
	t.Parallel()
	long := bytes.Repeat([]byte{7}, 1<<20)
	l := New(ByTrace, nil)
	for range 3 {
		l.Add(&tracepb.ResourceSpans{ScopeSpans: []*tracepb.ScopeSpans{{Spans: []*tracepb.Span{{TraceId: long, SpanId: long, Name: "chat m",
			Attributes: []*commonpb.KeyValue{
				{Key: "gen_ai.operation.name", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: "chat"}}},
				{Key: "gen_ai.usage.input_tokens", Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_IntValue{IntValue: 5}}},
			}}}}}})
	}
	for _, row := range l.Rows() {
		if len(row.Key) > 64 || row.Calls != 3 || row.Usage.InputTokens != 15 {
			t.Errorf("row %.80q: %d calls, %d tokens, want 3 and 15", row.Key, row.Calls, row.Usage.InputTokens)
		}
	}
	if len(l.Rows()) != 1 {
		t.Errorf("%d rows, want 1", len(l.Rows()))
	}
}
