package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
)

// A metricPrinter writes metrics for people: a line for each series, sums as they stand and histograms by their count,
// mean and extremes.
type metricPrinter struct {
	mu   sync.Mutex
	w    io.Writer
	last string
}

// Temporality asks for sums since the start.
func (*metricPrinter) Temporality(k sdkmetric.InstrumentKind) metricdata.Temporality {
	return sdkmetric.DefaultTemporalitySelector(k)
}

// Aggregation asks for what the instruments advise.
func (*metricPrinter) Aggregation(k sdkmetric.InstrumentKind) sdkmetric.Aggregation {
	return sdkmetric.DefaultAggregationSelector(k)
}

// Export prints what there is, unless nothing has changed.
func (p *metricPrinter) Export(_ context.Context, rm *metricdata.ResourceMetrics) error {
	var lines []string
	for _, scope := range rm.ScopeMetrics {
		for _, m := range scope.Metrics {
			lines = append(lines, metricLines(m)...)
		}
	}
	slices.Sort(lines)
	text := strings.Join(lines, "\n")
	p.mu.Lock()
	defer p.mu.Unlock()
	if text == "" || text == p.last {
		return nil
	}
	p.last = text
	_, err := fmt.Fprintf(p.w, "metrics\n%s\n", text)
	return err
}

// ForceFlush does nothing: nothing is kept.
func (*metricPrinter) ForceFlush(context.Context) error { return nil }

// Shutdown does nothing.
func (*metricPrinter) Shutdown(context.Context) error { return nil }

func metricLines(m metricdata.Metrics) []string {
	switch d := m.Data.(type) {
	case metricdata.Sum[int64]:
		return sumLines(m, d.DataPoints)
	case metricdata.Sum[float64]:
		return sumLines(m, d.DataPoints)
	case metricdata.Histogram[int64]:
		return histogramLines(m, d.DataPoints)
	case metricdata.Histogram[float64]:
		return histogramLines(m, d.DataPoints)
	}
	return nil
}

func sumLines[N int64 | float64](m metricdata.Metrics, points []metricdata.DataPoint[N]) []string {
	var lines []string
	for _, p := range points {
		if p.Value == 0 && p.Attributes.Len() == 0 { // a count of faults nobody made
			continue
		}
		lines = append(lines, fmt.Sprintf("  %s%s %s%s", m.Name, labelText(p.Attributes), number(float64(p.Value)), unitText(m.Unit)))
	}
	return lines
}

func histogramLines[N int64 | float64](m metricdata.Metrics, points []metricdata.HistogramDataPoint[N]) []string {
	var lines []string
	for _, p := range points {
		if p.Count == 0 {
			continue
		}
		least, _ := p.Min.Value()
		most, _ := p.Max.Value()
		lines = append(lines, fmt.Sprintf("  %s%s n=%d mean=%s min=%s max=%s%s", m.Name, labelText(p.Attributes), p.Count,
			number(float64(p.Sum)/float64(p.Count)), number(float64(least)), number(float64(most)), unitText(m.Unit)))
	}
	return lines
}

func number(v float64) string { return strconv.FormatFloat(v, 'g', 6, 64) }

// unitText leaves out units that are annotations, as those of counts are.
func unitText(unit string) string {
	if unit == "" || strings.HasPrefix(unit, "{") {
		return ""
	}
	return " " + unit
}

func labelText(set attribute.Set) string {
	attrs := set.ToSlice()
	slices.SortFunc(attrs, func(a, b attribute.KeyValue) int { return cmp.Compare(a.Key, b.Key) })
	var parts []string
	for _, a := range attrs {
		parts = append(parts, string(a.Key)+"="+strconv.Quote(a.Value.String()))
	}
	if len(parts) == 0 {
		return ""
	}
	return "{" + strings.Join(parts, ", ") + "}"
}
