package ollama_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
)

// ignoreRun leaves out what differs from run to run.
var ignoreRun = cmp.Options{
	cmpopts.IgnoreFields(backend.Generation{}, "Started", "FirstChunk", "FirstToken", "Ended", "ServerPort"),
	cmp.AllowUnexported(content.List[string]{}, content.List[backend.Retry]{}, content.List[backend.Scores]{}),
	cmp.Comparer(func(a, b backend.Options) bool { return true }),
}

func TestWholeReply(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, answer(plainReply))
	got, err := generate(t, f.backend(), ask("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if !got.Message.Equal(content.Assistant("Hello")) {
		t.Errorf("message = %v, want Hello", got.Message)
	}
	want := backend.Generation{
		Provider: "ollama", Model: "m", ResponseModel: "m:latest", FinishReasons: content.ListOf("stop"),
		Usage: content.Usage{InputTokens: 12, OutputTokens: 3}, ServerAddress: "127.0.0.1", Chunks: 1,
	}
	if diff := cmp.Diff(want, got.Generation, ignoreRun); diff != "" {
		t.Errorf("generation (-want +got):\n%s", diff)
	}
}

func TestStreamedReply(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, answer(
		`{"model":"m:1","message":{"role":"assistant","content":"","thinking":"hm"},"done":false}`,
		``,
		`{"model":"m:1","message":{"role":"assistant","content":"H\u00e9"},"done":false,"logprobs":[{"token":"x"}]}`,
		`{"model":"m:1","message":{"content":"llo \ud83d\ude00"},"done":false}`,
		`{"model":"m:1","message":{"tool_calls":[{"id":"c1","function":{"index":0,"name":"f","arguments":{"b": 1, "a":[true]}}},`+
			`{"function":{"index":0,"name":"g","arguments":{}}}]},"done":false}`,
		`{"model":"m:1","message":{"tool_calls":[{"id":"c3","function":{"name":"h","arguments":"{\"x\":1}"}}]},"done":false}`,
		`{"model":"m:1","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","prompt_eval_count":26,"eval_count":9}`,
	))
	out, err := f.backend().Generate(t.Context(), streaming(ask("hi")))
	if err != nil {
		t.Fatal(err)
	}
	var chunks []string
	for c, err := range out.Chunks(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if c.At.IsZero() {
			t.Errorf("chunk %d has no time", c.Index)
		}
		chunks = append(chunks, c.Kind.String()+" "+c.Text+c.Tool.Name+c.Tool.Arguments)
	}
	wantChunks := []string{"reasoning hm", "text Hé", "text llo 😀", `tool_call f{"b":1,"a":[true]}`, "tool_call g{}", `tool_call h{"x":1}`}
	if diff := cmp.Diff(wantChunks, chunks); diff != "" {
		t.Errorf("chunks (-want +got):\n%s", diff)
	}
	got, err := out.Reply(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	wantMessage := content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.Text("Héllo 😀"),
		content.ToolCall{ID: "c1", Name: "f", Arguments: `{"b":1,"a":[true]}`}, content.ToolCall{Name: "g", Arguments: "{}"},
		content.ToolCall{ID: "c3", Name: "h", Arguments: `{"x":1}`})
	if !got.Message.Equal(wantMessage) {
		t.Errorf("message = %+v, want %+v", got.Message, wantMessage)
	}
	want := backend.Generation{
		Provider: "ollama", Model: "m", ResponseModel: "m:1", FinishReasons: content.ListOf("tool_calls"), Streaming: true,
		Usage: content.Usage{InputTokens: 26, OutputTokens: 9}, ServerAddress: "127.0.0.1", Chunks: 7,
	}
	if diff := cmp.Diff(want, got.Generation, ignoreRun); diff != "" {
		t.Errorf("generation (-want +got):\n%s", diff)
	}
}

func TestLengthIsAFinishReason(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, answer(`{"message":{"content":"He"},"done":true,"done_reason":"length","eval_count":1}`))
	got, err := generate(t, f.backend(), ask("hi"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"length"}, got.Generation.FinishReasons.Slice()); diff != "" {
		t.Errorf("finish reasons (-want +got):\n%s", diff)
	}
}

func TestAStopSequenceMayLeaveNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, answer(`{"message":{"content":""},"done":true,"done_reason":"stop","eval_count":1}`))
	req := ask("hi")
	req.Options = req.Options.WithStop("\n")
	if got, err := generate(t, f.backend(), req); err != nil || got.Message.Text() != "" {
		t.Errorf("reply = %q, %v, want an empty one", got.Message.Text(), err)
	}
}

// wantError checks the fields of an *backend.Error that are set in want, and that its text holds parts.
func wantError(t *testing.T, err error, want backend.Error, parts ...string) {
	t.Helper()
	var got *backend.Error
	if !errors.As(err, &got) {
		t.Fatalf("error = %v (%T), want a *backend.Error", err, err)
	}
	if got.Provider != "ollama" || got.Code != want.Code || got.Status != want.Status {
		t.Errorf("error = {%s %d %q}, want {ollama %d %q}: %v", got.Provider, got.Status, got.Code, want.Status, want.Code, err)
	}
	if want.Message != "" && got.Message != want.Message {
		t.Errorf("Message = %q, want %q", got.Message, want.Message)
	}
	if want.RetryAfter != got.RetryAfter {
		t.Errorf("RetryAfter = %v, want %v", got.RetryAfter, want.RetryAfter)
	}
	for _, p := range parts {
		if !strings.Contains(err.Error(), p) {
			t.Errorf("error %q does not say %q", err, p)
		}
	}
	if strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %q quotes content", err)
	}
}

func status(code int, body string, header ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		io.WriteString(w, body)
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	const begun = `{"model":"m","message":{"content":"Hel"},"done":false}`
	tests := []struct {
		name   string
		chat   http.HandlerFunc
		stream bool
		want   backend.Error
		says   string
	}{
		{name: "unknown model", chat: status(404, `{"error":"model 'm' not found SECRET"}`),
			want: backend.Error{Status: 404, Code: "model_not_found", Message: "model 'm' not found SECRET"}, says: "`ollama pull m`"},
		{name: "unknown path", chat: status(404, `404 page not found`), want: backend.Error{Status: 404}, says: "is it Ollama?"},
		{name: "not signed in", chat: status(401, `{"error":"unauthorized","signin_url":"https://SECRET"}`), want: backend.Error{Status: 401}, says: "ollama signin"},
		{name: "no tools", chat: status(400, `{"error":"m does not support tools"}`), want: backend.Error{Status: 400}, says: "cannot call tools"},
		{name: "no thinking", chat: status(400, `{"error":"\"m\" does not support thinking"}`), want: backend.Error{Status: 400}, says: "thinking option off"},
		{name: "busy", chat: status(503, `{"error":"server busy"}`, "Retry-After", "7"),
			want: backend.Error{Status: 503, RetryAfter: 7 * time.Second}, says: "OLLAMA_MAX_QUEUE"},
		{name: "too large", chat: status(500, `{"error":"model requires more system memory (9 GiB) than is available"}`), want: backend.Error{Status: 500}, says: "smaller"},
		{name: "crash", chat: status(500, `{"error":"SECRET prompt"}`), want: backend.Error{Status: 500, Message: "SECRET prompt"}, says: "log"},
		{name: "redirect", chat: status(307, ``, "Location", "http://elsewhere.example/api/chat"),
			want: backend.Error{Status: 307, Code: backend.CodeRedirect}, says: "elsewhere.example"},
		{name: "web page", chat: status(200, `<html>SECRET</html>`, "Content-Type", "text/html"), want: backend.Error{Code: backend.CodeInvalidResponse}, says: "web page"},
		{name: "not JSON", chat: status(200, `SECRET`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "no message", chat: status(200, `{"done":true}`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "text that is a number", chat: status(200, `{"message":{"content":1},"done":true}`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "negative usage", chat: status(200, `{"message":{"content":"a"},"done":true,"eval_count":-1}`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "trailing garbage", chat: status(200, plainReply+`SECRET`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "not done", chat: status(200, begun), want: backend.Error{Code: backend.CodeInvalidResponse}, says: "before it was complete"},
		{name: "empty", chat: status(200, ``), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "error in a 200", chat: status(200, `{"error":"SECRET"}`), want: backend.Error{Status: 200, Code: "stream_error", Message: "SECRET"}},
		{name: "empty reply", chat: status(200, `{"message":{"content":""},"done":true,"done_reason":"stop"}`),
			want: backend.Error{Code: backend.CodeInvalidResponse}, says: "is empty"},
		{name: "no room for a reply", chat: status(200, `{"message":{"content":""},"done":true,"done_reason":"length"}`),
			want: backend.Error{Code: backend.CodeInvalidResponse}, says: "more tokens"},
		{name: "late status", chat: status(200, `{"error":"SECRET","status":503}`), want: backend.Error{Status: 503, Code: "stream_error"}, says: "busy"},
		{name: "error in a stream", stream: true, chat: answer(begun, `{"error":"out of memory SECRET"}`),
			want: backend.Error{Status: 200, Code: "stream_error", Message: "out of memory SECRET"}, says: "smaller"},
		{name: "stream without a message", chat: status(200, `{"model":"m","done":false}`+"\n"+`{"done":true}`),
			want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "truncated stream", stream: true, chat: answer(begun), want: backend.Error{Code: backend.CodeInvalidResponse}, says: "before it was complete"},
		{name: "malformed line", stream: true, chat: answer(begun, `{"message":SECRET}`), want: backend.Error{Code: backend.CodeInvalidResponse}},
		{name: "cut off line", stream: true, chat: func(w http.ResponseWriter, r *http.Request) {
			answer(begun)(w, r)
			io.WriteString(w, `{"message":{"con`)
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, want: backend.Error{Code: backend.CodeInvalidResponse}, says: "cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, `[]`, tt.chat)
			req := ask("SECRET prompt")
			if tt.stream {
				req = streaming(req)
			}
			reply, err := generate(t, f.backend(ollama.WithRetries(0)), req)
			wantError(t, err, tt.want, tt.says)
			if tt.stream && reply.Message.Text() != "Hel" {
				t.Errorf("text that had arrived = %q, want Hel", reply.Message.Text())
			}
		})
	}
}

func TestRetriesAreRecorded(t *testing.T) {
	t.Parallel()
	calls := 0
	f := newFake(t, `[]`, func(w http.ResponseWriter, r *http.Request) {
		if calls++; calls == 1 {
			status(503, `{"error":"server busy"}`)(w, r)
			return
		}
		answer(plainReply)(w, r)
	})
	got, err := generate(t, f.backend(), ask("hi"))
	if err != nil {
		t.Fatal(err)
	}
	retries := got.Generation.Retries.Slice()
	if len(retries) != 1 || retries[0].Status != 503 || retries[0].Reason != "server_error" {
		t.Errorf("retries = %+v, want one after 503", retries)
	}
}

func TestSilentServer(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, func(w http.ResponseWriter, r *http.Request) {
		answer(`{"message":{"content":"Hel"},"done":false}`)(w, r)
		<-r.Context().Done()
	})
	req := streaming(ask("hi"))
	req.Options = req.Options.WithStreamTimeout(50 * time.Millisecond)
	reply, err := generate(t, f.backend(), req)
	wantError(t, err, backend.Error{Code: "timeout"}, "50ms")
	if reply.Message.Text() != "Hel" {
		t.Errorf("text that had arrived = %q, want Hel", reply.Message.Text())
	}
}

func TestCancelMidStream(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{})
	f := newFake(t, `[]`, func(w http.ResponseWriter, r *http.Request) {
		answer(`{"message":{"content":"Hel"},"done":false}`)(w, r)
		<-r.Context().Done()
		close(gone)
	})
	out, err := f.backend().Generate(t.Context(), streaming(ask("hi")))
	if err != nil {
		t.Fatal(err)
	}
	why := errors.New("enough")
	for range out.Chunks(t.Context()) {
		out.Cancel(why)
	}
	text, err := out.Text(t.Context())
	if text != "Hel" || !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
		t.Errorf("Text = %q, %v, want Hel and the cause", text, err)
	}
	<-gone // the server saw the connection close
}

// canned answers every request from memory.
type canned string

func (c canned) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(string(c))), Request: r}, nil
}

func streamOf(n int) canned {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `{"model":"m","created_at":"2026-01-02T03:04:05.678Z","message":{"role":"assistant","content":" word%d"},"done":false}`+"\n", i)
	}
	return canned(b.String() + `{"model":"m","created_at":"2026-01-02T03:04:05.678Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop"}`)
}

func runStream(tb testing.TB, b backend.Backend) {
	out, err := b.Generate(context.Background(), streaming(ask("hi")))
	if err == nil {
		err = out.Wait(context.Background())
	}
	if err != nil {
		tb.Error(err)
	}
}

// A streamed chunk costs at most one allocation, all included.
func TestAllocationsPerChunk(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	measure := func(n int) float64 {
		b := ollama.New(ollama.WithModel("m"), ollama.WithTransport(streamOf(n)))
		return testing.AllocsPerRun(50, func() { runStream(t, b) })
	}
	few, many := measure(1), measure(200)
	t.Logf("%v allocations for 1 chunk, %v for 200", few, many)
	if per := (many - few) / 199; per > 0.2 {
		t.Errorf("%.2f allocations per chunk, want at most 0.2", per)
	}
}

func BenchmarkStream200(b *testing.B) {
	o := ollama.New(ollama.WithModel("m"), ollama.WithTransport(streamOf(200)))
	b.ReportAllocs()
	for b.Loop() {
		runStream(b, o)
	}
}
