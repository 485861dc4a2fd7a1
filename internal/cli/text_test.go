package cli

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func TestEscape(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"plain\n\ttext, Größe, 日本, 👩‍🚀": "plain\n\ttext, Größe, 日本, 👩‍🚀",
		"\x1b[31mred\x1b[0m":            `\x1b[31mred\x1b[0m`,
		"\x1b]0;title\x07":              `\x1b]0;title\x07`,
		"\u009b31m \u0085":              `\u009b31m \u0085`, // C1
		"over\rwrite\b\x7f\x00":         `over\rwrite\x08\x7f\x00`,
		"a\u202egpj.exe\u2066\u200e":    `a\u202egpj.exe\u2066\u200e`, // bidi
		"line\u2028paragraph\u2029":     `line\u2028paragraph\u2029`,
		"tag\U000e0041":                 `tag\U000e0041`,
		"\xff\xc3 \x9b":                 `\xff\xc3 \x9b`,
		"\ufffd":                        "\ufffd",
	} {
		if got := escape(text); got != want {
			t.Errorf("escape(%q) = %q, want %q", text, got, want)
		}
	}
}

// FuzzEscaper cuts a text anywhere: nothing that acts on a terminal comes out, and cutting does not matter.
func FuzzEscaper(f *testing.F) {
	f.Add("plain", 2)
	f.Add("\x1b[31m ö \u202e", 7)
	f.Add("\xff\xc3", 1)
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = min(max(at, 0), len(text))
		var b strings.Builder
		e := &escaper{w: &b}
		_, _ = e.Write([]byte(text[:at]))
		_, _ = e.Write([]byte(text[at:]))
		_ = e.Close()
		if got, want := b.String(), escape(text); got != want {
			t.Errorf("%q, cut at %d: %q, want %q", text, at, got, want)
		}
		if strings.ContainsFunc(b.String(), acts) || !utf8.ValidString(b.String()) {
			t.Errorf("%q became %q, which acts on a terminal", text, b.String())
		}
	})
}

// FuzzEscapeJSON looks that an escaped document has the same value.
func FuzzEscapeJSON(f *testing.F) {
	f.Add("plain")
	f.Add("\u009b \u202e \U000e0041 \\u")
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.ToValidUTF8(text, "?")
		doc, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		shown := escapeJSON(doc)
		var got string
		if err := json.Unmarshal(shown, &got); err != nil || got != text {
			t.Errorf("escapeJSON(%s) = %s, whose value is %q, %v", doc, shown, got, err)
		}
		if strings.ContainsFunc(string(shown), acts) {
			t.Errorf("escapeJSON(%s) = %q, which acts on a terminal", doc, shown)
		}
	})
}

func TestOneLine(t *testing.T) {
	t.Parallel()
	if got, want := oneLine("a\nb\r\n\r\nc\x1b"), `a b c\x1b`; got != want {
		t.Errorf("oneLine = %q, want %q", got, want)
	}
}

func TestShorten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		n    int
		want string
	}{{"abc", 3, "abc"}, {"äbcd", 3, "äbc…"}, {"", 0, ""}, {"a", 0, "…"}} {
		if got := shorten(c.text, c.n); got != c.want {
			t.Errorf("shorten(%q, %d) = %q, want %q", c.text, c.n, got, c.want)
		}
	}
}

func TestParseOptions(t *testing.T) {
	t.Parallel()
	o, err := parseOptions([]string{"temperature=0", "max_tokens=5", "seed=-1", "thinking=low", "stream-timeout=3s", "stop=a", `stop=["b","c"]`,
		"stop=1", "int=12", "float=1.5", "big=123456789012345678901234567890", "bool=true", "null=null", `object={"a":[1,{"b":2.5}]}`,
		"text=a b", "quoted=\"a\"", "empty=", "eq=a=b", "two=1 2"})
	if err != nil {
		t.Fatal(err)
	}
	temperature, _ := o.Temperature()
	tokens, _ := o.MaxTokens()
	seed, _ := o.Seed()
	idle, _ := o.StreamTimeout()
	if temperature != 0 || !o.Has(backend.NeutralTemperature) || tokens != 5 || seed != -1 || o.Thinking() != "low" || idle.Seconds() != 3 {
		t.Errorf("temperature %v, tokens %d, seed %d, thinking %q, idle %v", temperature, tokens, seed, o.Thinking(), idle)
	}
	if diff := cmp.Diff([]string{"a", "b", "c", "1"}, o.Stop()); diff != "" {
		t.Errorf("stop (-want +got):\n%s", diff)
	}
	got := maps.Collect(o.Extras())
	want := map[string]any{"int": int64(12), "float": 1.5, "big": 123456789012345678901234567890.0, "bool": true, "null": nil,
		"object": map[string]any{"a": []any{int64(1), map[string]any{"b": 2.5}}},
		"text":   "a b", "quoted": "a", "empty": "", "eq": "a=b", "two": "1 2"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("extras (-want +got):\n%s", diff)
	}
	for _, bad := range []string{"temperature=hot", "temperature=NaN", "temperature=Inf", "max-tokens=1.5", "seed=", "stop=", "stop=[1]", "stop=[\"\"]",
		"stream-timeout=3", "thinking=", "name", "=x", "top-k=99999999999999999999"} {
		if _, err := parseOptions([]string{bad}); err == nil || !isUsage(err) {
			t.Errorf("parseOptions(%q) = %v, want wrong usage", bad, err)
		}
	}
}

// FuzzParseOptions looks that any value is an option or wrong usage.
func FuzzParseOptions(f *testing.F) {
	for _, s := range []string{"a=1", "stop=[", "seed=1e3", "x={\"a\":", "=", "temperature=0x1p-2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, pair string) {
		if _, err := parseOptions([]string{pair}); err != nil && !isUsage(err) {
			t.Errorf("parseOptions(%q) = %v", pair, err)
		}
	})
}

func TestEveryNeutralOptionSaysWhatItWants(t *testing.T) {
	t.Parallel()
	for name := range neutral {
		if wants[name] == "" {
			t.Errorf("wants[%q] is empty", name)
		}
	}
}

func TestNearest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{"opena": "openai", "olama": "ollama", "replay": "replay", "azure": "", "": ""} {
		if got := nearest(name, backendNames); got != want {
			t.Errorf("nearest(%q) = %q, want %q", name, got, want)
		}
	}
}

func TestSafe(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"http://user:secret@host:1/v1?key=secret#f": "http://host:1/v1",
		"user:secret@host:11434":                    "host:11434",
		"localhost:11434":                           "localhost:11434",
		"":                                          "",
		"localhost:11434?key=secret":                "localhost:11434",
		"secret@host":                               "host",
		"[::1]:11434/x":                             "[::1]:11434/x",
		"http://[::1":                               "****",
		"http://h%zz/?key=secret":                   "****",
		"http://user:1/secret@host":                 "****",
	} {
		if got := safe(address); got != want {
			t.Errorf("safe(%q) = %q, want %q", address, got, want)
		}
	}
}

func TestDemandsKeepTheirOrder(t *testing.T) {
	t.Parallel()
	var d demands
	for i, code := range []bool{true, false, true} {
		if err := (demandFlag{list: &d, code: code}).Set(string(rune('a' + i))); err != nil {
			t.Fatal(err)
		}
	}
	if want := []demand{{"a", true}, {"b", false}, {"c", true}}; !slices.Equal(d.all, want) {
		t.Errorf("demands = %v, want %v", d.all, want)
	}
}
