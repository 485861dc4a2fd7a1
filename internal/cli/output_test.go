package cli_test

import (
	"slices"
	"strings"
	"testing"
)

const hostile = "red \x1b[31m, title \x1b]0;x\x07, C1 \u009b, bidi \u202e"

// TestHostileText looks that what a model says can act on no terminal, and arrives unchanged in a pipe.
func TestHostileText(t *testing.T) {
	t.Parallel()
	const escaped = `red \x1b[31m, title \x1b]0;x\x07, C1 \u009b, bidi \u202e`
	for name, c := range map[string]struct {
		args           []string
		stdout, stderr bool // terminals
		code           int
		want           string // on standard output
	}{
		"pipe":                  {want: hostile + "\n"},
		"terminal":              {stdout: true, want: escaped + "\n"},
		"streamed into a pipe":  {args: []string{"--stream"}, want: hostile + "\n"},
		"streamed to terminals": {args: []string{"--stream"}, stdout: true, stderr: true, want: escaped + "\n"},
		"attempts on a terminal": {args: []string{"--stream", "--check", "max-words:1", "--budget", "1"}, stderr: true, code: 1,
			want: hostile + "\n"},
		"quoted in a reason": {args: []string{"--check", "one-of:a|b", "--budget", "1"}, stdout: true, stderr: true, code: 1, want: escaped + "\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, hostile)
			got := process{env: f.env("NO_COLOR=1"), stdout: c.stdout, stderr: c.stderr}.run(t, append([]string{"run", "hi"}, c.args...)...)
			if got.code != c.code || got.stdout != c.want {
				t.Errorf("exit %d, stdout %q, want %d and %q", got.code, got.stdout, c.code, c.want)
			}
			for _, sequence := range []string{"\x1b[31m", "\x1b]", "\u009b", "\u202e"} {
				if c.stderr && strings.Contains(got.stderr, sequence) {
					t.Errorf("stderr has %q: %q", sequence, got.stderr)
				}
			}
		})
	}
	t.Run("json", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, hostile)
		piped := process{env: f.env()}.run(t, "run", "hi", "--output", "json")
		shown := process{env: f.env(), stdout: true}.run(t, "run", "hi", "--output", "json")
		if !strings.Contains(piped.stdout, "\u202e") || strings.Contains(shown.stdout, "\u202e") || !strings.Contains(shown.stdout, `\u202e`) {
			t.Errorf("piped %q\nshown %q", piped.stdout, shown.stdout)
		}
	})
}

// TestProgress looks at standard error: on a terminal the attempts, in a pipe one line.
func TestProgress(t *testing.T) {
	t.Parallel()
	args := []string{"run", "Go", "--require", "be polite", "--check", "max-words:2"}
	replies := []string{"one two three", "no, that is rude", "one two", "yes"}
	t.Run("pipe", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, replies...)
		got := process{env: f.env()}.run(t, args...)
		if got.stdout != "one two\n" {
			t.Errorf("stdout = %q", got.stdout)
		}
		wantLines(t, "stderr", got.stderr, "mellea: ollama, model tiny:latest")
	})
	t.Run("terminal", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, replies...)
		got := process{env: f.env("NO_COLOR=1"), stderr: true}.run(t, args...)
		const clear = "\r\x1b[K"
		want := "  attempt 1 of 3 running …" + clear +
			"  attempt 1 of 3 checking be polite …" + clear + "  attempt 1 of 3 checking max-words:2 …" + clear +
			"  attempt 1 of 3 failed — 0 of 2 met\n" +
			"    ✗ be polite — "
		_, progress, _ := strings.Cut(got.stderr, "\n")
		if !strings.HasPrefix(progress, want) {
			t.Errorf("stderr = %q, want it to begin with %q", progress, want)
		}
		for _, part := range []string{"✗ max-words:2 — has 3 words, at most 2 are allowed\n", "  attempt 2 of 3 passed\n"} {
			if !strings.Contains(progress, part) {
				t.Errorf("stderr = %q, want %q in it", progress, part)
			}
		}
		if !strings.HasSuffix(progress, "passed\n") {
			t.Errorf("stderr = %q, want nothing behind the verdict", progress)
		}
	})
	t.Run("checks that run at the same time", func(t *testing.T) {
		t.Parallel()
		for range 20 { // the verdicts may come in any order
			f := newFake(t, "one two three")
			got := process{env: f.env("NO_COLOR=1"), stderr: true}.run(t, "run", "Go", "--budget", "1",
				"--check", "max-words:2", "--check", "contains:four", "--check", "regex:five", "--check", "min-words:6")
			var order []int
			for _, name := range []string{"✗ max-words:2", "✗ contains:four", "✗ regex:five", "✗ min-words:6"} {
				order = append(order, strings.Index(got.stderr, name))
			}
			if order[0] < 0 || !slices.IsSorted(order) {
				t.Fatalf("stderr = %q, want what failed in the order of the flags", got.stderr)
			}
		}
	})
	t.Run("one generation", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		got := process{env: f.env("NO_COLOR=1"), stderr: true}.run(t, "run", "Go")
		if want := "  generation running …\r\x1b[K"; !strings.HasSuffix(got.stderr, want) {
			t.Errorf("stderr = %q, want %q at its end", got.stderr, want)
		}
	})
}

// TestStream looks where the pieces of a streamed reply go.
func TestStream(t *testing.T) {
	t.Parallel()
	check := []string{"--check", "max-words:2"}
	for name, c := range map[string]struct {
		args           []string
		stderr         bool // a terminal
		stdout         string
		attemptsStream bool
	}{
		"without requirements":              {stdout: "one two three\n"},
		"without requirements, on terminal": {stderr: true, stdout: "one two three\n"},
		"with requirements, in a pipe":      {args: check, stdout: "one\n"},
		"with requirements, on a terminal":  {args: check, stderr: true, stdout: "one\n", attemptsStream: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "one two three", "one")
			got := process{env: f.env("NO_COLOR=1"), stderr: c.stderr}.run(t, append([]string{"run", "Go", "--stream"}, c.args...)...)
			if got.code != 0 || got.stdout != c.stdout {
				t.Errorf("exit %d, stdout %q, want 0 and %q", got.code, got.stdout, c.stdout)
			}
			streams := strings.Contains(got.stderr, "  attempt 1 of 3\none two three\n") && strings.Contains(got.stderr, "  attempt 2 of 3\none\n")
			if streams != c.attemptsStream {
				t.Errorf("stderr = %q, want the attempts in it: %v", got.stderr, c.attemptsStream)
			}
			if stream := f.chats()[0].Stream; stream != nil && !*stream {
				t.Error("the request asks for the whole reply, want pieces")
			}
		})
	}
}

func TestColour(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		env    []string
		stderr bool
		want   bool
	}{
		"terminal":  {stderr: true, want: true},
		"NO_COLOR":  {stderr: true, env: []string{"NO_COLOR=1"}},
		"empty":     {stderr: true, env: []string{"NO_COLOR="}, want: true},
		"TERM=dumb": {stderr: true, env: []string{"TERM=dumb"}},
		"pipe":      {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			got := process{env: f.env(c.env...), stderr: c.stderr}.run(t, "run", "Go")
			if colour := strings.Contains(got.stderr, "\x1b[2m"); colour != c.want {
				t.Errorf("stderr = %q, want colour: %v", got.stderr, c.want)
			}
		})
	}
}
