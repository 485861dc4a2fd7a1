package warnonce_test

import (
	"bytes"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/internal/warnonce"
)

// However many goroutines have the same to say, it is said once.
func TestWarn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := warnonce.Log{Logger: slog.New(slog.NewTextHandler(&out, nil))}
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			log.Warn("a", "first", "option", "seed")
			log.Warn("b", "second")
		})
	}
	all.Wait()
	for message, want := range map[string]int{"msg=first option=seed": 1, "msg=second": 1, "level=WARN": 2} {
		if got := strings.Count(out.String(), message); got != want {
			t.Errorf("%q is there %d times, want %d:\n%s", message, got, want, out.String())
		}
	}
}
