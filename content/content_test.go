package content_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
)

func TestMessageText(t *testing.T) {
	t.Parallel()
	call := content.ToolCall{ID: "1", Name: "f", Arguments: "{}"}
	search := content.ServerToolCall{ID: "s", Name: "web_search", Type: "web_search", Arguments: `{"query":"x"}`}
	found := content.ServerToolResult{CallID: "s", Type: "web_search_tool_result", Content: `[]`}
	for _, tc := range []struct {
		name  string
		m     content.Message
		text  string
		parts []content.Part
		plain bool
	}{
		{"zero", content.Message{}, "", nil, true},
		{"plain", content.User("hi"), "hi", []content.Part{content.Text("hi")}, true},
		{"empty", content.User(""), "", nil, true},
		{"one text part", content.NewMessage(content.RoleUser, content.Text("hi")), "hi", []content.Part{content.Text("hi")}, true},
		{"two text parts", content.NewMessage(content.RoleUser, content.Text("a"), content.Text("b")), "ab", []content.Part{content.Text("a"), content.Text("b")}, false},
		{"reasoning is not text", content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.Text("a"), call), "a",
			[]content.Part{content.Reasoning{Text: "hm"}, content.Text("a"), call}, false},
		{"no text", content.NewMessage(content.RoleAssistant, call), "", []content.Part{call}, false},
		{"what a provider's tool did is not text", content.NewMessage(content.RoleAssistant, search, found, content.Text("a")), "a", []content.Part{search, found, content.Text("a")}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := tc.m.Text(); got != tc.text {
				t.Errorf("text = %q, want %q", got, tc.text)
			}
			if diff := cmp.Diff(tc.parts, slices.Collect(tc.m.Parts())); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if got := tc.m.PlainText(); got != tc.plain {
				t.Errorf("plain = %v, want %v", got, tc.plain)
			}
		})
	}
}

func TestMessageWithText(t *testing.T) {
	t.Parallel()
	r, call := content.Reasoning{Text: "hm"}, content.ToolCall{Name: "f"}
	for _, tc := range []struct {
		name string
		m    content.Message
		want []content.Part
	}{
		{"plain", content.User("a"), []content.Part{content.Text("x")}},
		{"text between", content.NewMessage(content.RoleAssistant, r, content.Text("a"), call, content.Text("b")), []content.Part{r, content.Text("x"), call}},
		{"no text before", content.NewMessage(content.RoleAssistant, call), []content.Part{call, content.Text("x")}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			before := slices.Collect(tc.m.Parts())
			got := tc.m.WithText("x")
			if diff := cmp.Diff(tc.want, slices.Collect(got.Parts())); diff != "" {
				t.Errorf("parts (-want +got):\n%s", diff)
			}
			if got.Text() != "x" || got.Role() != tc.m.Role() {
				t.Errorf("text %q, role %q", got.Text(), got.Role())
			}
			if diff := cmp.Diff(before, slices.Collect(tc.m.Parts())); diff != "" {
				t.Errorf("the original changed (-before +after):\n%s", diff)
			}
		})
	}
}

// What a caller does to its slices later does not reach a value made from them.
func TestValuesDoNotShareSlices(t *testing.T) {
	t.Parallel()
	parts := []content.Part{content.Text("a"), content.Text("b")}
	m := content.NewMessage(content.RoleUser, parts...)
	parts[0] = content.Text("changed")
	if m.Text() != "ab" {
		t.Errorf("text = %q, want ab", m.Text())
	}
	items := []int{1, 2, 3}
	l := content.ListOf(items...)
	items[0] = 9
	l.Slice()[1] = 9
	one, two := l.Append(4), l.Append(5)
	for _, tc := range []struct {
		name string
		got  content.List[int]
		want []int
	}{{"list", l, []int{1, 2, 3}}, {"branch one", one, []int{1, 2, 3, 4}}, {"branch two", two, []int{1, 2, 3, 5}}, {"tail", l.From(1).Append(7), []int{2, 3, 7}}} {
		if diff := cmp.Diff(tc.want, tc.got.Slice()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestList(t *testing.T) {
	t.Parallel()
	var none content.List[int]
	if _, ok := none.Last(); ok || none.Len() != 0 || none.Slice() != nil {
		t.Error("the zero List is not empty")
	}
	l := content.ListOf(1, 2)
	if last, ok := l.Last(); !ok || last != 2 || l.At(0) != 1 {
		t.Errorf("last %d, first %d", last, l.At(0))
	}
	if diff := cmp.Diff([]int{1, 2, 1, 2}, l.Concat(l).Slice()); diff != "" {
		t.Errorf("concat (-want +got):\n%s", diff)
	}
	if got := none.Concat(l).Len(); got != 2 {
		t.Errorf("concat of nothing has %d elements", got)
	}
}

func TestEqual(t *testing.T) {
	t.Parallel()
	a := content.NewMessage(content.RoleUser, content.Text("a"), content.ToolCall{Name: "f"})
	for _, tc := range []struct {
		name string
		b    content.Message
		want bool
	}{
		{"same", content.NewMessage(content.RoleUser, content.Text("a"), content.ToolCall{Name: "f"}), true},
		{"role", content.NewMessage(content.RoleTool, content.Text("a"), content.ToolCall{Name: "f"}), false},
		{"part", content.NewMessage(content.RoleUser, content.Text("a"), content.ToolCall{Name: "g"}), false},
		{"fewer parts", content.User("a"), false},
		{"another kind of call", content.NewMessage(content.RoleUser, content.Text("a"), content.ServerToolCall{Name: "f"}), false},
	} {
		if got := a.Equal(tc.b); got != tc.want {
			t.Errorf("%s: equal = %v, want %v", tc.name, got, tc.want)
		}
	}
}

// Only what the program is to run are tool calls: a provider has run its own.
func TestServerToolsAreNoToolCalls(t *testing.T) {
	t.Parallel()
	call := content.ToolCall{ID: "1", Name: "f"}
	m := content.NewMessage(content.RoleAssistant, content.ServerToolCall{ID: "s", Name: "web_search"}, call, content.ServerToolResult{CallID: "s"})
	if diff := cmp.Diff(slices.Collect(m.ToolCalls()), []content.ToolCall{call}); diff != "" {
		t.Errorf("tool calls (-got +want):\n%s", diff)
	}
	if got, want := m.WithText("x").Equal(m.With(content.Text("x"))), true; got != want {
		t.Errorf("with a text the message keeps its other parts: %t, want %t", got, want)
	}
	same := content.NewMessage(content.RoleAssistant, content.ServerToolCall{ID: "s", Name: "web_search"}, call, content.ServerToolResult{CallID: "s"})
	if other := content.NewMessage(content.RoleAssistant, content.ServerToolCall{ID: "s", Name: "web_search"}, call, content.ServerToolResult{CallID: "t"}); !m.Equal(same) || m.Equal(other) {
		t.Errorf("equal to the same %t, to another %t, want true and false", m.Equal(same), m.Equal(other))
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, data, mime string }{
		{"png", "\x89PNG\r\n\x1a\nrest", "image/png"},
		{"jpeg", "\xff\xd8\xff\xe0", "image/jpeg"},
		{"gif", "GIF89a", "image/gif"},
		{"webp", "RIFF....WEBPVP8 ", "image/webp"},
		{"text", "hello", ""},
		{"empty", "", ""},
		{"another RIFF file", "RIFF....WAVEfmt ", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			img, err := content.NewImage([]byte(tc.data))
			var merr *content.MediaError
			if got, want := errors.As(err, &merr), tc.mime == ""; got != want {
				t.Fatalf("error = %v, want one: %v", err, want)
			}
			if err == nil && (img.MIME() != tc.mime || !bytes.Equal(img.Bytes(), []byte(tc.data)) || img.URL() != "") {
				t.Errorf("image is %q of %d bytes", img.MIME(), len(img.Bytes()))
			}
		})
	}
	for url, ok := range map[string]bool{"https://example.com/a.png": true, "http://example.com/a.png": true, "file:///etc/passwd": false, "a.png": false, "https://": false, "": false} {
		if _, err := content.ImageURL(url); (err == nil) != ok {
			t.Errorf("ImageURL(%q) = %v, want usable %v", url, err, ok)
		}
	}
}

func TestUsage(t *testing.T) {
	t.Parallel()
	if (content.Usage{}).Reported() {
		t.Error("nothing counted is reported")
	}
	a := content.Usage{InputTokens: 1, OutputTokens: 2, CacheReadTokens: 3, CacheWriteTokens: 4, ReasoningTokens: 5, Image: content.Modality{InputTokens: 6}}
	want := content.Usage{InputTokens: 2, OutputTokens: 4, CacheReadTokens: 6, CacheWriteTokens: 8, ReasoningTokens: 10, Image: content.Modality{InputTokens: 12}}
	if diff := cmp.Diff(want, a.Add(a)); diff != "" {
		t.Errorf("sum (-want +got):\n%s", diff)
	}
	if got := a.Total(); got != 3 || !a.Reported() {
		t.Errorf("total = %d, reported %v", got, a.Reported())
	}
}

func ExampleMessage_WithText() {
	m := content.Assistant("call me on 555-0100")
	fmt.Println(m.WithText("call me on [number]").Text())
	// Output: call me on [number]
}

func ExampleServerToolCall() {
	reply := content.NewMessage(content.RoleAssistant,
		content.ServerToolCall{ID: "s1", Name: "web_search", Type: "web_search", Arguments: `{"query":"weather in Paris"}`},
		content.ServerToolResult{CallID: "s1", Type: "web_search_tool_result", Content: `[{"url":"https://example.com/paris"}]`},
		content.Text("It rains."))
	for p := range reply.Parts() {
		switch p := p.(type) {
		case content.ServerToolCall:
			fmt.Println("the provider ran", p.Name, p.Arguments)
		case content.ServerToolResult:
			fmt.Println("and got", p.Content)
		}
	}
	fmt.Println(reply.Text())
	// Output:
	// the provider ran web_search {"query":"weather in Paris"}
	// and got [{"url":"https://example.com/paris"}]
	// It rains.
}

func ExampleList() {
	two := content.ListOf("a", "b")
	three := two.Append("c")
	fmt.Println(two.Len(), three.Len())
	// Output: 2 3
}
