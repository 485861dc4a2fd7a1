package batch_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/mellea-go/mellea/internal/batch"
)

// take takes n and returns how long that took.
func take(t *testing.T, b *batch.Bucket, n float64) time.Duration {
	t.Helper()
	start := time.Now()
	if err := b.Take(t.Context(), n); err != nil {
		t.Fatal(err)
	}
	return time.Since(start).Round(time.Millisecond)
}

func TestBucket(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		perMinute int
		do        func(t *testing.T, b *batch.Bucket)
	}{
		"one a second": {60, func(t *testing.T, b *batch.Bucket) {
			for i, want := range []time.Duration{0, time.Second, time.Second} {
				if got := take(t, b, 1); got != want {
					t.Errorf("take %d waited %v, want %v", i, got, want)
				}
			}
		}},
		"one in two seconds": {30, func(t *testing.T, b *batch.Bucket) {
			take(t, b, 1)
			if got := take(t, b, 1); got != 2*time.Second {
				t.Errorf("waited %v, want 2 s", got)
			}
		}},
		"a second's worth at once": {600, func(t *testing.T, b *batch.Bucket) {
			for range 10 {
				if got := take(t, b, 1); got != 0 {
					t.Errorf("waited %v", got)
				}
			}
			if got := take(t, b, 1); got != 100*time.Millisecond {
				t.Errorf("waited %v, want 100 ms", got)
			}
		}},
		"what is not used is not saved up": {60, func(t *testing.T, b *batch.Bucket) {
			time.Sleep(time.Hour)
			take(t, b, 1)
			if got := take(t, b, 1); got != time.Second {
				t.Errorf("waited %v, want 1 s", got)
			}
		}},
		"more than the bucket holds": {60, func(t *testing.T, b *batch.Bucket) {
			if got := take(t, b, 10); got != 0 {
				t.Errorf("waited %v", got)
			}
			if got := take(t, b, 1); got != 10*time.Second {
				t.Errorf("waited %v, want 10 s", got)
			}
		}},
		"used more than taken": {60, func(t *testing.T, b *batch.Bucket) {
			take(t, b, 1)
			b.Give(-5)
			if got := take(t, b, 1); got != 6*time.Second {
				t.Errorf("waited %v, want 6 s", got)
			}
		}},
		"used less than taken wakes who waits": {60, func(t *testing.T, b *batch.Bucket) {
			take(t, b, 100)
			var all sync.WaitGroup
			all.Go(func() {
				if got := take(t, b, 1); got != 3*time.Second {
					t.Errorf("waited %v, want 3 s", got)
				}
			})
			time.Sleep(3 * time.Second)
			b.Give(97)
			all.Wait()
		}},
		"given up": {1, func(t *testing.T, b *batch.Bucket) {
			take(t, b, 1)
			enough := errors.New("enough")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(enough) })
			if err := b.Take(ctx, 1); !errors.Is(err, enough) {
				t.Errorf("Take = %v, want %v", err, enough)
			}
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { test.do(t, batch.NewBucket(test.perMinute)) })
		})
	}
}

// In no minute more is taken than the rate and the burst, whoever takes.
func TestBucketBoundsEveryMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const perMinute = 90
		b := batch.NewBucket(perMinute)
		var mu sync.Mutex
		var taken []time.Time
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 50 {
					take(t, b, 1)
					mu.Lock()
					taken = append(taken, time.Now())
					mu.Unlock()
				}
			})
		}
		all.Wait()
		for i, start := range taken {
			n := 0
			for _, at := range taken[i:] {
				if at.Sub(start) < time.Minute {
					n++
				}
			}
			if n > perMinute+2 {
				t.Fatalf("%d in the minute from %v on, want at most %d", n, start, perMinute+2)
			}
		}
		if took := taken[len(taken)-1].Sub(taken[0]); took > 400*time.Minute/perMinute {
			t.Errorf("400 took %v, want the rate to be used up", took)
		}
	})
}

func TestNoBucket(t *testing.T) {
	t.Parallel()
	var none *batch.Bucket
	none.Give(1)
	if err := none.Take(t.Context(), 1e9); err != nil {
		t.Error(err)
	}
}
