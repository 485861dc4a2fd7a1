package cli_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/cli"
	"github.com/mellea-go/mellea/internal/otlptest"
)

// batchLine is a record of --out or --failed.
type batchLine struct {
	Line  int
	Hash  string
	ID    any
	Text  string
	Value any
	Usage map[string]int
	Model string
	Error struct{ Type, Category, Message string }
	// Attempts is nil in --failed.
	Attempts *int
	TraceID  string `json:"trace_id"`
}

// records returns what a file of a batch holds, by line, and fails the test for a line that is there twice.
func records(t *testing.T, path string) map[int]batchLine {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]batchLine{}
	for line := range strings.Lines(string(text)) {
		var r batchLine
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%s holds %q: %v", path, line, err)
		}
		if _, twice := all[r.Line]; twice {
			t.Errorf("%s has line %d twice", path, r.Line)
		}
		all[r.Line] = r
	}
	return all
}

// echoes makes the server say the last message back, in capitals.
func (f *fake) echoes() *fake {
	f.answer = func(q request) (string, int) { return strings.ToUpper(q.prompt()), 0 }
	return f
}

func TestBatch(t *testing.T) {
	t.Parallel()
	f := newFake(t).echoes()
	in := file(t, "in.jsonl", `{"id":"a","prompt":"one {{x}}"}
{"id":7,"prompt":"hello {{name}}","vars":{"name":"Ada"}}

{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"hi"},{"role":"assistant","content":"yes?"},{"role":"user","content":"go"}]}
{"prompt":"five","options":{"temperature":0.5,"max-tokens":9,"stop":["X","Y"],"num_ctx":99,"model":"other"}}
`)
	out := filepath.Join(t.TempDir(), "out.jsonl")
	got := process{env: f.env()}.run(t, "batch", in, "--out", out, "--system", "You shout.", "--option", "seed=1", "--concurrency", "1")
	if got.code != 0 || got.stdout != "" {
		t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
	}
	wantLines(t, "stderr", got.stderr, "mellea: ollama, model tiny:latest at ", "mellea: 4 of 4 lines done\n")
	want := map[int]batchLine{}
	for line, w := range map[int]batchLine{
		1: {ID: "a", Text: "ONE {{X}}", Model: "tiny:latest", Usage: map[string]int{"input_tokens": 10, "output_tokens": 2}},
		2: {ID: 7.0, Text: "HELLO ADA", Model: "tiny:latest", Usage: map[string]int{"input_tokens": 10, "output_tokens": 2}},
		4: {Text: "GO", Model: "tiny:latest", Usage: map[string]int{"input_tokens": 10, "output_tokens": 1}},
		5: {Text: "FIVE", Model: "other", Usage: map[string]int{"input_tokens": 10, "output_tokens": 1}},
	} {
		one := 1
		w.Line, w.Attempts = line, &one
		want[line] = w
	}
	all := records(t, out)
	for line, r := range all {
		if len(r.Hash) != 32 {
			t.Errorf("line %d has the hash %q", line, r.Hash)
		}
		r.Hash = ""
		all[line] = r
	}
	if diff := cmp.Diff(want, all); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
	asked := f.chats()
	var systems []string
	for _, q := range asked {
		systems = append(systems, q.Messages[0].Content)
	}
	if diff := cmp.Diff([]string{"You shout.", "You shout.", "Be brief.", "You shout."}, systems); diff != "" {
		t.Errorf("system messages (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"seed": 1.0, "temperature": 0.5, "num_predict": 9.0, "stop": []any{"X", "Y"}, "num_ctx": 99.0}, asked[3].Options); diff != "" {
		t.Errorf("options (-want +got):\n%s", diff)
	}
	// Again there is nothing to do.
	got = process{env: f.env()}.run(t, "batch", in, "--out", out, "--output", "json")
	if got.code != 0 || len(f.chats()) != 4 || got.stdout != `{"lines":4,"done":0,"done_before":4,"failed":0,"left":0}`+"\n" {
		t.Errorf("exit %d after %d requests: %s%s", got.code, len(f.chats()), got.stdout, got.stderr)
	}
}

// Lines that are not as they should be are failures with a reason, and the others are done.
func TestBatchLineErrors(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`hello`:                                      "not a JSON object",
		`{"prompt":"x"`:                              "not a JSON object",
		`{"prompt":"x"} {"prompt":"y"}`:              "not a JSON object",
		`["x"]`:                                      "a line is a JSON object",
		`{"prompt":7}`:                               "/prompt: it is not of the right type",
		`{"id":"q","promt":"secret"}`:                "/promt: there is no such field; known are id, prompt, messages, vars, schema and options",
		`{"Prompt":"x"}`:                             "/Prompt: there is no such field",
		`{"id":{},"prompt":"x"}`:                     "id: it is a string or a number",
		`{"id":"q"}`:                                 "there is neither a prompt nor messages",
		`{"prompt":"x","messages":[]}`:               "there are both a prompt and messages",
		`{"prompt":""}`:                              "prompt: it is empty",
		`{"messages":[]}`:                            "messages: there is none",
		`{"prompt":"x","schema":"y"}`:                "schema: not a JSON Schema",
		`{"prompt":"x","options":[]}`:                "/options: it is not of the right type",
		`{"prompt":"{{y}}","vars":{}}`:               "y",
		`{"prompt":"x","options":{"seed":"secret"}}`: "/options/seed: it is not a whole number",
		`{"prompt":"x","options":{"model":7}}`:       "/options/model: it is a name",
		`{"messages":[{"role":"user","content":"x"}],"vars":{}}`:                            "vars: they are for a prompt",
		`{"messages":[{"role":"user","content":"x","name":"y"}]}`:                           "/messages/0/name: there is no such field",
		`{"messages":[{"role":"tool","content":"x"}]}`:                                      "/messages/0/role: it is system, user or assistant",
		`{"messages":[{"role":"user"}]}`:                                                    "/messages/0/content: it is empty",
		`{"messages":[{"role":"user","content":"x"},{"role":"assistant","content":"y"}]}`:   "/messages/1/role: the last message is the user's",
		`{"messages":[{"role":"user","content":"x"},{"role":"system","content":"secret"}]}`: "/messages/1/role: a system message stands first",
		`{"prompt":"` + strings.Repeat("x", 4<<20) + `"}`:                                   "the line has more than 4 MiB",
	} {
		t.Run(line[:min(len(line), 60)], func(t *testing.T) {
			t.Parallel()
			f := newFake(t).echoes()
			dir := t.TempDir()
			got := process{env: f.env()}.run(t, "batch", file(t, "in", line+"\n{\"prompt\":\"good\"}\n"), "--out", dir+"/out", "--failed", dir+"/failed")
			if got.code != 1 || !strings.Contains(got.stderr, "1 of 2 lines done, 1 failed") || !strings.Contains(got.stderr, "1 line failed: "+dir+"/failed says why") {
				t.Errorf("exit %d, stderr %q, want 1 and that a line failed", got.code, got.stderr)
			}
			failed := records(t, dir+"/failed")[1]
			if !strings.Contains(failed.Error.Message, want) || strings.Contains(failed.Error.Message, "secret") || failed.Error.Type == "" || failed.Error.Category == "" {
				t.Errorf("error = %+v, want %q and nothing of the line", failed.Error, want)
			}
			if strings.Contains(line, `"id":"q"`) && failed.ID != "q" {
				t.Errorf("id = %v", failed.ID)
			}
			if out := records(t, dir+"/out"); len(out) != 1 || out[2].Text != "GOOD" {
				t.Errorf("out = %+v", out)
			}
		})
	}
}

// A reply that is not what a line asks for is repaired, with prompts and with messages.
func TestBatchSchema(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answer = func(q request) (string, int) {
		whole := fmt.Sprint(q.body["messages"])
		switch {
		case strings.Contains(whole, "never"):
			return "no", 0
		case strings.Contains(whole, "not one JSON document"): // told what was wrong
			return `{"n": 1}`, 0
		}
		return "one", 0
	}
	number := `{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`
	in := file(t, "in", `{"prompt":"a","schema":`+number+`}
{"messages":[{"role":"user","content":"b"}],"schema":`+number+`}
{"prompt":"never","schema":`+number+`}
`)
	dir := t.TempDir()
	got := process{env: f.env()}.run(t, "batch", in, "--out", dir+"/out", "--failed", dir+"/failed")
	if got.code != 1 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	out := records(t, dir+"/out")
	for line := 1; line <= 2; line++ {
		if r := out[line]; *r.Attempts != 2 || !cmp.Equal(r.Value, map[string]any{"n": 1.0}) {
			t.Errorf("line %d = %+v, want the value after a repair", line, r)
		}
	}
	failed := records(t, dir+"/failed")[3]
	if failed.Error.Type != "requirements_not_met" || failed.Error.Category != "validation_error" || failed.Text != "no" {
		t.Errorf("failed = %+v", failed)
	}
	// A schema for all lines is the same to each.
	f.answer = func(request) (string, int) { return `{"n":2}`, 0 }
	in = file(t, "in", `{"prompt":"a"}`)
	if got = (process{env: f.env()}).run(t, "batch", in, "--out", dir+"/out2", "--schema", file(t, "s.json", number)); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	if r := records(t, dir+"/out2")[1]; !cmp.Equal(r.Value, map[string]any{"n": 2.0}) {
		t.Errorf("record = %+v", r)
	}
}

// Lines that failed are tried again when that is asked for, and the file of failures then holds what still fails.
func TestBatchRetriesFailed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	broken := true
	f.answer = func(q request) (string, int) {
		if broken && q.prompt() == "bad" {
			return "", http.StatusBadRequest
		}
		return "fine", 0
	}
	in := file(t, "in", "{\"prompt\":\"bad\"}\n{\"prompt\":\"good\"}\n")
	dir := t.TempDir()
	run := func(args ...string) result {
		return process{env: f.env()}.run(t, append([]string{"batch", in, "--out", dir + "/out", "--failed", dir + "/failed", "--concurrency", "1"}, args...)...)
	}
	if got := run(); got.code != 1 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	r := records(t, dir+"/failed")[1]
	if r.Error.Type != "400" || r.Error.Category != "invalid_request" || strings.Contains(r.Error.Message, "the server fails") {
		t.Errorf("error = %+v, want a summary", r.Error)
	}
	if got := run(); got.code != 1 || len(f.chats()) != 2 {
		t.Errorf("exit %d after %d requests, want 1 and none more: %s", got.code, len(f.chats()), got.stderr)
	}
	f.mu.Lock()
	broken = false
	f.mu.Unlock()
	if got := run("--retry-failed"); got.code != 0 || len(f.chats()) != 3 {
		t.Errorf("exit %d after %d requests, want 0 and one more: %s", got.code, len(f.chats()), got.stderr)
	}
	if left, out := records(t, dir+"/failed"), records(t, dir+"/out"); len(left) != 0 || len(out) != 2 {
		t.Errorf("failed = %+v, out = %+v", left, out)
	}
}

// An error that the next line would meet as well ends the run, and nothing is taken for done or failed.
func TestBatchEndsWhenAllWouldFail(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		status int
		env    []string
		code   int
		text   string
	}{
		"no such model": {status: 404, code: 3, text: "404"},
		"a wrong key":   {status: 401, code: 3, text: "401"},
		"nobody there":  {env: append([]string{"MELLEA_BACKEND=ollama", "MELLEA_MODEL=m"}, nowhere...), code: 3, text: "ollama"},
		"no server":     {env: nowhere, code: 2, text: "no model server"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answer = func(request) (string, int) { return "", c.status }
			env := c.env
			if env == nil {
				env = f.env()
			}
			dir := t.TempDir()
			in := file(t, "in", strings.Repeat("{\"prompt\":\"x\"}\n", 50))
			got := process{env: env}.run(t, "batch", in, "--out", dir+"/out", "--failed", dir+"/failed")
			if got.code != c.code || !strings.Contains(got.stderr, c.text) {
				t.Errorf("exit %d, stderr %q, want %d, %q", got.code, got.stderr, c.code, c.text)
			}
			if c.code == 3 && c.status != 0 && !strings.Contains(got.stderr, "mellea: 50 lines are left: run the same command to go on") {
				t.Errorf("stderr = %q, want how to go on", got.stderr)
			}
			if n := len(records(t, dir+"/out")) + len(records(t, dir+"/failed")); n != 0 || len(f.chats()) > 4 {
				t.Errorf("%d records after %d requests", n, len(f.chats()))
			}
		})
	}
}

func TestBatchUsage(t *testing.T) {
	t.Parallel()
	in := file(t, "in", `{"prompt":"x"}`)
	other := file(t, "other", "{\"prompt\":\"y\"}\n")
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no file":            {nil, 2, "batch needs the file of its lines"},
		"two files":          {[]string{in, other}, 2, "batch takes one file"},
		"no out":             {[]string{in}, 2, "name it with --out"},
		"no such file":       {[]string{in + "2", "--out", in + "3"}, 3, "no such file"},
		"a folder":           {[]string{t.TempDir(), "--out", in + "3"}, 2, "is not a regular file"},
		"out is in":          {[]string{in, "--out", in}, 2, "--out is the file of the lines"},
		"failed is in":       {[]string{in, "--out", in + "3", "--failed", in}, 2, "--failed is the file of the lines"},
		"failed is out":      {[]string{in, "--out", in + "3", "--failed", in + "3"}, 2, "--failed is the file of --out"},
		"out is not ours":    {[]string{in, "--out", other}, 2, other + ":1: not a record of a batch"},
		"retry of what":      {[]string{in, "--out", in + "3", "--retry-failed"}, 2, "--failed"},
		"no concurrency":     {[]string{in, "--out", in + "3", "--concurrency", "0"}, 2, "--concurrency 0: it is at least 1"},
		"a negative rate":    {[]string{in, "--out", in + "3", "--rpm", "-1"}, 2, "--rpm and --tpm"},
		"an unknown option":  {[]string{in, "--out", in + "3", "--option", "seed=x"}, 2, "--option seed=x"},
		"an unknown check":   {[]string{in, "--out", in + "3", "--check", "x:y"}, 2, "--check x:y"},
		"an unknown output":  {[]string{in, "--out", in + "3", "--output", "xml"}, 2, "--output xml"},
		"a strategy of none": {[]string{in, "--out", in + "3", "--strategy", "x"}, 2, "there is no strategy"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			got := process{env: f.env()}.run(t, append([]string{"batch"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.text) || len(f.chats()) > 0 {
				t.Errorf("exit %d, stderr %q, want %d, %q", got.code, got.stderr, c.code, c.text)
			}
		})
	}
}

// A guard's denial is the line's failure and ends nothing.
func TestBatchRejection(t *testing.T) {
	t.Parallel()
	f := newFake(t).echoes()
	guard := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		if strings.Contains(g.Messages.At(0).Text(), "bad") {
			return g, hook.Reject("too_bad", "secret")
		}
		return g, nil
	}, hook.Name("nanny"))
	dir := t.TempDir()
	got := process{env: f.env(), hooks: []hook.Source{guard}}.run(t, "batch", file(t, "in", "{\"prompt\":\"bad\"}\n{\"prompt\":\"good\"}\n"),
		"--out", dir+"/out", "--failed", dir+"/failed")
	r := records(t, dir+"/failed")[1]
	if got.code != 1 || r.Error.Type != "too_bad" || r.Error.Category != "rejected" || len(records(t, dir+"/out")) != 1 {
		t.Errorf("exit %d, %+v", got.code, r.Error)
	}
}

// Interrupted, the run says how to go on, and does.
func TestBatchInterrupted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	f.answer = func(q request) (string, int) {
		if q.prompt() == "3" {
			cancel(&cli.Interrupted{Signal: 2})
			return "", 500
		}
		return "fine", 0
	}
	in := file(t, "in", "{\"prompt\":\"1\"}\n{\"prompt\":\"2\"}\n{\"prompt\":\"3\"}\n{\"prompt\":\"4\"}\n")
	dir := t.TempDir()
	args := []string{"batch", in, "--out", dir + "/out", "--failed", dir + "/failed", "--concurrency", "1"}
	got := process{ctx: ctx, env: f.env()}.run(t, args...)
	if got.code != 130 {
		t.Errorf("exit %d, want 130", got.code)
	}
	wantLines(t, "stderr", got.stderr, "mellea: ollama", "mellea: 2 of 4 lines done", "mellea: 2 lines are left: run the same command to go on", "mellea: interrupted")
	f.answer = func(request) (string, int) { return "fine", 0 }
	got = process{env: f.env()}.run(t, args...)
	if out := records(t, dir+"/out"); got.code != 0 || len(out) != 4 || len(f.chats()) != 5 {
		t.Errorf("exit %d after %d requests, %d records: %s", got.code, len(f.chats()), len(out), got.stderr)
	}
}

// Every line is a trace of its own, with a link to the span of the command.
func TestBatchTraces(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t)
	f.answer = func(q request) (string, int) {
		if q.prompt() == "secret 2" {
			return "", http.StatusBadRequest
		}
		return "fine", 0
	}
	in := file(t, "in", "{\"prompt\":\"secret 1\"}\n{\"prompt\":\"secret 2\"}\n{\"prompt\":\"secret 3\"}\n")
	dir := t.TempDir()
	got := process{env: f.env(tracing(collector)...)}.run(t, "batch", in, "--out", dir+"/out", "--failed", dir+"/failed", "--rpm", "100000")
	if got.code != 1 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	spans := collector.Spans(t, 7)
	if diff := cmp.Diff("mellea batch\naction\n  chat tiny:latest\naction\n  chat tiny:latest\naction\n  chat tiny:latest\n", otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	ids := map[string]bool{}
	for _, path := range []string{"/out", "/failed"} {
		for _, r := range records(t, dir+path) {
			ids[r.TraceID] = true
		}
	}
	var command otlptest.Span
	for _, s := range spans {
		if s.Name == "mellea batch" {
			command = s
		}
	}
	if diff := cmp.Diff(map[string]any{"mellea.cli.command": "batch", "mellea.cli.args": []any{"--rpm=100000"}, "process.exit.code": int64(1)}, command.Attributes); diff != "" {
		t.Errorf("attributes of the command (-want +got):\n%s", diff)
	}
	for _, s := range spans {
		if s.Name != "action" {
			continue
		}
		if !ids[s.TraceID] || s.TraceID == command.TraceID {
			t.Errorf("the trace %s of a line is in no record, or that of the command", s.TraceID)
		}
		if len(s.Links) != 1 || s.Links[0].SpanID != command.SpanID || s.Links[0].TraceID != command.TraceID {
			t.Errorf("links = %v, want one to the command", s.Links)
		}
	}
	if strings.Contains(string(collector.Raw()), "secret") {
		t.Error("a prompt is in the traces")
	}
}

// On a terminal there is a bar, and it is gone in the end.
func TestBatchBar(t *testing.T) {
	t.Parallel()
	f := newFake(t).echoes()
	in := file(t, "in", strings.Repeat("{\"prompt\":\"x\"}\n", 8))
	got := process{env: f.env(), stderr: true}.run(t, "batch", in, "--out", filepath.Join(t.TempDir(), "out"))
	if got.code != 0 || !strings.Contains(got.stderr, "░") || !strings.Contains(got.stderr, "/8") || !strings.HasSuffix(got.stderr, "\r\x1b[Kmellea: 8 of 8 lines done\n") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
}

func TestBatchTimeout(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	there := f.hangs()
	dir := t.TempDir()
	got := process{env: f.env()}.run(t, "batch", file(t, "in", `{"prompt":"x"}`), "--out", dir+"/out", "--failed", dir+"/failed", "--timeout", "50ms")
	<-there
	if r := records(t, dir+"/failed")[1]; got.code != 1 || r.Error.Category != "timeout" {
		t.Errorf("exit %d, %+v: %s", got.code, r.Error, got.stderr)
	}
}
