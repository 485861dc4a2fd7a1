package main

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend/backendtest"
)

const root = "../.."

// The page says what was recorded: it cannot be edited to say more, nor fall behind.
func TestPageIsWhatWasRecorded(t *testing.T) {
	t.Parallel()
	rows, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "backends.md"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := replace(page, render(rows))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(page), string(want)); diff != "" {
		t.Errorf("docs/backends.md is stale: run go generate ./backend/backendtest (-page +results):\n%s", diff)
	}
}

// No backend stays off the board, and none is on it with something that fails or that no suite knows.
func TestResults(t *testing.T) {
	t.Parallel()
	rows, err := read(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range known {
		if sources, err := filepath.Glob(filepath.Join(root, "backend", name, "*.go")); err != nil || len(sources) == 0 {
			continue
		}
		if !slices.ContainsFunc(rows, func(r backendtest.Results) bool { return order(r) == slices.Index(known, name) }) {
			t.Errorf("backend/%s has no recorded results: give its suite a Name and record it with %s=1", name, backendtest.RecordVariable)
		}
	}
	features := map[string]bool{}
	for f := range backendtest.Features() {
		features[f.ID] = true
	}
	for _, r := range rows {
		if r.Backend == "" || r.Against == "" || r.Date == "" {
			t.Errorf("results %+v do not say of what, against what or when, want all three", r)
		}
		for id, outcome := range r.Features {
			if !features[id] {
				t.Errorf("%s against %s: the suite has no feature %q", r.Backend, r.Against, id)
			}
			if outcome != backendtest.Pass && outcome != backendtest.Cannot {
				t.Errorf("%s against %s: %s is recorded as %q", r.Backend, r.Against, id, outcome)
			}
		}
	}
}

// Results of a real component are those that the integration tests record: nothing else may claim to be.
func TestRealResultsAreOfTheIntegrationRun(t *testing.T) {
	t.Parallel()
	err := filepath.WalkDir(root, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if below := filepath.ToSlash(filepath.Dir(path)); !strings.HasSuffix(below, "/"+backendtest.ResultsDir) {
			return nil
		}
		r, err := backendtest.ReadResults(path)
		inIntegration := strings.HasPrefix(filepath.ToSlash(path), root+"/integration/")
		if r.Real != inIntegration {
			t.Errorf("%s: real is %t, want %t there", path, r.Real, inIntegration)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRender(t *testing.T) {
	t.Parallel()
	rows := []backendtest.Results{
		{Backend: "a", Against: "strict fake", Features: map[string]backendtest.Outcome{"chat": "pass", "audio": "cannot", "tools": "fail"},
			Options: map[string]string{"seed": "options.seed", "top-k": ""}},
		{Backend: "b", Against: "strict fake", Features: map[string]backendtest.Outcome{"chat": "pass"}, Options: map[string]string{"seed": ""}},
		{Backend: "a on x", Against: "X 1.2", Real: true, Date: "2026-01-02", Features: map[string]backendtest.Outcome{"chat": "pass"}},
	}
	got := string(render(rows))
	for _, want := range []string{
		"| feature | a | b |\n|---|:-:|:-:|\n| chat: the model sees the conversation, the program its reply | ✓ | ✓ |",
		"| ✗ | · |", "| audio | – | · |", "| `seed` | `options.seed` | – |", "| `top-k` | – | – |",
		"| feature | a on x |", "| a on x | X 1.2 | 2026-01-02 |",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the page has no %q:\n%s", want, got)
		}
	}
}

func TestReplace(t *testing.T) {
	t.Parallel()
	got, err := replace([]byte("before\n"+begin+"\nold\n"+end+"\nafter\n"), []byte("new\n"))
	if want := "before\n" + begin + "\n\nnew\n\n" + end + "\nafter\n"; string(got) != want || err != nil {
		t.Errorf("replace = %q, %v, want %q", got, err, want)
	}
	for _, page := range []string{"", begin, end, end + begin} {
		if _, err := replace([]byte(page), nil); err == nil {
			t.Errorf("replace(%q) = nil, want an error", page)
		}
	}
}

func TestRunWritesThePage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(path, text string) {
		t.Helper()
		path = filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("page.md", begin+"\n"+end+"\n")
	write("backend/watsonx/testdata/conformance/watsonx.json", `{"backend":"watsonx","features":{"chat":"pass"}}`)
	write("backend/ollama/testdata/conformance/ollama.json", `{"backend":"ollama","features":{"chat":"pass"}}`)
	write(".hidden/testdata/conformance/x.json", `{"backend":"hidden"}`)
	if err := run(dir, "page.md"); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(dir, "page.md"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(page, []byte("| feature | ollama | watsonx |")) || bytes.Contains(page, []byte("hidden")) {
		t.Errorf("got page\n%s\nwant the two backends in their order", page)
	}
	write("backend/broken/testdata/conformance/broken.json", `{`)
	if err := run(dir, "page.md"); err == nil || !strings.Contains(err.Error(), "broken.json") {
		t.Errorf("run = %v, want an error that names the file", err)
	}
}
