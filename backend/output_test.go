package backend_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Whatever the readers do, each sees the whole reply in order, and none of them changes a measured time.
func TestOutputReadersAreIndependent(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rnd := rand.New(rand.NewPCG(seed, 0))
				texts := make([]string, rnd.IntN(40))
				gaps := make([]time.Duration, len(texts))
				var total time.Duration
				for i := range texts {
					texts[i] = strings.Repeat(string(rune('a'+i%26)), 1+rnd.IntN(5))
					gaps[i] = time.Duration(rnd.IntN(3)) * time.Millisecond
					total += gaps[i]
				}
				began := time.Now()
				out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, func(_ context.Context, w *backend.Writer) error {
					for i, p := range texts {
						time.Sleep(gaps[i])
						w.Text(time.Now(), []byte(p))
					}
					return nil
				})
				var readers sync.WaitGroup
				for range rnd.IntN(5) {
					late, slow := time.Duration(rnd.IntN(200))*time.Millisecond, time.Duration(rnd.IntN(10))*time.Millisecond
					readers.Go(func() {
						time.Sleep(late)
						var got []string
						for c, err := range out.Chunks(t.Context()) {
							if err != nil {
								t.Error(err)
							}
							got = append(got, c.Text)
							time.Sleep(slow)
						}
						if diff := cmp.Diff(got, texts, cmpopts.EquateEmpty()); diff != "" {
							t.Errorf("chunks of one reader (-got +want):\n%s", diff)
						}
					})
				}
				<-out.Done()
				r, err := out.Reply(t.Context())
				if err != nil {
					t.Error(err)
				}
				if got, want := r.Message.Text(), strings.Join(texts, ""); got != want {
					t.Errorf("got text %q, want %q", got, want)
				}
				if got := r.Generation.Ended.Sub(began); got != total {
					t.Errorf("the generation took %v, want the producer's own %v", got, total)
				}
				if got := r.Generation.Chunks; got != len(texts) {
					t.Errorf("got %d chunks counted, want %d", got, len(texts))
				}
				readers.Wait()
			})
		})
	}
}

// A chunk reaches a waiting reader before the next one is made.
func TestOutputDeliversEachChunkAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := make(chan string)
		out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, feed(in))
		next := make(chan string)
		go func() {
			defer close(next)
			for c := range out.Chunks(t.Context()) {
				next <- c.Text
			}
		}()
		for _, p := range []string{"a", "b", "c"} {
			in <- p
			if got := <-next; got != p {
				t.Errorf("got %q, want %q before anything else was made", got, p)
			}
		}
		close(in)
		if got, more := <-next; more {
			t.Errorf("got %q after the end, want nothing", got)
		}
	})
}

func TestOutputCancelledAtAnyByte(t *testing.T) {
	t.Parallel()
	const text = "a reply of some bytes"
	for k := range len(text) + 1 {
		t.Run(fmt.Sprint(k), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := &recorder{}
				in := make(chan string)
				out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(rec, false), backend.Generation{}, feed(in))
				for i := range k {
					in <- text[i : i+1]
				}
				synctest.Wait()
				cause := errors.New("stop")
				out.Cancel(cause)
				out.Cancel(errors.New("too late"))
				r, err := out.Reply(t.Context())
				if r.Message.Text() != text[:k] {
					t.Errorf("got text %q, want what had arrived: %q", r.Message.Text(), text[:k])
				}
				if !errors.Is(err, context.Canceled) || !errors.Is(err, cause) {
					t.Errorf("got error %v, want context.Canceled and the first cause in it", err)
				}
				var cancelled *backend.CancelledError
				if !errors.As(err, &cancelled) || cancelled.Cause != cause {
					t.Errorf("got error %v, want a *CancelledError with the cause", err)
				}
				if rec.finished != 1 || rec.reply.Message.Text() != text[:k] || !errors.Is(rec.err, cause) {
					t.Errorf("got %d calls of Finish with %q and %v, want one with what arrived", rec.finished, rec.reply.Message.Text(), rec.err)
				}
				texts, err := collect(t.Context(), out)
				if strings.Join(texts, "") != text[:k] || !errors.Is(err, cause) {
					t.Errorf("a late reader got %q and %v, want %q and the cause", texts, err, text[:k])
				}
			})
		})
	}
}

func TestOutputEnds(t *testing.T) {
	t.Parallel()
	failure := &backend.Error{Provider: "p", Code: "c"}
	tests := []struct {
		name    string
		within  func(context.Context) (context.Context, context.CancelFunc)
		produce func(context.Context, *backend.Writer) error
		end     func(*backend.Output, context.CancelFunc)
		want    func(error) bool
		text    string
	}{
		{
			name: "completed", produce: pieces("a", "b"), text: "ab",
			want: func(err error) bool { return err == nil },
		},
		{
			name: "failed", text: "a",
			produce: func(_ context.Context, w *backend.Writer) error { w.Text(time.Now(), []byte("a")); return failure },
			want:    func(err error) bool { return err == failure },
		},
		{
			name: "completed although the context ended meanwhile", text: "a",
			produce: func(ctx context.Context, w *backend.Writer) error {
				<-ctx.Done()
				w.Text(time.Now(), []byte("a"))
				return nil
			},
			end:  func(_ *backend.Output, cancel context.CancelFunc) { cancel() },
			want: func(err error) bool { return err == nil },
		},
		{
			name: "the context was cancelled", produce: feed(nil),
			end:  func(_ *backend.Output, cancel context.CancelFunc) { cancel() },
			want: func(err error) bool { return errors.Is(err, context.Canceled) },
		},
		{
			name: "the context's cause", produce: feed(nil),
			within: func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancelCause(ctx)
				return ctx, func() { cancel(failure) }
			},
			end:  func(_ *backend.Output, cancel context.CancelFunc) { cancel() },
			want: func(err error) bool { return errors.Is(err, failure) },
		},
		{
			name: "the deadline passed", produce: feed(nil),
			within: func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, time.Second)
			},
			want: func(err error) bool {
				var e *backend.Error
				return errors.As(err, &e) && e.Code == "timeout" && e.Remedy != "" && errors.Is(err, context.DeadlineExceeded)
			},
		},
		{
			name: "abandoned", produce: feed(nil),
			end: func(o *backend.Output, _ context.CancelFunc) { o.Cancel(backend.ErrAbandoned) },
			want: func(err error) bool {
				return errors.Is(err, backend.ErrAbandoned) && !errors.Is(err, context.Canceled)
			},
		},
		{
			name: "cancelled without a cause", produce: feed(nil),
			end:  func(o *backend.Output, _ context.CancelFunc) { o.Cancel(nil) },
			want: func(err error) bool { return errors.Is(err, context.Canceled) },
		},
		{
			name: "panicked", text: "a",
			produce: func(_ context.Context, w *backend.Writer) error { w.Text(time.Now(), []byte("a")); panic("SECRET") },
			want: func(err error) bool {
				var e *backend.Error
				var p *backend.PanicError
				return errors.As(err, &e) && e.Code == backend.CodePanic && errors.As(err, &p) && p.Value == "SECRET" &&
					len(p.Stack) > 0 && !strings.Contains(err.Error()+p.Error(), "SECRET")
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				if tt.within != nil {
					ctx, cancel = tt.within(t.Context())
				}
				defer cancel()
				rec := &recorder{}
				out := backend.Start(ctx, backend.Request{}.WithLifecycle(rec, false), backend.Generation{Provider: "p"}, tt.produce)
				if tt.end != nil {
					synctest.Wait()
					tt.end(out, cancel)
				}
				r, err := out.Reply(context.Background())
				if !tt.want(err) {
					t.Errorf("got error %#v, want another", err)
				}
				if r.Message.Text() != tt.text {
					t.Errorf("got text %q, want %q", r.Message.Text(), tt.text)
				}
				if rec.finished != 1 {
					t.Errorf("got %d calls of Finish, want 1", rec.finished)
				}
				if r.Generation.Started.IsZero() || r.Generation.Ended.Before(r.Generation.Started) {
					t.Errorf("got times %v and %v, want both", r.Generation.Started, r.Generation.Ended)
				}
				out.Cancel(errors.New("after the end"))
				if again := out.Wait(t.Context()); again != err {
					t.Errorf("got error %v after a late Cancel, want it unchanged", again)
				}
			})
		})
	}
}

func TestOutputLeavingEarly(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		others  func(*testing.T, *backend.Output) // attach before the reader leaves, and stay
		cancels bool
	}{
		{"alone", func(*testing.T, *backend.Output) {}, true},
		{"beside another reader", func(t *testing.T, o *backend.Output) { go func() { _, _ = collect(t.Context(), o) }() }, false},
		{"beside a waiter", func(t *testing.T, o *backend.Output) { go func() { _ = o.Wait(t.Context()) }() }, false},
		{"after another reader had left", func(t *testing.T, o *backend.Output) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			_, _ = collect(ctx, o)
		}, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in := make(chan string, 1)
				out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, feed(in))
				tt.others(t, out)
				synctest.Wait()
				in <- "a"
				for range out.Chunks(t.Context()) {
					break
				}
				synctest.Wait()
				select {
				case <-out.Done():
					if !tt.cancels {
						t.Error("leaving cancelled the generation, want it to go on")
					}
				default:
					if tt.cancels {
						t.Error("the generation goes on, want it cancelled")
					}
					close(in)
				}
				err := out.Wait(t.Context())
				if got := errors.Is(err, context.Canceled); got != tt.cancels {
					t.Errorf("got error %v, want cancelled=%t", err, tt.cancels)
				}
			})
		})
	}
}

// A context given to a reader bounds the reading and nothing else.
func TestOutputReadersContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := make(chan string, 1)
		out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, feed(in))
		in <- "a"
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		texts, err := collect(impatient, out)
		if !slices.Equal(texts, []string{"a"}) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q and %v, want the first chunk and the context's error", texts, err)
		}
		if r, err := out.Reply(impatient); !errors.Is(err, context.DeadlineExceeded) || !r.Message.IsZero() {
			t.Errorf("got %v and %v, want nothing and the context's error", r, err)
		}
		close(in)
		if text, err := out.Text(t.Context()); text != "a" || err != nil {
			t.Errorf("got %q and %v, want the generation unharmed", text, err)
		}
		// What is over is given even to a context that is over.
		if text, err := out.Text(impatient); text != "a" || err != nil {
			t.Errorf("got %q and %v, want the finished reply", text, err)
		}
	})
}

func TestOutputPanicOfAReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		in := make(chan string, 1)
		out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, feed(in))
		in <- "a"
		func() {
			defer func() { _ = recover() }()
			for range out.Chunks(t.Context()) {
				panic("the reader's own")
			}
		}()
		if err := out.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want the generation cancelled as by leaving", err)
		}
	})
}

func TestOutputToolCalls(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, func(_ context.Context, w *backend.Writer) error {
			at := time.Now()
			w.Reasoning(at, []byte("think"))
			w.Text(at, []byte("text"))
			for _, d := range []backend.ToolDelta{
				{Index: 1, ID: "b", Name: "g", Arguments: "{"}, {Index: 0, ID: "a", Name: "f"}, {Index: 1, Arguments: "}"},
			} {
				if err := w.ToolCall(at, d); err != nil {
					return err
				}
			}
			<-proceed
			return w.ToolCall(at, backend.ToolDelta{Index: backend.MaxToolCalls})
		})
		synctest.Wait()
		for range out.ToolCalls() {
			t.Error("got a tool call before the end, want none")
		}
		close(proceed)
		r, err := out.Reply(t.Context())
		var e *backend.Error
		if !errors.As(err, &e) || e.Code != backend.CodeInvalidResponse {
			t.Errorf("got error %v, want %s for a call out of range", err, backend.CodeInvalidResponse)
		}
		want := []content.ToolCall{{ID: "a", Name: "f"}, {ID: "b", Name: "g", Arguments: "{}"}}
		var got []content.ToolCall
		for call := range out.ToolCalls() {
			got = append(got, call.ToolCall)
			if call.Origin != t.Context() {
				t.Errorf("the origin of call %s is not the context of the generation", call.ID)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("tool calls (-got +want):\n%s", diff)
		}
		if got := r.Message.Reasoning() + "|" + r.Message.Text(); got != "think|text" {
			t.Errorf("got %q, want reasoning and text apart", got)
		}
		for call := range out.ToolCalls() {
			if call.ID != "a" {
				t.Error("the iteration went on after it was left")
			}
			break
		}
	})
}
