package semconv

import (
	"iter"
	"slices"
	"strings"
)

// Level says how strongly a convention asks for an attribute.
type Level uint8

const (
	// Unspecified is the level of an attribute a convention names without one.
	Unspecified Level = iota
	// Required attributes are always present.
	Required
	// ConditionallyRequired attributes are present when [Use.Condition] holds.
	ConditionallyRequired
	// Recommended attributes are present unless the value is unknown, too
	// expensive to obtain or withheld by configuration.
	Recommended
	// OptIn attributes are present only when the user asked for them.
	OptIn
)

// String returns the level as the registries spell it.
func (l Level) String() string {
	switch l {
	case Required:
		return "required"
	case ConditionallyRequired:
		return "conditionally_required"
	case Recommended:
		return "recommended"
	case OptIn:
		return "opt_in"
	default:
		return "unspecified"
	}
}

// Type is the type of an attribute's or a metric's value.
type Type uint8

// The types the registries use. TypeAny is a structured value, described by
// [Attribute.Schema]. TypeStringTemplate is a family of string attributes, whose
// names continue after the attribute's name and a dot.
const (
	TypeString Type = iota + 1
	TypeInt
	TypeDouble
	TypeBool
	TypeStringSlice
	TypeAny
	TypeStringTemplate
)

// String returns the type as the registries spell it.
func (t Type) String() string {
	switch t {
	case TypeString:
		return "string"
	case TypeInt:
		return "int"
	case TypeDouble:
		return "double"
	case TypeBool:
		return "boolean"
	case TypeStringSlice:
		return "string[]"
	case TypeAny:
		return "any"
	case TypeStringTemplate:
		return "template[string]"
	default:
		return "unknown"
	}
}

// Kind is the kind of a span.
type Kind uint8

// The span kinds the registries use.
const (
	KindInternal Kind = iota + 1
	KindClient
	KindServer
)

// String returns the kind as the registries spell it.
func (k Kind) String() string {
	switch k {
	case KindInternal:
		return "internal"
	case KindClient:
		return "client"
	case KindServer:
		return "server"
	default:
		return "unknown"
	}
}

// Instrument is the kind of instrument that records a metric.
type Instrument uint8

// The instruments the registries use.
const (
	Counter Instrument = iota + 1
	UpDownCounter
	Histogram
)

// String returns the instrument as the registries spell it.
func (i Instrument) String() string {
	switch i {
	case Counter:
		return "counter"
	case UpDownCounter:
		return "updowncounter"
	case Histogram:
		return "histogram"
	default:
		return "unknown"
	}
}

// Attribute is the definition of an attribute, independent of where it is used.
type Attribute struct {
	Name  string
	Type  Type
	Brief string

	// Unit is the UCUM unit of a number, empty when it has none.
	Unit string
	// When says what makes the attribute appear, and Example shows a value as
	// JSON. Attributes that are not this module's own have neither: see
	// [Use.Condition].
	When, Example string
	// Content marks an attribute that may hold a prompt, a reply, an argument, a
	// result or a reason. It is emitted only while content capture is on.
	Content bool
	// Closed says that Values are all the values there are. Otherwise other
	// values may be used where none of them fits.
	Closed bool
	// Stability is that of the convention, such as "development"; empty for
	// attributes of the core conventions and for this module's own.
	Stability string
	// Schema is the JSON Schema of a TypeAny value, empty when it has none.
	Schema string

	values []string
}

// Values yields the well-known values of an enumeration, nothing for any other
// attribute.
func (a Attribute) Values() iter.Seq[string] { return slices.Values(a.values) }

// HasValue reports whether v is a well-known value of an enumeration.
func (a Attribute) HasValue(v string) bool { return slices.Contains(a.values, v) }

// Use is an attribute as a span, an event or a metric uses it.
type Use struct {
	Attribute
	Level Level
	// Condition is the condition of a ConditionallyRequired attribute, or a
	// restriction of another level, as prose.
	Condition string
	// SamplingRelevant says that the value should be given when the span starts,
	// so that a sampler sees it.
	SamplingRelevant bool
	// Provider restricts the use to one value of gen_ai.provider.name. Empty: all.
	Provider string
}

type use struct {
	name      string
	level     Level
	condition string
	sampling  bool
	provider  string
}

func (u use) resolve() Use {
	a, _ := LookupAttribute(u.name)
	return Use{Attribute: a, Level: u.level, Condition: u.condition, SamplingRelevant: u.sampling, Provider: u.provider}
}

func resolve(uses []use) iter.Seq[Use] {
	return func(yield func(Use) bool) {
		for _, u := range uses {
			if !yield(u.resolve()) {
				return
			}
		}
	}
}

func find(uses []use, name string) (Use, bool) {
	for _, u := range uses {
		if covers(u.name, name) {
			return u.resolve(), true
		}
	}
	return Use{}, false
}

// covers reports whether an attribute named name is the one defined as defined,
// or a member of it when it is a template.
func covers(defined, name string) bool {
	if defined == name {
		return true
	}
	rest, ok := strings.CutPrefix(name, defined)
	if !ok || len(rest) < 2 || rest[0] != '.' {
		return false
	}
	a, ok := LookupAttribute(defined)
	return ok && a.Type == TypeStringTemplate
}

// Span describes the spans of one operation.
type Span struct {
	// ID names the description: gen_ai.client.inference, mellea.action.
	ID string
	// Name is the pattern of the span's name. {…} holds the attribute whose value
	// stands there; it is left out with the space before it when there is none.
	Name  string
	Brief string
	// Kind is the usual kind; see Kinds for all that are allowed.
	Kind Kind
	// Extends is the ID of the span whose attributes this one has too, empty when
	// there is none.
	Extends string
	// Provider restricts the description to one value of gen_ai.provider.name.
	// Empty: all.
	Provider string
	// Scope is the instrumentation scope, and Point the hook point that opens the
	// span, for this module's own spans.
	Scope, Point string

	operations []string
	kinds      []Kind
	uses       []use
	events     []string
}

// Operations yields the values of gen_ai.operation.name the description is for.
func (s Span) Operations() iter.Seq[string] { return slices.Values(s.operations) }

// Kinds yields the kinds the span may have.
func (s Span) Kinds() iter.Seq[Kind] { return slices.Values(s.kinds) }

// Attributes yields the span's attributes: its own, then those of the span it
// extends that it does not itself name.
func (s Span) Attributes() iter.Seq[Use] {
	return func(yield func(Use) bool) {
		for u := range resolve(s.uses) {
			if !yield(u) {
				return
			}
		}
		base, ok := LookupSpan(s.Extends)
		if !ok {
			return
		}
		for u := range base.Attributes() {
			if slices.ContainsFunc(s.uses, func(own use) bool { return own.name == u.Name }) {
				continue
			}
			if !yield(u) {
				return
			}
		}
	}
}

// Attribute returns the attribute of that name, if the span has it.
func (s Span) Attribute(name string) (Use, bool) {
	if u, ok := find(s.uses, name); ok {
		return u, true
	}
	if base, ok := LookupSpan(s.Extends); ok {
		return base.Attribute(name)
	}
	return Use{}, false
}

// Events yields the events the span may carry.
func (s Span) Events() iter.Seq[Event] {
	return func(yield func(Event) bool) {
		for _, name := range s.events {
			if e, ok := LookupEvent(name); ok && !yield(e) {
				return
			}
		}
	}
}

// Event describes an event on a span or a log event.
type Event struct {
	Name  string
	Brief string
	When  string
	// Log is false for an event on a span, true for one that is a log record with
	// an event name.
	Log bool
	// Severity is the OpenTelemetry severity number of a log event, 0 when the
	// convention leaves it open.
	Severity int

	uses []use
}

// Attributes yields the event's attributes.
func (e Event) Attributes() iter.Seq[Use] { return resolve(e.uses) }

// Attribute returns the attribute of that name, if the event has it.
func (e Event) Attribute(name string) (Use, bool) { return find(e.uses, name) }

// Metric describes a metric.
type Metric struct {
	Name       string
	Instrument Instrument
	Type       Type // TypeInt or TypeDouble
	Unit       string
	Brief      string
	// When says what makes a value be recorded, and Example shows one. Only this
	// module's own metrics have them.
	When, Example string

	buckets []float64
	uses    []use
}

// Buckets returns a copy of the advised bounds of a histogram's buckets, nil
// when there is no advice.
func (m Metric) Buckets() []float64 { return slices.Clone(m.buckets) }

// Attributes yields the metric's attributes.
func (m Metric) Attributes() iter.Seq[Use] { return resolve(m.uses) }

// Attribute returns the attribute of that name, if the metric has it.
func (m Metric) Attribute(name string) (Use, bool) { return find(m.uses, name) }

// Entity describes something that a resource may describe, such as the agent
// that a process is.
type Entity struct {
	Name  string
	Brief string

	uses []use
}

// Attributes yields the entity's attributes. Those that identify it are
// Required.
func (e Entity) Attributes() iter.Seq[Use] { return resolve(e.uses) }

// LogField describes a field that the log handler adds to records.
type LogField struct{ Name, Brief, When, Example string }
