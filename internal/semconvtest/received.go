package semconvtest

import (
	"testing"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// Received returns what a program has sent to a receiver, for [check.All]. The test fails where that is no span at all.
func Received(tb testing.TB, server *otlptest.Server) check.Data {
	tb.Helper()
	var d check.Data
	for _, m := range server.Traces() {
		d.Traces = append(d.Traces, m)
	}
	for _, m := range server.Metrics() {
		d.Metrics = append(d.Metrics, m)
	}
	for _, m := range server.Logs() {
		d.Logs = append(d.Logs, m)
	}
	if len(d.Traces) == 0 {
		tb.Fatal("no span has arrived")
	}
	return d
}
