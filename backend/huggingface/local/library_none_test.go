//go:build !llama

package local

import (
	"errors"
	"testing"

	"github.com/mellea-go/mellea/backend"
)

func TestWithoutLlama(t *testing.T) {
	t.Parallel()
	b := New(WithModel(touch(t, t.TempDir(), "x.gguf")))
	defer b.Close()
	_, err := b.Info(t.Context())
	if e := new(backend.Error); !errors.As(err, &e) || e.Code != backend.CodeUnsupported || e.Op != "info" {
		t.Errorf("got %v, want that the program has no llama.cpp", err)
	}
}
