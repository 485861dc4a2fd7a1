package batch_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/internal/batch"
)

const sum = "00112233445566778899aabbccddeeff"

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := fmt.Sprintf(`{"line":1,"hash":%q,"text":"a"}`+"\n", sum)
	for name, c := range map[string]struct{ path, want string }{
		"prose":           {write("prose", "hello\n"), "prose:1: not a record of a batch"},
		"other JSON":      {write("other", good+`{"prompt":"x"}`+"\n"), "other:2: not a record"},
		"no hash":         {write("nohash", `{"line":1,"hash":"zz"}`+"\n"), "nohash:1: not a record"},
		"no number":       {write("nonumber", fmt.Sprintf(`{"line":0,"hash":%q}`+"\n", sum)), "nonumber:1: not a record"},
		"a folder":        {dir, "is a directory"},
		"no such folder":  {filepath.Join(dir, "none", "out"), "no such file"},
		"damaged midways": {write("midways", "{\"line\"\n"+good), "midways:1: not a record"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j, err := batch.Open(c.path)
			if err == nil {
				_ = j.Close()
			}
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Open = %v, want an error with %q", err, c.want)
			}
		})
	}
	// What does not read as a record was not made by a batch, and is left as it is.
	if text, err := os.ReadFile(filepath.Join(dir, "prose")); string(text) != "hello\n" || err != nil {
		t.Errorf("the file holds %q, %v", text, err)
	}
}

func TestJournalIsLocked(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" || runtime.GOOS == "solaris" || runtime.GOOS == "aix" {
		t.Skip("the system has no such lock")
	}
	path := filepath.Join(t.TempDir(), "out")
	first := open(t, path)
	_, err := batch.Open(path)
	if bad, ok := errors.AsType[*batch.JournalError](err); !ok || !strings.Contains(bad.Reason, "another run") {
		t.Errorf("Open = %v, want that another run has it", err)
	}
	// The lock goes with the file that takes its place.
	it := batch.Item{Line: 1, Hash: sum}
	if err := errors.Join(first.Add(it, record{}), first.Add(it, record{}), first.Keep(func(batch.Item) bool { return true })); err != nil {
		t.Fatal(err)
	}
	if _, err := batch.Open(path); err == nil {
		t.Error("after Keep another run may open the journal")
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	_ = open(t, path).Close()
}

func TestNoJournal(t *testing.T) {
	t.Parallel()
	var none *batch.Journal
	same, other := none.Has(batch.Item{Line: 1, Hash: sum})
	if err := errors.Join(none.Keep(nil), none.Close()); err != nil || same || other {
		t.Errorf("%v, %v, %v", same, other, err)
	}
}

// Whatever a file ends with, Open either refuses it or leaves a journal that can be gone on with.
func FuzzOpen(f *testing.F) {
	whole := fmt.Sprintf(`{"line":1,"hash":%q,"text":"a"}`+"\n", sum)
	for _, seed := range []string{"", "\n", whole, whole + whole[:20], whole[:len(whole)-1], "{}", "{", "\x00\x00", whole + "\n\n" + whole} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		path := filepath.Join(t.TempDir(), "out")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		j, err := batch.Open(path)
		if err != nil {
			if after, _ := os.ReadFile(path); !bytes.Equal(after, text) {
				t.Errorf("a file that was refused was changed from %q to %q", text, after)
			}
			return
		}
		it := batch.Item{Line: 7, Hash: sum}
		if err := errors.Join(j.Add(it, record{Text: "b"}), j.Close()); err != nil {
			t.Fatal(err)
		}
		again, err := batch.Open(path)
		if err != nil {
			t.Fatalf("%q cannot be opened again: %v", text, err)
		}
		if has, _ := again.Has(it); !has {
			t.Errorf("%q: the record is lost", text)
		}
		_ = again.Close()
	})
}
