package cli

import (
	"bytes"
	"strings"
	"testing"
)

// A panic is no wrong usage, whose exit code is what Go itself ends a panicking program with.
func TestPanicIsAFailure(t *testing.T) {
	t.Parallel()
	var stderr bytes.Buffer
	code := failing(System{Stderr: Output{Writer: &stderr}}, func() int { panic("a bug") })
	if code != ExitFailed {
		t.Errorf("exit code = %d, want %d", code, ExitFailed)
	}
	if got := stderr.String(); !strings.HasPrefix(got, "mellea: internal error: a bug\n") || !strings.Contains(got, "panic_test.go") {
		t.Errorf("stderr = %q, want the panic and its stack", got)
	}
}
