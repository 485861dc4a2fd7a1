package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// Log events of a run are exported, in the spans of its calls.
func TestLogEventsOfARun(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t, "one two")
	got := process{env: f.env(append(tracing(collector), "MELLEA_LOGS_OTLP=true")...)}.run(t, "run", "prompt-secret", "--check", "max-words:3")
	if got.code != 0 || strings.Contains(got.stderr, "warning") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
	records, spans := collector.Records(t, 2), collector.Spans(t, 8)
	for _, name := range []string{"gen_ai.client.inference.operation.details", "gen_ai.evaluation.result"} {
		events := otlptest.Events(records, name)
		if len(events) != 1 || events[0].TraceID != spans[0].TraceID {
			t.Errorf("%s: %+v, want one of trace %s", name, events, spans[0].TraceID)
		}
	}
}

// Warnings go where the variables say. Lines of the command stay what they are unless log lines are to go to standard error.
func TestWarningsGoToTheLog(t *testing.T) {
	t.Parallel()
	const lost = "telemetry: spans are lost"
	for name, test := range map[string]struct {
		env  []string
		line string // of standard error
		file bool
	}{
		"nothing":           {line: "mellea: warning: " + lost},
		"a file":            {file: true, line: "mellea: warning: " + lost},
		"a file, all of it": {env: []string{"MELLEA_LOGS_CONSOLE=true"}, file: true, line: " WARN " + lost},
		"the console":       {env: []string{"MELLEA_LOGS_CONSOLE=true"}, line: " WARN " + lost},
		"JSON":              {env: []string{"MELLEA_LOGS_JSON=true"}, line: `"msg":"` + lost},
		"a level":           {env: []string{"MELLEA_LOGS_LEVEL=ERROR"}},
		"no console":        {env: []string{"MELLEA_LOGS_CONSOLE=false", "MELLEA_LOGS_LEVEL=DEBUG"}, line: "mellea: warning: " + lost},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "hi")
			path := filepath.Join(t.TempDir(), "mellea.log")
			env := append(test.env, "MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")
			if test.file {
				env = append(env, "MELLEA_LOGS_FILE="+path)
			}
			got := process{env: f.env(env...)}.run(t, "run", "hi")
			if got.code != 0 || strings.Count(got.stderr, lost) != strings.Count(test.line, lost) || !strings.Contains(got.stderr, test.line) {
				t.Errorf("exit %d, stderr %q, want one line with %q", got.code, got.stderr, test.line)
			}
			written, err := os.ReadFile(path)
			if test.file != (err == nil) || test.file && strings.Count(string(written), " WARN "+lost) != 1 {
				t.Errorf("the log file has %q, %v", written, err)
			}
		})
	}
}

// mellea env shows where logs go, without what is secret in it.
func TestEnvShowsLogs(t *testing.T) {
	t.Parallel()
	got := process{env: append([]string{"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=http://user:secret@127.0.0.1:1/v1/logs",
		"MELLEA_LOGS_WEBHOOK=https://secret.example.com"}, nowhere...)}.run(t, "env", "--output", "json")
	var doc struct {
		Endpoints []struct{ Name, URL string }
		Settings  []struct{ Name, Value, Pillar string }
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || strings.Contains(got.stdout, "secret") {
		t.Fatalf("stdout %q: %v", got.stdout, err)
	}
	if e := doc.Endpoints[0]; e.Name != "OTLP http/protobuf of logs" || e.URL != "http://127.0.0.1:1/v1/logs" {
		t.Errorf("endpoint %+v", e)
	}
	found := false
	for _, s := range doc.Settings {
		found = found || s.Name == "MELLEA_LOGS_WEBHOOK" && s.Value == "****" && s.Pillar == "logs"
	}
	if !found {
		t.Errorf("settings %+v have no masked webhook", doc.Settings)
	}
}
