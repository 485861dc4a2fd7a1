package local

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// through passes text in pieces of the given lengths, the last one again and again.
func through(text string, stops []string, lengths []byte) (pieces []string, stopped bool) {
	o := outlet{stops: stops, emit: func(b []byte) { pieces = append(pieces, string(b)) }}
	n := 1
	for rest := text; rest != "" && !o.stopped; rest = rest[n:] {
		if len(lengths) > 0 {
			n, lengths = int(lengths[0]%8)+1, lengths[1:]
		}
		n = min(n, len(rest))
		o.feed([]byte(rest[:n]))
	}
	stopped = o.stopped
	o.end()
	return pieces, stopped
}

func TestOutlet(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		text    string
		stops   []string
		want    []string
		stopped bool
	}{
		"plain":                  {text: "abc", want: []string{"a", "b", "c"}},
		"characters":             {text: "é✓😀", want: []string{"é", "✓", "😀"}},
		"half a character":       {text: "a\xe2\x9c", want: []string{"a"}},
		"a stop":                 {text: "abcd", stops: []string{"c"}, want: []string{"a", "b"}, stopped: true},
		"the first of two":       {text: "abcd", stops: []string{"d", "b"}, want: []string{"a"}, stopped: true},
		"a false start":          {text: "aab", stops: []string{"ab"}, want: []string{"a"}, stopped: true},
		"a beginning at the end": {text: "xab", stops: []string{"abc"}, want: []string{"x", "ab"}},
		"one within another":     {text: "xabcy", stops: []string{"abcd", "b"}, want: []string{"x", "a"}, stopped: true},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, stopped := through(tc.text, tc.stops, nil)
			if diff := cmp.Diff(tc.want, got); diff != "" || stopped != tc.stopped {
				t.Errorf("stopped %v, want %v; pieces (-want +got):\n%s", stopped, tc.stopped, diff)
			}
		})
	}
}

// However the text is cut into tokens, the same comes out, in pieces that are UTF-8, and never a stop sequence.
func FuzzOutlet(f *testing.F) {
	f.Add("some <|end|> text ✓", "<|end|>", "text", []byte{1, 2, 3})
	f.Add("aaaab", "aab", "b", []byte{7})
	f.Add("\xff\xe2\x9c✓", "✓", "", []byte{})
	f.Fuzz(func(t *testing.T, text, one, two string, lengths []byte) {
		var stops []string
		for _, s := range []string{one, two} {
			if s != "" && utf8.ValidString(s) {
				stops = append(stops, s)
			}
		}
		bytewise, _ := through(text, stops, nil)
		got, stopped := through(text, stops, lengths)
		all := strings.Join(got, "")
		for _, p := range got {
			if !utf8.ValidString(p) || p == "" {
				t.Errorf("got piece %q, want some UTF-8", p)
			}
		}
		if !utf8.ValidString(text) {
			return // where the ends of a broken character fall decides how often it is replaced
		}
		want, cut := text, false
		for n := 0; n <= len(text) && !cut; n++ { // the stop that is complete first, then the one that begins first
			at := -1
			for _, s := range stops {
				if i := strings.Index(text[:n], s); i >= 0 && (at < 0 || i < at) {
					at = i
				}
			}
			if at >= 0 {
				want, cut = text[:at], true
			}
		}
		if b := strings.Join(bytewise, ""); b != want {
			t.Errorf("byte by byte: got %q, want %q", b, want)
		}
		if !stopped && all != text {
			t.Errorf("got %q, want all of %q", all, text)
		}
		for _, s := range stops {
			if strings.Contains(all, s) {
				t.Errorf("got %q, want no %q in it", all, s)
			}
		}
	})
}
