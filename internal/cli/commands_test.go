package cli_test

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/cli/demo"
	"github.com/mellea-go/mellea/internal/otlptest"
)

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{nil, {"--help"}, {"run", "--help"}, {"help", "run"}, {"demo", "-h"}, {"hooks", "--help"}, {"env", "--help"}, {"batch", "--help"}, {"chat", "--help"}, {"models", "--help"}, {"models", "pull", "--help"}, {"version", "--help"}, {"check", "--help"}, {"cost", "--help"}} {
		got := process{}.run(t, args...)
		if got.code != 0 || got.stderr != "" || !strings.Contains(got.stdout, "Examples:\n  ") || !strings.Contains(got.stdout, "Usage:\n  mellea") {
			t.Errorf("mellea %q: exit %d, stderr %q, stdout %q, want help with examples", args, got.code, got.stderr, got.stdout)
		}
	}
	if got := (process{}).run(t, "run", "--help"); strings.Contains(got.stdout, "default none") || strings.Contains(got.stdout, "\t") {
		t.Errorf("help = %q", got.stdout)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	for shell, want := range map[string]string{"bash": "__start_mellea", "zsh": "#compdef mellea", "fish": "complete -c mellea", "powershell": "Register-ArgumentCompleter"} {
		if got := (process{}).run(t, "completion", shell); got.code != 0 || !strings.Contains(got.stdout, want) {
			t.Errorf("completion %s: exit %d, want a script with %q", shell, got.code, want)
		}
	}
	for flag, want := range map[string]string{"--strategy": "none\nreject\nrepair\nmulti-turn\n", "--backend": "openai\nollama\nhuggingface\nlitellm\nwatsonx\nreplay\n", "--output": "text\njson\n"} {
		if got := (process{}).run(t, "__complete", "run", flag, ""); !strings.HasPrefix(got.stdout, want) {
			t.Errorf("completion of %s = %q, want %q", flag, got.stdout, want)
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	got := process{}.run(t, "version")
	if got.code != 0 || !strings.HasPrefix(got.stdout, "mellea ") || !strings.Contains(got.stdout, runtime.Version()) || strings.Count(got.stdout, "\n") != 1 {
		t.Errorf("exit %d, stdout %q, want one line with versions", got.code, got.stdout)
	}
}

func TestHooks(t *testing.T) {
	t.Parallel()
	t.Run("nothing", func(t *testing.T) {
		t.Parallel()
		got := process{}.run(t, "hooks")
		for _, point := range hookpoint.All() {
			if !strings.Contains(got.stdout, "\n"+point+" ") {
				t.Errorf("stdout has no %s:\n%s", point, got.stdout)
			}
		}
		var doc struct {
			Installed []any
			Points    []struct{ Name, Announces string }
		}
		if err := json.Unmarshal([]byte(process{}.run(t, "hooks", "--output", "json").stdout), &doc); err != nil || doc.Installed == nil || len(doc.Installed) > 0 {
			t.Errorf("json: %v, %+v, want an empty list", err, doc)
		}
		for _, p := range doc.Points {
			if p.Announces == "" {
				t.Errorf("nothing is said of %s", p.Name)
			}
		}
	})
	t.Run("installed", func(t *testing.T) {
		t.Parallel()
		guard := hookpoint.Generation.Guard(nilGuard, hook.Name("budget"), hook.Priority(7))
		got := process{hooks: []hook.Source{guard}, env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_CONSOLE=false"}}.run(t, "hooks")
		lines := slices.Collect(strings.Lines(got.stdout))
		fields := func(s string) []string { return strings.Fields(s) }
		if diff := cmp.Diff([]string{"POINT", "ROLE", "PLUGIN", "PRIORITY", "SCOPE"}, fields(lines[0])); diff != "" {
			t.Errorf("head (-want +got):\n%s", diff)
		}
		for _, want := range [][]string{
			{"generation", "bracket", "telemetry.backend", "-3000", "session"},
			{"generation", "guard", "budget", "7", "session"},
		} {
			if !slices.ContainsFunc(lines, func(l string) bool { return slices.Equal(fields(l), want) }) {
				t.Errorf("there is no line %q in\n%s", want, got.stdout)
			}
		}
	})
}

func TestEnv(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t)
	env := f.env("MELLEA_TRACE_BACKEND=true", "MELLEA_TRACSE_OTLP=1", "OTEL_EXPORTER_OTLP_ENDPOINT="+strings.Replace(collector.HTTP, "http://", "http://user:hidden@", 1),
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=hidden", "OPENAI_API_KEY=hidden", "OPENAI_BASE_URL=http://hidden:hidden@127.0.0.1:1/v1?key=hidden")
	got := process{env: env}.run(t, "env")
	if got.code != 0 || strings.Contains(got.stdout+got.stderr, "hidden") {
		t.Errorf("exit %d, want 0 and nothing hidden:\n%s%s", got.code, got.stdout, got.stderr)
	}
	for _, want := range [][]string{
		{"MELLEA_TRACES_CONTENT_MAX_BYTES", "16384", "default"},
		{"MELLEA_TRACE_BACKEND", "true", "environment", "deprecated:", "use", "MELLEA_TRACES_ENABLED"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "****", "environment"},
		{"OPENAI_API_KEY", "****", "environment"},
		{"OTLP", "http/protobuf", collector.HTTP + "/v1/traces", "yes"},
		{"Ollama", f.URL, "yes", "version", "0.0.1"},
	} {
		if !slices.ContainsFunc(slices.Collect(strings.Lines(got.stdout)), func(l string) bool { return slices.Equal(strings.Fields(l), want) }) {
			t.Errorf("there is no line %q in\n%s", want, got.stdout)
		}
	}
	if !strings.Contains(got.stdout, "http://127.0.0.1:1/v1") || !strings.Contains(got.stdout, "refused") {
		t.Errorf("stdout does not say that OpenAI's server refuses:\n%s", got.stdout)
	}
	if strings.Count(got.stderr, "MELLEA_TRACSE_OTLP") != 1 || strings.Count(got.stderr, "MELLEA_TRACE_BACKEND is deprecated") != 1 {
		t.Errorf("stderr = %q, want each warning once", got.stderr)
	}

	var doc struct {
		Settings  []map[string]any
		Endpoints []struct {
			Name    string
			Answers bool
		}
		Warnings []string
	}
	if err := json.Unmarshal([]byte(process{env: env}.run(t, "env", "--output", "json", "--all").stdout), &doc); err != nil {
		t.Fatal(err)
	}
	if len(doc.Settings) < 40 || len(doc.Warnings) != 2 || len(doc.Endpoints) != 3 || !doc.Endpoints[0].Answers || doc.Endpoints[2].Answers {
		t.Errorf("json = %+v", doc)
	}
}

// TestDemo runs the demonstration where there is nothing: no server, no environment.
func TestDemo(t *testing.T) {
	t.Parallel()
	got := process{}.run(t, "demo", "--speed", "0")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d, stderr %q, want 0 and nothing", got.code, got.stderr)
	}
	for line := range strings.SplitSeq(strings.TrimSpace(demo.Source), "\n") {
		if !strings.Contains(got.stdout, strings.ReplaceAll(line, "\t", "    ")) {
			t.Errorf("the program is shown without %q", line)
		}
	}
	for _, part := range []string{"smollm2:135m-instruct on Ollama 0.17.4, 20", "failed — ", "✗ Use at most 25 words. — has ", "passed\n", "The result:\n",
		"mellea demo ", "└─ session ", "sampling ", "• repair ", "requirement ", "name=llm_judge passed=true", "component=judge", "exit=0"} {
		if !strings.Contains(got.stdout, part) {
			t.Errorf("stdout has no %q:\n%s", part, got.stdout)
		}
	}
	if strings.Contains(got.stdout, "\x1b") {
		t.Error("stdout is coloured in a pipe")
	}
	// An environment that would suppress tracing does not hide the tree.
	quiet := process{env: []string{"OTEL_SDK_DISABLED=true", "MELLEA_TRACE_BACKEND=true"}}.run(t, "demo", "--speed", "0")
	if !strings.Contains(quiet.stdout, "mellea demo ") {
		t.Error("with OTEL_SDK_DISABLED the demonstration has no tree")
	}
}

func TestDemoLive(t *testing.T) {
	t.Parallel()
	f := newFake(t, "dark", "no", "it is light", "yes")
	got := process{env: f.env()}.run(t, "demo", "--live")
	if got.code != 0 || !strings.Contains(got.stdout, "It runs on ollama, model tiny:latest:") || !strings.Contains(got.stdout, "    it is light\n  passed\n") {
		t.Errorf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	f = newFake(t, "dark")
	got = process{env: f.env()}.run(t, "demo", "--live")
	if got.code != 1 || !strings.Contains(got.stdout, "The best attempt:\n\n    dark\n") || !strings.Contains(got.stdout, "mellea demo ") {
		t.Errorf("exit %d, want 1 and the best attempt: %s%s", got.code, got.stdout, got.stderr)
	}
	file := t.TempDir() + "/recording.jsonl"
	f = newFake(t, "light", "yes")
	if got = (process{env: f.env()}).run(t, "demo", "--live", "--record", file); got.code != 0 {
		t.Errorf("exit %d: %s", got.code, got.stderr)
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), "made by the model tiny:latest on Ollama 0.0.1, 20") {
		t.Errorf("recording = %q, %v, want a note", text, err)
	}
	for _, args := range [][]string{{"--live", "--speed", "2"}, {"--live", "--backend", "replay"}, {"--record", "x"}, {"--speed", "NaN"}} {
		if got := (process{env: nowhere}).run(t, append([]string{"demo"}, args...)...); got.code != 2 || got.stdout != "" {
			t.Errorf("demo %q: exit %d, stdout %q, want 2 and nothing", args, got.code, got.stdout)
		}
	}
}

// TestDemoAsksNobody looks that no server is asked, wherever the environment points to.
func TestDemoAsksNobody(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	accepted := make(chan bool)
	go func() {
		c, err := l.Accept()
		if err == nil {
			c.Close()
		}
		accepted <- err == nil
	}()
	address := "http://" + l.Addr().String()
	process{env: []string{"OLLAMA_HOST=" + address, "OPENAI_BASE_URL=" + address, "OPENAI_API_KEY=k", "MELLEA_BACKEND=openai", "MELLEA_MODEL=m",
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + address}}.run(t, "demo", "--speed", "0")
	l.Close()
	if <-accepted {
		t.Error("the demonstration connected to a server")
	}
}

func nilGuard(_ context.Context, start hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
	return start, nil
}
