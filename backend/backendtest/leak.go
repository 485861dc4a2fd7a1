package backendtest

import (
	"bytes"
	"context"
	"runtime"
	"runtime/pprof"
	"strings"
	"testing"
	"time"
)

// crowd bounds what many generations take together on a busy machine.
const crowd = 3 * time.Minute

// watched runs f under a label that the goroutines started in it inherit, and returns once none of them is left: it
// tells them from those of tests that run at the same time.
func watched(t *testing.T, f func(ctx context.Context)) {
	t.Helper()
	const key = "backendtest"
	ctx, cancel := context.WithTimeout(context.Background(), crowd)
	defer cancel()
	pprof.Do(ctx, pprof.Labels(key, t.Name()), f)
	label := `"` + key + `":"` + t.Name() + `"`
	var left []string
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		var all bytes.Buffer
		if err := pprof.Lookup("goroutine").WriteTo(&all, 1); err != nil {
			t.Fatal(err)
		}
		left = left[:0]
		for block := range strings.SplitSeq(all.String(), "\n\n") {
			if strings.Contains(block, label) {
				left = append(left, block)
			}
		}
		if len(left) == 0 {
			return
		}
	}
	t.Errorf("%d goroutines are left:\n%s", len(left), strings.Join(left, "\n\n"))
}

// collected waits until the garbage collector has freed what n counted cleanups belong to.
func collected(t *testing.T, n int, freed func() int) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		runtime.GC()
		got := freed()
		if got == n {
			return
		}
		if time.Now().After(deadline) {
			t.Errorf("%d of %d generations are still held when nobody has them, want none", n-got, n)
			return
		}
	}
}
