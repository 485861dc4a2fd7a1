//go:build llama

package local

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/hybridgroup/yzma/pkg/llama"

	"github.com/mellea-go/mellea/backend"
)

func TestLibraryThatIsNotThere(t *testing.T) {
	t.Parallel()
	empty, versioned := t.TempDir(), t.TempDir()
	for _, name := range []string{"libggml-base.so", "libggml.v0.5.0.so", "libggml-base.dylib", "libggml.v0.5.0.dylib", "ggml-base.dll", "ggml.v0.5.0.dll"} {
		touch(t, versioned, name)
	}
	for dir, remedy := range map[string]string{empty: "@node-llama-cpp/linux-x64 3.22.1", versioned: "ln -s"} {
		model := touch(t, t.TempDir(), "x.gguf")
		b := New(WithLibrary(dir), WithModel(model))
		_, err := b.Info(t.Context())
		var e *backend.Error
		if !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, remedy) || !errors.Is(err, os.ErrNotExist) {
			t.Errorf("got %v, want a configuration error about %q", err, remedy)
		}
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	}
	if dir, err := findLibrary("", []string{empty}); err == nil || !strings.Contains(err.Error(), "MELLEA_LLAMA_LIB") {
		t.Errorf("got %q, %v, want an error that names MELLEA_LLAMA_LIB", dir, err)
	}
}

// A library of another release is found out by its default context.
func TestCheckDefaults(t *testing.T) {
	t.Parallel()
	good := llama.ContextParams{NCtx: 512, NBatch: 2048, NUbatch: 512, NSeqMax: 1, NThreads: 4, NThreadsBatch: 4}
	if err := checkDefaults("dir", good); err != nil {
		t.Errorf("the release's own defaults: %v", err)
	}
	moved := good
	moved.NThreads, moved.NThreadsBatch = 0, 4
	var e *backend.Error
	if err := checkDefaults("dir", moved); !errors.As(err, &e) || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, LibraryVersion) {
		t.Errorf("got %v, want a configuration error that names %s", err, LibraryVersion)
	}
}
