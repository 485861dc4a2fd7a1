package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// shelved are the models that can be installed, with whether it takes --insecure.
var shelved = map[string]bool{"tiny": false, "registry.lan:5000/team/tiny": true}

// newShelf starts a server that lists models as Ollama and OpenAI do, and installs some.
func newShelf(t *testing.T) *httptest.Server {
	t.Helper()
	return newShelfOf(t, `{"models":[{"name":"tiny:latest","size":270898672,"modified_at":"2026-01-02T03:04:05+01:00","details":{"family":"llama"}},
		{"name":"odd\u001b[2J\tname","details":{"family":"llama"}}]}`)
}

// newShelfOf starts one that has the models of the document tags.
func newShelfOf(t *testing.T, tags string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"version":"0.0.1"}`) })
	mux.HandleFunc("GET /api/tags", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, tags)
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"object":"list","data":[{"id":"gpt","object":"model","created":1700000000,"owned_by":"someone"}]}`)
	})
	mux.HandleFunc("POST /api/pull", func(w http.ResponseWriter, r *http.Request) {
		var q struct {
			Model    string
			Insecure bool
		}
		_ = json.NewDecoder(r.Body).Decode(&q)
		if insecure, known := shelved[q.Model]; !known || insecure != q.Insecure {
			fmt.Fprintln(w, `{"error":"pull model manifest: file does not exist"}`)
			return
		}
		for _, line := range []string{`{"status":"pulling manifest"}`, `{"status":"pulling 1","digest":"sha256:1","total":1000,"completed":500}`,
			`{"status":"pulling 1","digest":"sha256:1","total":1000,"completed":1000}`, `{"status":"success"}`} {
			fmt.Fprintln(w, line)
		}
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestModels(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	ollama := []string{"OLLAMA_HOST=" + s.URL}
	if got, want := (process{env: ollama}).run(t, "models"), "tiny:latest\t270898672\t2026-01-02T02:04:05Z\t\nodd\\x1b[2J name\t\t\t\n"; got.code != 0 || got.stdout != want || got.stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q, want 0, %q", got.code, got.stdout, got.stderr, want)
	}
	lines := slices.Collect(strings.Lines(process{env: ollama, stdout: true}.run(t, "models").stdout))
	var words [][]string
	for _, l := range lines {
		words = append(words, strings.Fields(l))
	}
	if diff := cmp.Diff([][]string{{"NAME", "SIZE", "MODIFIED", "OWNER"}, {"tiny:latest", "270.9", "MB", "2026-01-02"}, {`odd\x1b[2J`, "name"}}, words); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if got, want := (process{env: ollama}).run(t, "models", "--output", "json"), `[{"name":"tiny:latest","size":270898672,"modified":"2026-01-02T02:04:05Z"},{"name":"odd\u001b[2J\tname"}]`+"\n"; got.stdout != want {
		t.Errorf("json = %q, want %q", got.stdout, want)
	}
	// Of a server of which no model need be named.
	got := process{env: append([]string{"OPENAI_API_KEY=sk-secret"}, nowhere...)}.run(t, "models", "--backend", "openai", "--base-url", s.URL+"/v1")
	if want := "gpt\t\t2023-11-14T22:13:20Z\tsomeone\n"; got.code != 0 || got.stdout != want {
		t.Errorf("exit %d, stdout %q, stderr %q, want 0, %q", got.code, got.stdout, got.stderr, want)
	}
}

func TestModelsErrors(t *testing.T) {
	t.Parallel()
	recording := file(t, "r.jsonl", "")
	f := newFake(t)
	if got := (process{env: f.env()}).run(t, "run", "hi", "--record", recording+"2"); got.code != 0 {
		t.Fatal(got.stderr)
	}
	for name, c := range map[string]struct {
		args, env []string
		code      int
		text      string
	}{
		"nobody there":    {env: nowhere, code: 2, text: "no model server"},
		"no such backend": {args: []string{"--backend", "x"}, code: 2, text: "there is no backend"},
		"an argument":     {args: []string{"x"}, code: 2, text: "takes no argument"},
		"an output":       {args: []string{"--output", "xml"}, code: 2, text: "--output xml"},
		"no list there":   {env: []string{"OLLAMA_HOST=" + f.URL, "OPENAI_API_KEY=sk-secret", "OPENAI_BASE_URL=" + f.URL + "/v1"}, args: []string{"--backend", "openai"}, code: 3, text: "404"},
		"pull of nothing": {args: []string{"pull"}, code: 2, text: "pull needs the name of one model"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := process{env: c.env}.run(t, append([]string{"models"}, c.args...)...)
			if got.code != c.code || !strings.Contains(got.stderr, c.text) || strings.Contains(got.stderr, "sk-secret") {
				t.Errorf("exit %d, stderr %q, want %d, %q", got.code, got.stderr, c.code, c.text)
			}
		})
	}
}

func TestModelsPull(t *testing.T) {
	t.Parallel()
	s := newShelf(t)
	collector := otlptest.Start(t)
	got := process{env: append(tracing(collector), "OLLAMA_HOST="+s.URL)}.run(t, "models", "pull", "tiny")
	if got.code != 0 || got.stdout != "" {
		t.Errorf("exit %d, stdout %q: %s", got.code, got.stdout, got.stderr)
	}
	wantLines(t, "stderr", got.stderr, "mellea: pulling manifest", "mellea: pulling 1", "mellea: success", "mellea: tiny is installed")
	root := collector.Spans(t, 1)[0]
	if diff := cmp.Diff(map[string]any{"mellea.cli.command": "models", "mellea.cli.subcommand": "pull", "process.exit.code": int64(0)}, root.Attributes); diff != "" || root.Name != "mellea models" {
		t.Errorf("%s (-want +got):\n%s", root.Name, diff)
	}
	got = process{stderr: true}.run(t, "models", "pull", "tiny", "--base-url", s.URL)
	if got.code != 0 || !strings.Contains(got.stderr, "500 B of 1.0 kB") || !strings.HasSuffix(got.stderr, "\r\x1b[Kmellea: tiny is installed\n") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
	own := []string{"models", "pull", "registry.lan:5000/team/tiny", "--base-url", s.URL}
	if got := (process{}).run(t, own...); got.code != 3 {
		t.Errorf("exit %d, want 3: nothing allowed to do without TLS", got.code)
	}
	if got := (process{}).run(t, append(own, "--insecure")...); got.code != 0 {
		t.Errorf("with --insecure exit %d: %s", got.code, got.stderr)
	}
	got = process{}.run(t, "models", "pull", "huge", "--base-url", s.URL)
	if got.code != 3 || !strings.Contains(got.stderr, "no such model") {
		t.Errorf("exit %d, stderr %q", got.code, got.stderr)
	}
}
