package replay_test

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestWhatMakesRequestsTheSame(t *testing.T) {
	t.Parallel()
	png := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n1")))
	jpg := must(content.NewImage([]byte("\xff\xd8\xff1")))
	obj := must(schema.Parse("answer", []byte(`{"type":"object", "title":"x"}`)))
	swapped := must(schema.Parse("answer", []byte(`{"title":"x","type":"object"}`)))
	str := must(schema.Parse("answer", []byte(`{"type":"string"}`)))
	base := backend.Request{
		Messages: content.NewMessages(content.System("SECRET system"), content.User("SECRET question")),
		Options:  backend.Options{}.WithTemperature(0.5).WithSeed(1<<60+1).WithExtra("min_p", 0.1),
		Format:   obj,
		Tools:    content.ListOf(content.ToolSpec{Name: "f", Parameters: obj}),
	}
	with := func(change func(*backend.Request)) backend.Request {
		r := base
		change(&r)
		return r
	}
	message := func(ms ...content.Message) backend.Request {
		return with(func(r *backend.Request) { r.Messages = content.NewMessages(ms...) })
	}
	tests := []struct {
		name   string
		req    backend.Request
		differ string // "" for the same
	}{
		{"the same", base, ""},
		{"carried differently", with(func(r *backend.Request) {
			r.Options = r.Options.WithStream(true).WithStrict(true).WithStreamTimeout(1)
		}), ""},
		{"in two layers", with(func(r *backend.Request) {
			r.Options = backend.Options{}.WithTemperature(0.5).WithExtra("min_p", 0.1).Merge(backend.Options{}.WithSeed(1<<60 + 1))
		}), ""},
		{"the model named", with(func(r *backend.Request) { r.Options = r.Options.WithModel("tiny") }), ""},
		{"a schema written differently", with(func(r *backend.Request) { r.Format = swapped }), ""},
		{"another text", message(content.System("SECRET system"), content.User("SECRET answer")), "message 2 differs at byte 8"},
		{"a longer text", message(content.System("SECRET system."), content.User("SECRET question")), "message 1 differs at byte 14"},
		{"another role", message(content.System("SECRET system"), content.Assistant("SECRET question")), "message 2 has another role"},
		{"fewer messages", message(content.System("SECRET system")), "it has 1 messages, not 2"},
		{"an image", message(content.System("SECRET system"), content.NewMessage(content.RoleUser, content.Text("SECRET question"), png)), "message 2 differs at byte 1"},
		{"another model", with(func(r *backend.Request) { r.Options = r.Options.WithModel("SECRET") }), "the model is another"},
		{"another seed", with(func(r *backend.Request) { r.Options = r.Options.WithSeed(1 << 60) }), "option seed differs"},
		{"one more option", with(func(r *backend.Request) { r.Options = r.Options.WithTopK(1) }), "option top_k differs"},
		{"another extra", with(func(r *backend.Request) { r.Options = r.Options.WithExtra("min_p", "SECRET") }), "option min_p differs"},
		{"another format", with(func(r *backend.Request) { r.Format = str }), "the format differs"},
		{"no tools", with(func(r *backend.Request) { r.Tools = content.List[content.ToolSpec]{} }), "the tools differ"},
		{"everything", backend.Request{Messages: content.NewMessages(content.User("x"))},
			"message 1 has another role, it has 1 messages, not 2, option min_p differs and 4 more"},
	}
	_, file := record(t, play(say("reply")), base)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := observe(t.Context(), open(t, file), tt.req)
			if tt.differ == "" {
				if got.err != nil || got.reply.Message.Text() != "reply" {
					t.Errorf("reply %q, %v, want the recorded one", got.reply.Message.Text(), got.err)
				}
				return
			}
			wantUnexpected(t, got.err, tt.differ, "line 2")
		})
	}
	t.Run("an image and another", func(t *testing.T) {
		t.Parallel()
		picture := func(i content.Image) backend.Request {
			return backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, content.Text("what?"), i))}
		}
		_, file := record(t, play(say("reply")), picture(png))
		b := open(t, file)
		wantUnexpected(t, observe(t.Context(), b, picture(jpg)).err, "message 1 differs in part 2")
		if got := observe(t.Context(), b, picture(png)); got.err != nil {
			t.Errorf("the recorded request: %v", got.err)
		}
	})
}

func wantUnexpected(t *testing.T, err error, parts ...string) {
	t.Helper()
	var e *backend.Error
	if !errors.As(err, &e) || e.Code != replay.CodeUnexpected || e.Provider != "test" {
		t.Fatalf("error = %v, want %s", err, replay.CodeUnexpected)
	}
	for _, p := range parts {
		if !strings.Contains(e.Error(), p) {
			t.Errorf("error %q does not say %q", e, p)
		}
	}
	if strings.Contains(e.Error(), "SECRET") || strings.Contains(e.Message, "SECRET") {
		t.Errorf("error %q quotes content", e)
	}
}

func TestTheNearestRequestIsNamed(t *testing.T) {
	t.Parallel()
	_, file := record(t, play(say("1"), say("2"), say("3")), ask("one"), ask("two plus two"), ask("three"))
	b := open(t, file)
	wantUnexpected(t, observe(t.Context(), b, ask("two plus three")).err, "line 3", "message 1 differs at byte 11")
	if got := len(b.Unused()); got != 3 {
		t.Errorf("%d unused exchanges after an unexpected request, want 3", got)
	}
}

func TestEqualRequestsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	_, file := record(t, play(say("1"), say("other"), say("2"), say("3")), ask("roll"), ask("else"), ask("roll"), ask("roll"))
	b := open(t, file)
	for _, want := range []string{"1", "2", "3"} {
		if got := observe(t.Context(), b, ask("roll")); got.reply.Message.Text() != want || got.err != nil {
			t.Errorf("reply = %q, %v, want %q", got.reply.Message.Text(), got.err, want)
		}
	}
	wantUnexpected(t, observe(t.Context(), b, ask("roll")).err, "3 time(s)")
	if diff := cmp.Diff([]replay.Exchange{{Line: 3, Model: "tiny", Messages: 1}}, b.Unused()); diff != "" {
		t.Errorf("Unused (-want +got):\n%s", diff)
	}
}

func TestConcurrentUse(t *testing.T) {
	t.Parallel()
	const n = 40
	var file syncBuffer
	r := replay.Record(play(say("reply")), &file)
	run := func(b backend.Backend) {
		var wg sync.WaitGroup
		for i := range n {
			wg.Go(func() {
				req := ask(strings.Repeat("x", i%4))
				if got := observe(t.Context(), b, req); got.err != nil || got.reply.Message.Text() != "reply" {
					t.Errorf("request %d: %q, %v", i, got.reply.Message.Text(), got.err)
				}
			})
		}
		wg.Wait()
	}
	run(r)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	b := must(replay.New(strings.NewReader(file.String())))
	run(b)
	if left := b.Unused(); len(left) > 0 {
		t.Errorf("Unused() = %v, want none", left)
	}
}

// syncBuffer checks that every Write is one whole line.
type syncBuffer struct {
	mu sync.Mutex
	b  strings.Builder
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if strings.IndexByte(string(p), '\n') != len(p)-1 {
		return 0, errors.New("not one line")
	}
	return s.b.Write(p)
}

func (s *syncBuffer) String() string { return s.b.String() }
