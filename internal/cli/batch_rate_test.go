package cli_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A batch keeps to --rpm and --tpm, whatever the concurrency; the tokens are those that the server counted.
func TestBatchRate(t *testing.T) {
	t.Parallel()
	const lines = 7
	var text strings.Builder
	for i := range lines {
		fmt.Fprintf(&text, "{\"prompt\":\"prompt %d\"}\n", i)
	}
	in, dir := file(t, "in.jsonl", text.String()), t.TempDir()
	recording := filepath.Join(dir, "recording.jsonl")
	f := newFake(t).echoes()
	// Each call uses 12 tokens: 10 for the prompt and 2 for the reply.
	if got := (process{env: f.env()}).run(t, "batch", in, "--out", filepath.Join(dir, "recorded.jsonl"), "--record", recording); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	for name, test := range map[string]struct {
		flags []string
		least time.Duration // from the first request to the last
		most  time.Duration
	}{
		"no bound":           {nil, 0, 0},
		"a request a second": {[]string{"--rpm", "60"}, 6 * time.Second, 6 * time.Second},
		"two in a second":    {[]string{"--rpm", "120"}, 2 * time.Second, 3 * time.Second},
		// What the last calls take is an estimate until they are done.
		"the tokens of a call in a second": {[]string{"--tpm", "720"}, 5 * time.Second, 7 * time.Second},
		"the lower of both":                {[]string{"--rpm", "6000", "--tpm", "720"}, 5 * time.Second, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out.jsonl")
			synctest.Test(t, func(t *testing.T) {
				began := time.Now()
				args := append([]string{"batch", in, "--out", out, "--replay", recording, "--concurrency", "4"}, test.flags...)
				if got := (process{env: nowhere}).run(t, args...); got.code != 0 {
					t.Fatalf("exit %d: %s", got.code, got.stderr)
				}
				if got := time.Since(began); got < test.least || got > test.most {
					t.Errorf("%d lines took %v, want %v to %v", lines, got, test.least, test.most)
				}
			})
			if got := len(records(t, out)); got != lines {
				t.Errorf("%d lines are done, want %d", got, lines)
			}
		})
	}
}
