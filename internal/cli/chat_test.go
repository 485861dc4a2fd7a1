package cli_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// said returns the roles and texts of a request, in short.
func said(q request) string {
	var all []string
	for _, m := range q.Messages {
		all = append(all, m.Role[:1]+":"+m.Content)
	}
	return strings.Join(all, " ")
}

// In a pipe each line is a turn, and nothing but replies is on standard output.
func TestChatPipe(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		stdin  string
		args   []string
		stdout string
		asked  []string
		model  string
		code   int
		text   string // in stderr
	}{
		"two turns":           {stdin: "a\nb\n", stdout: "A\nB\n", asked: []string{"u:a", "u:a a:A u:b"}},
		"no line feed":        {stdin: "a\nb", stdout: "A\nB\n", asked: []string{"u:a", "u:a a:A u:b"}},
		"nothing":             {},
		"empty lines":         {stdin: "\n \na\n\n", stdout: "A\n", asked: []string{"u:a"}},
		"a system message":    {stdin: "a\nb\n", args: []string{"--system", "S"}, stdout: "A\nB\n", asked: []string{"s:S u:a", "s:S u:a a:A u:b"}},
		"several lines":       {stdin: "\"\"\"a\nb\n\"\"\"\n\"\"\"\n\"\"\"\n\"\"\"c\"\"\"\n", stdout: "A\nB\nC\n", asked: []string{"u:a\nb", "u:a\nb a:A\nB u:c"}},
		"several without end": {stdin: "a\n\"\"\"b\n", stdout: "A\n", asked: []string{"u:a"}, code: 2, text: `the input ends inside """`},
		"a slash":             {stdin: "//a\n", stdout: "/A\n", asked: []string{"u:/a"}},
		"undo":                {stdin: "a\nb\n/undo\nc\n", stdout: "A\nB\nC\n", asked: []string{"u:a", "u:a a:A u:b", "u:a a:A u:c"}},
		"undo of nothing":     {stdin: "/undo\n", code: 2, text: "nothing was said yet"},
		"undo of all":         {stdin: "a\n/undo\n/undo\n", stdout: "A\n", asked: []string{"u:a"}, code: 2, text: "nothing was said yet"},
		"retry":               {stdin: "a\nb\n/retry\n", stdout: "A\nB\nB\n", asked: []string{"u:a", "u:a a:A u:b", "u:a a:A u:b"}},
		"retry after undo":    {stdin: "a\nb\n/undo\n/retry\n", stdout: "A\nB\nB\n", asked: []string{"u:a", "u:a a:A u:b", "u:a a:A u:b"}},
		"retry of nothing":    {stdin: "/retry\n", code: 2, text: "nothing was said yet"},
		"clear":               {stdin: "a\n/clear\nb\n", stdout: "A\nB\n", asked: []string{"u:a", "u:b"}},
		"system":              {stdin: "/system S T\na\n/system -\nb\n", stdout: "A\nB\n", asked: []string{"s:S T u:a", "u:a a:A u:b"}},
		"model":               {stdin: "/model big\na\n", stdout: "A\n", asked: []string{"u:a"}, model: "big"},
		"help":                {stdin: "/help\na\n", stdout: "A\n", asked: []string{"u:a"}},
		"quit":                {stdin: "a\n/quit\nb\n", stdout: "A\n", asked: []string{"u:a"}},
		"no such command":     {stdin: "/undp\n", code: 2, text: "there is no command /undp, did you mean /undo?"},
		"an error":            {stdin: "fail\nb\n", asked: []string{"u:fail"}, code: 3, text: "400"},
		"an argument":         {args: []string{"hi"}, code: 2, text: "takes no argument"},
		"control sequences":   {stdin: "\x1b[31m\n", stdout: "\x1b[31M\n", asked: []string{"u:\x1b[31m"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.answer = func(q request) (string, int) {
				if q.prompt() == "fail" {
					return "", 400
				}
				return strings.ToUpper(q.prompt()), 0
			}
			got := process{env: f.env(), stdin: c.stdin}.run(t, append([]string{"chat"}, c.args...)...)
			if got.code != c.code || got.stdout != c.stdout || !strings.Contains(got.stderr, c.text) {
				t.Errorf("exit %d, stdout %q, stderr %q, want %d, %q, %q", got.code, got.stdout, got.stderr, c.code, c.stdout, c.text)
			}
			var asked []string
			for _, q := range f.chats() {
				asked = append(asked, said(q))
				if want := cmpOr(c.model, "tiny:latest"); q.Model != want {
					t.Errorf("model = %q, want %q", q.Model, want)
				}
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if c.code == 0 && strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("stderr = %q, want the line that names the model alone", got.stderr)
			}
		})
	}
}

// What a model says does nothing on a terminal but show.
func TestChatEscapes(t *testing.T) {
	t.Parallel()
	f := newFake(t, "\x1b]0;title\x07 and \x1b[2J")
	got := process{env: f.env("NO_COLOR=1"), stdin: "a\n", stdout: true}.run(t, "chat")
	if got.stdout != `\x1b]0;title\x07 and \x1b[2J`+"\n" {
		t.Errorf("stdout = %q", got.stdout)
	}
}

// A chat is saved, and goes on where it ended.
func TestChatSaveAndLoad(t *testing.T) {
	t.Parallel()
	f := newFake(t).echoes()
	dir := t.TempDir()
	saved := filepath.Join(dir, "talk.json")
	got := process{env: f.env(), stdin: "a\nb <\n/save " + saved + "\nc\n/save " + saved + "\n/save " + dir + "/talk.md\n"}.run(t, "chat", "--system", "S")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	text, err := os.ReadFile(saved)
	if err != nil {
		t.Fatal(err)
	}
	want := `{"mellea_chat":1,"model":"tiny:latest","system":"S","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"A"},` +
		`{"role":"user","content":"b <"},{"role":"assistant","content":"B <"},{"role":"user","content":"c"},{"role":"assistant","content":"C"}]}`
	var wanted, is any
	if err := json.Unmarshal([]byte(want), &wanted); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, is); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	if info, err := os.Stat(saved); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v, want 0600", info.Mode(), err)
	}
	markdown, _ := os.ReadFile(dir + "/talk.md")
	if want := "# Chat with tiny:latest\n\n## System\n\nS\n\n## User\n\na\n\n## Assistant\n\nA\n\n## User\n\nb <\n\n## Assistant\n\nB <\n\n## User\n\nc\n\n## Assistant\n\nC\n"; string(markdown) != want {
		t.Errorf("markdown = %q, want %q", markdown, want)
	}
	g := newFake(t).echoes()
	got = process{env: g.env(), stdin: "d\n/save " + saved + "\n"}.run(t, "chat", "--load", saved)
	if got.code != 0 || said(g.asked(t)) != "s:S u:a a:A u:b < a:B < u:c a:C u:d" {
		t.Errorf("exit %d, asked %q: %s", got.code, said(g.chats()[0]), got.stderr)
	}
	// Nobody else's file is replaced.
	got = process{env: g.env(), stdin: "/save " + dir + "/talk.md\n"}.run(t, "chat")
	if got.code != 2 || !strings.Contains(got.stderr, "is there already: choose another name") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
}

// Tool calls and what the model thought are saved, too.
func TestChatKeepsParts(t *testing.T) {
	t.Parallel()
	talk := `{"mellea_chat":1,"model":"m","messages":[{"role":"user","content":"time?"},` +
		`{"role":"assistant","content":"","reasoning":"hm","tool_calls":[{"id":"1","name":"clock","arguments":"{}"}]},` +
		`{"role":"tool","content":"","tool_results":[{"call_id":"1","name":"clock","content":"noon"}]},{"role":"assistant","content":"noon","server_tools":[{"call":{"id":"s1","name":"web_search","type":"search","arguments":"{}"}},{"result":{"call_id":"s1","type":"found","content":"[]"}},{"call":{"name":"python"}}]}]}`
	f := newFake(t).echoes()
	saved := filepath.Join(t.TempDir(), "again.json")
	got := process{env: f.env(), stdin: "/save " + saved + "\n/save " + saved + ".md\n/undo\nb\n"}.run(t, "chat", "--load", file(t, "talk.json", talk))
	if got.code != 0 || said(f.asked(t)) != "u:b" || f.asked(t).Model != "m" {
		t.Fatalf("exit %d, asked %q: %s", got.code, said(f.chats()[0]), got.stderr)
	}
	text, _ := os.ReadFile(saved)
	var wanted, is any
	_ = json.Unmarshal([]byte(talk), &wanted)
	if err := json.Unmarshal(text, &is); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(wanted, is); diff != "" {
		t.Errorf("saved (-want +got):\n%s", diff)
	}
	if markdown, _ := os.ReadFile(saved + ".md"); !strings.Contains(string(markdown), "```\ncalls clock {}\n```") || !strings.Contains(string(markdown), "```\nclock: noon\n```") ||
		!strings.Contains(string(markdown), "```\nthe provider calls web_search {}\n```\n\n```\nfound: []\n```") {
		t.Errorf("markdown = %q", markdown)
	}
}

func TestChatLoadErrors(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"prose":         {"hello", "it is other JSON, or none"},
		"other JSON":    {`{"messages":[],"more":1}`, "it is other JSON, or none"},
		"a new version": {`{"mellea_chat":2,"messages":[]}`, "its version is 2, this command reads 1"},
		"a new role":    {`{"mellea_chat":1,"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]}`, "message 2 has an unknown role"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			got := process{env: f.env()}.run(t, "chat", "--load", file(t, "talk.json", c.text))
			if got.code != 2 || !strings.Contains(got.stderr, c.want) {
				t.Errorf("exit %d, stderr %q, want 2 and %q", got.code, got.stderr, c.want)
			}
		})
	}
}

// A chat is one session, whose turns are its actions.
func TestChatTrace(t *testing.T) {
	t.Parallel()
	collector := otlptest.Start(t)
	f := newFake(t).echoes()
	if got := (process{env: f.env(tracing(collector)...), stdin: "a\nb\n"}).run(t, "chat", "--conversation", "c-1"); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	spans := collector.Spans(t, 7)
	want := "mellea chat\n  start_session\n  session\n    action\n      chat tiny:latest\n    action\n      chat tiny:latest\n"
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// A tool that is offered is run when the model asks for it, and what it gave is said to the model.
func TestTools(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ call, told string }{
		"calculates": {call: `{"name":"calculator","arguments":{"expression":"6*7"}}`, told: "42"},
		"fails":      {call: `{"name":"calculator","arguments":{"expression":"6*"}}`, told: "ends too early"},
		"nobody's":   {call: `{"name":"shell","arguments":{}}`, told: "calculator"},
	} {
		for command, args := range map[string][]string{"chat": {"chat"}, "run": {"run", "how much?", "--stream"}} {
			t.Run(command+" "+name, func(t *testing.T) {
				t.Parallel()
				f := newFake(t)
				var asked []request
				f.tool = func(q request) string {
					asked = append(asked, q)
					if len(asked) == 1 {
						return c.call
					}
					return ""
				}
				f.replies = []string{"it is 42"}
				got := process{env: f.env("NO_COLOR=1"), stdin: "how much?\n"}.run(t, append(args, "--tool", "calculator", "--tool", "calculator")...)
				if got.code != 0 || got.stdout != "it is 42\n" {
					t.Fatalf("exit %d, stdout %q: %s", got.code, got.stdout, got.stderr)
				}
				if len(asked) != 2 || len(asked[0].body["tools"].([]any)) != 1 {
					t.Fatalf("%d requests, want the tool offered and its result said", len(asked))
				}
				if told := asked[1].prompt(); !strings.Contains(told, c.told) {
					t.Errorf("the model is told %q, want %q", told, c.told)
				}
			})
		}
	}
}

func TestToolNames(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	got := process{env: f.env(), stdin: "a\n"}.run(t, "chat", "--tool", "calculato")
	if run := (process{env: f.env()}).run(t, "run", "a", "--tool", "calculato"); run.code != got.code || run.stderr != got.stderr {
		t.Errorf("run: exit %d, stderr %q, want those of chat", run.code, run.stderr)
	}
	if got.code != 2 || !strings.Contains(got.stderr, `there is no tool "calculato", did you mean "calculator"? Known are calculator and clock`) {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
	if got := (process{}).run(t, "__complete", "chat", "--tool", ""); !strings.HasPrefix(got.stdout, "calculator\nclock\n") {
		t.Errorf("completion = %q", got.stdout)
	}
}
