// Package components starts the real servers that integration tests need, and
// stops them: Ollama with a small instruct model or one that says what the test
// scripts, LiteLLM, `transformers serve`, Jaeger, an OpenTelemetry Collector and
// Prometheus. It also finds what programs
// load themselves, such as the llama.cpp libraries.
//
// The servers come from a cache folder outside the tree, filled by
// scripts/components/install.sh; this package never downloads or builds. Every
// server listens on loopback only, on ports it reserves below 32768, and has a
// folder of its own, so any number of them, from any number of test processes,
// run side by side.
//
// Tests call [StartOllama] and its like, which skip the test when a component is
// missing, or fail it when MELLEA_REQUIRE_COMPONENTS=1. A program, or a TestMain
// that shares one server among many tests, calls [RunOllama] and its like. Both ways the servers also end when the process that started them
// is killed.
package components

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// The components that [Find] and [Require] know.
const (
	OllamaServer     = "ollama"       // the Ollama server
	JaegerServer     = "jaeger"       // the Jaeger server
	CollectorServer  = "otelcol"      // an OpenTelemetry Collector
	PrometheusServer = "prometheus"   // the Prometheus server
	SmolLM2          = "smollm2"      // the weights of SmolLM2-135M-Instruct
	LlamaCPP         = "llamacpp"     // the llama.cpp libraries
	LiteLLMProxy     = "litellm"      // the LiteLLM proxy
	Transformers     = "transformers" // Hugging Face Transformers with its server
	SmolLM2HF        = "smollm2hf"    // the weights of SmolLM2-135M-Instruct as a Hugging Face folder
)

// SmolLM2File is the GGUF file in the folder of [SmolLM2].
const SmolLM2File = "smollm2-135m-instruct.gguf"

// versions are the pins of scripts/components/install.sh; a test compares them.
var versions = map[string]string{
	OllamaServer:     "0.17.4",
	JaegerServer:     "1.76.0",
	CollectorServer:  "0.161.0",
	PrometheusServer: "0.316.0",
	SmolLM2:          "0.1.2",
	LlamaCPP:         "3.22.1",
	LiteLLMProxy:     "1.106.12",
	Transformers:     "5.24.0",
	SmolLM2HF:        "0.1.2",
}

// ErrMissing is the cause of the error [Find] returns for a component that is
// not installed.
var ErrMissing = errors.New("component is not installed")

// Find returns the folder of an installed component. For a component that is
// not there the error wraps [ErrMissing] and names the command that installs it.
func Find(name string) (string, error) {
	version, ok := versions[name]
	if !ok {
		return "", fmt.Errorf("components: no component is called %q: choose from %v", name, names())
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, name+"-"+version)
	if _, err := os.Stat(filepath.Join(dir, ".complete")); err != nil {
		return "", fmt.Errorf("components: %s %s: %w in %s: run scripts/components/install.sh %s",
			name, version, ErrMissing, cache, name)
	}
	return dir, nil
}

// cacheDir returns the cache folder, by the same rule as install.sh.
func cacheDir() (string, error) {
	if dir := os.Getenv("MELLEA_COMPONENTS_DIR"); dir != "" {
		return filepath.Abs(dir)
	}
	if dir := os.Getenv("XDG_CACHE_HOME"); dir != "" {
		return filepath.Join(dir, "mellea-components"), nil
	}
	if home := os.Getenv("HOME"); home != "" {
		return filepath.Join(home, ".cache", "mellea-components"), nil
	}
	return "", errors.New("components: no cache folder, HOME is not set: set MELLEA_COMPONENTS_DIR")
}

// names returns the known components in a fixed order.
func names() []string {
	all := make([]string, 0, len(versions))
	for name := range versions {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}
