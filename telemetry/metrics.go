package telemetry

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.opentelemetry.io/otel/metric"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A meter records the metrics of one [Telemetry]. It is shared by the plugin types of all families, and its address is
// the key by which it finds its own measurements in a context.
type meter struct {
	in     instruments
	labels labels
	prices *Pricing // nil when cost is not counted
	warn   func(ctx context.Context, provider, model string)
}

// A measurement is an open operation and the context beneath it: being both saves an allocation for each.
type measurement struct {
	context.Context

	meter  *meter
	parent *measurement // the nearest measurement of the same meter, nil for none
	call   *series      // of a generation, for the chunks of its reply
	loop   *series      // of a sampling loop, for its attempts

	mu      sync.Mutex
	counted error // what ended something beneath and was counted there
}

// Value returns the measurement itself for its meter's key.
func (x *measurement) Value(key any) any {
	if key == any(x.meter) {
		return x
	}
	return x.Context.Value(key)
}

// within returns the measurement of this meter that ctx runs in, nil for none.
func (m *meter) within(ctx context.Context) *measurement {
	x, _ := ctx.Value(m).(*measurement)
	return x
}

func (m *meter) open(ctx context.Context) *measurement {
	m.in.openNow.Add(1)
	return &measurement{Context: ctx, meter: m, parent: m.within(ctx)}
}

// close counts what went wrong, once: at the operation where it arose. call is what the operation asked a model for, or
// nil.
func (x *measurement) close(ending hook.Ending, err error, call *callLabels) {
	m := x.meter
	m.in.openNow.Add(-1)
	if ending != hook.Failed && ending != hook.Rejected {
		return
	}
	x.mu.Lock()
	known := x.counted != nil && errors.Is(err, x.counted)
	x.mu.Unlock()
	if x.parent != nil {
		x.parent.pass(err)
	}
	switch {
	case known:
	case ending == hook.Failed:
		m.in.failures.Add(x, 1, m.labels.failure(call, err).add...)
	default:
		if r, ok := errors.AsType[*hook.Rejection](err); ok {
			m.in.rejections.Add(x, 1, m.labels.rejection(r).add...)
		}
	}
}

// pass tells the measurement that err has been counted beneath it.
func (x *measurement) pass(err error) {
	for p := x; p != nil; p = p.parent {
		p.mu.Lock()
		p.counted = err
		p.mu.Unlock()
	}
}

// seconds is a duration as durations are recorded: that of the span of the same operation.
func seconds(start, end time.Time) float64 { return end.Sub(start).Seconds() }

// Naming says by which names metrics of the GenAI conventions are recorded.
type Naming string

// The namings. The conventions renamed their client metrics after version 1.41.
const (
	LatestNames Naming = "latest"
	LegacyNames Naming = "legacy"
	BothNames   Naming = "both"
)

func (n Naming) latest() bool { return n != LegacyNames }
func (n Naming) legacy() bool { return n == LegacyNames || n == BothNames }

// Names up to version 1.41 of the conventions, for [LegacyNames].
const (
	legacyDuration       = semconv.MetricGenAIClientOperationDuration
	legacyFirstChunk     = "gen_ai.client.operation.time_to_first_chunk"
	legacyPerOutputChunk = "gen_ai.client.operation.time_per_output_chunk"
	legacyTokenUsage     = "gen_ai.client.token.usage" //nolint:gosec // tokens of text
)

// A histogram of seconds or tokens under each name that is in force.
type (
	durations []metric.Float64Histogram
	amounts   []metric.Int64Histogram
)

func (all durations) record(ctx context.Context, v float64, s *series) {
	for _, h := range all {
		h.Record(ctx, v, s.record...)
	}
}

func (all amounts) record(ctx context.Context, v int, s *series) {
	for _, h := range all {
		h.Record(ctx, int64(v), s.record...)
	}
}
