package otlptest

import (
	"context"
	"encoding/hex"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
)

// A Record is a log record that has arrived, together with the resource and the scope it came under. Ids and values are
// as in a [Span].
type Record struct {
	Event           string // "" for one that is no event
	Time, Observed  time.Time
	Severity        int
	SeverityText    string
	Body            any
	Attributes      map[string]any
	TraceID, SpanID string // "" for none
	Resource        map[string]any
	Scope, Version  string
	SchemaURL       string // of the scope
}

// Records waits until at least n log records have arrived and returns all, in the order they arrived. It fails the test
// when its deadline, or 20 s, passes first.
func (s *Server) Records(t testing.TB, n int) []Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(t))
	defer cancel()
	for {
		s.mu.Lock()
		requests, arrived := s.logs, s.arrived
		s.mu.Unlock()
		var all []Record
		for _, m := range requests {
			all = append(all, flattenLogs(m)...)
		}
		if len(all) >= n {
			return all
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Fatalf("otlptest: %d log records have arrived, want %d: %v", len(all), n, all)
		}
	}
}

// Events returns the records that are events of that name.
func Events(all []Record, name string) []Record {
	var found []Record
	for _, r := range all {
		if r.Event == name {
			found = append(found, r)
		}
	}
	return found
}

func flattenLogs(m *collogs.ExportLogsServiceRequest) []Record {
	var all []Record
	for _, resource := range m.GetResourceLogs() {
		of := attributes(resource.GetResource().GetAttributes())
		for _, in := range resource.GetScopeLogs() {
			for _, r := range in.GetLogRecords() {
				all = append(all, Record{
					Event: r.GetEventName(), Time: at(r.GetTimeUnixNano()), Observed: at(r.GetObservedTimeUnixNano()),
					Severity: int(r.GetSeverityNumber()), SeverityText: r.GetSeverityText(),
					Body: value(r.GetBody()), Attributes: attributes(r.GetAttributes()),
					TraceID: hex.EncodeToString(r.GetTraceId()), SpanID: hex.EncodeToString(r.GetSpanId()),
					Resource: of, Scope: in.GetScope().GetName(), Version: in.GetScope().GetVersion(), SchemaURL: in.GetSchemaUrl(),
				})
			}
		}
	}
	return all
}
