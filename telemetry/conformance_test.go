package telemetry_test

import (
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// What is exported is what the conventions and this module's own registry say, with content off, on and in a store, for
// calls that succeed, fail and are denied. Excepted are names that may still change, as all of the GenAI conventions
// may, and what is recommended but not there: the scripted backend sends few parameters and answers with few.
func TestConformance(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]telemetry.Option{
		"content off":    nil,
		"content on":     {telemetry.WithContent(true)},
		"content stored": {telemetry.WithContentStore(&shelves{})},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, append(opts, telemetry.WithChunkEvents(1))...)
			leaky(t, tel)
			leakyTree(t, tel)
			flush(t, tel)
			server.Spans(t, 20)
			var all coltrace.ExportTraceServiceRequest
			if err := proto.Unmarshal(server.Raw(), &all); err != nil {
				t.Fatal(err)
			}
			for _, f := range check.Spans(&all).AtLeast(check.Improvement).Without("not_stable", "recommended_attribute_not_present") {
				t.Error(f)
			}
		})
	}
}
