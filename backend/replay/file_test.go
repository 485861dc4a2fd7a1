package replay_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
)

// The format is a contract: this is version 1, and files like it must stay readable.
func TestFormat(t *testing.T) {
	t.Parallel()
	const want = `{"format":"mellea-recording","version":1,"contains":"prompts and replies: keep this file private","made":"2000-01-01T00:00:00Z","note":"a test","provider":"test","model":"tiny","server_address":"box","server_port":99,"capabilities":{"tools":true,"structured":"schema"}}
{"index":0,"request":{"model":"tiny","messages":[{"role":"user","text":"hi"}],"options":{"temperature":0,"seed":7,"extra":{"min_p":0.1}}},"chunks":[{"at_us":100000},{"at_us":200000,"text":"a"},{"at_us":600000,"text":"b"},{"at_us":800000}],"generation":{"provider":"test","model":"tiny","usage":{"input_tokens":3,"output_tokens":2},"sent":{"model":"tiny","temperature":0,"seed":7,"extra":{"min_p":0.1}},"server_address":"box","server_port":99,"ended_us":800000}}
{"index":1,"request":{"model":"big","messages":[{"role":"assistant","parts":[{"type":"reasoning","text":"hm"},{"type":"tool_call","id":"c1","name":"f","arguments":"{}"}]},{"role":"tool","parts":[{"type":"tool_result","id":"c1","name":"f","text":"ok"}]}]},"generation":{"provider":"test","model":"big","sent":{"model":"big"},"server_address":"box","server_port":99},"error":{"kind":"backend","provider":"test","status":429,"retry_after_us":2000000}}
`
	synctest.Test(t, func(t *testing.T) {
		s := slow
		s.finish = func(g *backend.Generation) { g.Usage = content.Usage{InputTokens: 3, OutputTokens: 2} }
		limited := script{err: &backend.Error{Provider: "test", Status: 429, RetryAfter: 2 * time.Second}}
		first := ask("hi")
		first.Options = first.Options.WithTemperature(0).WithSeed(7).WithExtra("min_p", 0.1)
		second := backend.Request{
			Messages: content.NewMessages(content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.ToolCall{ID: "c1", Name: "f", Arguments: "{}"}),
				content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "f", Content: "ok"})),
			Options: backend.Options{}.WithModel("big"),
		}
		var file bytes.Buffer
		r := replay.Record(play(s, limited), &file, replay.WithNote("a test"))
		observe(t.Context(), r, first)
		observe(t.Context(), r, second)
		if err := r.Close(); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(strings.Split(want, "\n"), strings.Split(file.String(), "\n")); diff != "" {
			t.Errorf("recording (-want +got):\n%s", diff)
		}
		b := open(t, &file)
		if b.Note() != "a test" || !b.Made().Equal(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)) || b.Truncated() {
			t.Errorf("Note, Made, Truncated = %q, %v, %t", b.Note(), b.Made(), b.Truncated())
		}
	})
}

const (
	goodHeader   = `{"format":"mellea-recording","version":1,"provider":"test","model":"tiny","capabilities":{}}`
	goodExchange = `{"index":0,"request":{"model":"tiny","messages":[{"role":"user","text":"hi"}]},"chunks":[{"at_us":0,"text":"hello"}]}`
)

func TestBadFiles(t *testing.T) {
	t.Parallel()
	good := goodHeader + "\n" + goodExchange + "\n"
	exchange := func(rest string) string {
		return good + `{"index":1,"request":{"model":"tiny","messages":[]},` + rest + "}\n"
	}
	batch := func(prompts, rest string) string {
		return good + `{"index":1,"request":{"model":"tiny","messages":[],"prompts":` + prompts + `},` + rest + "}\n"
	}
	tests := []struct {
		name, file string
		kind       error
		line       int
		says       string
	}{
		{"empty", "", replay.ErrNotRecording, 1, "no header"},
		{"blank", "\n\n", replay.ErrNotRecording, 1, "no header"},
		{"text", "SECRET diary\n", replay.ErrNotRecording, 1, "header"},
		{"other JSON", `{"format":"SECRET"}` + "\n", replay.ErrNotRecording, 1, "header"},
		{"no version", `{"format":"mellea-recording"}` + "\n", replay.ErrDamaged, 1, "version"},
		{"too new", `{"format":"mellea-recording","version":2,"SECRET":1}` + "\n", replay.ErrVersion, 1, "version 2"},
		{"unknown member in the header", `{"format":"mellea-recording","version":1,"SECRET":1}` + "\n", replay.ErrDamaged, 1, "does not know"},
		{"wrong kind in the header", `{"format":"mellea-recording","version":1,"model":{"SECRET":1}}` + "\n", replay.ErrDamaged, 1, "wrong kind"},
		{"unknown capability", `{"format":"mellea-recording","version":1,"capabilities":{"structured":"SECRET"}}` + "\n", replay.ErrDamaged, 1, "structured"},
		{"damaged in the middle", goodHeader + "\n" + `{"index":SECRET}` + "\n" + goodExchange + "\n", replay.ErrDamaged, 2, "byte 10"},
		{"unknown member", exchange(`"SECRET":1`), replay.ErrDamaged, 3, "does not know"},
		{"two in a line", goodHeader + "\n" + goodExchange + goodExchange + "\n", replay.ErrDamaged, 2, "not JSON"},
		{"wrong kind", exchange(`"chunks":"SECRET"`), replay.ErrDamaged, 3, "wrong kind"},
		{"time goes back", exchange(`"chunks":[{"at_us":5,"text":"a"},{"at_us":4,"text":"b"}]`), replay.ErrDamaged, 3, "chunk 2"},
		{"tool call out of range", exchange(`"chunks":[{"at_us":5,"tool_call":{"index":256}}]`), replay.ErrDamaged, 3, "chunk 1"},
		{"not base64", exchange(`"chunks":[{"at_us":5,"text":"SECRET!","base64":true}]`), replay.ErrDamaged, 3, "base64"},
		{"ended before it began", exchange(`"generation":{"ended_us":-1}`), replay.ErrDamaged, 3, "out of range"},
		{"negative usage", exchange(`"generation":{"usage":{"audio":{"input_tokens":-1}}}`), replay.ErrDamaged, 3, "negative"},
		{"negative delay", exchange(`"generation":{"retries":[{"at_us":0,"delay_us":-1}]}`), replay.ErrDamaged, 3, "retry 1"},
		{"unknown error", exchange(`"error":{"kind":"SECRET"}`), replay.ErrDamaged, 3, "unknown kind"},
		{"refused without an error", exchange(`"refused":true`), replay.ErrDamaged, 3, "refused"},
		{"a price below nothing", exchange(`"generation":{"cost_usd":-1}`), replay.ErrDamaged, 3, "cost_usd"},
		{"items without prompts", exchange(`"items":[{"text":"SECRET"}]`), replay.ErrDamaged, 3, "no prompts"},
		{"prompts with chunks", batch(`["SECRET"]`, `"chunks":[{"at_us":0}]`), replay.ErrDamaged, 3, "beside"},
		{"an item too few", batch(`["SECRET","b"]`, `"items":[{"text":"SECRET"}]`), replay.ErrDamaged, 3, "one item for each"},
		{"an item that is not base64", batch(`["a"]`, `"items":[{"text":"SECRET!","base64":true}]`), replay.ErrDamaged, 3, "item 1: not base64"},
		{"an item with negative usage", batch(`["a"]`, `"items":[{"usage":{"output_tokens":-1}}]`), replay.ErrDamaged, 3, "item 1: a count"},
		{"an item with an unknown error", batch(`["a"]`, `"items":[{"error":{"kind":"SECRET"}}]`), replay.ErrDamaged, 3, "item 1: error"},
		{"too long", goodHeader + "\n" + strings.Repeat(" ", replay.MaxLine) + "\n", replay.ErrTooLarge, 2, "67108864"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "r.jsonl")
			if err := os.WriteFile(path, []byte(tt.file), 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := replay.Open(path)
			var got *replay.FormatError
			if !errors.As(err, &got) || !errors.Is(err, tt.kind) || got.Line != tt.line || got.Name != path {
				t.Fatalf("error = %v, want %v in line %d of the file", err, tt.kind, tt.line)
			}
			if !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "SECRET") {
				t.Errorf("error %q: want it to say %q and to quote nothing", err, tt.says)
			}
		})
	}
	if _, err := replay.Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("Open of no file = %v, want os.ErrNotExist", err)
	}
}

// A crash in the middle of a line loses that exchange and nothing else.
func TestCutOffRecording(t *testing.T) {
	t.Parallel()
	_, file := record(t, play(say("one"), say("two")), ask("1"), ask("2"))
	whole := file.String()
	last := strings.LastIndexByte(strings.TrimSuffix(whole, "\n"), '\n') + 1
	for cut := last + 1; cut < len(whole)-1; cut++ {
		b, err := replay.New(strings.NewReader(whole[:cut]))
		if err != nil || !b.Truncated() || len(b.Unused()) != 1 {
			t.Fatalf("cut at byte %d: %v, want the first exchange and Truncated", cut, err)
		}
	}
	b, err := replay.New(strings.NewReader(strings.TrimSuffix(whole, "\n")))
	if err != nil || b.Truncated() || len(b.Unused()) != 2 {
		t.Errorf("without its last line feed: %v, want both exchanges", err)
	}
}

func TestRecordFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "r.jsonl")
	if err := os.WriteFile(path, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"first, long enough to leave a trace", "second"} {
		r, err := replay.RecordFile(play(say(text)), path)
		if err != nil {
			t.Fatal(err)
		}
		observe(t.Context(), r, ask("hi"))
		// The exchange is in the file before the program does anything else.
		b, err := replay.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := observe(t.Context(), b, ask("hi")); got.reply.Message.Text() != text {
			t.Errorf("reply = %q, want %q", got.reply.Message.Text(), text)
		}
		if len(b.Unused()) != 0 {
			t.Errorf("the recording that was there was not replaced: %v", b.Unused())
		}
		if err := errors.Join(r.Close(), r.Close()); err != nil {
			t.Error(err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode = %v, %v, want 0600", info.Mode(), err)
	}
}

func TestRecordFileSparesOtherFiles(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "diary.txt")
	if err := os.WriteFile(path, []byte("dear diary"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := replay.RecordFile(play(say("x")), path); !errors.Is(err, replay.ErrNotRecording) {
		t.Errorf("RecordFile over another file = %v, want ErrNotRecording", err)
	}
	if text, err := os.ReadFile(path); string(text) != "dear diary" {
		t.Errorf("the file holds %q, %v, want what it held", text, err)
	}
}

// full fails every write after the first n.
type full struct{ n int }

var errFull = errors.New("disk full")

func (f *full) Write(p []byte) (int, error) {
	if f.n--; f.n < 0 {
		return 0, errFull
	}
	return len(p), nil
}

func TestFailureToWriteDisturbsNoGeneration(t *testing.T) {
	t.Parallel()
	for n := range 3 {
		r := replay.Record(play(say("reply")), &full{n})
		for range 3 {
			if got := observe(t.Context(), r, ask("hi")); got.err != nil || got.reply.Message.Text() != "reply" {
				t.Errorf("reply = %q, %v, want that of the backend", got.reply.Message.Text(), got.err)
			}
		}
		if err := r.Close(); !errors.Is(err, errFull) {
			t.Errorf("Close = %v, want the failure", err)
		}
	}
}

func TestRequestsAfterClose(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	r := replay.Record(play(say("reply")), &file)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if got := observe(t.Context(), r, ask("hi")); got.err != nil || got.reply.Message.Text() != "reply" {
		t.Errorf("reply = %q, %v, want that of the backend", got.reply.Message.Text(), got.err)
	}
	if err := r.Close(); err == nil || file.Len() != 0 {
		t.Errorf("Close = %v with %d bytes recorded, want an error and none", err, file.Len())
	}
}

// FuzzNew checks that no file makes the reader panic, and that what is accepted can be replayed.
func FuzzNew(f *testing.F) {
	f.Add([]byte(goodHeader + "\n" + goodExchange + "\n"))
	f.Add([]byte(goodHeader + "\n\n" + goodExchange[:40]))
	f.Add([]byte(goodHeader + "\n" + `{"index":0,"request":{"model":"m","messages":[{"role":"user","parts":[{"type":"image","data":"AA=="}]}],"options":{"seed":9223372036854775807,"extra":{"a":{"b":1,"b":2}}},"format":{"name":"n","schema":{}},"tools":[{"name":"t","parameters":true}]},"refused":true,"error":{"kind":"backend","cause":"io_timeout"}}` + "\n"))
	f.Add([]byte(`{"format":"mellea-recording","version":3}`))
	f.Add([]byte(goodHeader + "\n" + `{"index":0,"request":{"model":"m","messages":[],"prompts":["a","b"]},"items":[{"text":"x","finish_reason":"stop"},{"error":{"kind":"other"}}],"generation":{"deployment":"d","cost_usd":0.1}}` + "\n"))
	f.Add([]byte("not one"))
	f.Fuzz(func(t *testing.T, file []byte) {
		b, err := replay.New(bytes.NewReader(file))
		var bad *replay.FormatError
		if err != nil {
			if !errors.As(err, &bad) || bad.Line < 1 {
				t.Errorf("error = %v, want a *FormatError with a line", err)
			}
			return
		}
		before := b.Unused()
		got := observe(t.Context(), b, ask("hi"))
		if after := b.Unused(); len(after) < len(before)-1 || (got.err == nil && len(after) != len(before)-1) {
			t.Errorf("%d unused exchanges before and %d after one request", len(before), len(after))
		}
	})
}
