package semconv_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

func own(name string) bool { return strings.HasPrefix(name, "mellea.") }

func TestNamesAreUnique(t *testing.T) {
	t.Parallel()
	seen := map[string]semconv.Type{}
	for a := range semconv.Attributes() {
		if other, ok := seen[a.Name]; ok {
			t.Errorf("attribute %s is registered twice, as %s and as %s", a.Name, other, a.Type)
		}
		seen[a.Name] = a.Type
	}
	signals := map[string]bool{}
	unique := func(signal, name string) {
		if signals[signal+" "+name] {
			t.Errorf("%s %s is registered twice", signal, name)
		}
		signals[signal+" "+name] = true
	}
	for s := range semconv.Spans() {
		unique("span", s.ID)
	}
	for e := range semconv.Events() {
		unique("event", e.Name)
	}
	for m := range semconv.Metrics() {
		unique("metric", m.Name)
	}
}

var (
	ownName = regexp.MustCompile(`^mellea\.[a-z0-9_.]+$`)
	segment = regexp.MustCompile(`^[a-z][a-z0-9_]*$`)
)

func TestOwnNames(t *testing.T) {
	t.Parallel()
	check := func(name string) {
		t.Helper()
		if !ownName.MatchString(name) {
			t.Errorf("%s does not match %s", name, ownName)
		}
		for s := range strings.SplitSeq(name, ".") {
			if !segment.MatchString(s) {
				t.Errorf("%s: %q does not match %s", name, s, segment)
			}
		}
	}
	for a := range semconv.Attributes() {
		if !strings.Contains(a.Name, "mellea") {
			continue
		}
		check(a.Name)
	}
	for m := range semconv.Metrics() {
		if strings.Contains(m.Name, "mellea") {
			check(m.Name)
		}
	}
}

// An attribute's name is not the beginning of another's: a backend that nests
// attributes by their dots could not hold both.
func TestNoOwnNameExtendsAnother(t *testing.T) {
	t.Parallel()
	for a := range semconv.Attributes() {
		for b := range semconv.Attributes() {
			if own(a.Name) && strings.HasPrefix(b.Name, a.Name+".") {
				t.Errorf("%s extends %s", b.Name, a.Name)
			}
		}
	}
}

func TestOwnAttributesAreComplete(t *testing.T) {
	t.Parallel()
	used := map[string]bool{}
	for _, uses := range everyUse() {
		for _, u := range uses {
			used[u.Name] = true
		}
	}
	for a := range semconv.Attributes() {
		if !own(a.Name) {
			continue
		}
		if a.Brief == "" || a.When == "" {
			t.Errorf("%s: brief %q, when %q, want both", a.Name, a.Brief, a.When)
		}
		if !exampleHasType(a) {
			t.Errorf("%s: example %s is not of type %s", a.Name, a.Example, a.Type)
		}
		values := slices.Collect(a.Values())
		if a.Closed != (len(values) > 0) {
			t.Errorf("%s: closed %t with the values %q", a.Name, a.Closed, values)
		}
		if a.Closed && !a.HasValue(strings.Trim(a.Example, `"`)) {
			t.Errorf("%s: example %s is none of its values %q", a.Name, a.Example, values)
		}
		if !used[a.Name] {
			t.Errorf("%s: no span, event or metric uses it", a.Name)
		}
	}
}

func exampleHasType(a semconv.Attribute) bool {
	var v any
	if json.Unmarshal([]byte(a.Example), &v) != nil {
		return false
	}
	switch v := v.(type) {
	case string:
		return a.Type == semconv.TypeString && v != ""
	case bool:
		return a.Type == semconv.TypeBool
	case float64:
		return a.Type == semconv.TypeDouble || a.Type == semconv.TypeInt && v == float64(int(v))
	case []any:
		return a.Type == semconv.TypeStringSlice && len(v) > 0
	default:
		return false
	}
}

// everyUse returns the attributes of each of this module's spans, events and
// metrics.
func everyUse() map[string][]semconv.Use {
	uses := map[string][]semconv.Use{}
	for s := range semconv.Spans() {
		if own(s.ID) {
			uses["span "+s.ID] = slices.Collect(s.Attributes())
		}
	}
	for e := range semconv.Events() {
		if !e.Log {
			uses["event "+e.Name] = slices.Collect(e.Attributes())
		}
	}
	for m := range semconv.Metrics() {
		if own(m.Name) {
			uses["metric "+m.Name] = slices.Collect(m.Attributes())
		}
	}
	return uses
}

func TestUses(t *testing.T) {
	t.Parallel()
	for where, uses := range everyUse() {
		for i, u := range uses {
			if u.Name == "" || u.Level == semconv.Unspecified {
				t.Errorf("%s: attribute %d %q has level %s", where, i, u.Name, u.Level)
			}
			if u.Level == semconv.ConditionallyRequired && u.Condition == "" {
				t.Errorf("%s: %s has no condition", where, u.Name)
			}
			if slices.ContainsFunc(uses[:i], func(o semconv.Use) bool { return o.Name == u.Name }) {
				t.Errorf("%s: %s stands there twice", where, u.Name)
			}
		}
	}
}

// Content is never demanded, and never becomes a label.
func TestContentIsOptIn(t *testing.T) {
	t.Parallel()
	for where, uses := range everyUse() {
		for _, u := range uses {
			if !u.Content {
				continue
			}
			if own(u.Name) && u.Level != semconv.OptIn || u.Level == semconv.Required {
				t.Errorf("%s: %s is content and %s", where, u.Name, u.Level)
			}
			if strings.HasPrefix(where, "metric") {
				t.Errorf("%s: %s is content", where, u.Name)
			}
		}
	}
	for a := range semconv.Attributes() {
		if a.Type == semconv.TypeAny && !a.Content {
			t.Errorf("%s is structured and not marked as content", a.Name)
		}
	}
}

func TestOwnMetricsAreComplete(t *testing.T) {
	t.Parallel()
	for m := range semconv.Metrics() {
		if m.Unit == "" || m.Brief == "" || m.Type == 0 || m.Instrument == 0 {
			t.Errorf("%s: %s of %s, unit %q, brief %q", m.Name, m.Instrument, m.Type, m.Unit, m.Brief)
		}
		if !own(m.Name) {
			continue
		}
		var example float64
		if m.When == "" || json.Unmarshal([]byte(m.Example), &example) != nil {
			t.Errorf("%s: when %q, example %q", m.Name, m.When, m.Example)
		}
		for u := range m.Attributes() {
			if u.Type != semconv.TypeString {
				t.Errorf("%s: label %s is %s, labels are strings", m.Name, u.Name, u.Type)
			}
		}
	}
}

func TestOwnSpansAndEvents(t *testing.T) {
	t.Parallel()
	carried := map[string]bool{}
	for s := range semconv.Spans() {
		if !own(s.ID) {
			continue
		}
		if s.Brief == "" || s.Scope == "" || !slices.Contains(slices.Collect(s.Kinds()), s.Kind) {
			t.Errorf("%s: scope %q, kind %s of %v, brief %q", s.ID, s.Scope, s.Kind, slices.Collect(s.Kinds()), s.Brief)
		}
		for e := range s.Events() {
			carried[e.Name] = true
		}
	}
	for e := range semconv.Events() {
		if e.Log {
			continue
		}
		if e.Brief == "" || e.When == "" || !carried[e.Name] {
			t.Errorf("event %s: brief %q, when %q, carried by a span: %t", e.Name, e.Brief, e.When, carried[e.Name])
		}
	}
}

func TestSchemasAreJSON(t *testing.T) {
	t.Parallel()
	n := 0
	for a := range semconv.Attributes() {
		if a.Schema == "" {
			continue
		}
		n++
		if !json.Valid([]byte(a.Schema)) {
			t.Errorf("%s: the schema is not JSON", a.Name)
		}
	}
	if n != 8 {
		t.Errorf("%d attributes have a schema, want 8", n)
	}
}

// The spans of this module and what they carry beyond the outcome and the
// attributes of the OpenTelemetry spans they extend.
func TestSpansOfTheContract(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"mellea.start_session": "start_session: mellea.session.id mellea.session.backend_name mellea.session.context_type gen_ai.request.model gen_ai.provider.name",
		"mellea.session":       "session: mellea.session.id mellea.session.context_type gen_ai.provider.name gen_ai.conversation.id mellea.session.interactions",
		"mellea.action": "action: mellea.component.type mellea.action.has_requirements mellea.action.has_strategy mellea.action.has_format mellea.action.tool_calls" +
			" mellea.action.num_generate_logs mellea.action.response_length mellea.action.response mellea.sampling.strategy_type mellea.sampling.success" +
			" mellea.formatter.template mellea.formatter.rendered_length mellea.session.id +parse_error",
		"mellea.sampling": "sampling: mellea.sampling.strategy_type mellea.sampling.loop_budget mellea.sampling.requirement_count mellea.sampling.success" +
			" mellea.sampling.iterations_used mellea.sampling.failure_reason +iteration +repair +select",
		"mellea.validation": "validation: mellea.validation.requirement_count mellea.validation.passed mellea.validation.passed_count mellea.validation.failed_count" +
			" mellea.validation.failure_reasons mellea.sampling.iteration mellea.session.id",
		"mellea.requirement": "requirement: mellea.requirement.type mellea.requirement.name mellea.requirement.passed mellea.requirement.score mellea.requirement.reason",
		"mellea.execute_tool": "execute_tool {gen_ai.tool.name}: mellea.tool.status mellea.tool.execution_time_ms mellea.tool.is_control_flow mellea.tool.arguments_hash" +
			" mellea.content.tool_call_arguments.ref mellea.content.tool_call_result.ref mellea.session.id",
		"mellea.invoke_agent": "invoke_agent {gen_ai.agent.name}: mellea.agent.turns mellea.session.id",
		"mellea.stream": "stream: mellea.streaming.has_requirements mellea.streaming.requirement_count mellea.streaming.chunking_strategy mellea.streaming.full_text_length" +
			" mellea.streaming.success gen_ai.request.model gen_ai.provider.name mellea.session.id +quick_check +chunk +streaming_done +full_validation +error +completed",
		"mellea.chat": "chat {gen_ai.request.model}: mellea.component.type mellea.request.context_size mellea.request.format_type mellea.request.retries" +
			" mellea.response.request_id mellea.usage.total_tokens mellea.usage.cost.usd mellea.sampling.iteration" +
			" mellea.content.input_messages.ref mellea.content.output_messages.ref mellea.content.system_instructions.ref mellea.content.tool_definitions.ref +first_chunk +first_token +stream_complete +chunk_processed +retry",
		"mellea.text_completion": "text_completion {gen_ai.request.model}: mellea.request.num_actions mellea.batch.failed_count mellea.request.format_type" +
			" mellea.request.retries mellea.response.request_id mellea.usage.total_tokens mellea.usage.cost.usd" +
			" mellea.content.input_messages.ref mellea.content.output_messages.ref +retry",
		"mellea.cli":        "mellea {mellea.cli.command}: mellea.cli.command mellea.cli.subcommand mellea.cli.args process.exit.code",
		"mellea.mcp_client": "{mcp.method.name} {gen_ai.tool.name}:",
		"mellea.mcp_server": "{mcp.method.name} {gen_ai.tool.name}:",
	}
	outcome := []string{
		"mellea.outcome", "mellea.error.category", "error.type", "mellea.rejection.point",
		"mellea.rejection.plugin", "mellea.rejection.code", "mellea.content.truncated",
	}
	got := map[string]string{}
	for s := range semconv.Spans() {
		if !own(s.ID) {
			continue
		}
		base, _ := semconv.LookupSpan(s.Extends)
		text := s.Name + ":"
		for u := range s.Attributes() {
			_, inherited := base.Attribute(u.Name)
			if !slices.Contains(outcome, u.Name) && !inherited {
				text += " " + u.Name
			}
		}
		for e := range s.Events() {
			text += " +" + e.Name
		}
		got[s.ID] = text
		for _, name := range outcome {
			if _, ok := s.Attribute(name); !ok {
				t.Errorf("%s does not have %s", s.ID, name)
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("spans (-want +got)\n%s", diff)
	}
}

func TestMetricsOfTheContract(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"mellea.llm.errors":           "counter {error}: gen_ai.operation.name gen_ai.provider.name gen_ai.request.model error.type mellea.error.category",
		"mellea.llm.cost.usd":         "counter {USD}: gen_ai.operation.name gen_ai.provider.name gen_ai.request.model",
		"mellea.sampling.attempts":    "counter {attempt}: mellea.sampling.strategy_type",
		"mellea.sampling.successes":   "counter {sample}: mellea.sampling.strategy_type",
		"mellea.sampling.failures":    "counter {failure}: mellea.sampling.strategy_type",
		"mellea.requirement.checks":   "counter {check}: mellea.requirement.type",
		"mellea.requirement.failures": "counter {failure}: mellea.requirement.type",
		"mellea.tool.calls":           "counter {call}: gen_ai.tool.name mellea.tool.status",
		"mellea.hook.rejections":      "counter {rejection}: mellea.rejection.point mellea.rejection.plugin",
		"mellea.hook.open_operations": "updowncounter {operation}:",
		"mellea.hook.async_dropped":   "counter {call}:",
		"mellea.hook.plugin_failures": "counter {failure}:",
		"mellea.traces.spans_dropped": "counter {span}:",
	}
	got := map[string]string{}
	for m := range semconv.Metrics() {
		if own(m.Name) {
			text := m.Instrument.String() + " " + m.Unit + ":"
			for u := range m.Attributes() {
				text += " " + u.Name
			}
			got[m.Name] = text
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got)\n%s", diff)
	}
}
