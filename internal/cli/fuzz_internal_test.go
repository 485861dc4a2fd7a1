package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/batch"
)

// A line either is one that can be asked, or has a reason without its values.
func FuzzParseLine(f *testing.F) {
	for _, seed := range []string{`{"prompt":"x"}`, `{"id":1e9,"prompt":"x","vars":{"a":[1]}}`, `{"messages":[{"role":"user","content":"x"}]}`, `{"prompt":"x","schema":{"type":"object"}}`,
		`{"prompt":"x","options":{"seed":1,"stop":["a"],"x":{"y":null}}}`, `{`, `[]`, "\x00", `{"promt":1}`, `{"options":{"seed":"a"},"prompt":"b"}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		l, err := parseLine(batch.Item{Line: 1, Data: line})
		if err != nil {
			if bad, ok := errors.AsType[*lineError](err); !ok || bad.reason == "" || len(bad.reason) > 500 {
				t.Errorf("error = %v", err)
			}
		} else if (l.Prompt == nil) == (len(l.Messages) == 0) {
			t.Errorf("neither or both: %+v", l)
		}
		if l.ID != nil {
			if _, err := json.Marshal(batchRecord{ID: json.RawMessage(l.ID)}); err != nil {
				t.Errorf("the id %s cannot come back: %v", l.ID, err)
			}
		}
	})
}

// What can be read of a chat is written again as it was.
func FuzzParseChat(f *testing.F) {
	for _, seed := range []string{`{"mellea_chat":1,"messages":[]}`, `{"mellea_chat":1,"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"","tool_calls":[{"name":"x","arguments":"{}"}]}]}`,
		`{"mellea_chat":1,"messages":[{"role":"assistant","content":"a","server_tools":[{"call":{"name":"x","type":"y","arguments":"{}"}},{"result":{"call_id":"s","type":"t","content":"[]"}}]}]}`,
		`{"mellea_chat":1,"messages":[{"role":"assistant","content":"a","server_tools":[{}]}]}`,
		`{"mellea_chat":2}`, `{}`, `[`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := parseChat(data)
		if err != nil {
			return
		}
		var saved []savedMessage
		for _, m := range s.messages() {
			saved = append(saved, saveMessage(m))
		}
		if diff := cmp.Diff(s.Messages, saved, cmp.Transformer("none", func(all []savedMessage) []savedMessage { return append([]savedMessage{}, all...) })); diff != "" && len(saved) > 0 {
			t.Errorf("messages (-want +got):\n%s", diff)
		}
		_ = s.markdown()
	})
}

// scripted gives lines of a text.
type scripted struct{ in *strings.Reader }

func (s scripted) line(context.Context, bool) (string, error) {
	var b strings.Builder
	for {
		c, err := s.in.ReadByte()
		switch {
		case err != nil && b.Len() == 0:
			return "", io.EOF
		case err != nil || c == '\n':
			return b.String(), nil
		}
		b.WriteByte(c)
	}
}

func FuzzCompose(f *testing.F) {
	for _, seed := range []string{"a\nb", "\"\"\"a\nb\"\"\"\nc", "\"\"\"", "\"\"\"\"\"\"\"\"\"", "\n\n \n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, typed string) {
		from := scripted{strings.NewReader(typed)}
		for n := 0; ; n++ {
			text, err := compose(t.Context(), from)
			if err != nil {
				if !errors.Is(err, io.EOF) && !errors.As(err, new(*usageError)) {
					t.Errorf("error = %v", err)
				}
				return
			}
			if strings.TrimSpace(text) == "" || n > len(typed) {
				t.Errorf("said %q after %d", text, n)
			}
		}
	})
}

// However the bytes of a terminal are cut, a piece ends with its line, and a Ctrl-C comes alone.
func TestKeys(t *testing.T) {
	t.Parallel()
	k := &keys{r: bytes.NewReader([]byte("ab\rcd\x03\x03ef"))}
	var pieces []string
	var interrupted []bool
	buf := make([]byte, 100)
	for {
		n, err := k.Read(buf)
		if err != nil {
			break
		}
		pieces = append(pieces, string(buf[:n]))
		interrupted = append(interrupted, k.interrupted)
	}
	if diff := cmp.Diff([]string{"ab\r", "cd", "\x03", "\x03", "ef"}, pieces); diff != "" {
		t.Errorf("pieces (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]bool{false, false, true, true, false}, interrupted); diff != "" {
		t.Errorf("interrupted (-want +got):\n%s", diff)
	}
}
