package backend_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func TestHeldOutput(t *testing.T) {
	t.Parallel()
	rejected := errors.New("rejected")
	tests := []struct {
		name   string
		review func(backend.Reply, error) (backend.Reply, error)
		want   []backend.Chunk
		err    error
	}{
		{
			"as it came",
			func(r backend.Reply, err error) (backend.Reply, error) { return r, err },
			[]backend.Chunk{{Kind: backend.ChunkText, Text: "a"}, {Kind: backend.ChunkText, Index: 1, Text: "b"}},
			nil,
		},
		{
			"rewritten: one chunk of each kind",
			func(r backend.Reply, err error) (backend.Reply, error) {
				r.Message = content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "r"}, content.Text("new"),
					content.ToolCall{ID: "i", Name: "f", Arguments: "{}"})
				return r, err
			},
			[]backend.Chunk{
				{Kind: backend.ChunkReasoning, Text: "r"}, {Kind: backend.ChunkText, Index: 1, Text: "new"},
				{Kind: backend.ChunkToolCall, Index: 2, Tool: backend.ToolDelta{ID: "i", Name: "f", Arguments: "{}"}},
			},
			nil,
		},
		{
			"rejected: nothing",
			func(backend.Reply, error) (backend.Reply, error) { return backend.Reply{}, rejected },
			nil, rejected,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				rec := &recorder{}
				reviewing, proceed := make(chan struct{}), make(chan struct{})
				rec.review = func(r backend.Reply, err error) (backend.Reply, error) {
					close(reviewing)
					<-proceed
					return tt.review(r, err)
				}
				out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(rec, true), backend.Generation{}, pieces("a", "b"))
				if !out.Held() {
					t.Error("got an output that is not held, want it held")
				}
				var got []backend.Chunk
				var err error
				read := make(chan struct{})
				go func() {
					defer close(read)
					for c, e := range out.Chunks(t.Context()) {
						if err = e; e == nil {
							c.At = time.Time{}
							got = append(got, c)
						}
					}
				}()
				<-reviewing
				synctest.Wait()
				select {
				case <-out.Done():
					t.Error("Done closed before Finish returned")
				default:
				}
				if len(got) != 0 {
					t.Errorf("got chunks %v before Finish returned, want none", got)
				}
				if len(rec.chunks) != 2 {
					t.Errorf("the lifecycle got %d chunks, want both as they came", len(rec.chunks))
				}
				close(proceed)
				<-read
				if diff := cmp.Diff(got, tt.want); diff != "" {
					t.Errorf("chunks (-got +want):\n%s", diff)
				}
				if !errors.Is(err, tt.err) {
					t.Errorf("got error %v, want %v", err, tt.err)
				}
			})
		})
	}
}

func TestLifecycleSeesEveryChunk(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{}
		began := time.Now()
		out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(rec, false), backend.Generation{}, func(_ context.Context, w *backend.Writer) error {
			time.Sleep(time.Second)
			w.Other(time.Now())
			time.Sleep(time.Second)
			w.Reasoning(time.Now(), []byte("r"))
			w.Reasoning(time.Now(), nil)
			w.Text(time.Now(), []byte("t"))
			w.Text(time.Now(), []byte{})
			if got := w.Len(); got != 2 {
				t.Errorf("got length %d, want 2", got)
			}
			if err := w.ToolCall(time.Now(), backend.ToolDelta{Name: "f"}); err != nil {
				return err
			}
			w.End(time.Now())
			time.Sleep(time.Hour) // the connection closes at its leisure
			return nil
		})
		r, err := out.Reply(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var kinds []string
		for i, c := range rec.chunks {
			kinds = append(kinds, c.Kind.String())
			if c.Index != i {
				t.Errorf("got chunk %d as number %d", c.Index, i)
			}
		}
		if want := []string{"other", "reasoning", "text", "tool_call"}; !slices.Equal(kinds, want) {
			t.Errorf("got chunks %v, want %v", kinds, want)
		}
		texts, _ := collect(t.Context(), out)
		if want := []string{"r", "t", ""}; !slices.Equal(texts, want) {
			t.Errorf("a reader got %q, want %q: what has no content is not for readers", texts, want)
		}
		g := r.Generation
		first, _ := g.TimeToFirstChunk()
		token, _ := g.TimeToFirstToken()
		got := []time.Duration{g.Started.Sub(began), first, token, g.Ended.Sub(began)}
		if want := []time.Duration{0, time.Second, 2 * time.Second, 2 * time.Second}; !slices.Equal(got, want) {
			t.Errorf("got start, first chunk, first token and end after %v, want %v", got, want)
		}
		if g.Chunks != 4 {
			t.Errorf("got %d chunks counted, want 4", g.Chunks)
		}
	})
}

func TestGenerationWithoutChunks(t *testing.T) {
	t.Parallel()
	out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, pieces())
	r, err := out.Reply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.Generation.TimeToFirstChunk(); ok {
		t.Error("got a time to the first chunk, want none")
	}
	if _, ok := r.Generation.TimeToFirstToken(); ok {
		t.Error("got a time to the first token, want none")
	}
}

func TestForward(t *testing.T) {
	t.Parallel()
	failure := errors.New("the inner one failed")
	inner := func(ctx context.Context, in <-chan string, err error) *backend.Output {
		return backend.Start(ctx, backend.Request{}, backend.Generation{Provider: "inner", Model: "m"}, func(ctx context.Context, w *backend.Writer) error {
			w.Reasoning(time.Now(), []byte("think"))
			if err := w.ToolCall(time.Now(), backend.ToolDelta{Name: "f"}); err != nil {
				return err
			}
			if ended := feed(in)(ctx, w); ended != nil {
				return ended
			}
			return err
		})
	}
	forward := func(src *backend.Output) func(context.Context, *backend.Writer) error {
		return func(ctx context.Context, w *backend.Writer) error { return w.Forward(ctx, src) }
	}
	for _, want := range []error{nil, failure} {
		t.Run(fmt.Sprintf("to the end, error %v", want), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				in := make(chan string)
				src := inner(t.Context(), in, want)
				rec := &recorder{}
				out := backend.Start(t.Context(), backend.Request{}.WithLifecycle(rec, false), backend.Generation{Provider: "outer"}, forward(src))
				in <- "a"
				synctest.Wait()
				if got := len(rec.chunks); got != 3 {
					t.Errorf("got %d chunks before the end, want each as it arrives: 3", got)
				}
				close(in)
				r, err := out.Reply(t.Context())
				if !errors.Is(err, want) {
					t.Errorf("got error %v, want %v", err, want)
				}
				source, _ := src.Reply(t.Context())
				if !r.Message.Equal(source.Message) || r.Generation.Provider != "inner" || r.Generation.Model != "m" {
					t.Errorf("got %+v, want the reply and the metadata of the inner generation", r)
				}
			})
		})
	}
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := inner(t.Context(), nil, nil)
			out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, forward(src))
			synctest.Wait()
			cause := errors.New("stop")
			out.Cancel(cause)
			if err := out.Wait(t.Context()); !errors.Is(err, cause) {
				t.Errorf("got error %v, want the cause", err)
			}
			if err := src.Wait(t.Context()); !errors.Is(err, context.Canceled) {
				t.Errorf("the inner generation ended with %v, want it cancelled too", err)
			}
		})
	})
	t.Run("abandoned", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			src := inner(t.Context(), nil, nil)
			out := backend.Start(t.Context(), backend.Request{}, backend.Generation{}, forward(src))
			synctest.Wait()
			out.Cancel(backend.ErrAbandoned)
			for _, o := range []*backend.Output{out, src} {
				if err := o.Wait(t.Context()); !errors.Is(err, backend.ErrAbandoned) {
					t.Errorf("got error %v, want both abandoned", err)
				}
			}
		})
	})
}

func TestDetachedRequestHasNoLifecycle(t *testing.T) {
	t.Parallel()
	rec := &recorder{}
	req := backend.Request{Messages: content.NewMessages(content.User("x"))}.WithLifecycle(rec, true)
	out := backend.Start(t.Context(), req.Detached(), backend.Generation{}, pieces("a"))
	if err := out.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if out.Held() || rec.finished != 0 {
		t.Errorf("got held=%t and %d calls of Finish, want a generation of its own", out.Held(), rec.finished)
	}
}
