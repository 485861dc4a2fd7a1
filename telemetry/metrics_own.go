package telemetry

import (
	"errors"
	"fmt"
	"strings"

	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/metric/noop"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// ErrReservedMetric is the cause of the error for a metric of a program's own whose name belongs to the conventions or to
// this library.
var ErrReservedMetric = errors.New("the name is reserved")

// own returns the meter for the instruments of a program, which records nothing when metrics are off.
func (t *Telemetry) own(name string) (metric.Meter, error) {
	for _, prefix := range []string{"gen_ai.", "mcp.", "mellea."} {
		if strings.HasPrefix(strings.ToLower(name), prefix) {
			return nil, fmt.Errorf("telemetry: metric %q: %w: names that begin with %s are of the conventions or of this library, choose one of your program",
				name, ErrReservedMetric, prefix)
		}
	}
	provider := t.MeterProvider()
	if provider == nil {
		provider = noop.NewMeterProvider()
	}
	return provider.Meter(semconv.ScopeApplication, metric.WithInstrumentationVersion(moduleVersion())), nil
}

// Counter makes a counter of a program's own, which goes where the metrics of this library go: a sum that only grows.
// unit is of UCUM, as "s", "By" or "{invoice}"; an empty one means that the value is without one. With metrics off it
// records nothing. Counters of one name are one. A name that is not one of OpenTelemetry or is reserved
// ([ErrReservedMetric]) is an error. The counter is safe for concurrent use, and its attributes should have few values.
//
// A program that has a meter provider makes its instruments with that, or with [Telemetry.MeterProvider].
func (t *Telemetry) Counter(name, unit, description string) (metric.Float64Counter, error) {
	m, err := t.own(name)
	if err != nil {
		return nil, err
	}
	c, err := m.Float64Counter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return c, nil
}

// UpDownCounter makes a counter of a program's own that may also fall, as [Telemetry.Counter] does.
func (t *Telemetry) UpDownCounter(name, unit, description string) (metric.Float64UpDownCounter, error) {
	m, err := t.own(name)
	if err != nil {
		return nil, err
	}
	c, err := m.Float64UpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return c, nil
}

// Histogram makes a histogram of a program's own, as [Telemetry.Counter] does. buckets are the upper bounds of its
// buckets, each above the one before; none means those of OpenTelemetry, which suit milliseconds.
func (t *Telemetry) Histogram(name, unit, description string, buckets ...float64) (metric.Float64Histogram, error) {
	m, err := t.own(name)
	if err != nil {
		return nil, err
	}
	opts := []metric.Float64HistogramOption{metric.WithUnit(unit), metric.WithDescription(description)}
	if len(buckets) > 0 {
		opts = append(opts, metric.WithExplicitBucketBoundaries(buckets...))
	}
	h, err := m.Float64Histogram(name, opts...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: %w", err)
	}
	return h, nil
}
