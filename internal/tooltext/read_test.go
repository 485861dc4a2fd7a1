package tooltext_test

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/tooltext"
)

type call = tooltext.Call

// read passes text to a reader in the given pieces.
func read(f tooltext.Format, pieces ...string) (text string, calls []call) {
	var b strings.Builder
	r := f.NewReader(func(p []byte) { b.Write(p) }, func(c call) { calls = append(calls, c) })
	for _, p := range pieces {
		r.Feed([]byte(p))
	}
	r.End()
	return b.String(), calls
}

const (
	addCall = `<tool_call>` + "\n" + `{"name": "add", "arguments": {"a": 1, "b": "é"}}` + "\n" + `</tool_call>`
	nowCall = `<tool_call>{"name":"now","arguments":{}}</tool_call>`
)

var (
	add = call{"add", `{"a": 1, "b": "é"}`}
	now = call{"now", `{}`}
)

var replies = map[string]struct {
	format tooltext.Format
	reply  string
	text   string
	calls  []call
}{
	"text":                              {reply: "  Hello, <b>you</b>. \n", text: "  Hello, <b>you</b>. \n"},
	"nothing":                           {},
	"a call":                            {reply: addCall, calls: []call{add}},
	"text, a call":                      {reply: "One moment.\n\n" + addCall + "\n", text: "One moment.", calls: []call{add}},
	"calls":                             {reply: addCall + "\n" + nowCall, calls: []call{add, now}},
	"a call, text":                      {reply: "\n" + nowCall + "\n Done.", text: "Done.", calls: []call{now}},
	"text on both sides":                {reply: "A \n" + nowCall + "\nB" + nowCall, text: "A \n\nB", calls: []call{now, now}},
	"text close on both sides":          {reply: "A" + nowCall + "B", text: "A\nB", calls: []call{now}},
	"the beginning of a tag":            {reply: "a <tool_cal", text: "a <tool_cal"},
	"a false start":                     {reply: "<tool_<tool_call" + nowCall, text: "<tool_<tool_call", calls: []call{now}},
	"an end tag alone":                  {reply: "a </tool_call> b", text: "a </tool_call> b"},
	"a tag alone":                       {reply: "the tag <tool_call>", text: "the tag <tool_call>"},
	"empty tags":                        {reply: "x <tool_call> </tool_call> y", text: "x <tool_call> </tool_call> y"},
	"no end":                            {reply: `<tool_call>{"name":"now","arguments":{}}`, calls: []call{now}},
	"no end before the next":            {reply: `<tool_call>{"name":"now","arguments":{}}` + nowCall, calls: []call{now, now}},
	"half of the end":                   {reply: `<tool_call>{"name":"now","arguments":{}}</tool`, calls: []call{now}},
	"half of the end of nothing":        {reply: "a <tool_call></tool_call", text: "a <tool_call></tool_call"},
	"a bracket too many":                {reply: `<tool_call>{"name":"now","arguments":{}}}` + "\n</tool_call>", calls: []call{now}},
	"a bracket too few":                 {reply: `<tool_call>{"name":"add","arguments":{"a":1}</tool_call>`, calls: []call{{"add", `{"a":1}`}}},
	"an end tag in a string":            {reply: `<tool_call>{"name":"say","arguments":{"x":"</tool_call>\"<tool_call>"}}</tool_call>!`, text: "!", calls: []call{{"say", `{"x":"</tool_call>\"<tool_call>"}`}}},
	"a string without end":              {reply: `<tool_call>{"name":"say","arguments":{"x":"` + "\n</tool_call> then " + nowCall, text: "then", calls: []call{{"say", `{"x":"`}, now}},
	"a list of calls":                   {reply: `<tool_call>[{"name":"now","arguments":{}}, {"name":"add","arguments":{"a":2}}]</tool_call>`, calls: []call{now, {"add", `{"a":2}`}}},
	"calls between one pair":            {reply: `<tool_call>{"name":"now","arguments":{}}` + "\n" + `{"name":"now"}</tool_call>`, calls: []call{now, now}},
	"no arguments":                      {reply: `<tool_call>{"name":"now"}</tool_call>`, calls: []call{now}},
	"null":                              {reply: `<tool_call>{"name":"now","arguments":null}</tool_call>`, calls: []call{now}},
	"arguments in quotes":               {reply: `<tool_call>{"name":"add","arguments":"{\"a\":1}"}</tool_call>`, calls: []call{{"add", `{"a":1}`}}},
	"parameters":                        {reply: `<tool_call>{"name":"add","parameters":{"a":1}}</tool_call>`, calls: []call{{"add", `{"a":1}`}}},
	"as OpenAI's API":                   {reply: `<tool_call>{"type":"function","function":{"name":"now","arguments":"{}"}}</tool_call>`, calls: []call{now}},
	"no name":                           {reply: `<tool_call>{"arguments":{}}</tool_call>`, calls: []call{{"", `{"arguments":{}}`}}},
	"no JSON":                           {reply: "<tool_call>now()</tool_call>", calls: []call{{"", "now()"}}},
	"a number":                          {reply: "<tool_call>42</tool_call>", calls: []call{{"", "42"}}},
	"cut off in the name":               {reply: `<tool_call>{"name":"no`, calls: []call{{"", `{"name":"no`}}},
	"cut off before arguments":          {reply: `<tool_call>{"name":"now", "argum`, calls: []call{{"now", `{"name":"now", "argum`}}},
	"cut off in arguments":              {reply: `<tool_call>{"name":"add", "arguments": {"a": 1`, calls: []call{{"add", `{"a": 1`}}},
	"no JSON within":                    {reply: `<tool_call>{'name': 'now'}</tool_call>`, calls: []call{{"", `{'name': 'now'}`}}},
	"a surrogate":                       {reply: `<tool_call>{"name":"say","arguments":{"x":"\ud800"}}</tool_call>`, calls: []call{{"say", `{"x":"\ud800"}}`}}},
	"Llama, text":                       {format: tooltext.Llama3, reply: " Hello {\"name\":\"now\",\"parameters\":{}}", text: " Hello {\"name\":\"now\",\"parameters\":{}}"},
	"Llama, a call":                     {format: tooltext.Llama3, reply: "\n\n" + `{"name": "now", "parameters": {}}`, calls: []call{now}},
	"Llama, calls":                      {format: tooltext.Llama3, reply: `{"name": "now", "parameters": {}}; {"name": "add", "parameters": {"a": "}"}}` + "\n;", calls: []call{now, {"add", `{"a": "}"}`}}},
	"Llama, a call, text":               {format: tooltext.Llama3, reply: `{"name": "now", "parameters": {}} and more`, text: "and more", calls: []call{now}},
	"Llama, arguments":                  {format: tooltext.Llama3, reply: `{"type":"function","name": "now", "arguments": {}}`, calls: []call{now}},
	"Llama, other JSON":                 {format: tooltext.Llama3, reply: `{"name": "Ann", "age": 3} yes`, text: `{"name": "Ann", "age": 3} yes`},
	"Llama, a call, then other":         {format: tooltext.Llama3, reply: `{"name": "now", "parameters": {}}; {"age": 3}`, text: `; {"age": 3}`, calls: []call{now}},
	"Llama, cut off in a call":          {format: tooltext.Llama3, reply: `{"name": "add", "parameters": {"a": 1`, calls: []call{{"add", `{"a": 1`}}},
	"Llama, cut off in other JSON":      {format: tooltext.Llama3, reply: ` {"name": "Ann", "age": `, text: ` {"name": "Ann", "age": `},
	"Llama, no end of a string":         {format: tooltext.Llama3, reply: "{\"name\": \"Ann\n\"}", text: "{\"name\": \"Ann\n\"}"},
	"Llama, white space":                {format: tooltext.Llama3, reply: " \n", text: " \n"},
	"Llama, tags of Hermes are no tags": {format: tooltext.Llama3, reply: nowCall, text: nowCall},
}

func TestReader(t *testing.T) {
	t.Parallel()
	for name, tc := range replies {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := max(tc.format, tooltext.Hermes)
			text, calls := read(f, tc.reply)
			if diff := cmp.Diff(tc.calls, calls); diff != "" || text != tc.text {
				t.Errorf("got text %q, want %q; calls (-want +got):\n%s", text, tc.text, diff)
			}
			everySplit(t, f, tc.reply, text, calls)
		})
	}
}

// everySplit checks that the reply in two pieces, wherever it is cut, and byte by byte gives what it gives whole.
func everySplit(t *testing.T, f tooltext.Format, reply, text string, calls []call) {
	t.Helper()
	check := func(pieces []string) {
		t.Helper()
		gotText, gotCalls := read(f, pieces...)
		if diff := cmp.Diff(calls, gotCalls); diff != "" || gotText != text {
			t.Errorf("in pieces %q: got text %q, whole %q; calls (-whole +pieces):\n%s", pieces, gotText, text, diff)
		}
	}
	for i := range len(reply) + 1 {
		check([]string{reply[:i], reply[i:]})
	}
	check(strings.Split(reply, ""))
}

// What is certain to be text comes out at once, and what may be the beginning of a call does not.
func TestReaderHoldsNothingBack(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ fed, out string }{
		"text":             {"Hello", "Hello"},
		"white space":      {"Hello \n", "Hello"},
		"a bracket":        {"a < b", "a < b"},
		"the tag, perhaps": {"a <to", "a"},
		"in a call":        {`a <tool_call>{"name": "`, "a"},
		"after a call":     {"a" + nowCall + "\nb", "a\nb"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			r := tooltext.Hermes.NewReader(func(p []byte) { out.Write(p) }, func(call) {})
			r.Feed([]byte(tc.fed))
			if out.String() != tc.out {
				t.Errorf("got %q, want %q", out.String(), tc.out)
			}
		})
	}
}

func TestOpening(t *testing.T) {
	t.Parallel()
	r := tooltext.Hermes.NewReader(func([]byte) {}, func(call) {})
	for _, step := range []struct {
		feed, want string
		open       bool
	}{{"a<tool_call", "", false}, {">", "", true}, {"\n{", "\n{", true}, {"}</tool_call>", "", false}, {" <tool_call>x", "x", true}} {
		r.Feed([]byte(step.feed))
		if got, open := r.Opening(); string(got) != step.want || open != step.open {
			t.Errorf("after %q: got %q, %v, want %q, %v", step.feed, got, open, step.want, step.open)
		}
	}
}

// Whatever a model writes: it is read without a panic, the same in whatever pieces it comes, and nothing but white space
// and the tags is lost of what is no call.
func FuzzReader(f *testing.F) {
	for _, tc := range replies {
		f.Add(tc.reply, tc.format == tooltext.Llama3)
	}
	f.Fuzz(func(t *testing.T, reply string, llama bool) {
		if !utf8.ValidString(reply) || len(reply) > 300 {
			t.Skip("replies are UTF-8 by then")
		}
		format := tooltext.Hermes
		if llama {
			format = tooltext.Llama3
		}
		text, calls := read(format, reply)
		everySplit(t, format, reply, text, calls)
		if !utf8.ValidString(text) {
			t.Errorf("got text %q, want UTF-8", text)
		}
		if len(calls) == 0 && text != reply {
			t.Errorf("got text %q and no calls, want all of %q", text, reply)
		}
		for _, c := range calls {
			if c.Name == "" && c.Arguments == "" {
				t.Errorf("got a call of nothing in %q", reply)
			}
			if object := map[string]any(nil); json.Unmarshal([]byte(c.Arguments), &object) == nil && object != nil &&
				c.Arguments != "{}" && !strings.Contains(strings.ReplaceAll(reply, `\`, ""), strings.ReplaceAll(c.Arguments, `\`, "")) && !strings.Contains(reply, `\`) {
				t.Errorf("got arguments %q, which %q does not have", c.Arguments, reply)
			}
		}
	})
}
