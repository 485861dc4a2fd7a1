package check

import (
	"fmt"
	"slices"
	"strings"
)

// A Level says how grave a finding is. Levels are ordered: the graver, the greater.
type Level uint8

// The levels, named as Weaver names them.
const (
	// Information tells of what may be right or wrong: only who wrote the program can know.
	Information Level = iota + 1
	// Improvement tells of what the conventions advise against, or advise and is not there.
	Improvement
	// Violation tells of what the conventions forbid.
	Violation
)

// String returns the level as Weaver spells it.
func (l Level) String() string {
	switch l {
	case Information:
		return "information"
	case Improvement:
		return "improvement"
	case Violation:
		return "violation"
	default:
		return "unknown"
	}
}

// MarshalText makes a level its name in JSON.
func (l Level) MarshalText() ([]byte, error) { return []byte(l.String()), nil }

// A Signal is what a finding is about.
type Signal string

// The signals that are checked.
const (
	Span     Signal = "span"
	Metric   Signal = "metric"
	Log      Signal = "log"
	Resource Signal = "resource"
)

// An ID names a rule. It is stable: filters and lists of exceptions refer to it.
type ID string

// Rules that Weaver has built in.
const (
	MissingMetric                            ID = "missing_metric"
	UnitMismatch                             ID = "unit_mismatch"
	UnexpectedInstrument                     ID = "unexpected_instrument"
	MissingAttribute                         ID = "missing_attribute"
	MissingEvent                             ID = "missing_event"
	Deprecated                               ID = "deprecated"
	TypeMismatch                             ID = "type_mismatch"
	NotStable                                ID = "not_stable"
	UndefinedEnumVariant                     ID = "undefined_enum_variant"
	RequiredAttributeNotPresent              ID = "required_attribute_not_present"
	ConditionallyRequiredAttributeNotPresent ID = "conditionally_required_attribute_not_present"
	RecommendedAttributeNotPresent           ID = "recommended_attribute_not_present"
	EntityRequiredAttributeNotPresent        ID = "entity_required_attribute_not_present"
)

// Rules of OpenTelemetry's own conformance policies for generative AI.
const (
	GenAISpanNameFormat              ID = "genai_span_name_format"
	GenAISpanKindUnexpected          ID = "genai_span_kind_unexpected"
	GenAIOperationNameUnknown        ID = "genai_operation_name_unknown"
	GenAIContentSchema               ID = "genai_content_schema"
	SpanStatusOKSetByInstrumentation ID = "span_status_ok_set_by_instrumentation"
	ErrorTypeMissingOnError          ID = "error_type_missing_on_error"
	ErrorTypeWithoutErrorStatus      ID = "error_type_without_error_status"
)

// Rules of this package.
const (
	UnexpectedMetric                  ID = "unexpected_metric"
	UnexpectedBuckets                 ID = "unexpected_buckets"
	UnexpectedSeverity                ID = "unexpected_severity"
	UnexpectedBody                    ID = "unexpected_body"
	InvalidDataPoint                  ID = "invalid_data_point"
	HighCardinalityAttribute          ID = "high_cardinality_attribute"
	ContentNotStructured              ID = "content_not_structured"
	EventSpanMismatch                 ID = "event_span_mismatch"
	MCPErrorClassification            ID = "mcp_error_classification"
	MCPMetaExposed                    ID = "mcp_meta_exposed"
	MCPTraceNotJoined                 ID = "mcp_trace_not_joined"
	MissingSpan                       ID = "missing_span"
	UnexpectedAttribute               ID = "unexpected_attribute"
	UnexpectedEvent                   ID = "unexpected_event"
	UnexpectedValue                   ID = "unexpected_value"
	DuplicateAttribute                ID = "duplicate_attribute"
	ExceptionSpanEvent                ID = "exception_span_event"
	EventOutsideSpan                  ID = "event_outside_span"
	StatusDescriptionRepeatsErrorType ID = "status_description_repeats_error_type"
	StatusDescriptionWithoutError     ID = "status_description_without_error"
	OutcomeInconsistent               ID = "outcome_inconsistent"
	CountInconsistent                 ID = "count_inconsistent"
	ConversationIDMadeUp              ID = "conversation_id_made_up"
	ScopeUnexpected                   ID = "scope_unexpected"
	SchemaURLUnexpected               ID = "schema_url_unexpected"
	InvalidSpanID                     ID = "invalid_span_id"
	DuplicateSpan                     ID = "duplicate_span"
	SpanEndsBeforeStart               ID = "span_ends_before_start"
	ParentInOtherTrace                ID = "parent_in_other_trace"
)

// Rules returns the ids of all rules.
func Rules() []ID {
	return []ID{
		EntityRequiredAttributeNotPresent,
		MissingMetric, UnitMismatch, UnexpectedInstrument, MissingAttribute,
		MissingEvent, Deprecated, TypeMismatch, NotStable,
		UndefinedEnumVariant, RequiredAttributeNotPresent, ConditionallyRequiredAttributeNotPresent, RecommendedAttributeNotPresent,
		GenAISpanNameFormat, GenAISpanKindUnexpected, GenAIOperationNameUnknown, GenAIContentSchema,
		SpanStatusOKSetByInstrumentation, ErrorTypeMissingOnError, ErrorTypeWithoutErrorStatus, UnexpectedMetric,
		UnexpectedBuckets, UnexpectedSeverity, UnexpectedBody, InvalidDataPoint,
		HighCardinalityAttribute, ContentNotStructured, EventSpanMismatch, MCPErrorClassification,
		MCPMetaExposed, MCPTraceNotJoined, MissingSpan, UnexpectedAttribute,
		UnexpectedEvent, UnexpectedValue, DuplicateAttribute, ExceptionSpanEvent,
		EventOutsideSpan, StatusDescriptionRepeatsErrorType, StatusDescriptionWithoutError, OutcomeInconsistent,
		CountInconsistent, ConversationIDMadeUp, ScopeUnexpected, SchemaURLUnexpected,
		InvalidSpanID, DuplicateSpan, SpanEndsBeforeStart, ParentInOtherTrace,
	}
}

// A Finding is one departure from the conventions. Its JSON has the field names of Weaver's findings where it has the
// same fields. It never holds a value of an attribute that may be content.
type Finding struct {
	ID     ID     `json:"id"`
	Level  Level  `json:"level"`
	Signal Signal `json:"signal_type"`
	// Name is the span's name, the metric's or the log event's, and for a resource its service.name.
	Name string `json:"signal_name"`
	// Scope is the instrumentation scope that it came under, "" for a resource.
	Scope string `json:"scope,omitempty"`
	// TraceID and SpanID are hex digits, "" for a signal that belongs to no span.
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
	// Event is the name of the span event that it is about, "" for the span itself.
	Event string `json:"event,omitempty"`
	// Attribute is the name of the attribute that it is about, "" for none.
	Attribute string `json:"attribute,omitempty"`
	Message   string `json:"message"`
}

// String returns the finding as one line.
func (f Finding) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s: %s %q", f.Level, f.ID, f.Signal, f.Name)
	if f.SpanID != "" {
		fmt.Fprintf(&b, " (%s)", f.SpanID)
	}
	if f.Event != "" {
		fmt.Fprintf(&b, ", event %q", f.Event)
	}
	if f.Attribute != "" {
		fmt.Fprintf(&b, ", %s", f.Attribute)
	}
	fmt.Fprintf(&b, ": %s", f.Message)
	return b.String()
}

// Findings are what a check found, in the order of what was checked.
type Findings []Finding

// AtLeast returns the findings of that level and graver.
func (fs Findings) AtLeast(l Level) Findings {
	return fs.keep(func(f Finding) bool { return f.Level >= l })
}

// Without returns the findings but those of the rules named.
func (fs Findings) Without(ids ...ID) Findings {
	return fs.keep(func(f Finding) bool { return !slices.Contains(ids, f.ID) })
}

func (fs Findings) keep(want func(Finding) bool) Findings {
	var kept Findings
	for _, f := range fs {
		if want(f) {
			kept = append(kept, f)
		}
	}
	return kept
}

// String returns the findings, a line each.
func (fs Findings) String() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.String()
	}
	return strings.Join(lines, "\n")
}

// A Group is findings that say the same of what has the same name. Its finding is the first of them.
type Group struct {
	Finding

	// Count is how many there are.
	Count int `json:"count"`
}

// Groups puts findings together that differ only in their trace and span, the gravest first, else in the order of the
// findings.
func (fs Findings) Groups() []Group {
	var groups []Group
	at := map[Finding]int{}
	for _, f := range fs {
		key := f
		key.TraceID, key.SpanID = "", ""
		i, ok := at[key]
		if !ok {
			i = len(groups)
			at[key] = i
			groups = append(groups, Group{Finding: f})
		}
		groups[i].Count++
	}
	slices.SortStableFunc(groups, func(a, b Group) int { return int(b.Level) - int(a.Level) })
	return groups
}

// ParseLevel returns the level of that name.
func ParseLevel(name string) (Level, error) {
	for _, l := range []Level{Information, Improvement, Violation} {
		if l.String() == name {
			return l, nil
		}
	}
	return 0, fmt.Errorf("check: there is no level %q: it is violation, improvement or information", name)
}
