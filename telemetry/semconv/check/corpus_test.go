package check_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// fileOf reads a file of OTLP.
func fileOf(t testing.TB, path string) check.Data {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var data check.Data
	for r, err := range otlpfile.Read(f) {
		switch {
		case err != nil:
			t.Fatalf("%s: %v", path, err)
		case r.Spans != nil:
			data.Traces = append(data.Traces, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{r.Spans}})
		case r.Metrics != nil:
			data.Metrics = append(data.Metrics, &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{r.Metrics}})
		case r.Logs != nil:
			data.Logs = append(data.Logs, &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{r.Logs}})
		}
	}
	return data
}

// The conventions' own examples, and what instrumentations of other languages emit that follow the conventions, have no
// findings but of what only their programs know.
func TestRightFiles(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/right/*")
	if err != nil || len(files) < 6 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(filepath.Base(path), func(t *testing.T) {
			t.Parallel()
			all := check.All(fileOf(t, path))
			if got := all.AtLeast(check.Improvement).Without(check.NotStable); got != nil {
				t.Errorf("found:\n%s", got)
			}
			if strings.Contains(path, "other-fields") {
				if all != nil {
					t.Errorf("of other fields, found:\n%s", all)
				}
			} else if all == nil {
				t.Error("nothing has been looked at: not even names are unstable")
			}
		})
	}
}

// What instrumentations emit that follow older conventions, with the names to use instead.
func TestLegacyFiles(t *testing.T) {
	t.Parallel()
	for file, want := range map[string][]string{
		"openllmetry.json": {
			`violation required_attribute_not_present span gen_ai.operation.name: is required`,
			`violation deprecated span gen_ai.system: the conventions have given it up: use gen_ai.provider.name`,
			`violation deprecated span gen_ai.prompt.0.role: the conventions have given it up: use gen_ai.input.messages`,
			`violation deprecated span gen_ai.prompt.0.content: the conventions have given it up: use gen_ai.input.messages`,
			`violation deprecated span gen_ai.completion.0.role: the conventions have given it up: use gen_ai.output.messages`,
			`violation deprecated span gen_ai.completion.0.content: the conventions have given it up: use gen_ai.output.messages`,
			`violation deprecated span gen_ai.completion.0.finish_reason: the conventions have given it up: use gen_ai.output.messages`,
			`violation deprecated span gen_ai.usage.prompt_tokens: the conventions have given it up: use gen_ai.usage.input_tokens`,
			`violation deprecated span gen_ai.usage.completion_tokens: the conventions have given it up: use gen_ai.usage.output_tokens`,
			`violation missing_attribute span gen_ai.openai.api_base: is in no registry`,
			`violation deprecated metric : the conventions have given it up: use gen_ai.client.inference.operation.input_tokens, gen_ai.client.inference.operation.output_tokens`,
			`violation deprecated metric gen_ai.system: the conventions have given it up: use gen_ai.provider.name`,
		},
		"python-1.36.jsonl": {
			`violation deprecated span gen_ai.system: the conventions have given it up: use gen_ai.provider.name`,
			`violation deprecated span gen_ai.openai.request.seed: the conventions have given it up: use gen_ai.request.seed`,
			`violation deprecated span gen_ai.openai.response.service_tier: the conventions have given it up: use openai.response.service_tier`,
			`violation conditionally_required_attribute_not_present span server.port: is required: If ` + "`server.address`" + ` is set.`,
			`violation deprecated span : the conventions have given it up: use gen_ai.client.inference.operation.details`,
			`violation deprecated span gen_ai.prompt: the conventions have given it up: use gen_ai.input.messages`,
			`violation deprecated log : the conventions have given it up: use gen_ai.client.inference.operation.details`,
			`violation deprecated log : the conventions have given it up: use gen_ai.client.inference.operation.details`,
		},
		"dotnet-metrics.json": {
			`violation deprecated metric : the conventions have given it up: use gen_ai.client.inference.operation.input_tokens, gen_ai.client.inference.operation.output_tokens`,
			`violation deprecated metric : the conventions have given it up: use gen_ai.client.inference.time_to_first_chunk`,
		},
	} {
		t.Run(file, func(t *testing.T) {
			t.Parallel()
			var got []string
			for _, f := range check.All(fileOf(t, "testdata/legacy/"+file)).AtLeast(check.Violation) {
				got = append(got, f.Level.String()+" "+string(f.ID)+" "+string(f.Signal)+" "+f.Attribute+": "+f.Message)
			}
			slices.Sort(want)
			slices.Sort(got)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("findings (-want +got):\n%s", diff)
			}
		})
	}
}
