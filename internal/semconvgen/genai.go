package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

type jsonAttribute struct {
	Level      string   `json:"level"`
	Type       string   `json:"type"`
	Condition  string   `json:"condition"`
	Brief      string   `json:"brief"`
	Stability  string   `json:"stability"`
	Values     []string `json:"well_known_values"`
	JSONSchema string   `json:"json_schema"`
	Sampling   bool     `json:"sampling_relevant"`
}

type jsonRegistry struct {
	About string `json:"_about"`
	Spans map[string]struct {
		Operations []string                 `json:"operations"`
		Kind       string                   `json:"kind"`
		Kinds      []string                 `json:"allowed_kinds"`
		NameNote   string                   `json:"name_note"`
		Brief      string                   `json:"brief"`
		Attributes map[string]jsonAttribute `json:"attributes"`
	} `json:"spans"`
	SpanRefinements map[string]struct {
		Ref        string                   `json:"ref"`
		NameNote   string                   `json:"name_note"`
		Note       string                   `json:"note"`
		Attributes map[string]jsonAttribute `json:"changed_attributes"`
	} `json:"span_refinements"`
	Events map[string]struct {
		Note       string                   `json:"note"`
		Attributes map[string]jsonAttribute `json:"attributes"`
	} `json:"events"`
	Metrics map[string]struct {
		Instrument string                   `json:"instrument"`
		Unit       string                   `json:"unit"`
		Type       string                   `json:"value_type"`
		Buckets    []float64                `json:"buckets"`
		Brief      string                   `json:"brief"`
		Attributes map[string]jsonAttribute `json:"attributes"`
	} `json:"metrics"`
	MetricRefinements map[string]struct {
		Ref  string   `json:"ref"`
		Adds []string `json:"adds"`
	} `json:"metric_refinements"`
	Entities map[string]struct {
		Brief       string       `json:"brief"`
		Identity    []jsonEntity `json:"identity"`
		Description []jsonEntity `json:"description"`
	} `json:"entities"`
	Attributes map[string]jsonAttribute `json:"attributes"`
}

type jsonEntity struct {
	Ref   string `json:"ref"`
	Level string `json:"requirement_level"`
}

// The registry states these in prose only.
var (
	aboutURL      = regexp.MustCompile(`schema_url (https://\S+?)\.?(?:\s|$)`)
	aboutDate     = regexp.MustCompile(`\((\d{4}-\d{2}-\d{2})\)`)
	aboutRevision = regexp.MustCompile(`\b([0-9a-f]{7,40}) \(`)
	severityNote  = regexp.MustCompile(`severity number (\d+)`)
	providerNote  = regexp.MustCompile("`gen_ai\\.provider\\.name` MUST be set to `\"([^\"]+)\"`")
	nameNote      = regexp.MustCompile("`([^`]*\\{[^`]*)`")
)

func loadGenAI(path string) (*registry, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var in jsonRegistry
	if err := json.Unmarshal(data, &in); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	reg := &registry{
		schemaURL: submatch(aboutURL, in.About),
		date:      submatch(aboutDate, in.About),
		revision:  submatch(aboutRevision, in.About),
	}
	if reg.schemaURL == "" || reg.date == "" || reg.revision == "" {
		return nil, fmt.Errorf("%s: _about does not name schema_url, revision and date", path)
	}
	defs := map[string]attribute{}
	for name, a := range in.Attributes {
		def, err := define(name, a, filepath.Join(filepath.Dir(path), "schemas"))
		if err != nil {
			return nil, err
		}
		defs[name] = def
	}
	b := builder{defs: defs}

	for _, id := range slices.Sorted(maps.Keys(in.Spans)) {
		s := in.Spans[id]
		reg.spans = append(reg.spans, span{
			id: id, name: submatch(nameNote, s.NameNote), brief: oneLine(s.Brief),
			kind: s.Kind, kinds: s.Kinds, operations: s.Operations, uses: b.uses(s.Attributes),
		})
		if reg.spans[len(reg.spans)-1].name == "" {
			return nil, fmt.Errorf("%s: span %s: no name pattern in name_note", path, id)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(in.SpanRefinements)) {
		r := in.SpanRefinements[id]
		base, ok := reg.span(r.Ref)
		if !ok {
			return nil, fmt.Errorf("%s: refinement %s: no span %s", path, id, r.Ref)
		}
		base.id, base.extends, base.uses = id, r.Ref, b.uses(r.Attributes)
		base.provider = submatch(providerNote, r.Note)
		if base.provider == "" {
			// Provider namespaces and provider names are the same words.
			if p, _, ok := strings.Cut(id, "."); ok && p != "gen_ai" {
				base.provider = p
			}
		}
		if pattern := submatch(nameNote, r.NameNote); pattern != "" {
			base.name = pattern
		}
		reg.spans = append(reg.spans, base)
	}
	for _, name := range slices.Sorted(maps.Keys(in.Events)) {
		e := in.Events[name]
		severity, _ := strconv.Atoi(submatch(severityNote, e.Note))
		brief, _, _ := strings.Cut(e.Note, "\n")
		reg.events = append(reg.events, event{
			name: name, brief: oneLine(brief), log: true, severity: severity, uses: b.uses(e.Attributes),
		})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Metrics)) {
		m := in.Metrics[name]
		typ := m.Type
		if typ == "" && m.Unit == "s" {
			typ = "double" // durations are; the registry leaves it to the instrumentation
		}
		uses := b.uses(m.Attributes)
		for _, id := range slices.Sorted(maps.Keys(in.MetricRefinements)) {
			r := in.MetricRefinements[id]
			if r.Ref != name {
				continue
			}
			provider, _, _ := strings.Cut(id, ".")
			for _, add := range r.Adds {
				uses = append(uses, use{name: add, level: "recommended", provider: provider})
			}
		}
		reg.metrics = append(reg.metrics, metric{
			name: name, instrument: m.Instrument, typ: typ, unit: m.Unit, brief: oneLine(m.Brief),
			buckets: m.Buckets, uses: uses,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(in.Entities)) {
		e := in.Entities[name]
		out := entity{name: name, brief: oneLine(e.Brief)}
		for _, ref := range e.Identity {
			out.uses = append(out.uses, use{name: ref.Ref, level: "required"})
		}
		for _, ref := range e.Description {
			out.uses = append(out.uses, use{name: ref.Ref, level: cmp.Or(ref.Level, "recommended")})
		}
		reg.entities = append(reg.entities, out)
	}
	if b.err != nil {
		return nil, fmt.Errorf("%s: %w", path, b.err)
	}
	for _, name := range slices.Sorted(maps.Keys(defs)) {
		reg.attributes = append(reg.attributes, defs[name])
	}
	if err := reg.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return reg, nil
}

func define(name string, a jsonAttribute, schemaDir string) (attribute, error) {
	def := attribute{name: name, typ: a.Type, brief: oneLine(a.Brief), stability: a.Stability}
	for _, v := range a.Values {
		def.values = append(def.values, value{Value: v})
	}
	if a.JSONSchema != "" {
		data, err := os.ReadFile(filepath.Join(schemaDir, filepath.Base(a.JSONSchema)))
		if err != nil {
			return attribute{}, fmt.Errorf("attribute %s: %w", name, err)
		}
		var compact bytes.Buffer
		if err := json.Compact(&compact, data); err != nil {
			return attribute{}, fmt.Errorf("attribute %s: %s: %w", name, a.JSONSchema, err)
		}
		def.schema = compact.String()
	}
	return def, nil
}

// builder collects the core attributes that are defined only where they are
// used, and the values that only some uses list.
type builder struct {
	defs map[string]attribute
	err  error
}

func (b *builder) uses(attrs map[string]jsonAttribute) []use {
	var uses []use
	for _, name := range slices.Sorted(maps.Keys(attrs)) {
		a := attrs[name]
		def, known := b.defs[name]
		switch {
		case !known:
			def, _ = define(name, jsonAttribute{Type: a.Type, Brief: a.Brief, Values: a.Values}, "")
			def.core = true
			b.defs[name] = def
		case def.typ != a.Type:
			b.err = fmt.Errorf("attribute %s: type %s here, %s there", name, def.typ, a.Type)
		}
		uses = append(uses, use{name: name, level: a.Level, condition: oneLine(a.Condition), sampling: a.Sampling})
	}
	return uses
}

func submatch(re *regexp.Regexp, s string) string {
	if m := re.FindStringSubmatch(s); m != nil {
		return m[1]
	}
	return ""
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
