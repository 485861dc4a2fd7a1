package components

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// startTime bounds the start of one server, which takes a few seconds, on a
// machine that is busy with other things.
const startTime = 3 * time.Minute

// Require skips the test when one of the named components is not installed, with
// a message that says how to install it. With MELLEA_REQUIRE_COMPONENTS=1, as in
// the full test run, it fails the test instead.
func Require(t testing.TB, names ...string) {
	t.Helper()
	var missing []error
	for _, name := range names {
		if _, err := Find(name); errors.Is(err, ErrMissing) {
			missing = append(missing, err)
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if len(missing) == 0 {
		return
	}
	err := errors.Join(missing...)
	if os.Getenv("MELLEA_REQUIRE_COMPONENTS") == "1" {
		t.Fatalf("MELLEA_REQUIRE_COMPONENTS=1: %v", err)
	}
	t.Skip(err)
}

// StartOllama starts Ollama with its model loaded, as [RunOllama] does, for the
// time of the test; in [Main] it is the one that tests share. It skips or fails
// the test as [Require] does. When the test fails, the end of the server's log is
// in the test's output. All this is true of the functions below, too.
func StartOllama(t testing.TB) *Ollama {
	t.Helper()
	Require(t, OllamaServer, SmolLM2)
	return serve(t, OllamaServer, RunOllama, func(o *Ollama) *server { return o.server })
}

// StartJaeger starts Jaeger, as [RunJaeger] does.
func StartJaeger(t testing.TB) *Jaeger {
	t.Helper()
	Require(t, JaegerServer)
	return serve(t, JaegerServer, RunJaeger, func(j *Jaeger) *server { return j.server })
}

// StartPrometheus starts Prometheus, as [RunPrometheus] does, without anything to scrape.
func StartPrometheus(t testing.TB) *Prometheus {
	t.Helper()
	Require(t, PrometheusServer)
	run := func(ctx context.Context) (*Prometheus, func() error, error) { return RunPrometheus(ctx) }
	return serve(t, PrometheusServer, run, func(p *Prometheus) *server { return p.server })
}

// StartCollector starts a collector, as [RunCollector] does, in front of j and p, which [StartJaeger] and
// [StartPrometheus] returned.
func StartCollector(t testing.TB, j *Jaeger, p *Prometheus) *Collector {
	t.Helper()
	Require(t, CollectorServer)
	run := func(ctx context.Context) (*Collector, func() error, error) { return RunCollector(ctx, j, p) }
	return serve(t, CollectorServer+" "+j.OTLPGRPC+" "+p.URL, run, func(c *Collector) *server { return c.server })
}

// StartLiteLLM starts a LiteLLM proxy, as [RunLiteLLM] does, in front of o, which
// [StartOllama] returned.
func StartLiteLLM(t testing.TB, o *Ollama) *LiteLLM {
	t.Helper()
	Require(t, LiteLLMProxy)
	run := func(ctx context.Context) (*LiteLLM, func() error, error) { return RunLiteLLM(ctx, o) }
	return serve(t, LiteLLMProxy+" "+o.URL, run, func(l *LiteLLM) *server { return l.server })
}

// TransformersServe starts `transformers serve` on SmolLM2, as [RunTransformers]
// does.
func TransformersServe(t testing.TB) *TransformersServer {
	t.Helper()
	Require(t, Transformers, SmolLM2HF)
	return serveFolder(t, "")
}

// TransformersScripted starts `transformers serve`, as [RunTransformers] does, on
// a model that says the script. It starts as slowly as any, and answers faster.
func TransformersScripted(t testing.TB, script tinymodel.Script) *TransformersServer {
	t.Helper()
	Require(t, Transformers)
	dir := t.TempDir()
	if err := tinymodel.WriteScriptedFolder(dir, script); err != nil {
		t.Fatal(err)
	}
	return serveFolder(t, dir)
}

func serveFolder(t testing.TB, dir string) *TransformersServer {
	t.Helper()
	run := func(ctx context.Context) (*TransformersServer, func() error, error) { return RunTransformers(ctx, dir) }
	return serve(t, Transformers+" "+dir, run, func(s *TransformersServer) *server { return s.server })
}

// Scripted makes a model on the server that says the script, as
// [Ollama.Script] does, for the time of the test, and returns its name.
func Scripted(t testing.TB, o *Ollama, script tinymodel.Script) string {
	t.Helper()
	name, err := o.Script(t.Context(), script)
	return forTest(t, o, name, err)
}

// Seeing makes a model on the server that says which colours are in the images
// it is shown, as [Ollama.Seeing] does, for the time of the test, and returns its
// name.
func Seeing(t testing.TB, o *Ollama) string {
	t.Helper()
	name, err := o.Seeing(t.Context())
	return forTest(t, o, name, err)
}

// forTest removes a model that was made when the test ends.
func forTest(t testing.TB, o *Ollama, name string, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := o.Remove(context.WithoutCancel(t.Context()), name); err != nil {
			t.Error(err)
		}
	})
	return name
}

// LlamaLib returns the folder of the llama.cpp libraries, libllama.so and libggml.so among them. It skips or fails
// the test as [Require] does.
func LlamaLib(t testing.TB) string {
	t.Helper()
	return filepath.Join(installed(t, LlamaCPP), "lib")
}

// SmolLM2GGUF returns the path of the GGUF file of SmolLM2-135M-Instruct, which holds its chat template. It skips or
// fails the test as [Require] does.
func SmolLM2GGUF(t testing.TB) string {
	t.Helper()
	return filepath.Join(installed(t, SmolLM2), SmolLM2File)
}

// installed returns the folder of a component that the test requires.
func installed(t testing.TB, name string) string {
	t.Helper()
	Require(t, name)
	dir, err := Find(name)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
