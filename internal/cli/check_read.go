package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// maxIntake bounds the telemetry of one check, in bytes of protobuf: it is held in memory, as parents may come last.
const maxIntake = 256 << 20

// errIntakeFull says that there is more than a check takes.
var errIntakeFull = fmt.Errorf("more than %d MiB of telemetry: check it in parts", maxIntake>>20)

var errIntakeEnded = errors.New("the check has ended")

// An intake keeps telemetry until it is checked. It may be filled by several goroutines.
type intake struct {
	mu    sync.Mutex
	data  check.Data
	size  int
	full  bool
	ended bool          // what comes now is too late
	wake  chan struct{} // gets a value when something has arrived and nobody has been told yet; may be nil
	limit int           // in place of maxIntake, for tests
}

// take accounts for a message and keeps it.
func (in *intake) take(m proto.Message, keep func(*check.Data)) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	limit := maxIntake
	if in.limit > 0 {
		limit = in.limit
	}
	if in.ended {
		return errIntakeEnded
	}
	n := proto.Size(m) + elementBytes*elements(m)
	if in.size+n > limit {
		in.full = true
		return errIntakeFull
	}
	in.size += n
	keep(&in.data)
	select {
	case in.wake <- struct{}{}:
	default:
	}
	return nil
}

func (in *intake) traces(m *coltrace.ExportTraceServiceRequest) error {
	return in.take(m, func(d *check.Data) { d.Traces = append(d.Traces, m) })
}

func (in *intake) metrics(m *colmetrics.ExportMetricsServiceRequest) error {
	return in.take(m, func(d *check.Data) { d.Metrics = append(d.Metrics, m) })
}

func (in *intake) logs(m *collogs.ExportLogsServiceRequest) error {
	return in.take(m, func(d *check.Data) { d.Logs = append(d.Logs, m) })
}

func (in *intake) record(r otlpfile.Record) error {
	switch {
	case r.Spans != nil:
		return in.traces(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{r.Spans}})
	case r.Metrics != nil:
		return in.metrics(&colmetrics.ExportMetricsServiceRequest{ResourceMetrics: []*metricspb.ResourceMetrics{r.Metrics}})
	default:
		return in.logs(&collogs.ExportLogsServiceRequest{ResourceLogs: []*logspb.ResourceLogs{r.Logs}})
	}
}

func (in *intake) empty() bool {
	c := in.count()
	return c == checked{}
}

// checked is how many of each signal there are.
type checked struct {
	Spans   int `json:"spans"`
	Metrics int `json:"metrics"`
	Records int `json:"log_records"`
}

func (in *intake) count() (c checked) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, t := range in.data.Traces {
		for _, r := range t.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				c.Spans += len(s.GetSpans())
			}
		}
	}
	names := map[string]bool{} // a metric is exported again and again
	for _, m := range in.data.Metrics {
		for _, r := range m.GetResourceMetrics() {
			for _, s := range r.GetScopeMetrics() {
				for _, one := range s.GetMetrics() {
					names[s.GetScope().GetName()+" "+one.GetName()] = true
				}
			}
		}
	}
	c.Metrics = len(names)
	for _, l := range in.data.Logs {
		for _, r := range l.GetResourceLogs() {
			for _, s := range r.GetScopeLogs() {
				c.Records += len(s.GetLogRecords())
			}
		}
	}
	return c
}

// readAll reads files. The error says that there were broken parts.
func (a *app) readAll(ctx context.Context, in *intake, files []string) error {
	broken := 0
	for _, name := range files {
		n, err := a.readTelemetry(ctx, name, in.record)
		broken += n
		if err != nil {
			return err
		}
	}
	if broken > 0 {
		return fmt.Errorf("%s of the input cannot be read: the rest has been checked", number(broken, "part"))
	}
	return nil
}

// elementBytes is what a span, a data point or a record takes in memory beside what it holds: an empty one is two bytes of
// protobuf.
const elementBytes = 256

// elements counts what a message holds many of.
func elements(m proto.Message) (n int) {
	switch m := m.(type) {
	case *coltrace.ExportTraceServiceRequest:
		for _, r := range m.GetResourceSpans() {
			for _, s := range r.GetScopeSpans() {
				n += 1 + len(s.GetSpans())
			}
		}
	case *colmetrics.ExportMetricsServiceRequest:
		for _, r := range m.GetResourceMetrics() {
			for _, s := range r.GetScopeMetrics() {
				for _, metric := range s.GetMetrics() {
					n += 1 + len(metric.GetSum().GetDataPoints()) + len(metric.GetGauge().GetDataPoints()) + len(metric.GetHistogram().GetDataPoints())
				}
			}
		}
	case *collogs.ExportLogsServiceRequest:
		for _, r := range m.GetResourceLogs() {
			for _, s := range r.GetScopeLogs() {
				n += 1 + len(s.GetLogRecords())
			}
		}
	}
	return n
}
