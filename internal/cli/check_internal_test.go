package cli

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/internal/otlpfile"
)

// What is held in memory is bounded, whoever sends.
func TestIntakeIsBounded(t *testing.T) {
	t.Parallel()
	in := &intake{limit: 10_000}
	var full sync.WaitGroup
	var mu sync.Mutex
	refused := 0
	for range 100 {
		full.Go(func() {
			err := in.traces(&coltrace.ExportTraceServiceRequest{ResourceSpans: []*tracepb.ResourceSpans{{SchemaUrl: strings.Repeat("x", 990)}}})
			mu.Lock()
			defer mu.Unlock()
			if errors.Is(err, errIntakeFull) {
				refused++
			}
		})
	}
	full.Wait()
	if len(in.data.Traces) != 10 || refused != 90 || !in.full || in.size > 10_000 {
		t.Errorf("%d were kept and %d refused, of %d bytes", len(in.data.Traces), refused, in.size)
	}
	if !strings.Contains(fmt.Sprint(errIntakeFull), "256 MiB") {
		t.Errorf("%v does not say how much there may be", errIntakeFull)
	}
	if err := in.record(otlpfile.Record{Spans: &tracepb.ResourceSpans{SchemaUrl: strings.Repeat("x", 10_000)}}); !errors.Is(err, errIntakeFull) {
		t.Errorf("error %v, want that there is no room", err)
	}
}
