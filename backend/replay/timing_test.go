package replay_test

import (
	"bytes"
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
)

// slow is a reply whose first sign of life comes after 100 ms, and which ends 200 ms after its last piece.
var slow = script{
	steps: []step{{wait: 100 * time.Millisecond}, {wait: 100 * time.Millisecond, text: "a"}, {wait: 400 * time.Millisecond, text: "b"}, {wait: 200 * time.Millisecond}},
}

// arrivals are times since the start of the generation.
type arrivals struct {
	Chunks                  []time.Duration
	First, FirstToken, Last time.Duration
}

func arrivalsOf(o observed) arrivals {
	g := o.reply.Generation
	a := arrivals{First: g.FirstChunk.Sub(g.Started), FirstToken: g.FirstToken.Sub(g.Started), Last: g.Ended.Sub(g.Started)}
	for _, c := range o.chunks {
		a.Chunks = append(a.Chunks, c.At.Sub(g.Started))
	}
	return a
}

func TestTiming(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	tests := []struct {
		name   string
		timing replay.Timing
		want   arrivals
	}{
		{"instant", replay.Instant, arrivals{Chunks: []time.Duration{0, 0}}},
		{"real", replay.Real, arrivals{Chunks: []time.Duration{200 * ms, 600 * ms}, First: 100 * ms, FirstToken: 200 * ms, Last: 800 * ms}},
		{"half", replay.Scaled(0.5), arrivals{Chunks: []time.Duration{100 * ms, 300 * ms}, First: 50 * ms, FirstToken: 100 * ms, Last: 400 * ms}},
		{"negative", replay.Scaled(-1), arrivals{Chunks: []time.Duration{0, 0}}},
		{"not a number", replay.Scaled(math.NaN()), arrivals{Chunks: []time.Duration{0, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, file := record(t, play(slow), ask("hi"))
				got := observe(t.Context(), open(t, file, replay.WithTiming(tt.timing)), ask("hi"))
				if got.err != nil {
					t.Fatal(got.err)
				}
				if diff := cmp.Diff(tt.want, arrivalsOf(got)); diff != "" {
					t.Errorf("arrivals (-want +got):\n%s", diff)
				}
			})
		})
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, file := record(t, play(slow), ask("hi"))
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		defer cancel()
		begun := time.Now()
		got := observe(ctx, open(t, file, replay.WithTiming(replay.Real)), ask("hi"))
		if !errors.Is(got.err, context.DeadlineExceeded) || got.reply.Message.Text() != "a" {
			t.Errorf("reply %q, %v, want a and the deadline", got.reply.Message.Text(), got.err)
		}
		if took := time.Since(begun); took != 300*time.Millisecond {
			t.Errorf("it took %v, want 300ms", took)
		}
	})
}

// A generation that is given up while it is recorded is recorded as far as it came.
func TestRecordingACancelledGeneration(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var file bytes.Buffer
		r := replay.Record(play(slow), &file)
		out, err := r.Generate(t.Context(), ask("hi"))
		if err != nil {
			t.Fatal(err)
		}
		for range out.Chunks(t.Context()) {
			out.Cancel(errors.New("enough"))
		}
		if err := out.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("recorded generation ended with %v, want context.Canceled", err)
		}
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		got := observe(t.Context(), open(t, &file), ask("hi"))
		var cancelled *backend.CancelledError
		if got.reply.Message.Text() != "a" || !errors.As(got.err, &cancelled) {
			t.Errorf("replayed %q, %v, want a and a cancellation", got.reply.Message.Text(), got.err)
		}
	})
}
