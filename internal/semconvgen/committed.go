package main

import (
	"iter"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// committed returns the GenAI registry in the form package semconv has it, so
// that mellea.yaml can be generated from without the registry's JSON. It has
// what checking references and the reference page need.
func committed() *registry {
	reg := &registry{schemaURL: semconv.SchemaURL, date: semconv.RegistryDate, revision: semconv.RegistryRevision}
	for a := range semconv.Attributes() {
		if own(a.Name) {
			continue
		}
		def := attribute{name: a.Name, typ: a.Type.String(), brief: a.Brief, stability: a.Stability}
		for v := range a.Values() {
			def.values = append(def.values, value{Value: v})
		}
		reg.attributes = append(reg.attributes, def)
	}
	for s := range semconv.Spans() {
		if own(s.ID) {
			continue
		}
		out := span{id: s.ID, name: s.Name, brief: s.Brief, kind: s.Kind.String(), extends: s.Extends, provider: s.Provider,
			operations: slices.Collect(s.Operations())}
		for u := range s.Attributes() {
			out.uses = append(out.uses, use{name: u.Name, level: u.Level.String(), condition: u.Condition})
		}
		reg.spans = append(reg.spans, out)
	}
	for e := range semconv.Events() {
		if !e.Log {
			continue
		}
		out := event{name: e.Name, brief: e.Brief, log: true, severity: e.Severity}
		for u := range e.Attributes() {
			if own(u.Name) {
				continue // mellea.yaml adds it
			}
			out.uses = append(out.uses, use{name: u.Name, level: u.Level.String(), condition: u.Condition})
		}
		reg.events = append(reg.events, out)
	}
	for m := range semconv.Metrics() {
		if own(m.Name) {
			continue
		}
		reg.metrics = append(reg.metrics, metric{
			name: m.Name, instrument: m.Instrument.String(), typ: m.Type.String(), unit: m.Unit, brief: m.Brief,
			buckets: m.Buckets(), uses: usesOf(m.Attributes()),
		})
	}
	return reg
}

func usesOf(all iter.Seq[semconv.Use]) []use {
	var uses []use
	for u := range all {
		uses = append(uses, use{name: u.Name, level: u.Level.String(), condition: u.Condition, provider: u.Provider})
	}
	return uses
}

func own(name string) bool { return strings.HasPrefix(name, "mellea.") }
