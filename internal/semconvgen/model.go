package main

import "fmt"

// registry is either of the two registries, resolved and in a stable order.
type registry struct {
	schemaURL, date, revision string // GenAI only

	scopes     []scope
	attributes []attribute
	spans      []span
	events     []event
	metrics    []metric
	entities   []entity
	logFields  []logField
	deprecated []deprecation
	content    []string // names of upstream attributes that hold content

	emitsEvents, emitsMetrics []string            // names in the upstream registry
	emitsAttributes           map[string]string   // the same, with an example as JSON
	emissions                 map[string]emission // of emitsEvents and emitsMetrics
	extended                  []event             // upstream log events, with what this module adds to them
}

type scope struct{ Const, Name, Brief string }

type value struct{ Value, Brief string }

type attribute struct {
	name, typ, brief, unit, when, example string
	content, closed                       bool
	stability, schema                     string
	values                                []value
	core                                  bool // of a core convention the registry refers to
}

type use struct {
	name, level, condition, provider string
	sampling                         bool
}

type span struct {
	id, name, brief, kind, extends, provider, scope, point string
	operations, kinds, events                              []string
	uses                                                   []use
}

type event struct {
	name, brief, when string
	log               bool
	severity          int
	uses              []use
}

type metric struct {
	name, instrument, typ, unit, brief, when, example string
	buckets                                           []float64
	uses                                              []use
}

// entity is something that resources describe.
type entity struct {
	name, brief string
	uses        []use // those that identify it are required
}

type deprecation struct {
	Signal, Name string
	Use          []string
}

// emission is what mellea.yaml says of something upstream that is emitted.
type emission struct{ when, example string }

type logField struct{ Name, Brief, When, Example string }

func (r *registry) attribute(name string) (attribute, bool) {
	for _, a := range r.attributes {
		if a.name == name {
			return a, true
		}
	}
	return attribute{}, false
}

func (r *registry) event(name string) (event, bool) {
	for _, e := range r.events {
		if e.name == name {
			return e, true
		}
	}
	return event{}, false
}

func (r *registry) metric(name string) (metric, bool) {
	for _, m := range r.metrics {
		if m.name == name {
			return m, true
		}
	}
	return metric{}, false
}

func (r *registry) span(id string) (span, bool) {
	for _, s := range r.spans {
		if s.id == id {
			return s, true
		}
	}
	return span{}, false
}

// Names of the Go constants for what the registries spell.
var (
	levelConst = map[string]string{
		"":                       "Unspecified",
		"required":               "Required",
		"conditionally_required": "ConditionallyRequired",
		"recommended":            "Recommended",
		"opt_in":                 "OptIn",
	}
	typeConst = map[string]string{
		"string":           "TypeString",
		"int":              "TypeInt",
		"double":           "TypeDouble",
		"boolean":          "TypeBool",
		"string[]":         "TypeStringSlice",
		"any":              "TypeAny",
		"template[string]": "TypeStringTemplate",
	}
	kindConst = map[string]string{
		"internal": "KindInternal",
		"client":   "KindClient",
		"server":   "KindServer",
	}
	instrumentConst = map[string]string{
		"counter":       "Counter",
		"updowncounter": "UpDownCounter",
		"histogram":     "Histogram",
	}
)

// check reports the first spelling the Go form has no constant for.
func (r *registry) check() error {
	for _, a := range r.attributes {
		if typeConst[a.typ] == "" {
			return fmt.Errorf("attribute %s: unknown type %q", a.name, a.typ)
		}
	}
	for _, s := range r.spans {
		for _, k := range append([]string{s.kind}, s.kinds...) {
			if kindConst[k] == "" {
				return fmt.Errorf("span %s: unknown kind %q", s.id, k)
			}
		}
		if err := checkLevels(s.id, s.uses); err != nil {
			return err
		}
	}
	for _, e := range r.events {
		if err := checkLevels(e.name, e.uses); err != nil {
			return err
		}
	}
	for _, e := range r.entities {
		if err := checkLevels(e.name, e.uses); err != nil {
			return err
		}
	}
	for _, m := range r.metrics {
		if instrumentConst[m.instrument] == "" {
			return fmt.Errorf("metric %s: unknown instrument %q", m.name, m.instrument)
		}
		if m.typ != "int" && m.typ != "double" {
			return fmt.Errorf("metric %s: type %q is not int or double", m.name, m.typ)
		}
		if err := checkLevels(m.name, m.uses); err != nil {
			return err
		}
	}
	return nil
}

func checkLevels(where string, uses []use) error {
	for _, u := range uses {
		if levelConst[u.level] == "" {
			return fmt.Errorf("%s: %s: unknown level %q", where, u.name, u.level)
		}
	}
	return nil
}
