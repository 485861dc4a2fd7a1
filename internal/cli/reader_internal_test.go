package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestUntilDone(t *testing.T) {
	t.Parallel()
	if err := iotest.TestReader(untilDone(t.Context(), strings.NewReader(strings.Repeat("text ", 50_000))), []byte(strings.Repeat("text ", 50_000))); err != nil {
		t.Error(err)
	}
	silent, writer := io.Pipe()
	defer writer.Close()
	ctx, cancel := context.WithCancelCause(t.Context())
	left := errors.New("left")
	go cancel(left)
	if _, err := untilDone(ctx, silent).Read(make([]byte, 1)); !errors.Is(err, left) {
		t.Errorf("a read that nothing ends: %v, want %v", err, left)
	}
}
