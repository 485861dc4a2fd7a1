package ollama

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func TestHostURL(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"":                          "http://127.0.0.1:11434",
		"  ":                        "http://127.0.0.1:11434",
		"gpu-box":                   "http://gpu-box:11434",
		` "gpu-box:1234" `:          "http://gpu-box:1234",
		"'https://gpu-box'":         "https://gpu-box:443",
		"gpu-box:1234":              "http://gpu-box:1234",
		":1234":                     "http://127.0.0.1:1234",
		"localhost":                 "http://localhost:11434",
		"http://gpu-box":            "http://gpu-box:80",
		"https://gpu-box":           "https://gpu-box:443",
		"https://gpu-box:8443/a/b/": "https://gpu-box:8443/a/b/",
		"0.0.0.0":                   "http://127.0.0.1:11434",
		"0.0.0.0:99":                "http://127.0.0.1:99",
		"[::]:99":                   "http://[::1]:99",
		"::1":                       "http://[::1]:11434",
		"[fe80::1]":                 "http://[fe80::1]:11434",
		"ollama.com":                "https://ollama.com:443",
		"http://me:p%40ss@gpu-box":  "http://me:p%40ss@gpu-box:80",
		"http://gpu-box:1?key=x":    "http://gpu-box:1?key=x",
		"ftp://gpu-box":             "ftp://gpu-box:11434",
	} {
		if got, ok := hostURL(value); got != want || !ok {
			t.Errorf("hostURL(%q) = %q, %t, want %q", value, got, ok, want)
		}
	}
	for _, value := range []string{"gpu-box:70000", "gpu-box:0", "gpu-box:http"} {
		if got, ok := hostURL(value); got != "http://gpu-box:11434" || ok {
			t.Errorf("hostURL(%q) = %q, %t, want the default port and false", value, got, ok)
		}
	}
}

func FuzzHostURL(f *testing.F) {
	for _, s := range []string{"", "a:1", "http://a/b?c", "::1", "[::]:9", "u:p@h", "https://u@h:99999/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		base, _ := hostURL(value)
		if u, err := url.Parse(base); err == nil && u.Port() == "" && u.Host != "" {
			t.Errorf("hostURL(%q) = %q, which has no port", value, base)
		}
	})
}

// FuzzDecode holds the decoder against encoding/json: whatever that reads as the documented shape, the decoder reads
// alike, and nothing makes it panic or quote its input.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"model":"m","message":{"role":"assistant","content":"a\u00e9\ud83d","thinking":"t"},"done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":4}`,
		`{"message":{"tool_calls":[{"id":"1","function":{"name":"f","arguments":{"a":1}}}]}}`,
		`{"error":"x"}`, `{"message":null,"done":null}`, `{"mess\u0061ge":{"content":"x"}}`, `{"done":1}`, `[]`, `{`, ``, `{"a":{"b":[{}]}} x`,
		"{\"message\":{\"content\":\"\xff\"}}", `{"eval_count":99999999999999999999}`, `{"message":{"tool_calls":[{"function":{"name":"f","arguments":"{"}}]}}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		var d decoder
		given := bytes.Clone(object)
		err := d.decode(object)
		if !bytes.Equal(object, given) {
			t.Fatal("decode changed its input")
		}
		if err != nil {
			if err != errMalformed {
				t.Errorf("decode(%q) = %v, want errMalformed", object, err)
			}
			return
		}
		if !json.Valid(object) {
			t.Errorf("decode accepts %q, which is not JSON", object)
		}
		for _, c := range d.calls {
			if c.Name == "" {
				t.Errorf("decode(%q) has a call without a name", object)
			}
		}
		if d.completion {
			t.Errorf("decode takes %q of a chat for a completion", object)
		}
		again := strings.Clone(string(d.text))
		if err := d.decode(object); err != nil || string(d.text) != again {
			t.Errorf("decode(%q) a second time = %q, %v, want %q", object, d.text, err, again)
		}
	})
}

// FuzzDecodeCompletion holds the reader of raw completions against encoding/json.
func FuzzDecodeCompletion(f *testing.F) {
	for _, s := range []string{`{"model":"m","response":"a\u00e9","done":true,"done_reason":"stop","context":[1],"prompt_eval_count":3,"eval_count":4}`,
		`{"response":null}`, `{"response":1}`, `{"error":"x"}`, `{"message":{"content":"x"},"response":"y"}`, `{`, ``} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		d := decoder{raw: true}
		if err := d.decode(object); err != nil {
			if err != errMalformed {
				t.Errorf("decode(%q) = %v, want errMalformed", object, err)
			}
			return
		}
		if !json.Valid(object) {
			t.Errorf("decode accepts %q, which is not JSON", object)
		}
		if d.promptTokens < 0 || d.tokens < 0 {
			t.Errorf("decode(%q) counts %d and %d tokens", object, d.promptTokens, d.tokens)
		}
	})
}

func TestDecodeLikeEncodingJSON(t *testing.T) {
	t.Parallel()
	for _, object := range []string{
		`{"message":{"content":"plain"}}`,
		`{"message":{"content":"esc \" \\ \/ \b\f\n\r\t \u00e9 \ud83d\ude00"}}`,
		`{"message":{"content":"lone \ud83d surrogate"}}`,
		"{\"message\":{\"content\":\"bad \xff\xfe bytes\"}}",
		` { "message" : { "thinking" : "t" , "content" : "" } } `,
		`{"message":{"content":"first"},"message":{"content":"second"}}`,
		`{"m\u0065ssage":{"content":"escaped name"}}`,
	} {
		var want struct {
			Message struct{ Content, Thinking string }
		}
		if err := json.Unmarshal([]byte(object), &want); err != nil {
			t.Fatal(err)
		}
		var d decoder
		if err := d.decode([]byte(object)); err != nil {
			t.Errorf("decode(%q) = %v", object, err)
		}
		if diff := cmp.Diff([]string{want.Message.Content, want.Message.Thinking}, []string{string(d.text), string(d.reasoning)}); diff != "" {
			t.Errorf("decode(%q) (-want +got):\n%s", object, diff)
		}
	}
}

func TestDecodeBoundsToolCalls(t *testing.T) {
	t.Parallel()
	call := `{"function":{"name":"f","arguments":{}}},`
	at := `{"message":{"tool_calls":[` + strings.TrimSuffix(strings.Repeat(call, backend.MaxToolCalls), ",") + `]}}`
	over := strings.Replace(at, `[`, `[`+call, 1)
	var d decoder
	if err := d.decode([]byte(at)); err != nil {
		t.Errorf("decode of %d calls = %v", backend.MaxToolCalls, err)
	}
	if err := d.decode([]byte(over)); err != errMalformed {
		t.Errorf("decode of %d calls = %v, want errMalformed", backend.MaxToolCalls+1, err)
	}
}
