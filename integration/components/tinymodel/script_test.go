package tinymodel

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spoken follows a chain from a mark to the end.
func (c *chain) spoken(t *testing.T, n int) []string {
	t.Helper()
	var pieces []string
	for id := c.next[c.marks[n]]; id != endID; id = c.next[id] {
		if len(pieces) > 1000 {
			t.Fatalf("reply %d does not end: %q …", n, pieces[:20])
		}
		pieces = append(pieces, strings.ReplaceAll(c.tokens[id], space, " "))
	}
	return pieces
}

func TestCompile(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script Script
		want   [][]string
	}{
		"words":      {Say("It is 18 degrees."), [][]string{{"It", " is", " 18", " degrees."}}},
		"empty":      {Say("", "x"), [][]string{nil, {"x"}}},
		"lines":      {Say("a\nb  c"), [][]string{{"a", "\nb", " ", " c"}}},
		"said again": {Say("yes", "yes"), [][]string{{"yes"}, {"yes"}}},
		// A shared end is the same tokens, a shared beginning makes longer ones.
		"same end":        {Say("all is well", "none is well"), [][]string{{"all", " is", " well"}, {"none", " is", " well"}}},
		"same beginning":  {Say("it is red", "it is blue"), [][]string{{"it", " is", " red"}, {"it is blue"}}},
		"word twice":      {Say("a cat a dog a cow"), [][]string{{"a", " cat", " a dog", " a", " cow"}}},
		"only words":      {Say("no no no no"), [][]string{{"no", " no no no"}}},
		"within another":  {Say("yes sir", "yes"), [][]string{{"yes", " sir"}, {"ye", "s"}}},
		"special strings": {Say("<s>", "<|reply 0|>"), nil},
		"thought and calls": {
			Script{Replies: []Reply{{Thinking: "hm", Text: "so", Calls: []Call{{"f", `{"x": 1}`}}}}},
			[][]string{{"<think>", "hm", "</think>", "so", "<tool_call>", `{"name":`, ` "f",`, ` "arguments":`, ` {"x":`, ` 1}}`, "</tool_call>"}},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, err := tt.script.compile()
			if err != nil {
				t.Fatal(err)
			}
			for n, r := range tt.script.Replies {
				got := c.spoken(t, n)
				if tt.want != nil && cmp.Diff(tt.want[n], got) != "" {
					t.Errorf("reply %d (-want +got):\n%s", n, cmp.Diff(tt.want[n], got))
				}
				if want, _ := r.output(); strings.Join(got, "") != want {
					t.Errorf("reply %d says %q, want %q", n, strings.Join(got, ""), want)
				}
			}
		})
	}
}

func TestCompileRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script Script
		want   string
	}{
		"nothing":   {Script{}, "no reply"},
		"a space":   {Say("a" + space), "stands for a space"},
		"not UTF-8": {Say("\xff"), "want UTF-8"},
		"arguments": {Script{Replies: []Reply{{Calls: []Call{{"f", "[]"}}}}}, `arguments of "f"`},
		"too alike": {Say("a b", "a"), "make them differ"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := tt.script.compile()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("err = %v, want one that says %q", err, tt.want)
			}
		})
	}
}

// Whatever two replies share, both are said.
func FuzzCompile(f *testing.F) {
	f.Add("yes sir", "yes")
	f.Add("a b a b a", "b a b")
	f.Add("<think>", "\n\n")
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 500 || len(b) > 500 {
			return
		}
		s := Say(a, b)
		c, err := s.compile()
		if err != nil {
			return
		}
		for n, want := range []string{a, b} {
			if got := strings.Join(c.spoken(t, n), ""); got != want {
				t.Errorf("reply %d says %q, want %q", n, got, want)
			}
		}
	})
}
