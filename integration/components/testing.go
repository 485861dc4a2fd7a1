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
// time of the test. It skips or fails the test as [Require] does. When the test
// fails, the end of the server's log is in the test's output.
func StartOllama(t testing.TB) *Ollama {
	t.Helper()
	Require(t, OllamaServer, SmolLM2)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	o, stop, err := RunOllama(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, o.server, stop)
	return o
}

// StartJaeger starts Jaeger, as [RunJaeger] does, for the time of the test. It
// skips or fails the test as [Require] does. When the test fails, the end of the
// server's log is in the test's output.
func StartJaeger(t testing.TB) *Jaeger {
	t.Helper()
	Require(t, JaegerServer)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	j, stop, err := RunJaeger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, j.server, stop)
	return j
}

// StartLiteLLM starts a LiteLLM proxy in front of o, as [RunLiteLLM] does, for
// the time of the test. It skips or fails the test as [Require] does. When the
// test fails, the end of the proxy's log is in the test's output.
func StartLiteLLM(t testing.TB, o *Ollama) *LiteLLM {
	t.Helper()
	Require(t, LiteLLMProxy)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	l, stop, err := RunLiteLLM(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, l.server, stop)
	return l
}

// TransformersServe starts `transformers serve` on SmolLM2, as [RunTransformers]
// does, for the time of the test. It skips or fails the test as [Require] does.
// When the test fails, the end of the server's log is in the test's output.
func TransformersServe(t testing.TB) *TransformersServer {
	t.Helper()
	Require(t, Transformers, SmolLM2HF)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	s, stop, err := RunTransformers(ctx, "")
	if err != nil {
		t.Fatal(err)
	}
	cleanup(t, s.server, stop)
	return s
}

// Scripted makes a model on the server that says the script, as
// [Ollama.Script] does, and returns its name.
func Scripted(t testing.TB, o *Ollama, script tinymodel.Script) string {
	t.Helper()
	name, err := o.Script(t.Context(), script)
	if err != nil {
		t.Fatal(err)
	}
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

func cleanup(t testing.TB, s *server, stop func() error) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", s.name, s.logTail())
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
