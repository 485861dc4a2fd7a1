//go:build llama

package integration_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/integration/components"
)

// The command runs a tool that a model in its process calls, and says to it what that gave.
func TestCommandInProcessTools(t *testing.T) {
	env := []string{"MELLEA_LLAMA_LIB=" + components.LlamaLib(t)}
	mellea := command(t, "-tags=llama")
	demanded := append([]string{"--backend", "huggingface", "--model", components.SmolLM2GGUF(t), "--tool", "clock", "--option", "tool_choice=required"}, sure...)
	for name, args := range map[string][]string{"run": {"run", "What time is it?"}, "chat": {"chat"}} {
		t.Run(name, func(t *testing.T) {
			recording := filepath.Join(t.TempDir(), "recording.jsonl")
			cmd := mellea("", env, slices.Concat(args, demanded, []string{"--option", "max-tokens=80", "--record", recording})...)
			cmd.Stdin = strings.NewReader("What time is it?\n")
			if out := output(t, cmd); strings.TrimSpace(out) == "" {
				t.Error("the command printed nothing")
			}
			text, err := os.ReadFile(recording)
			if err != nil {
				t.Fatal(err)
			}
			if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); !strings.Contains(lines[len(lines)-1], "call_1") || !strings.Contains(lines[len(lines)-1], "clock") {
				t.Errorf("the last exchange is %s, want the call and its result in it", lines[len(lines)-1])
			}
		})
	}
}

// TestCommandInProcess runs a real model in the command itself.
func TestCommandInProcess(t *testing.T) {
	env := []string{"MELLEA_LLAMA_LIB=" + components.LlamaLib(t)}
	args := append([]string{"run", capital, "--backend", "huggingface", "--model", components.SmolLM2GGUF(t)}, sure...)
	mellea := command(t, "-tags=llama")
	if first, again := output(t, mellea("", env, args...)), output(t, mellea("", env, args...)); strings.TrimSpace(first) == "" || first != again {
		t.Errorf("printed %q and %q, want the same reply twice", first, again)
	}
}
