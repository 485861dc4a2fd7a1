package wire_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/internal/wire"
)

// event is a wire.Event that outlives the next one.
type event struct{ Name, Data, ID string }

func keep(e wire.Event) event { return event{string(e.Name), string(e.Data), string(e.ID)} }

// allEvents reads r to its error.
func allEvents(r io.Reader, maxLine int) (events []event, truncated bool, err error) {
	s := wire.NewSSE(r, maxLine)
	for {
		e, err := s.Next()
		if err != nil {
			return events, s.Truncated(), err
		}
		events = append(events, keep(e))
	}
}

var sseCases = []struct {
	name, in  string
	want      []event
	truncated bool
	rest      event
}{
	{"empty", "", nil, false, event{}},
	{"one", "data: a\n\n", []event{{Data: "a"}}, false, event{}},
	{"two", "data: a\n\ndata: b\n\n", []event{{Data: "a"}, {Data: "b"}}, false, event{}},
	{"CRLF", "data: a\r\n\r\ndata: b\r\n\r\n", []event{{Data: "a"}, {Data: "b"}}, false, event{}},
	{"CR", "data: a\r\rdata: b\r\r", []event{{Data: "a"}, {Data: "b"}}, false, event{}},
	{"mixed line ends", "data: a\r\ndata: b\ndata: c\r\r\n", []event{{Data: "a\nb\nc"}}, false, event{}},
	{"several data lines", "data: a\ndata:\ndata: c\n\n", []event{{Data: "a\n\nc"}}, false, event{}},
	{"one leading space only", "data:  a \n\n", []event{{Data: " a "}}, false, event{}},
	{"no space", "data:a\n\n", []event{{Data: "a"}}, false, event{}},
	{"colon in the value", "data: {\"a\":1}\n\n", []event{{Data: `{"a":1}`}}, false, event{}},
	{"comments", ": keep-alive\n\n:\ndata: a\n: b\n\n", []event{{Data: "a"}}, false, event{}},
	{"name", "event: ping\ndata: a\n\ndata: b\n\n", []event{{Name: "ping", Data: "a"}, {Data: "b"}}, false, event{}},
	{"name without data is dropped", "event: ping\n\ndata: b\n\n", []event{{Data: "b"}}, false, event{}},
	{"the last name counts", "event: x\nevent: y\ndata: b\n\n", []event{{Name: "y", Data: "b"}}, false, event{}},
	{"id stays", "id: 1\ndata: a\n\ndata: b\n\nid\ndata: c\n\n", []event{{Data: "a", ID: "1"}, {Data: "b", ID: "1"}, {Data: "c"}}, false, event{}},
	{"id of an event without data stays", "id: 1\n\ndata: b\n\n", []event{{Data: "b", ID: "1"}}, false, event{}},
	{"id with a null is ignored", "id: 1\ndata: a\n\nid: 2\x00\ndata: b\n\n", []event{{Data: "a", ID: "1"}, {Data: "b", ID: "1"}}, false, event{}},
	{"retry and unknown fields", "retry: 10\nfoo: bar\ndata: a\ndatax: b\n Data: c\n\n", []event{{Data: "a"}}, false, event{}},
	{"field without a colon", "data\n\ndata\ndata\n\n", []event{{}, {Data: "\n"}}, false, event{}},
	{"byte order mark", "\ufeffdata: a\n\n\ufeffdata: b\n\n", []event{{Data: "a"}}, false, event{}},
	{"only the first mark", "\ufeff\ufeffdata: a\n\n", nil, false, event{}},
	{"blank lines", "\n\n\r\n\rdata: a\n\n\n\n", []event{{Data: "a"}}, false, event{}},
	{"no blank line at the end", "data: a\n\ndata: [DONE]\n", []event{{Data: "a"}}, true, event{Data: "[DONE]"}},
	{"no line end at the end", "data: a\n\nevent: x\ndata: [DO", []event{{Data: "a"}}, true, event{Name: "x", Data: "[DO"}},
	{"ends in a name", "data: a\n\nevent: x\n", []event{{Data: "a"}}, true, event{Name: "x"}},
	{"ends in half a field", "data: a\n\nda", []event{{Data: "a"}}, true, event{}},
	{"ends in a comment", "data: a\n\n: bye", []event{{Data: "a"}}, false, event{}},
	{"ends in an id", "data: a\n\nid: 7\n", []event{{Data: "a"}}, false, event{}},
	{"a mark alone", "\ufeff", nil, false, event{}},
}

func TestSSE(t *testing.T) {
	t.Parallel()
	for _, tt := range sseCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in),
				"bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
				"eof":   iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				s := wire.NewSSE(r, 0)
				var got []event
				e, err := s.Next()
				for ; err == nil; e, err = s.Next() {
					got = append(got, keep(e))
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("%s: events (-want +got):\n%s", name, diff)
				}
				if _, again := s.Next(); err != io.EOF || again != io.EOF {
					t.Errorf("%s: got errors %v, %v; want io.EOF", name, err, again)
				}
				if rest := keep(s.Rest()); s.Truncated() != tt.truncated || tt.truncated && rest != tt.rest {
					t.Errorf("%s: got truncated %v %q, want %v %q", name, s.Truncated(), rest, tt.truncated, tt.rest)
				}
			}
		})
	}
}

func TestSSELimits(t *testing.T) {
	t.Parallel()
	const limit = 100
	x := strings.Repeat("x", limit)
	for _, tt := range []struct {
		name, in string
		events   int
		want     string
	}{
		{"line at the limit", "data: " + x[6:] + "\n\n", 1, ""},
		{"line one over", "data: a\n\ndata: " + x[5:] + "\n\n", 1, "the stream has a line longer than the limit of 100 bytes"},
		{"line over without end", "data: a\n\n" + x + x, 1, "the stream has a line longer than the limit of 100 bytes"},
		{"event at the limit", "data: " + x[:50] + "\ndata: " + x[:49] + "\n\n", 1, ""},
		{"event one over", "data: " + x[:50] + "\ndata: " + x[:50] + "\n\n", 0, "the stream has an event longer than the limit of 100 bytes"},
		{"many comments are no event", strings.Repeat(":"+x[1:]+"\n", 50) + "data: a\n\n", 1, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in),
				"bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				events, _, err := allEvents(r, limit)
				if len(events) != tt.events {
					t.Errorf("%s: got %d events, want %d", name, len(events), tt.events)
				}
				if tt.want == "" {
					if err != io.EOF {
						t.Errorf("%s: got %v, want io.EOF", name, err)
					}
					continue
				}
				if got := as[*wire.ProtocolError](t, err).Error(); got != tt.want {
					t.Errorf("%s: got %q, want %q", name, got, tt.want)
				}
			}
		})
	}
}

func TestSSEPassesErrorsOn(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	events, truncated, err := allEvents(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n"), iotest.ErrReader(broken)), 0)
	if diff := cmp.Diff([]event{{Data: "a"}}, events); diff != "" || err != broken || !truncated {
		t.Errorf("got %v, truncated %v, %v", events, truncated, err)
	}
	_, _, err = allEvents(readerFunc(func([]byte) (int, error) { return 0, nil }), 0)
	if err != io.ErrNoProgress {
		t.Errorf("reader that returns nothing: got %v, want %v", err, io.ErrNoProgress)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestSSELargeEvents has events cross every edge of the buffer and make it grow.
func TestSSELargeEvents(t *testing.T) {
	t.Parallel()
	var in bytes.Buffer
	var want []event
	for n := 1; n < 100_000; n = n*5/4 + 1 {
		data := strings.Repeat("x", n)
		in.WriteString("data: " + data + "\ndata: " + data + "\n\ndata: s\n\n")
		want = append(want, event{Data: data + "\n" + data}, event{Data: "s"})
	}
	got, _, err := allEvents(&in, 0)
	if diff := cmp.Diff(want, got); diff != "" || err != io.EOF {
		t.Errorf("%v, events (-want +got):\n%s", err, diff)
	}
}

// parseEvents is the standard's algorithm word for word, on the whole stream, to compare with.
func parseEvents(in string) (events []event, truncated bool) {
	in = strings.TrimPrefix(in, "\ufeff")
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(in, "\n")
	last := lines[len(lines)-1]
	var data, name, id string
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			if data != "" {
				events = append(events, event{name, strings.TrimSuffix(data, "\n"), id})
			}
			data, name = "", ""
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "data":
			data += value + "\n"
		case "event":
			name = value
		case "id":
			if !strings.Contains(value, "\x00") {
				id = value
			}
		}
	}
	return events, data != "" || name != "" || last != "" && last[0] != ':'
}

// sliced returns what it reads in pieces whose sizes are the bytes of cuts, over and over.
func sliced(in []byte, cuts []byte) io.Reader {
	i := 0
	return readerFunc(func(p []byte) (int, error) {
		if len(in) == 0 {
			return 0, io.EOF
		}
		n := len(in)
		if len(cuts) > 0 {
			n = int(cuts[i%len(cuts)])
			i++
			if n == 0 && i%50 == 0 {
				n = 1
			}
		}
		n = copy(p, in[:min(n, len(in))])
		in = in[n:]
		return n, nil
	})
}

func FuzzSSE(f *testing.F) {
	for _, tt := range sseCases {
		f.Add([]byte(tt.in), []byte{1, 2, 3})
	}
	f.Add([]byte("data: "+strings.Repeat("x", 90)+"\r\n\r\ndata: b\r\n\r\n"), []byte{255, 0, 7})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		want, truncated := parseEvents(string(in))
		for _, cuts := range [][]byte{cuts, nil, {1}} {
			got, gotTruncated, err := allEvents(sliced(in, cuts), 0)
			if diff := cmp.Diff(want, got); diff != "" || gotTruncated != truncated || err != io.EOF {
				t.Errorf("cut %v: truncated %v, want %v; %v; events (-want +got):\n%s", cuts, gotTruncated, truncated, err, diff)
			}
		}
		// A limit is exceeded, or not, wherever the cuts are. It makes the buffer small, too.
		const limit = 64
		limited, _, wantErr := allEvents(sliced(in, nil), limit)
		got, _, err := allEvents(sliced(in, cuts), limit)
		if diff := cmp.Diff(limited, got); diff != "" || err.Error() != wantErr.Error() {
			t.Errorf("cut %v with a limit: %v, want %v; events (-want +got):\n%s", cuts, err, wantErr, diff)
		}
		if diff := cmp.Diff(want[:min(len(got), len(want))], got, cmpopts.EquateEmpty()); diff != "" || err == io.EOF && len(got) != len(want) {
			t.Errorf("cut %v with a limit: %v after %d of %d events (-want +got):\n%s", cuts, err, len(got), len(want), diff)
		}
	})
}
