package check

import (
	"math"
	"slices"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A metric is one of the data, with the scope it came under.
type metric struct {
	named

	data   *metricspb.Metric
	points []point
}

// A point is what the data points of all instruments have in common, as far as rules read it.
type point struct {
	attrs    []*commonpb.KeyValue
	value    float64 // of a histogram the sum
	recorded bool    // there is a value
	explicit *metricspb.HistogramDataPoint
}

func (c *checker) checkMetrics(d Metrics) {
	for _, r := range d.GetResourceMetrics() {
		for _, in := range r.GetScopeMetrics() {
			from := scope{name: in.GetScope().GetName(), schemaURL: in.GetSchemaUrl()}
			for _, m := range in.GetMetrics() {
				c.checkMetric(&metric{named: named{scope: from, signal: Metric, name: m.GetName()}, data: m, points: pointsOf(m)})
			}
		}
	}
}

func (c *checker) checkMetric(m *metric) {
	if d, ok := semconv.Deprecated(semconv.SignalMetric, m.name); ok {
		c.once(m.finding(Deprecated, Violation, "the conventions have given it up%s", instead(d)))
		return // its attributes are those of its time
	}
	def, ok := semconv.LookupMetric(m.name)
	if !ok {
		if isReserved(m.name) {
			c.once(m.finding(MissingMetric, Violation, "is in no registry"))
		}
		for _, p := range m.points {
			c.checkAttributes(place{c: c, from: m, signal: Metric, attrs: attributesOf(p.attrs), report: c.once})
		}
		return
	}
	own := strings.HasPrefix(m.name, "mellea.")
	if !own {
		c.notStable(m, m.name, development, itself)
	}
	if own || m.scope.name == semconv.ScopeMetrics {
		c.checkScope(m, m.scope, semconv.ScopeMetrics, c.once)
	}
	if m.data.GetUnit() != def.Unit {
		c.once(m.finding(UnitMismatch, Violation, "has unit %q, want %q", m.data.GetUnit(), def.Unit))
	}
	if name, right := instrument(m.data, def.Instrument); !right {
		c.once(m.finding(UnexpectedInstrument, Violation, "is a %s, want a %s", name, def.Instrument))
		return // its points mean something else
	}
	for _, p := range m.points {
		c.checkPoint(m, def, p)
	}
}

// instrument names what a metric was recorded with, and says whether that is what it should be.
func instrument(m *metricspb.Metric, want semconv.Instrument) (name string, right bool) {
	switch data := m.GetData().(type) {
	case *metricspb.Metric_Sum:
		if data.Sum.GetIsMonotonic() {
			return "counter", want == semconv.Counter
		}
		return "updowncounter", want == semconv.UpDownCounter
	case *metricspb.Metric_Histogram, *metricspb.Metric_ExponentialHistogram:
		return "histogram", want == semconv.Histogram
	case *metricspb.Metric_Gauge:
		return "gauge", false
	case *metricspb.Metric_Summary:
		return "summary", false
	default:
		return "metric without data", true // there is nothing to judge
	}
}

func pointsOf(m *metricspb.Metric) []point {
	var all []point
	numbers := func(list []*metricspb.NumberDataPoint) {
		for _, p := range list {
			one := point{attrs: p.GetAttributes()}
			switch v := p.GetValue().(type) {
			case *metricspb.NumberDataPoint_AsDouble:
				one.value, one.recorded = v.AsDouble, true
			case *metricspb.NumberDataPoint_AsInt:
				one.value, one.recorded = float64(v.AsInt), true
			}
			all = append(all, one)
		}
	}
	numbers(m.GetSum().GetDataPoints())
	numbers(m.GetGauge().GetDataPoints())
	for _, p := range m.GetHistogram().GetDataPoints() {
		all = append(all, point{attrs: p.GetAttributes(), value: p.GetSum(), recorded: p != nil && p.Sum != nil, explicit: p})
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		all = append(all, point{attrs: p.GetAttributes(), value: p.GetSum(), recorded: p != nil && p.Sum != nil})
	}
	for _, p := range m.GetSummary().GetDataPoints() {
		all = append(all, point{attrs: p.GetAttributes()})
	}
	return all
}

func (c *checker) checkPoint(m *metric, def semconv.Metric, pt point) {
	p := place{c: c, from: m, signal: Metric, attrs: attributesOf(pt.attrs), report: c.once, table: def.Name, own: strings.HasPrefix(def.Name, "mellea."),
		use: def.Attribute, tables: tablesOf(def.Name)}
	c.checkAttributes(p)
	c.checkPresence(p, slices.Collect(def.Attributes()))
	c.checkRecorded(m, def, pt)
	c.checkBounds(m, def, pt.explicit)
	c.checkOperation(p)
	c.checkMCP(p)
}

// tablesOf returns whose conditions apply to a metric: its own, and those of the span of the same operation.
func tablesOf(name string) []string {
	all := []string{name}
	for prefix, table := range map[string]string{"gen_ai.client.inference.": "gen_ai.client.inference", "mcp.client.": "mcp.client", "mcp.server.": "mcp.server"} {
		if strings.HasPrefix(name, prefix) {
			all = append(all, table)
		}
	}
	return append(all, "")
}

// checkRecorded checks the value of a point: durations, tokens and counts are never negative.
func (c *checker) checkRecorded(m *metric, def semconv.Metric, pt point) {
	switch {
	case !pt.recorded:
	case math.IsNaN(pt.value) || math.IsInf(pt.value, 0) || pt.value < 0 && def.Instrument != semconv.UpDownCounter:
		c.once(m.finding(InvalidDataPoint, Violation, "has a value that is negative or no number"))
	case def.Type == semconv.TypeInt && pt.value != math.Trunc(pt.value):
		c.once(m.finding(TypeMismatch, Violation, "has a value that is not whole, want int"))
	}
}

// checkBounds checks the buckets of a histogram, for sense and against the convention's advice.
func (c *checker) checkBounds(m *metric, def semconv.Metric, h *metricspb.HistogramDataPoint) {
	if h == nil {
		return
	}
	bounds, counts := h.GetExplicitBounds(), h.GetBucketCounts()
	total := uint64(0)
	for _, n := range counts {
		total += n
	}
	if len(counts) > 0 && (len(counts) != len(bounds)+1 || total != h.GetCount()) || !increasing(bounds) {
		c.once(m.finding(InvalidDataPoint, Violation, "its buckets and its count do not go together"))
		return
	}
	if advised := def.Buckets(); len(advised) > 0 && !slices.Equal(bounds, advised) {
		c.once(m.finding(UnexpectedBuckets, Improvement, "its buckets are not those advised: %v", advised))
	}
}

func increasing(bounds []float64) bool {
	for i, b := range bounds {
		if math.IsNaN(b) || i > 0 && b <= bounds[i-1] {
			return false
		}
	}
	return true
}

// checkOperation checks that a metric is recorded for an operation it is meant for.
func (c *checker) checkOperation(p place) {
	operation, ok := p.attrs.text(semconv.GenAIOperationNameKey)
	if !ok {
		return
	}
	inference, _ := semconv.LookupSpan("gen_ai.client.inference")
	is := slices.Contains(slices.Collect(inference.Operations()), operation)
	known, _ := semconv.LookupAttribute(string(semconv.GenAIOperationNameKey))
	switch {
	case is && p.table == semconv.MetricGenAIClientOperationDuration:
		p.report(p.from.finding(UnexpectedMetric, Improvement, "is not for inference: use %s", semconv.MetricGenAIClientInferenceDuration).
			on(semconv.GenAIOperationNameKey))
	case !is && known.HasValue(operation) && strings.HasPrefix(p.table, "gen_ai.client.inference."):
		p.report(p.from.finding(UnexpectedMetric, Improvement, "is for inference, and %s is another operation", operation).
			on(semconv.GenAIOperationNameKey))
	}
}
