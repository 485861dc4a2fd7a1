package main

import (
	"cmp"
	"strconv"
	"strings"
)

// metrics writes an overview of all metrics and then each with its labels.
func (p *page) metrics() {
	p.printf("\n## Metrics\n\nScope `mellea.metrics`.\n\n")
	all := p.own.metrics
	for _, name := range p.own.emitsMetrics {
		m, _ := p.upstream.metric(name)
		e := p.own.emissions[name]
		m.when, m.example = e.when, e.example
		all = append(all, m)
	}
	p.table("metric", "instrument", "unit", "meaning", "when", "labels", "example")
	for _, m := range all {
		labels := make([]string, len(m.uses))
		for i, u := range m.uses {
			labels[i] = code(u.name)
		}
		p.row(code(m.name), m.instrument+", "+m.typ, code(m.unit), m.brief, m.when, cmp.Or(strings.Join(labels, ", "), "–"), code(m.example))
	}
	for _, m := range all {
		p.printf("\n### `%s`\n\n%s When: %s\n\nInstrument: %s of %s, unit `%s`.", m.name, sentence(m.brief), sentence(m.when), m.instrument, m.typ, m.unit)
		if len(m.buckets) > 0 {
			bounds := make([]string, len(m.buckets))
			for i, b := range m.buckets {
				bounds[i] = strconv.FormatFloat(b, 'f', -1, 64)
			}
			p.printf(" Buckets: %s.", strings.Join(bounds, ", "))
		}
		p.printf("\n")
		if len(m.uses) > 0 {
			p.printf("\n")
			p.uses(m.uses)
		}
	}
}
