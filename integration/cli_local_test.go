//go:build llama

package integration_test

import (
	"strings"
	"testing"

	"github.com/mellea-go/mellea/integration/components"
)

// TestCommandInProcess runs a real model in the command itself.
func TestCommandInProcess(t *testing.T) {
	env := []string{"MELLEA_LLAMA_LIB=" + components.LlamaLib(t)}
	args := append([]string{"run", capital, "--backend", "huggingface", "--model", components.SmolLM2GGUF(t)}, sure...)
	mellea := command(t, "-tags=llama")
	if first, again := output(t, mellea("", env, args...)), output(t, mellea("", env, args...)); strings.TrimSpace(first) == "" || first != again {
		t.Errorf("printed %q and %q, want the same reply twice", first, again)
	}
}
