package batch_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/batch"
)

// record is what a line of these tests comes to.
type record struct {
	Line int    `json:"line,omitzero"`
	Hash string `json:"hash,omitempty"`
	Text string `json:"text"`
}

func open(t *testing.T, path string) *batch.Journal {
	t.Helper()
	j, err := batch.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return j
}

// read returns the texts in a journal by their lines, and fails the test for a line that is there twice.
func read(t *testing.T, path string) map[int]string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]string{}
	for text := range strings.Lines(string(data)) {
		var r record
		if err := json.Unmarshal([]byte(text), &r); err != nil || !strings.HasSuffix(text, "\n") {
			t.Fatalf("the journal holds %q: %v", text, err)
		}
		if _, twice := all[r.Line]; twice {
			t.Errorf("line %d is there twice", r.Line)
		}
		all[r.Line] = r.Text
	}
	return all
}

// numbered returns the lines "item 1" to "item n".
func numbered(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "item %d\n", i+1)
	}
	return b.String()
}

// echo is a Do whose lines come to their own text.
func echo(_ context.Context, it batch.Item) (batch.Result, error) {
	return batch.Result{Record: record{Text: string(it.Data)}, Requests: 1}, nil
}

func echoed(n int) map[int]string {
	all := map[int]string{}
	for i := range n {
		all[i+1] = fmt.Sprintf("item %d", i+1)
	}
	return all
}

func TestRun(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out.jsonl")
	run := func(input string) batch.Summary {
		out := open(t, path)
		var told []int
		sum, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(input), MaxLine: 100, Out: out, Concurrency: 3, Do: echo,
			Progress: func(s batch.Summary) { told = append(told, s.All()) }})
		if err := errors.Join(err, out.Close()); err != nil {
			t.Fatal(err)
		}
		for i, n := range told {
			if n != i+1 {
				t.Errorf("progress tells %v, want each line once", told)
				break
			}
		}
		return sum
	}
	for _, step := range []struct {
		name, input string
		want        batch.Summary
	}{
		{"all", numbered(5), batch.Summary{Done: 5}},
		{"nothing is left", numbered(5), batch.Summary{Before: 5}},
		{"more lines", numbered(7), batch.Summary{Before: 5, Done: 2}},
		{"a line that changed", strings.Replace(numbered(7), "item 3", "other", 1), batch.Summary{Before: 6, Done: 1, Changed: 1}},
	} {
		if diff := cmp.Diff(step.want, run(step.input)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", step.name, diff)
		}
	}
}

// A line that failed is left alone by the next run, or tried again when it is asked to; the file of failures then holds
// what still fails.
func TestFailures(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var mu sync.Mutex
	fails := map[int]bool{2: true, 4: true}
	asked := 0
	run := func(retry, journal bool) batch.Summary {
		out := open(t, filepath.Join(dir, "out"))
		var failed *batch.Journal
		if journal {
			failed = open(t, filepath.Join(dir, "failed"))
		}
		sum, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(numbered(5)), MaxLine: 100, Out: out, Failed: failed, Retry: retry,
			Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
				mu.Lock()
				defer mu.Unlock()
				asked++
				return batch.Result{Record: record{Text: string(it.Data)}, Failed: fails[it.Line]}, nil
			}})
		kept := failed.Keep(func(it batch.Item) bool { done, _ := out.Has(it); return !done })
		if err := errors.Join(err, kept, failed.Close(), out.Close()); err != nil {
			t.Fatal(err)
		}
		return sum
	}
	for _, step := range []struct {
		name           string
		retry, journal bool
		mend           int
		want           batch.Summary
		asked          int
		failed         map[int]string
	}{
		{name: "no file for them", want: batch.Summary{Done: 3, Failed: 2}, asked: 5},
		{name: "so they are done again", journal: true, want: batch.Summary{Before: 3, Failed: 2}, asked: 2, failed: map[int]string{2: "item 2", 4: "item 4"}},
		{name: "they are left alone", journal: true, want: batch.Summary{Before: 3, Left: 2}, failed: map[int]string{2: "item 2", 4: "item 4"}},
		{name: "and tried again", journal: true, retry: true, mend: 4, want: batch.Summary{Before: 3, Done: 1, Failed: 1}, asked: 2, failed: map[int]string{2: "item 2"}},
		{name: "until none is left", journal: true, retry: true, mend: 2, want: batch.Summary{Before: 4, Done: 1}, asked: 1, failed: map[int]string{}},
	} {
		asked = 0
		delete(fails, step.mend)
		if diff := cmp.Diff(step.want, run(step.retry, step.journal)); diff != "" || asked != step.asked {
			t.Errorf("%s: %d lines were done, want %d; (-want +got):\n%s", step.name, asked, step.asked, diff)
		}
		if step.journal {
			if diff := cmp.Diff(step.failed, read(t, filepath.Join(dir, "failed"))); diff != "" {
				t.Errorf("%s: failures (-want +got):\n%s", step.name, diff)
			}
		}
	}
	if diff := cmp.Diff(echoed(5), read(t, filepath.Join(dir, "out"))); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
}

// Cut off at any byte, the journal resumes: what was written is not done again, and in the end all is there once.
func TestEveryCut(t *testing.T) {
	t.Parallel()
	const n = 6
	dir := t.TempDir()
	whole := filepath.Join(dir, "whole")
	out := open(t, whole)
	if _, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(numbered(n)), MaxLine: 100, Out: out, Concurrency: 2, Do: echo}); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
	bytes, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cut")
	for cut := range len(bytes) + 1 {
		if err := os.WriteFile(path, bytes[:cut], 0o600); err != nil {
			t.Fatal(err)
		}
		var written []int
		for text := range strings.SplitSeq(string(bytes[:cut]), "\n") {
			var r record
			if json.Unmarshal([]byte(text), &r) == nil {
				written = append(written, r.Line)
			}
		}
		out := open(t, path)
		sum, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(numbered(n)), MaxLine: 100, Out: out,
			Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
				if slices.Contains(written, it.Line) {
					t.Errorf("cut at %d: line %d is done again", cut, it.Line)
				}
				return echo(ctx, it)
			}})
		if err := errors.Join(err, out.Close()); err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		if want := (batch.Summary{Before: len(written), Done: n - len(written)}); sum != want {
			t.Errorf("cut at %d: %+v, want %+v", cut, sum, want)
		}
		if diff := cmp.Diff(echoed(n), read(t, path)); diff != "" {
			t.Errorf("cut at %d (-want +got):\n%s", cut, diff)
		}
	}
}

func TestRunEnds(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	newRun := func(t *testing.T, do func(context.Context, batch.Item) (batch.Result, error)) (batch.Config, string) {
		path := filepath.Join(t.TempDir(), "out")
		out := open(t, path)
		t.Cleanup(func() { _ = out.Close() })
		return batch.Config{Input: strings.NewReader(numbered(100)), MaxLine: 100, Out: out, Concurrency: 4, Do: do}, path
	}
	t.Run("by an error", func(t *testing.T) {
		t.Parallel()
		c, path := newRun(t, func(ctx context.Context, it batch.Item) (batch.Result, error) {
			switch {
			case it.Line < 10:
				return echo(ctx, it)
			case it.Line == 10:
				return batch.Result{}, broken
			}
			<-ctx.Done() // given up with the run
			return batch.Result{}, context.Cause(ctx)
		})
		sum, err := batch.Run(t.Context(), c)
		if !errors.Is(err, broken) || sum.Done != 9 || len(read(t, path)) != 9 {
			t.Errorf("%+v, %v, want 9 lines and %v", sum, err, broken)
		}
	})
	t.Run("by its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		c, path := newRun(t, func(ctx context.Context, it batch.Item) (batch.Result, error) {
			if it.Line == 10 {
				cancel(broken)
			}
			if ctx.Err() != nil {
				return batch.Result{}, ctx.Err()
			}
			return echo(ctx, it)
		})
		c.Concurrency = 1
		sum, err := batch.Run(ctx, c)
		if !errors.Is(err, broken) || sum.Done != 9 || len(read(t, path)) != 9 {
			t.Errorf("%+v, %v, want 9 lines and %v", sum, err, broken)
		}
	})
	t.Run("by a record that is none", func(t *testing.T) {
		t.Parallel()
		c, _ := newRun(t, func(context.Context, batch.Item) (batch.Result, error) { return batch.Result{Record: 1}, nil })
		if _, err := batch.Run(t.Context(), c); err == nil || !strings.Contains(err.Error(), "no JSON object") {
			t.Errorf("error = %v", err)
		}
	})
}

// Lines wait for requests and tokens, and what they used counts and not what was guessed.
func TestLimits(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		limits   func() batch.Limits
		estimate int
		used     batch.Result
		want     time.Duration // for 10 lines
	}{
		"none":                      {func() batch.Limits { return batch.Limits{} }, 100, batch.Result{Requests: 1}, 0},
		"requests":                  {func() batch.Limits { return batch.Limits{Requests: batch.NewBucket(60)} }, 0, batch.Result{Requests: 1}, 9 * time.Second},
		"repairs are requests":      {func() batch.Limits { return batch.Limits{Requests: batch.NewBucket(60)} }, 0, batch.Result{Requests: 3}, 27 * time.Second},
		"tokens":                    {func() batch.Limits { return batch.Limits{Tokens: batch.NewBucket(60)} }, 5, batch.Result{Requests: 1, Tokens: 5}, 45 * time.Second},
		"guessed too much":          {func() batch.Limits { return batch.Limits{Tokens: batch.NewBucket(60)} }, 50, batch.Result{Requests: 1, Tokens: 5}, 45 * time.Second},
		"guessed too little":        {func() batch.Limits { return batch.Limits{Tokens: batch.NewBucket(60)} }, 1, batch.Result{Requests: 1, Tokens: 5}, 45 * time.Second},
		"a line that takes nothing": {func() batch.Limits { return batch.Limits{Requests: batch.NewBucket(60)} }, 0, batch.Result{}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "out")
			synctest.Test(t, func(t *testing.T) {
				out := open(t, path)
				defer out.Close()
				start := time.Now()
				sum, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(numbered(10)), MaxLine: 100, Out: out, Limits: test.limits(),
					Estimate: func(batch.Item) int { return test.estimate },
					Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
						res := test.used
						res.Record = record{Text: string(it.Data)}
						return res, nil
					}})
				if err != nil || sum.Done != 10 {
					t.Fatalf("%+v, %v", sum, err)
				}
				if took := time.Since(start).Round(time.Second); took < test.want-time.Second || took > test.want+time.Second {
					t.Errorf("took %v, want about %v", took, test.want)
				}
			})
		})
	}
}

// As many lines are under way as was said, and no more.
func TestConcurrency(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	synctest.Test(t, func(t *testing.T) {
		out := open(t, path)
		defer out.Close()
		var mu sync.Mutex
		under, most := 0, 0
		start := time.Now()
		_, err := batch.Run(t.Context(), batch.Config{Input: strings.NewReader(numbered(100)), MaxLine: 100, Out: out, Concurrency: 7,
			Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
				mu.Lock()
				under++
				most = max(most, under)
				mu.Unlock()
				time.Sleep(time.Second)
				mu.Lock()
				under--
				mu.Unlock()
				return echo(ctx, it)
			}})
		if took := time.Since(start); err != nil || most != 7 || took != 15*time.Second {
			t.Errorf("%v: %d at once in %v, want 7 in 15 s", err, most, took)
		}
	})
}

// A long input is never in memory as a whole.
func TestMemory(t *testing.T) {
	const n, size = 10_000, 20_000
	out := open(t, filepath.Join(t.TempDir(), "out"))
	defer out.Close()
	in, w := io.Pipe()
	go func() {
		pad := strings.Repeat("x", size)
		for i := range n {
			fmt.Fprintf(w, "%d %s\n", i, pad)
		}
		_ = w.Close()
	}()
	heap := func() uint64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	var early, late uint64
	sum, err := batch.Run(t.Context(), batch.Config{Input: in, MaxLine: 2 * size, Out: out, Concurrency: 4,
		Do: func(_ context.Context, it batch.Item) (batch.Result, error) {
			switch it.Line {
			case n / 10:
				early = heap()
			case n - 10:
				late = heap()
			}
			return batch.Result{Record: record{Text: "done"}}, nil
		}})
	if err != nil || sum.Done != n {
		t.Fatalf("%+v, %v", sum, err)
	}
	// 9000 lines lie between the two, of 180 MB; what is kept of each is its number and its hash.
	if grown := int64(late) - int64(early); grown > 4<<20 {
		t.Errorf("the heap has grown by %d bytes over 9000 lines, want at most 4 MiB", grown)
	}
}

// A run at whose every step the context may end leaves nothing that the next one does twice.
func TestRandomEnds(t *testing.T) {
	t.Parallel()
	for seed := range uint64(30) {
		r := rand.New(rand.NewPCG(seed, 1))
		n := 1 + r.IntN(60)
		path := filepath.Join(t.TempDir(), "out")
		var mu sync.Mutex
		recorded := map[int]int{} // how often each line was done to its end
		for runs := 0; ; runs++ {
			ctx, cancel := context.WithCancel(t.Context())
			left := r.IntN(20)
			before := len(recorded)
			out := open(t, path)
			_, err := batch.Run(ctx, batch.Config{Input: strings.NewReader(numbered(n)), MaxLine: 100, Out: out, Concurrency: 1 + r.IntN(5),
				Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
					mu.Lock()
					defer mu.Unlock()
					if left--; left < 0 {
						cancel()
						return batch.Result{}, context.Canceled
					}
					recorded[it.Line]++
					return echo(ctx, it)
				}})
			cancel()
			if closed := out.Close(); closed != nil {
				t.Fatal(closed)
			}
			if err == nil {
				break
			}
			if !errors.Is(err, context.Canceled) || runs > 200 && before == len(recorded) {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		for line, times := range recorded {
			if times != 1 {
				t.Errorf("seed %d: line %d was done %d times", seed, line, times)
			}
		}
		if diff := cmp.Diff(echoed(n), read(t, path)); diff != "" {
			t.Errorf("seed %d (-want +got):\n%s", seed, diff)
		}
	}
}
