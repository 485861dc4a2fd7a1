package otlptest

import (
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
)

// Series is a metric with one set of attributes, as it stood in the last export that had it.
type Series struct {
	Scope, SchemaURL string
	Name, Unit       string
	Instrument       string // "counter", "updowncounter" or "histogram"
	Attributes       map[string]any
	Value            float64 // of a counter; the sum of a histogram
	Count            uint64
	Bounds           []float64
	Exemplars        []string // trace ids, in hex
}

// Labels returns the attributes as text, in the order of their names.
func (s Series) Labels() string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(s.Attributes)) {
		parts = append(parts, fmt.Sprintf("%s=%v", k, s.Attributes[k]))
	}
	return strings.Join(parts, " ")
}

// Series returns every series that was exported, by name and labels.
func (s *Server) Series() []Series {
	last := map[string]Series{}
	for _, req := range s.Metrics() {
		for _, resource := range req.GetResourceMetrics() {
			for _, scope := range resource.GetScopeMetrics() {
				for _, m := range scope.GetMetrics() {
					for _, one := range points(m) {
						one.Scope, one.SchemaURL = scope.GetScope().GetName(), scope.GetSchemaUrl()
						one.Name, one.Unit = m.GetName(), m.GetUnit()
						last[one.Name+" "+one.Labels()] = one
					}
				}
			}
		}
	}
	all := make([]Series, 0, len(last))
	for _, key := range slices.Sorted(maps.Keys(last)) {
		all = append(all, last[key])
	}
	return all
}

func points(m *metricspb.Metric) []Series {
	var all []Series
	instrument := "counter"
	if !m.GetSum().GetIsMonotonic() {
		instrument = "updowncounter"
	}
	for _, p := range m.GetSum().GetDataPoints() {
		all = append(all, Series{Instrument: instrument, Attributes: attributes(p.GetAttributes()),
			Value: p.GetAsDouble() + float64(p.GetAsInt()), Exemplars: linked(p.GetExemplars())})
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		all = append(all, Series{Instrument: "histogram", Attributes: attributes(p.GetAttributes()),
			Value: p.GetSum(), Count: p.GetCount(), Bounds: p.GetExplicitBounds(), Exemplars: linked(p.GetExemplars())})
	}
	return all
}

func linked(exemplars []*metricspb.Exemplar) []string {
	var all []string
	for _, e := range exemplars {
		all = append(all, hex.EncodeToString(e.GetTraceId()))
	}
	return all
}
