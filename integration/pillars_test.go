package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/integration/components"
)

// TestPillars exports all three signals of the demonstration to a real collector, which passes them on to a real Jaeger
// and a real Prometheus, and joins them by the id of the trace: each call of a model has a span, an event and is counted,
// with an exemplar that leads to its trace.
func TestPillars(t *testing.T) {
	ollama := components.StartOllama(t)
	jaeger, prometheus := components.StartJaeger(t), components.StartPrometheus(t)
	collector := components.StartCollector(t, jaeger, prometheus)
	binary := filepath.Join(t.TempDir(), "mellea")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/mellea-go/mellea/cmd/mellea").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, args := range map[string][]string{
		"recorded": {"demo", "--speed", "0"},
		"live":     {"demo", "--live", "--backend", "ollama", "--model", ollama.Model},
	} {
		t.Run(name, func(t *testing.T) {
			cmd := exec.CommandContext(t.Context(), binary, args...)
			cmd.Env = []string{"HOME=" + t.TempDir(), "OLLAMA_HOST=" + ollama.URL, "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.OTLPHTTP,
				"OTEL_SERVICE_NAME=demo-" + name, "MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
				"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "MELLEA_LOGS_OTLP=true"}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			// What a small model makes of the requirements is its own affair.
			var exit *exec.ExitError
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
				t.Fatalf("mellea %v: %v: %s", args, err, stderr.String())
			}
			id := regexp.MustCompile(`trace ([0-9a-f]{32})`).FindSubmatch(append(out, stderr.Bytes()...))
			if id == nil {
				t.Fatalf("no trace is printed: %s", out)
			}
			joined(t, string(id[1]), "demo-"+name, jaeger, prometheus, collector)
		})
	}
}

func joined(t *testing.T, id, service string, jaeger *components.Jaeger, prometheus *components.Prometheus, collector *components.Collector) {
	t.Helper()
	var chats, requirements []string
	for _, s := range jaegerTrace(t, jaeger.QueryURL, id) {
		if s.service != service {
			t.Errorf("%s: service %s, want %s", s.name, s.service, service)
		}
		switch {
		case strings.HasPrefix(s.name, "chat "):
			chats = append(chats, s.id)
		case s.name == "requirement":
			requirements = append(requirements, s.id)
		}
	}
	slices.Sort(chats)
	slices.Sort(requirements)
	if len(chats) < 2 || len(requirements) < 3 {
		t.Errorf("the trace has %d chats and %d requirements, want at least 2 and 3", len(chats), len(requirements))
	}

	// Metrics: as many calls as spans, and exemplars of this trace.
	want := strconv.Itoa(len(chats))
	eventually(t, "the count of calls in Prometheus", func() bool {
		return slices.Contains(series(t, prometheus, `sum(gen_ai_client_inference_duration_seconds_count{job="`+service+`"})`), want)
	})
	exemplars := exemplarsOf(t, prometheus, `gen_ai_client_inference_duration_seconds_bucket{job="`+service+`"}`)
	if len(exemplars) == 0 {
		t.Error("Prometheus has no exemplar of the calls")
	}
	for _, e := range exemplars {
		if e.Trace != id || !slices.Contains(chats, e.Span) {
			t.Errorf("an exemplar leads to span %s of trace %s, want one of %v of %s", e.Span, e.Trace, chats, id)
		}
	}

	// Events: one for each chat and each verdict, on their spans.
	var details, verdicts []string
	eventually(t, "the events in the collector's file", func() bool {
		details, verdicts = nil, nil
		for _, r := range records(t, collector.Logs) {
			switch {
			case r.TraceID != id:
			case r.EventName == "gen_ai.client.inference.operation.details":
				details = append(details, r.SpanID)
			case r.EventName == "gen_ai.evaluation.result":
				verdicts = append(verdicts, r.SpanID)
			}
		}
		return len(details) >= len(chats) && len(verdicts) >= len(requirements)
	})
	slices.Sort(details)
	slices.Sort(verdicts)
	if diff := cmp.Diff(details, chats); diff != "" {
		t.Errorf("spans of the events of calls (-events +spans):\n%s", diff)
	}
	if len(verdicts) != len(requirements) {
		t.Errorf("%d verdicts are events, want %d", len(verdicts), len(requirements))
	}
}

// eventually asks until the answer is yes, a minute at most.
func eventually(t *testing.T, what string, ask func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !ask() {
		select {
		case <-ctx.Done():
			t.Fatalf("no %s after a minute", what)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

type exemplar struct {
	Trace string `json:"trace_id"`
	Span  string `json:"span_id"`
}

func exemplarsOf(t *testing.T, p *components.Prometheus, selector string) []exemplar {
	t.Helper()
	query := url.Values{"query": {selector}, "start": {strconv.FormatInt(time.Now().Add(-time.Hour).Unix(), 10)}, "end": {strconv.FormatInt(time.Now().Add(time.Minute).Unix(), 10)}}
	var found []struct {
		Exemplars []struct{ Labels exemplar }
	}
	askPrometheus(t, p, "/api/v1/query_exemplars", query, &found)
	var all []exemplar
	for _, series := range found {
		for _, e := range series.Exemplars {
			all = append(all, e.Labels)
		}
	}
	return all
}

// A record is what of a log record joins it with a trace.
type record struct {
	TraceID, SpanID, EventName string
}

// records reads what a collector wrote of logs, whole lines only.
func records(t *testing.T, file string) []record {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	text = text[:bytes.LastIndexByte(text, '\n')+1]
	var all []record
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var one struct {
			ResourceLogs []struct {
				ScopeLogs []struct{ LogRecords []record }
			}
		}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			t.Fatal(err)
		}
		for _, r := range one.ResourceLogs {
			for _, s := range r.ScopeLogs {
				all = append(all, s.LogRecords...)
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}
