package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

type yamlUse struct {
	Ref   string `yaml:"ref"`
	Level string `yaml:"level"`
	When  string `yaml:"when"`
}

type yamlRegistry struct {
	Scopes     []scope `yaml:"scopes"`
	Attributes []struct {
		Name     string  `yaml:"name"`
		Type     string  `yaml:"type"`
		Unit     string  `yaml:"unit"`
		Brief    string  `yaml:"brief"`
		When     string  `yaml:"when"`
		Examples []any   `yaml:"examples"`
		Content  *bool   `yaml:"content"`
		Enum     []value `yaml:"enum"`
	} `yaml:"attributes"`
	Content []string  `yaml:"content"`
	Common  []yamlUse `yaml:"common"`
	Spans   []struct {
		ID         string    `yaml:"id"`
		Name       string    `yaml:"name"`
		Scope      string    `yaml:"scope"`
		Kind       string    `yaml:"kind"`
		Kinds      []string  `yaml:"kinds"`
		Point      string    `yaml:"point"`
		Extends    string    `yaml:"extends"`
		Brief      string    `yaml:"brief"`
		Attributes []yamlUse `yaml:"attributes"`
		Events     []string  `yaml:"events"`
	} `yaml:"spans"`
	Events []struct {
		Name       string    `yaml:"name"`
		Brief      string    `yaml:"brief"`
		When       string    `yaml:"when"`
		Attributes []yamlUse `yaml:"attributes"`
	} `yaml:"events"`
	Metrics []struct {
		Name       string    `yaml:"name"`
		Instrument string    `yaml:"instrument"`
		Type       string    `yaml:"type"`
		Unit       string    `yaml:"unit"`
		Brief      string    `yaml:"brief"`
		When       string    `yaml:"when"`
		Example    any       `yaml:"example"`
		Attributes []yamlUse `yaml:"attributes"`
	} `yaml:"metrics"`
	LogEvents []struct {
		Name       string    `yaml:"name"`
		Attributes []yamlUse `yaml:"attributes"`
	} `yaml:"log_events"`
	Logs  []logField `yaml:"logs"`
	Emits struct {
		Events  []string `yaml:"events"`
		Metrics []string `yaml:"metrics"`
		When    map[string]struct {
			When    string `yaml:"when"`
			Example any    `yaml:"example"`
		} `yaml:"when"`
		Attributes map[string]any `yaml:"attributes"`
	} `yaml:"emits"`
	Deprecated []deprecation `yaml:"deprecated"`
}

func loadMellea(path string, upstream *registry) (*registry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reg, err := parseMellea(data, upstream)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return reg, nil
}

func parseMellea(data []byte, upstream *registry) (*registry, error) {
	var in yamlRegistry
	dec := yaml.NewDecoder(bytes.NewReader(data))
	dec.KnownFields(true)
	if err := dec.Decode(&in); err != nil {
		return nil, err
	}
	reg := &registry{
		scopes: in.Scopes, content: in.Content, logFields: in.Logs, deprecated: in.Deprecated,
		emitsEvents: in.Emits.Events, emitsMetrics: in.Emits.Metrics,
		emitsAttributes: map[string]string{}, emissions: map[string]emission{},
	}
	var errs []error
	for _, a := range in.Attributes {
		if a.Content == nil || len(a.Examples) == 0 {
			errs = append(errs, fmt.Errorf("attribute %s: content and examples are mandatory", a.Name))
			continue
		}
		example, err := json.Marshal(a.Examples[0])
		if err != nil {
			errs = append(errs, fmt.Errorf("attribute %s: example: %w", a.Name, err))
		}
		reg.attributes = append(reg.attributes, attribute{
			name: a.Name, typ: a.Type, unit: a.Unit, brief: a.Brief, when: a.When,
			example: string(example), content: *a.Content, values: a.Enum, closed: len(a.Enum) > 0,
		})
	}
	for name, v := range in.Emits.Attributes {
		example, err := json.Marshal(v)
		if err != nil {
			errs = append(errs, fmt.Errorf("emits: attribute %s: example: %w", name, err))
		}
		reg.emitsAttributes[name] = string(example)
	}
	for name, w := range in.Emits.When {
		out := emission{when: w.When}
		if w.Example != nil {
			out.example = fmt.Sprint(w.Example)
		}
		reg.emissions[name] = out
	}
	common := toUses(in.Common)
	for _, s := range in.Spans {
		kinds := s.Kinds
		if kinds == nil {
			kinds = []string{s.Kind}
		}
		reg.spans = append(reg.spans, span{
			id: s.ID, name: s.Name, scope: s.Scope, kind: s.Kind, kinds: kinds, point: s.Point,
			extends: s.Extends, brief: s.Brief, uses: append(toUses(s.Attributes), common...), events: s.Events,
		})
	}
	for _, e := range in.Events {
		reg.events = append(reg.events, event{name: e.Name, brief: e.Brief, when: e.When, uses: toUses(e.Attributes)})
	}
	for _, e := range in.LogEvents {
		reg.extended = append(reg.extended, event{name: e.Name, uses: toUses(e.Attributes)})
	}
	for _, m := range in.Metrics {
		example := ""
		if m.Example != nil {
			example = fmt.Sprint(m.Example)
		}
		reg.metrics = append(reg.metrics, metric{
			name: m.Name, instrument: m.Instrument, typ: m.Type, unit: m.Unit, brief: m.Brief,
			when: m.When, example: example, uses: toUses(m.Attributes),
		})
	}
	errs = append(errs, reg.check(), reg.checkRefs(upstream))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return reg, nil
}

func toUses(in []yamlUse) []use {
	uses := make([]use, len(in))
	for i, u := range in {
		uses[i] = use{name: u.Ref, level: u.Level, condition: u.When}
	}
	return uses
}

var nameVariable = regexp.MustCompile(`\{([^}]+)\}`)

// checkRefs reports every name that refers to nothing.
func (r *registry) checkRefs(upstream *registry) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	known := func(name string) bool {
		if _, ok := r.attribute(name); ok {
			return true
		}
		_, ok := upstream.attribute(name)
		return ok
	}
	checkUses := func(where string, uses []use) {
		for _, u := range uses {
			if !known(u.name) {
				fail("%s: no attribute %s in either registry", where, u.name)
			}
			if u.level == "conditionally_required" && u.condition == "" {
				fail("%s: %s: conditionally required without a condition", where, u.name)
			}
		}
	}
	events := map[string]bool{}
	for _, e := range r.events {
		events[e.name] = true
		checkUses("event "+e.name, e.uses)
	}
	for _, e := range r.extended {
		checkUses("log event "+e.name, e.uses)
		if !slices.Contains(r.emitsEvents, e.name) {
			fail("log event %s: is not among those that are emitted", e.name)
		}
	}
	scopes := map[string]bool{}
	for _, s := range r.scopes {
		scopes[s.Name] = true
	}
	for _, s := range r.spans {
		checkUses("span "+s.id, s.uses)
		if !scopes[s.scope] {
			fail("span %s: no scope %q", s.id, s.scope)
		}
		for _, m := range nameVariable.FindAllStringSubmatch(s.name, -1) {
			if !known(m[1]) {
				fail("span %s: no attribute %s for its name", s.id, m[1])
			}
		}
		for _, e := range s.events {
			if !events[e] {
				fail("span %s: no event %s", s.id, e)
			}
		}
		if _, ok := upstream.span(s.extends); s.extends != "" && !ok {
			fail("span %s: extends %s, which is not in the GenAI registry", s.id, s.extends)
		}
	}
	for _, m := range r.metrics {
		checkUses("metric "+m.name, m.uses)
	}
	for _, name := range r.content {
		if _, ok := upstream.attribute(name); !ok {
			fail("content: no attribute %s in the GenAI registry", name)
		}
	}
	for _, name := range r.emitsEvents {
		if _, ok := upstream.event(name); !ok {
			fail("emits: no event %s in the GenAI registry", name)
		}
	}
	for _, name := range r.emitsMetrics {
		if _, ok := upstream.metric(name); !ok {
			fail("emits: no metric %s in the GenAI registry", name)
		}
	}
	errs = append(errs, r.checkEmits(upstream))
	for _, d := range r.deprecated {
		exists := map[string]func(string) bool{
			"attribute": func(n string) bool { _, ok := upstream.attribute(n); return ok },
			"event":     func(n string) bool { _, ok := upstream.event(n); return ok },
			"metric":    func(n string) bool { _, ok := upstream.metric(n); return ok },
		}[d.Signal]
		if exists == nil {
			fail("deprecated: %s: unknown signal %q", d.Name, d.Signal)
			continue
		}
		if exists(d.Name) {
			fail("deprecated: the GenAI registry has the %s %s", d.Signal, d.Name)
		}
		for _, n := range d.Use {
			if !exists(n) {
				fail("deprecated: %s: no %s %s in the GenAI registry", d.Name, d.Signal, n)
			}
		}
	}
	return errors.Join(errs...)
}

// checkEmits reports what is said to be emitted and does not exist, and what exists and nothing is said of.
func (r *registry) checkEmits(upstream *registry) error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, name := range slices.Sorted(maps.Keys(r.emitsAttributes)) {
		if _, ok := upstream.attribute(name); !ok {
			fail("emits: no attribute %s in the GenAI registry", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.emissions)) {
		if !slices.Contains(r.emitsEvents, name) && !slices.Contains(r.emitsMetrics, name) {
			fail("emits: %s is not among the events and metrics", name)
		}
	}
	for _, name := range r.emitsEvents {
		if r.emissions[name].when == "" {
			fail("emits: nothing says when the event %s is sent", name)
		}
	}
	for _, name := range r.emitsMetrics {
		if e := r.emissions[name]; e.when == "" || e.example == "" {
			fail("emits: the metric %s needs when and example", name)
		}
	}
	return errors.Join(errs...)
}
