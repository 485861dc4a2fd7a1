package local

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func thought(pieces ...string) [2]string {
	var reasoning, text strings.Builder
	k := thinker{reasoning: func(b []byte) { reasoning.Write(b) }, text: func(b []byte) { text.Write(b) }}
	for _, p := range pieces {
		k.feed([]byte(p))
	}
	k.end()
	return [2]string{reasoning.String(), text.String()}
}

var thoughts = map[string]struct{ reply, reasoning, text string }{
	"text":               {" Hello <think>no</think>\n", "", " Hello <think>no</think>\n"},
	"reasoning and text": {"\n<think>\nfirst,\n\nthen\n</think>\n\nHello. ", "first,\n\nthen", "Hello. "},
	"nothing thought":    {"<think>\n\n</think>\n\nHello", "", "Hello"},
	"no end":             {"<think>a b ", "a b", ""},
	"half of the end":    {"<think>a </thi", "a </thi", ""},
	"a false end":        {"<think>a </th b</think>c", "a </th b", "c"},
	"nothing after it":   {"<think>a</think> \n", "a", ""},
	"half of the tag":    {" <thin", "", " <thin"},
	"white space":        {" \n", "", " \n"},
	"nothing":            {},
}

func TestThinker(t *testing.T) {
	t.Parallel()
	for name, tc := range thoughts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff([2]string{tc.reasoning, tc.text}, thought(tc.reply)); diff != "" {
				t.Errorf("reasoning and text (-want +got):\n%s", diff)
			}
			everyCut(t, tc.reply)
		})
	}
}

// everyCut checks that a reply gives the same wherever it is cut.
func everyCut(t *testing.T, reply string) {
	t.Helper()
	whole := thought(reply)
	for i := range len(reply) + 1 {
		if got := thought(reply[:i], reply[i:]); got != whole {
			t.Errorf("cut at %d: got %q, want %q", i, got, whole)
		}
	}
	if got := thought(strings.Split(reply, "")...); got != whole {
		t.Errorf("letter by letter: got %q, want %q", got, whole)
	}
}

func FuzzThinker(f *testing.F) {
	for _, tc := range thoughts {
		f.Add(tc.reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		if len(reply) > 300 || !utf8.ValidString(reply) {
			t.Skip("replies are UTF-8 by then")
		}
		everyCut(t, reply)
		if got := thought(reply); !strings.HasPrefix(strings.TrimLeft(reply, blank), think) && got != [2]string{"", reply} {
			t.Errorf("got %q of %q, want all of it as text", got, reply)
		}
	})
}

// What a model thinks of calls is no call, and one that it makes afterwards is.
func TestThinking(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		template string
		want     content.Message
		holds    int
	}{
		"a model that thinks": {"fake <think>", content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "should I " + addA + "?"}, content.Text("Yes."),
			content.ToolCall{ID: "call_1", Name: "now", Arguments: "{}"}), 2},
		"another": {"fake", content.NewMessage(content.RoleAssistant, content.Text("<think>should I ?</think>\nYes."),
			content.ToolCall{ID: "call_1", Name: "add", Arguments: `{"a": 1}`}, content.ToolCall{ID: "call_2", Name: "now", Arguments: "{}"}), 4},
	}
	for name, tc := range tests {
		for _, stream := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				f := &fake{answer: says("<think>should I " + addA + "?</think>\nYes. " + nowB), window: 9000}
				got, err := reply(t, newFake(t, f, WithChatTemplate(tc.template)), withTools(t, backend.Options{}.WithStream(stream)))
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(tc.want, got.Message); diff != "" {
					t.Errorf("reply (-want +got):\n%s", diff)
				}
				if len(f.holds) != tc.holds {
					t.Errorf("held to %q, want %d changes", f.holds, tc.holds)
				}
			})
		}
	}
}
