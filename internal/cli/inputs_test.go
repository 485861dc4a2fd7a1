package cli_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// file writes a file for a test and returns its path.
func file(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

const author = `{"type":"object","properties":{"name":{"type":"string"},"year":{"type":"integer"}},"required":["name","year"]}`

// A reply that does not match --schema is repaired, and the document is what is printed.
func TestRunSchema(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replies  []string
		args     []string
		code     int
		requests int
		stdout   string // "" for --output json, whose value is then wanted
		value    string
	}{
		"matches":   {replies: []string{`{"name":"Goethe","year":1808}`}, requests: 1, stdout: `{"name":"Goethe","year":1808}` + "\n"},
		"fenced":    {replies: []string{"```json\n{\"name\": \"Goethe\", \"year\": 1808}\n```"}, requests: 1, stdout: `{"name":"Goethe","year":1808}` + "\n"},
		"repaired":  {replies: []string{"Goethe, I think", `{"name":"Goethe"}`, `{"name":"Goethe","year":1808}`}, requests: 3, stdout: `{"name":"Goethe","year":1808}` + "\n"},
		"json":      {replies: []string{`{"name":"Goethe","year":1808}`}, args: []string{"--output", "json"}, requests: 1, value: `{"name":"Goethe","year":1808}`},
		"not met":   {replies: []string{"Goethe"}, code: 1, requests: 3, stdout: "Goethe\n"},
		"no repair": {replies: []string{"Goethe"}, args: []string{"--strategy", "none"}, code: 1, requests: 1, stdout: "Goethe\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.replies...)
			got := process{env: f.env()}.run(t, append([]string{"run", "Who?", "--schema", file(t, "author.json", author)}, c.args...)...)
			requests := f.chats()
			if got.code != c.code || len(requests) != c.requests {
				t.Fatalf("exit %d after %d requests, want %d after %d: %s", got.code, len(requests), c.code, c.requests, got.stderr)
			}
			var want any
			_ = json.Unmarshal([]byte(author), &want)
			if diff := cmp.Diff(want, requests[0].body["format"]); diff != "" {
				t.Errorf("format (-want +got):\n%s", diff)
			}
			if c.stdout != "" {
				if got.stdout != c.stdout {
					t.Errorf("stdout = %q, want %q", got.stdout, c.stdout)
				}
				return
			}
			var doc struct{ Value json.RawMessage }
			if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil || string(doc.Value) != c.value {
				t.Errorf("value = %s, %v, want %s", doc.Value, err, c.value)
			}
		})
	}
}

// A picture reaches the model as it is.
func TestRunImage(t *testing.T) {
	t.Parallel()
	var picture bytes.Buffer
	_ = png.Encode(&picture, image.NewGray(image.Rect(0, 0, 1, 1)))
	path := file(t, "a.dat", picture.String())
	f := newFake(t, "grey")
	if got := (process{env: f.env()}).run(t, "run", "What is this?", "--image", path, "--image", path); got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	last := f.asked(t).body["messages"].([]any)[0].(map[string]any)
	encoded := base64.StdEncoding.EncodeToString(picture.Bytes())
	if diff := cmp.Diff([]any{encoded, encoded}, last["images"]); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// What the files of flags hold is looked at before any request.
func TestInputErrors(t *testing.T) {
	t.Parallel()
	text := file(t, "notes.txt", "not a picture")
	picture := file(t, "p.gif", "GIF89a")
	blind := file(t, "blind.jsonl", "")
	f := newFake(t, "hi")
	if got := (process{env: f.env()}).run(t, "run", "hi", "--record", blind+"2"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	recording, err := os.ReadFile(blind + "2")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(blind, bytes.Replace(recording, []byte(`"images":true`), []byte(`"images":false`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		text string
	}{
		"no such schema": {args: []string{"--schema", text + "2"}, code: 3, text: "no such file"},
		"not a schema":   {args: []string{"--schema", text}, code: 2, text: "--schema " + text + ": not a JSON Schema"},
		"no such image":  {args: []string{"--image", text + "2"}, code: 3, text: "no such file"},
		"not an image":   {args: []string{"--image", text}, code: 2, text: "--image " + text + ": not a PNG, JPEG, GIF or WebP file"},
		"too large":      {args: []string{"--image", file(t, "big.gif", "GIF89a"+strings.Repeat("x", 20<<20))}, code: 2, text: "more than 20 MiB"},
		"a model that has no eyes": {args: []string{"--image", picture, "--replay", blind}, code: 2,
			text: "--image: ollama with model tiny:latest reads no images"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "hi")
			got := process{env: f.env()}.run(t, append([]string{"run", "hi"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.text) || len(f.chats()) > 0 {
				t.Errorf("exit %d after %d requests, stderr %q, want %d after none, %q", got.code, len(f.chats()), got.stderr, c.code, c.text)
			}
		})
	}
}
