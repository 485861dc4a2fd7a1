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

func allLines(r io.Reader, maxLine int) (lines []string, err error) {
	d := wire.NewNDJSON(r, maxLine)
	for {
		line, err := d.Next()
		if err != nil {
			return lines, err
		}
		lines = append(lines, string(line))
	}
}

var ndjsonCases = []struct {
	name, in string
	want     []string
}{
	{"empty", "", nil},
	{"lines", "{\"a\":1}\n{\"b\":2}\n", []string{`{"a":1}`, `{"b":2}`}},
	{"CRLF", "1\r\n2\r\n", []string{"1", "2"}},
	{"last line without end", "1\n2", []string{"1", "2"}},
	{"last line ends in CR", "1\r", []string{"1"}},
	{"blank lines", "\n\r\n \t\n1\n\n2\n\n", []string{"1", "2"}},
	{"white space around", " 1 \n\t2\t", []string{"1", "2"}},
	{"byte order mark", "\ufeff1\n\ufeff2\n", []string{"1", "\ufeff2"}},
	{"a mark alone", "\ufeff", nil},
}

func TestNDJSON(t *testing.T) {
	t.Parallel()
	for _, tt := range ndjsonCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in),
				"bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
				"eof":   iotest.DataErrReader(strings.NewReader(tt.in)),
			} {
				got, err := allLines(r, 0)
				if diff := cmp.Diff(tt.want, got); diff != "" || err != io.EOF {
					t.Errorf("%s: %v, lines (-want +got):\n%s", name, err, diff)
				}
			}
		})
	}
}

func TestNDJSONLimit(t *testing.T) {
	t.Parallel()
	x := strings.Repeat("x", 100)
	for _, tt := range []struct {
		name, in string
		lines    int
		wantErr  bool
	}{
		{"at the limit", "1\n" + x + "\n", 2, false},
		{"at the limit without end", "1\n" + x, 2, false},
		{"one over", "1\n" + x + "x\n2\n", 1, true},
		{"one over without end", "1\n" + x + "x", 1, true},
		{"far over", "1\n" + strings.Repeat(x, 1000), 1, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for name, r := range map[string]io.Reader{
				"whole": strings.NewReader(tt.in),
				"bytes": iotest.OneByteReader(strings.NewReader(tt.in)),
			} {
				lines, err := allLines(r, 100)
				if len(lines) != tt.lines {
					t.Errorf("%s: got %d lines, want %d", name, len(lines), tt.lines)
				}
				if !tt.wantErr {
					if err != io.EOF {
						t.Errorf("%s: got %v, want io.EOF", name, err)
					}
					continue
				}
				if got, want := as[*wire.ProtocolError](t, err).Error(), "the stream has a line longer than the limit of 100 bytes"; got != want {
					t.Errorf("%s: got %q, want %q", name, got, want)
				}
			}
		})
	}
}

func TestNDJSONDropsALineCutOffByAnError(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	got, err := allLines(io.MultiReader(strings.NewReader("1\n{\"a"), iotest.ErrReader(broken)), 0)
	if diff := cmp.Diff([]string{"1"}, got); diff != "" || err != broken {
		t.Errorf("%v, lines (-want +got):\n%s", err, diff)
	}
}

func FuzzNDJSON(f *testing.F) {
	for _, tt := range ndjsonCases {
		f.Add([]byte(tt.in), []byte{1, 2, 3})
	}
	f.Add([]byte(strings.Repeat("x", 90)+"\n1"), []byte{255, 0, 7})
	f.Fuzz(func(t *testing.T, in, cuts []byte) {
		var want []string
		for line := range bytes.SplitSeq(bytes.TrimPrefix(in, []byte("\ufeff")), []byte("\n")) {
			if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
				want = append(want, string(line))
			}
		}
		for _, cuts := range [][]byte{cuts, nil, {1}} {
			got, err := allLines(sliced(in, cuts), 0)
			if diff := cmp.Diff(want, got); diff != "" || err != io.EOF {
				t.Errorf("cut %v: %v, lines (-want +got):\n%s", cuts, err, diff)
			}
		}
		const limit = 64
		limited, wantErr := allLines(sliced(in, nil), limit)
		got, err := allLines(sliced(in, cuts), limit)
		if diff := cmp.Diff(limited, got); diff != "" || err.Error() != wantErr.Error() {
			t.Errorf("cut %v with a limit: %v, want %v; lines (-want +got):\n%s", cuts, err, wantErr, diff)
		}
		if diff := cmp.Diff(want[:min(len(got), len(want))], got, cmpopts.EquateEmpty()); diff != "" || err == io.EOF && len(got) != len(want) {
			t.Errorf("cut %v with a limit: %v after %d of %d lines (-want +got):\n%s", cuts, err, len(got), len(want), diff)
		}
	})
}
