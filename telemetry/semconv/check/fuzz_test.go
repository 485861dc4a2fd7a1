package check_test

import (
	"encoding/json"
	"path/filepath"
	"testing"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// Whatever bytes arrive as whatever signal, they are judged without a panic, the same each time, and not changed.
func FuzzAll(f *testing.F) {
	seed := func(d check.Data) {
		for _, m := range d.Traces {
			add(f, m.(proto.Message))
		}
		for _, m := range d.Metrics {
			add(f, m.(proto.Message))
		}
		for _, m := range d.Logs {
			add(f, m.(proto.Message))
		}
	}
	files, err := filepath.Glob("testdata/*/*")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range files {
		seed(fileOf(f, path))
	}
	for _, w := range wrongSignals {
		s := rightSignal(f, w.signal)
		w.edit(&s)
		seed(s.data())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var (
			spans   tracepb.TracesData
			metrics metricspb.MetricsData
			logs    logspb.LogsData
			d       check.Data
		)
		if proto.Unmarshal(data, &spans) == nil {
			d.Traces = append(d.Traces, &spans)
		}
		if proto.Unmarshal(data, &metrics) == nil {
			d.Metrics = append(d.Metrics, &metrics)
		}
		if proto.Unmarshal(data, &logs) == nil {
			d.Logs = append(d.Logs, &logs)
		}
		before := []proto.Message{proto.Clone(&spans), proto.Clone(&metrics), proto.Clone(&logs)}
		got := check.All(d)
		for i, m := range []proto.Message{&spans, &metrics, &logs} {
			if !proto.Equal(before[i], m) && proto.Equal(before[i], before[i]) { // NaN is not equal to itself
				t.Error("the data has been changed")
			}
		}
		for _, f := range got {
			if f.ID == "" || f.Level == 0 || f.Message == "" || f.Signal == "" {
				t.Fatalf("finding %#v does not say enough", f)
			}
		}
		if again := check.All(d); again.String() != got.String() {
			t.Errorf("found at first\n%s\nand then\n%s", got, again)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("findings have no JSON: %v", err)
		}
	})
}

func add(f *testing.F, m proto.Message) {
	f.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
}
