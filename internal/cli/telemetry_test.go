package cli_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
)

func tracing(collector *otlptest.Server) []string {
	return []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP}
}

func TestTraceOfARun(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t, "one two three", "no", "one two", "yes")
	got := process{env: f.env(tracing(collector)...)}.run(t, "run", "A secret prompt", "--require", "be polite", "--check", "max-words:2",
		"--conversation", "c-1", "--output", "json", "--option", "seed=1")
	spans := collector.Spans(t, 15)
	want := strings.TrimPrefix(`
mellea run
  start_session
  session
    action
      sampling
        chat tiny:latest
        validation
          requirement
            chat tiny:latest
          requirement
        chat tiny:latest
        validation
          requirement
            chat tiny:latest
          requirement
`, "\n")
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	root := spans[0]
	for name, want := range map[string]any{"mellea.cli.command": "run", "process.exit.code": int64(0), "mellea.cli.args": []any{"--output=json"}} {
		if diff := cmp.Diff(want, root.Attributes[name]); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	var doc struct {
		TraceID string `json:"trace_id"`
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || doc.TraceID != root.TraceID {
		t.Errorf("trace_id = %q, %v, want %q", doc.TraceID, err, root.TraceID)
	}
	for _, s := range spans {
		if strings.HasPrefix(s.Name, "chat") && s.Attributes["gen_ai.conversation.id"] != "c-1" {
			t.Errorf("%s has no conversation id: %v", s.Name, s.Attributes)
		}
	}
	for _, r := range f.chats() {
		if parent := r.header.Get("Traceparent"); !strings.Contains(parent, root.TraceID) {
			t.Errorf("traceparent = %q, want trace %s", parent, root.TraceID)
		}
	}
}

// TestDeprecatedSwitch is the promise to users of earlier names.
func TestDeprecatedSwitch(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t)
	got := process{env: f.env("MELLEA_TRACE_BACKEND=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector.HTTP)}.run(t, "run", "hi")
	if got.code != 0 || strings.Count(got.stderr, "MELLEA_TRACE_BACKEND") != 1 || !strings.Contains(got.stderr, "use MELLEA_TRACES_ENABLED") {
		t.Errorf("exit %d, stderr %q, want one warning with the new name", got.code, got.stderr)
	}
	spans := collector.Spans(t, 1)
	if len(spans) != 1 || spans[0].Name != "chat tiny:latest" || spans[0].Scope != "mellea.backend" {
		t.Errorf("spans = %+v, want one of a chat", spans)
	}
}

func TestUnreachableCollector(t *testing.T) {
	t.Parallel()
	f := newFake(t, "hi")
	got := process{env: f.env("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1")}.run(t, "run", "hi")
	if got.code != 0 || got.stdout != "hi\n" {
		t.Errorf("exit %d, stdout %q, want a result", got.code, got.stdout)
	}
	wantLines(t, "stderr", got.stderr, "mellea: ollama", "mellea: warning: telemetry: ")
}

// TestContentStaysHere looks for content in every byte that is exported.
func TestContentStaysHere(t *testing.T) {
	t.Parallel()
	for name, status := range map[string]int{"success": 0, "failure": 400} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			f := newFake(t, "zebra zebra zebra", "no, judge-secret", "zebra", "yes")
			f.fails(status, "message-secret")
			env := f.env(append(tracing(collector), "OPENAI_API_KEY=key-secret")...)
			process{env: env, stdin: "prompt-secret {{name}}"}.run(t, "run", "-", "--var", "name=value-secret", "--system", "system-secret",
				"--require", "require-secret", "--check", "excludes:check-secret", "--check", "max-words:2",
				"--option", "extra=extra-secret")
			collector.Spans(t, 1)
			raw := collector.Raw()
			for _, word := range []string{"secret", "zebra"} {
				if i := bytes.Index(raw, []byte(word)); i >= 0 {
					t.Errorf("what was exported has %q", raw[max(0, i-40):min(len(raw), i+40)])
				}
			}
		})
	}
	t.Run("on", func(t *testing.T) {
		t.Parallel()
		collector := otlptest.Start(t)
		f := newFake(t, "zebra")
		process{env: f.env(append(tracing(collector), "MELLEA_TRACES_CONTENT=true")...)}.run(t, "run", "prompt-secret")
		collector.Spans(t, 1)
		if raw := collector.Raw(); !bytes.Contains(raw, []byte("prompt-secret")) || !bytes.Contains(raw, []byte("zebra")) {
			t.Error("with content on, prompt and reply are not exported: the search above proves nothing")
		}
	})
}

func TestUnknownVariable(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	got := process{env: f.env("MELLEA_TRACSE_ENABLED=true")}.run(t, "run", "hi")
	if !strings.Contains(got.stderr, "did you mean MELLEA_TRACES_ENABLED") {
		t.Errorf("stderr = %q, want the nearest name", got.stderr)
	}
	lines := slices.Collect(strings.Lines(got.stderr))
	if len(lines) != 2 {
		t.Errorf("stderr = %q, want two lines", got.stderr)
	}
}
