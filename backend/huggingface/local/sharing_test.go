package local

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// A thousand calls at once share one model: its weights are loaded once, there are never more contexts than allowed, and each gets
// the answer to its own prompt.
func TestSharing(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(prompt string) string {
		_, text, _ := strings.Cut(prompt, "user\n")
		text, _, _ = strings.Cut(text, "«end»")
		return "re: " + text
	}}
	b := newFake(t, f, WithContexts(3))
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			req := ask(fmt.Sprintf("prompt %d", i))
			req.Options = req.Options.WithStream(i%2 == 0).WithContextWindow(100 + i%2)
			r, err := reply(t, b, req)
			if want := fmt.Sprintf("re: prompt %d", i); err != nil || r.Message.Text() != want {
				t.Errorf("got %q, %v, want %q", r.Message.Text(), err, want)
			}
		})
	}
	all.Wait()
	if f.loads.Load() != 1 || f.most.Load() > 3 {
		t.Errorf("%d loads and %d contexts at once, want 1 and at most 3", f.loads.Load(), f.most.Load())
	}
	if err := b.Close(); err != nil || f.contexts.Load() != 0 || !f.freed.Load() {
		t.Errorf("after Close %d contexts are open and the weights are freed: %v, %v", f.contexts.Load(), f.freed.Load(), err)
	}
	_, err := reply(t, b, ask("hi"))
	if e := new(backend.Error); !errors.As(err, &e) || e.Code != codeClosed {
		t.Errorf("got %v after Close, want code %q", err, codeClosed)
	}
	if _, err := b.Info(t.Context()); !errors.Is(err, errClosed) {
		t.Errorf("got %v of Info after Close, want that it is closed", err)
	}
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, stream := range []bool{false, true} {
		t.Run(fmt.Sprint(stream), func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			b := newFake(t, &fake{answer: says("0123456789"), sampled: func(n int) {
				if n == 4 {
					cancel()
				}
			}})
			req := ask("hi")
			req.Options = req.Options.WithStream(stream)
			out, err := b.Generate(ctx, req)
			if err != nil {
				t.Fatal(err)
			}
			text, err := out.Text(t.Context())
			if text != "01234" || !errors.Is(err, context.Canceled) {
				t.Errorf("got %q, %v, want the tokens before it was cancelled", text, err)
			}
		})
	}
	t.Run("while it waits for a context", func(t *testing.T) {
		t.Parallel()
		begun, release := make(chan struct{}), make(chan struct{})
		b := newFake(t, &fake{answer: says("x"), sampled: func(n int) {
			if n == 0 {
				close(begun)
				<-release
			}
		}})
		first, err := b.Generate(t.Context(), ask("hi"))
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		ctx, cancel := context.WithCancel(t.Context())
		second, err := b.Generate(ctx, ask("hi"))
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		if err := second.Wait(t.Context()); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want context.Canceled in it", err)
		}
		close(release)
		if err := first.Wait(t.Context()); err != nil {
			t.Errorf("the one that ran ended with %v", err)
		}
	})
	t.Run("by Close", func(t *testing.T) {
		t.Parallel()
		begun := make(chan struct{})
		var b *Backend
		f := &fake{answer: says(strings.Repeat("x", 500)), sampled: func(n int) {
			if n == 3 {
				close(begun)
				<-b.closing
			}
		}}
		b = newFake(t, f)
		out, err := b.Generate(t.Context(), ask("hi"))
		if err != nil {
			t.Fatal(err)
		}
		<-begun
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		text, err := out.Text(t.Context())
		if e := new(backend.Error); !errors.As(err, &e) || e.Code != codeClosed || text != "xxxx" {
			t.Errorf("got %q, %v, want what had arrived and code %q", text, err, codeClosed)
		}
	})
}

func TestStreamTimeout(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options backend.Options
		slow    int // the token that takes a minute
		text    string
		fails   bool
	}{
		"not set":      {options: backend.Options{}.WithStream(true), slow: 2, text: "0123"},
		"long enough":  {options: backend.Options{}.WithStream(true).WithStreamTimeout(2 * time.Minute), slow: 2, text: "0123"},
		"not streamed": {options: backend.Options{}.WithStreamTimeout(time.Second), slow: 2, text: "0123"},
		"too short":    {options: backend.Options{}.WithStream(true).WithStreamTimeout(time.Second), slow: 2, text: "01", fails: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := touch(t, t.TempDir(), "tiny.gguf")
			synctest.Test(t, func(t *testing.T) {
				f := &fake{answer: says("0123")}
				f.sampled = func(n int) {
					if n == tc.slow {
						time.Sleep(time.Minute)
					}
				}
				b := New(func(c *config) { c.engine = f }, WithModel(path))
				defer b.Close()
				req := ask("hi")
				req.Options = tc.options
				r, err := reply(t, b, req)
				var e *backend.Error
				if got := errors.As(err, &e) && e.Code == "timeout"; got != tc.fails || r.Message.Text() != tc.text {
					t.Errorf("got %q, %v, want %q and a timeout: %v", r.Message.Text(), err, tc.text, tc.fails)
				}
			})
		})
	}
	t.Run("in the queue", func(t *testing.T) {
		t.Parallel()
		path := touch(t, t.TempDir(), "tiny.gguf")
		synctest.Test(t, func(t *testing.T) {
			f := &fake{answer: says("0"), sampled: func(int) { time.Sleep(time.Minute) }}
			b := New(func(c *config) { c.engine = f }, WithModel(path))
			defer b.Close()
			first, err := b.Generate(t.Context(), ask("hi"))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			req := ask("hi")
			req.Options = req.Options.WithStream(true).WithStreamTimeout(time.Second)
			_, err = reply(t, b, req)
			if e := new(backend.Error); !errors.As(err, &e) || e.Code != "timeout" {
				t.Errorf("got %v, want a timeout", err)
			}
			if err := first.Wait(t.Context()); err != nil {
				t.Error(err)
			}
		})
	})
}

func TestGenerateBatch(t *testing.T) {
	t.Parallel()
	f := &fake{answer: func(prompt string) string { return strings.ToUpper(strings.TrimPrefix(prompt, "«begin»")) }}
	b := newFake(t, f, WithContexts(2))
	got, err := b.GenerateBatch(t.Context(), backend.BatchRequest{
		Prompts: content.ListOf("one", "<|start|>two", "", "three"+strings.Repeat("x", 2000), "five"),
		Options: backend.Options{}.WithMaxTokens(4),
	})
	if err != nil {
		t.Fatal(err)
	}
	type item struct {
		text, finish, code string
		in, out            int
	}
	var items []item
	for it := range got.Items.Values() {
		x := item{text: it.Text, finish: it.FinishReason, in: it.Usage.InputTokens, out: it.Usage.OutputTokens}
		if e := new(backend.Error); errors.As(it.Err, &e) {
			x.code = e.Code
		}
		items = append(items, x)
	}
	want := []item{
		{text: "ONE", finish: "stop", in: 4, out: 3}, {text: "<|ST", finish: "length", in: 13, out: 4},
		{code: backend.CodeConfiguration}, {code: codeLength}, {text: "FIVE", finish: "length", in: 5, out: 4},
	}
	if diff := cmp.Diff(want, items, cmp.AllowUnexported(item{})); diff != "" {
		t.Errorf("items (-want +got):\n%s", diff)
	}
	g := got.Generation
	if diff := cmp.Diff([]string{"stop", "length", "length"}, g.FinishReasons.Slice()); diff != "" || got.Failed() != 2 {
		t.Errorf("%d failed, want 2; finish reasons (-want +got):\n%s", got.Failed(), diff)
	}
	if g.Usage != (content.Usage{InputTokens: 22, OutputTokens: 11}) || g.Model != "tiny" || !g.InProcess || g.Ended.IsZero() {
		t.Errorf("got metadata %+v, want it complete", g)
	}

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.GenerateBatch(ctx, backend.BatchRequest{Prompts: content.ListOf("one")}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v of a batch that was cancelled, want context.Canceled", err)
	}
	if empty, err := b.GenerateBatch(t.Context(), backend.BatchRequest{}); err != nil || empty.Items.Len() != 0 {
		t.Errorf("got %+v, %v of an empty batch, want nothing", empty, err)
	}
}
