package semconv_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

func TestLookupAttribute(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		want    string // name of the definition, empty: none
		typ     semconv.Type
		content bool
	}{
		{"gen_ai.request.model", "gen_ai.request.model", semconv.TypeString, false},
		{"mellea.action.response", "mellea.action.response", semconv.TypeString, true},
		{"gen_ai.input.messages", "gen_ai.input.messages", semconv.TypeAny, true},
		{"error.type", "error.type", semconv.TypeString, false},
		{"process.exit.code", "process.exit.code", semconv.TypeInt, false},
		{"gen_ai.prompt.variable.city", "gen_ai.prompt.variable", semconv.TypeStringTemplate, true},
		{"gen_ai.prompt.variable.city.name", "gen_ai.prompt.variable", semconv.TypeStringTemplate, true},
		{"gen_ai.prompt.variable.", "", 0, false},
		{"gen_ai.prompt.variables", "", 0, false},
		{"gen_ai.request.model.x", "", 0, false},
		{"gen_ai", "", 0, false},
		{".", "", 0, false},
		{"", "", 0, false},
	}
	for _, tt := range tests {
		a, ok := semconv.LookupAttribute(tt.name)
		if a.Name != tt.want || ok != (tt.want != "") || a.Type != tt.typ || a.Content != tt.content {
			t.Errorf("LookupAttribute(%q) = %q of %s, content %t, %t; want %q of %s, content %t",
				tt.name, a.Name, a.Type, a.Content, ok, tt.want, tt.typ, tt.content)
		}
		if got := semconv.IsContent(tt.name); got != tt.content {
			t.Errorf("IsContent(%q) = %t, want %t", tt.name, got, tt.content)
		}
	}
}

func TestSpanFor(t *testing.T) {
	t.Parallel()
	tests := []struct {
		operation string
		kind      semconv.Kind
		want      string
	}{
		{"chat", semconv.KindClient, "gen_ai.client.inference"},
		{"chat", semconv.KindInternal, "gen_ai.client.inference"},
		{"text_completion", semconv.KindClient, "gen_ai.client.inference"},
		{"invoke_agent", semconv.KindClient, "gen_ai.invoke_agent.client"},
		{"invoke_agent", semconv.KindInternal, "gen_ai.invoke_agent.internal"},
		{"execute_tool", semconv.KindInternal, "gen_ai.execute_tool.internal"},
		{"execute_tool", semconv.KindServer, "gen_ai.execute_tool.internal"},
		{"walk", semconv.KindInternal, ""},
		{"", semconv.KindInternal, ""},
	}
	for _, tt := range tests {
		s, ok := semconv.SpanFor(tt.operation, tt.kind)
		if s.ID != tt.want || ok != (tt.want != "") {
			t.Errorf("SpanFor(%q, %s) = %q, %t, want %q", tt.operation, tt.kind, s.ID, ok, tt.want)
		}
	}
}

func TestEveryOperationHasASpan(t *testing.T) {
	t.Parallel()
	a, _ := semconv.LookupAttribute("gen_ai.operation.name")
	for operation := range a.Values() {
		s, ok := semconv.SpanFor(operation, semconv.KindClient)
		if !ok || !slices.Contains(slices.Collect(s.Operations()), operation) {
			t.Errorf("SpanFor(%q) = %q, %t", operation, s.ID, ok)
		}
	}
}

func TestRefinement(t *testing.T) {
	t.Parallel()
	s, ok := semconv.Refinement("gen_ai.client.inference", "openai")
	if !ok || s.ID != "openai.gen_ai.client.inference" {
		t.Fatalf("Refinement = %q, %t", s.ID, ok)
	}
	levels := map[string]string{}
	for _, name := range []string{"gen_ai.request.model", "openai.api.type", "gen_ai.operation.name", "openai.request.service_tier"} {
		u, ok := s.Attribute(name)
		if !ok {
			t.Errorf("%s is missing", name)
		}
		levels[name] = u.Level.String()
	}
	want := map[string]string{
		"gen_ai.request.model":        "required", // conditionally required elsewhere
		"openai.api.type":             "recommended",
		"gen_ai.operation.name":       "required", // of the span it refines
		"openai.request.service_tier": "conditionally_required",
	}
	if diff := cmp.Diff(want, levels); diff != "" {
		t.Errorf("levels (-want +got)\n%s", diff)
	}
	for _, provider := range []string{"", "ollama"} {
		if s, ok := semconv.Refinement("gen_ai.client.inference", provider); ok {
			t.Errorf("Refinement for provider %q = %q, want none", provider, s.ID)
		}
	}
}

// The chat span has the whole inference table beside its own attributes.
func TestOwnSpanExtendsTheConvention(t *testing.T) {
	t.Parallel()
	chat, ok := semconv.LookupSpan("mellea.chat")
	if !ok {
		t.Fatal("mellea.chat is missing")
	}
	base, ok := semconv.LookupSpan(chat.Extends)
	if !ok {
		t.Fatalf("%s is missing", chat.Extends)
	}
	names := map[string]bool{}
	for u := range chat.Attributes() {
		names[u.Name] = true
	}
	for u := range base.Attributes() {
		if !names[u.Name] {
			t.Errorf("mellea.chat lacks %s", u.Name)
		}
	}
	if u, ok := chat.Attribute("gen_ai.prompt.variable.city"); !ok || u.Name != "gen_ai.prompt.variable" {
		t.Errorf("a prompt variable: got %q, %t", u.Name, ok)
	}
	if _, ok := chat.Attribute("mellea.cli.command"); ok {
		t.Error("mellea.chat has mellea.cli.command")
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	m, ok := semconv.LookupMetric(semconv.MetricGenAIClientInferenceDuration)
	if !ok || m.Instrument != semconv.Histogram || m.Type != semconv.TypeDouble || m.Unit != "s" {
		t.Errorf("got %s %s of %s in %s, %t", m.Name, m.Instrument, m.Type, m.Unit, ok)
	}
	want := []float64{0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92}
	buckets := m.Buckets()
	if diff := cmp.Diff(want, buckets); diff != "" {
		t.Errorf("buckets (-want +got)\n%s", diff)
	}
	buckets[0] = -1
	again, _ := semconv.LookupMetric(m.Name)
	if got := again.Buckets()[0]; got != 0.01 {
		t.Errorf("a caller changed the registry: first bound %v", got)
	}
	if u, ok := m.Attribute("openai.response.service_tier"); !ok || u.Provider != "openai" {
		t.Errorf("service tier: provider %q, %t, want openai", u.Provider, ok)
	}
	if _, ok := semconv.LookupMetric("gen_ai.client.token.usage"); ok {
		t.Error("a metric that was removed is found")
	}
}

func TestEntities(t *testing.T) {
	t.Parallel()
	var got []string
	for e := range semconv.Entities() {
		for u := range e.Attributes() {
			got = append(got, e.Name+": "+u.Name+" "+u.Level.String())
		}
	}
	want := []string{"gen_ai.main_agent: gen_ai.main_agent.id required", "gen_ai.main_agent: gen_ai.main_agent.name recommended",
		"gen_ai.main_agent: gen_ai.main_agent.description recommended"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("entities (-want +got)\n%s", diff)
	}
}

func TestLogEvents(t *testing.T) {
	t.Parallel()
	want := map[string]int{
		semconv.EventGenAIClientInferenceOperationDetails: 5,
		semconv.EventGenAIEvaluationResult:                0,
		semconv.EventGenAIClientOperationException:        13,
	}
	got := map[string]int{}
	for e := range semconv.Events() {
		if e.Log {
			got[e.Name] = e.Severity
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("severities (-want +got)\n%s", diff)
	}
}

func TestDeprecated(t *testing.T) {
	t.Parallel()
	tests := []struct {
		signal semconv.Signal
		name   string
		ok     bool
		want   []string
	}{
		{semconv.SignalAttribute, "gen_ai.system", true, []string{"gen_ai.provider.name"}},
		{semconv.SignalAttribute, "gen_ai.token.type", true, nil},
		{semconv.SignalAttribute, "gen_ai.provider.name", false, nil},
		{semconv.SignalAttribute, "gen_ai.prompt.0.content", true, []string{"gen_ai.input.messages"}},
		{semconv.SignalAttribute, "gen_ai.completion.12.tool_calls.0.name", true, []string{"gen_ai.output.messages"}},
		{semconv.SignalAttribute, "gen_ai.prompt.name", false, nil},
		{semconv.SignalAttribute, "gen_ai.prompt.variable.0", false, nil},
		{semconv.SignalAttribute, "gen_ai.prompt.", false, nil},
		{semconv.SignalAttribute, "", false, nil},
		{semconv.SignalAttribute, "net.peer.name", true, []string{"server.address"}},
		{semconv.SignalMetric, "gen_ai.prompt.0", false, nil},
		{semconv.SignalEvent, "gen_ai.choice", true, []string{"gen_ai.client.inference.operation.details"}},
		{semconv.SignalAttribute, "gen_ai.choice", false, nil},
		{semconv.SignalMetric, "gen_ai.client.token.usage", true, []string{
			"gen_ai.client.inference.operation.input_tokens", "gen_ai.client.inference.operation.output_tokens",
		}},
	}
	for _, tt := range tests {
		d, ok := semconv.Deprecated(tt.signal, tt.name)
		if ok != tt.ok {
			t.Errorf("Deprecated(%s, %q) = %t, want %t", tt.signal, tt.name, ok, tt.ok)
		}
		if diff := cmp.Diff(tt.want, slices.Collect(d.Replacements())); diff != "" {
			t.Errorf("Deprecated(%s, %q) (-want +got)\n%s", tt.signal, tt.name, diff)
		}
	}
}

func TestIterationMayStopEarly(t *testing.T) {
	t.Parallel()
	n := 0
	for s := range semconv.Spans() {
		for range s.Attributes() {
			n++
			break
		}
		for range s.Events() {
			n++
			break
		}
		break
	}
	for range semconv.Metrics() {
		n++
		break
	}
	for range semconv.LogFields() {
		n++
		break
	}
	if n != 3 {
		t.Errorf("%d steps, want 3", n)
	}
}
