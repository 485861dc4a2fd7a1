package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/integration/components"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRun(t *testing.T) {
	components.Require(t, components.OllamaServer, components.SmolLM2, components.JaegerServer)
	seen := filepath.Join(t.TempDir(), "env")
	for _, tt := range []struct {
		name    string
		command []string
		signals []os.Signal
		want    int
		err     string
	}{
		{name: "success", command: []string{"sh", "-c", "env >" + seen}},
		{name: "failure", command: []string{"sh", "-c", "exit 7"}, want: 7},
		{name: "killed", command: []string{"sh", "-c", "kill -s KILL $$"}, want: 137},
		{name: "no such command", command: []string{filepath.Join(t.TempDir(), "none")}, want: 127, err: "run the command"},
		{name: "interrupted start", command: []string{"true"}, signals: []os.Signal{os.Interrupt}, want: 130, err: "stopped by the signal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			signals := make(chan os.Signal, 2)
			for _, s := range tt.signals {
				signals <- s
			}
			code, err := run(tt.command, options{}, signals)
			if code != tt.want || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
				t.Errorf("code %d, error %v; want %d, %q", code, err, tt.want, tt.err)
			}
		})
	}
	env, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"OLLAMA_HOST=http://127.0.0.1:", "MELLEA_MODEL=smollm2:135m-instruct", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:",
		"OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
	} {
		if !strings.Contains(string(env), want) {
			t.Errorf("the command's environment has no %s", want)
		}
	}
}

// With keep the servers stay up until a signal.
func TestRunKeep(t *testing.T) {
	components.Require(t, components.OllamaServer, components.SmolLM2, components.JaegerServer)
	ready := filepath.Join(t.TempDir(), "ready")
	signals := make(chan os.Signal)
	ended := make(chan struct{})
	interrupter := make(chan struct{})
	go func() { // interrupts again and again: the command, while it runs, is not ended by it
		defer close(interrupter)
		for {
			select {
			case <-ended:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if _, err := os.Stat(ready); err != nil {
				continue
			}
			select {
			case signals <- os.Interrupt:
			case <-ended:
				return
			}
		}
	}()
	code, err := run([]string{"sh", "-c", "echo >" + ready}, options{keep: true}, signals)
	close(ended)
	<-interrupter
	if code != 0 || err != nil {
		t.Errorf("code %d, error %v", code, err)
	}
}

// The flags add servers, and the command is told where they are.
func TestRunAll(t *testing.T) {
	components.Require(t, components.OllamaServer, components.SmolLM2, components.JaegerServer, components.LlamaCPP,
		components.LiteLLMProxy, components.Transformers, components.SmolLM2HF, components.CollectorServer, components.PrometheusServer)
	seen := filepath.Join(t.TempDir(), "env")
	code, err := run([]string{"sh", "-c", "env >" + seen}, options{collector: true, litellm: true, transformers: true}, make(chan os.Signal))
	if code != 0 || err != nil {
		t.Fatalf("code %d, error %v", code, err)
	}
	env, err := os.ReadFile(seen)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"MELLEA_LLAMA_LIB=", "MELLEA_GGUF=", "LITELLM_PROXY_API_BASE=http://127.0.0.1:", "LITELLM_PROXY_API_KEY=sk-",
		"TRANSFORMERS_URL=http://127.0.0.1:", "TRANSFORMERS_MODEL=", "PROMETHEUS_URL=http://127.0.0.1:", "MELLEA_METRICS_OTLP=true"} {
		if !strings.Contains(string(env), want) {
			t.Errorf("the command's environment has no %s", want)
		}
	}
}
