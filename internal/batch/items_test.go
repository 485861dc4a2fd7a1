package batch_test

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/batch"
)

type line struct {
	Number  int
	Text    string
	TooLong bool
}

func lines(t *testing.T, r io.Reader, limit int) []line {
	t.Helper()
	var all []line
	for it, err := range batch.Items(r, limit) {
		if err != nil {
			t.Fatal(err)
		}
		if len(it.Hash) != 32 {
			t.Errorf("line %d has the hash %q, want 32 digits", it.Line, it.Hash)
		}
		all = append(all, line{it.Line, string(it.Data), it.TooLong()})
	}
	return all
}

func TestItems(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 100_000)
	tests := map[string]struct {
		in   string
		want []line
	}{
		"nothing":             {"", nil},
		"one":                 {"a\n", []line{{1, "a", false}}},
		"no line feed":        {"a\nb", []line{{1, "a", false}, {2, "b", false}}},
		"empty lines count":   {"\n a \n\t\n\nb\n\n", []line{{2, "a", false}, {5, "b", false}}},
		"carriage returns":    {"a\r\nb\r\n", []line{{1, "a", false}, {2, "b", false}}},
		"byte order mark":     {"\ufeffa\n\ufeffb\n", []line{{1, "a", false}, {2, "\ufeffb", false}}},
		"too long":            {"a\n" + long + "\nb\n", []line{{1, "a", false}, {2, "", true}, {3, "b", false}}},
		"too long at the end": {"a\n" + long, []line{{1, "a", false}, {2, "", true}}},
		"as long as allowed":  {strings.Repeat("y", 10) + "\r\n" + strings.Repeat("y", 11) + "\n", []line{{1, strings.Repeat("y", 10), false}, {2, "", true}}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(test.in), iotest.OneByteReader(strings.NewReader(test.in))} {
				if diff := cmp.Diff(test.want, lines(t, r, 10)); diff != "" {
					t.Errorf("items (-want +got):\n%s", diff)
				}
			}
			if n, err := batch.Count(strings.NewReader(test.in)); n != len(test.want) || err != nil {
				t.Errorf("Count = %d, %v, want %d", n, err, len(test.want))
			}
		})
	}
}

// The hash is that of the content, wherever the line stands and whatever is around it.
func TestHash(t *testing.T) {
	t.Parallel()
	of := func(in string) (last string) {
		for it := range batch.Items(strings.NewReader(in), 10) {
			last = it.Hash
		}
		return last
	}
	if of("a") != of("b\n  a  \r\n") {
		t.Error("the same content has two hashes")
	}
	long := strings.Repeat("x", 20_000)
	if of("a") == of("b") || of(long+"a") == of(long+"b") || of(long+"a") != of("\n"+long+"a\n") {
		t.Error("the hash of a line does not tell its content")
	}
}

func TestItemsPassesOnErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	var last error
	n := 0
	for it, err := range batch.Items(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 10) {
		if last = err; err == nil {
			n = it.Line
		}
	}
	if !errors.Is(last, broken) || n != 1 {
		t.Errorf("ended after line %d with %v, want 1 and %v", n, last, broken)
	}
	if _, err := batch.Count(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("Count: %v", err)
	}
}

func FuzzItems(f *testing.F) {
	for _, seed := range []string{"", "a", "a\nb\n", "\r\n\n", "\ufeff\n", "0123456789012\n1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, in string) {
		all := lines(t, strings.NewReader(in), 8)
		if diff := cmp.Diff(all, lines(t, iotest.HalfReader(strings.NewReader(in)), 8)); diff != "" {
			t.Errorf("it matters how the input is cut:\n%s", diff)
		}
		if n, err := batch.Count(strings.NewReader(strings.TrimPrefix(in, "\ufeff"))); n != len(all) || err != nil {
			t.Errorf("Count = %d, %v, want %d", n, err, len(all))
		}
	})
}
