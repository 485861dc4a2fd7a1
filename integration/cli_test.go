package integration_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/internal/otlptest"
)

// command builds mellea, with flags of the build, and returns how to call it on a real Ollama, or on what stands before it.
func command(t *testing.T, flags ...string) func(host string, env []string, args ...string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "mellea")
	if out, err := exec.CommandContext(t.Context(), "go", slices.Concat([]string{"build", "-o", binary}, flags, []string{"github.com/mellea-go/mellea/cmd/mellea"})...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return func(host string, env []string, args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), binary, args...)
		cmd.Env = append([]string{"OLLAMA_HOST=" + host}, env...)
		return cmd
	}
}

// output runs a command that must succeed.
func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %v: %s", cmd.Args[1:], err, stderr.String())
	}
	return stdout.String()
}

// sure makes the small model say the same each time, and not much of it.
var sure = []string{"--option", "temperature=0", "--option", "seed=7", "--option", "max-tokens=24"}

// TestCommand runs the command on a real server and a real model.
func TestCommand(t *testing.T) {
	server := components.StartOllama(t)
	mellea := command(t)

	t.Run("models", func(t *testing.T) {
		name, rest, _ := strings.Cut(output(t, mellea(server.URL, nil, "models")), "\t")
		if size, _, _ := strings.Cut(rest, "\t"); name != server.Model || len(size) < 8 {
			t.Errorf("models = %q and %q, want %q and its size", name, rest, server.Model)
		}
	})

	t.Run("run with a schema", func(t *testing.T) {
		person := filepath.Join(t.TempDir(), "person.json")
		if err := os.WriteFile(person, []byte(`{"type":"object","properties":{"name":{"type":"string","maxLength":20},
			"age":{"type":"integer","minimum":0,"maximum":120}},"required":["name","age"],"additionalProperties":false}`), 0o600); err != nil {
			t.Fatal(err)
		}
		out := output(t, mellea(server.URL, nil, "run", "Alice is 31 years old. Give her name and age as JSON.", "--schema", person,
			"--output", "json", "--option", "temperature=0", "--option", "max-tokens=100"))
		var got struct {
			Value struct {
				Name *string
				Age  *int
			}
		}
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Value.Name == nil || got.Value.Age == nil {
			t.Errorf("output %q, %v, want a value with name and age", out, err)
		}
	})

	t.Run("chat in a pipe", func(t *testing.T) {
		saved := filepath.Join(t.TempDir(), "talk.json")
		cmd := mellea(server.URL, nil, append([]string{"chat"}, sure...)...)
		cmd.Stdin = strings.NewReader(capital + "\nAnd of France?\n/save " + saved + "\n")
		out := output(t, cmd)
		text, err := os.ReadFile(saved)
		if err != nil {
			t.Fatal(err)
		}
		var talk struct {
			Messages []struct{ Role, Content string }
		}
		if err := json.Unmarshal(text, &talk); err != nil || len(talk.Messages) != 4 {
			t.Fatalf("saved %s, %v, want two turns", text, err)
		}
		want := strings.TrimSuffix(talk.Messages[1].Content, "\n") + "\n" + strings.TrimSuffix(talk.Messages[3].Content, "\n") + "\n"
		if out != want || talk.Messages[1].Content == "" {
			t.Errorf("stdout = %q, want the replies %q", out, want)
		}
		if raw := rawOllama(t, server, capital); talk.Messages[1].Content != raw.Message.Content {
			t.Errorf("the first reply is %q, the server says %q", talk.Messages[1].Content, raw.Message.Content)
		}
	})

	t.Run("batch killed and resumed", func(t *testing.T) { testKilledBatch(t, server, mellea) })
}

// A toll is a proxy before Ollama that counts how often each prompt is asked, and kills when so many replies have passed.
type toll struct {
	url string

	mu    sync.Mutex
	asked map[string]int
	left  int
	kill  func()
}

func newToll(t *testing.T, target string) *toll {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &toll{asked: map[string]int{}}
	server := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) }, // the client was killed
		Transport:    p,
	})
	t.Cleanup(server.Close)
	p.url = server.URL
	return p
}

// RoundTrip notes the prompt of a chat.
func (p *toll) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/api/chat" {
		return http.DefaultTransport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	var q struct{ Messages []struct{ Content string } }
	if err := json.Unmarshal(body, &q); err != nil {
		return nil, err
	}
	p.mu.Lock()
	p.asked[q.Messages[len(q.Messages)-1].Content]++
	p.mu.Unlock()
	resp, err := http.DefaultTransport.RoundTrip(r)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left--; p.left == 0 {
		p.kill()
	}
	return resp, err
}

// testKilledBatch kills a batch in the middle by SIGKILL. The run that resumes it asks for nothing that has a result,
// and every line is a trace of its own that links to the command.
func testKilledBatch(t *testing.T, server *components.Ollama, mellea func(string, []string, ...string) *exec.Cmd) {
	const n = 12
	gate, collector := newToll(t, server.URL), otlptest.Start(t)
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in.jsonl"), filepath.Join(dir, "out.jsonl")
	prompt := func(line int) string { return fmt.Sprintf("Say the number %d.", line) }
	var lines strings.Builder
	for i := range n {
		fmt.Fprintf(&lines, "{\"id\":%d,\"prompt\":%q}\n", i+1, prompt(i+1))
	}
	if err := os.WriteFile(in, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	args := append([]string{"batch", in, "--out", out, "--concurrency", "2"}, sure...)
	env := []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP}

	killed := mellea(gate.url, nil, args...)
	gate.left, gate.kill = n/2, func() { _ = killed.Process.Kill() }
	var exit *exec.ExitError
	if err := killed.Run(); !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Fatalf("the first run ended with %v, want a kill", err)
	}
	before := results(t, out)
	gate.mu.Lock()
	first := gate.asked
	gate.asked = map[string]int{}
	gate.mu.Unlock()
	if len(before) == 0 || len(before) >= n {
		t.Fatalf("%d results after the kill, want some", len(before))
	}

	output(t, mellea(gate.url, env, args...))
	after := results(t, out)
	gate.mu.Lock()
	defer gate.mu.Unlock()
	for line := 1; line <= n; line++ {
		r, had := before[line]
		if now := after[line]; now.Text == "" || now.ID != line || had && now != r {
			t.Errorf("line %d: %+v, before %+v", line, now, r)
		}
		want := 1
		if had {
			want = 0
		}
		if got := gate.asked[prompt(line)]; got != want || first[prompt(line)] > 1 {
			t.Errorf("line %d was asked %d and %d times, want %d in the second run", line, first[prompt(line)], got, want)
		}
	}

	done := n - len(before)
	spans := collector.Spans(t, 1+2*done)
	var root otlptest.Span
	for _, s := range spans {
		if s.Name == "mellea batch" {
			root = s
		}
	}
	traces := map[string]bool{}
	for _, s := range spans {
		if s.Name != "action" {
			continue
		}
		traces[s.TraceID] = true
		if s.Parent != "" || len(s.Links) != 1 || s.Links[0].SpanID != root.SpanID || s.Links[0].TraceID != root.TraceID {
			t.Errorf("action: parent %q, links %v, want a root that links to the command %s", s.Parent, s.Links, root.SpanID)
		}
	}
	for line, r := range after {
		if _, had := before[line]; !had && !traces[r.TraceID] {
			t.Errorf("line %d says its trace is %q: there is none", line, r.TraceID)
		}
	}
	if len(traces) != done || traces[root.TraceID] {
		t.Errorf("%d traces of lines, want %d, none of them the command's", len(traces), done)
	}
}

type batchResult struct {
	ID      int
	Text    string
	TraceID string `json:"trace_id"`
}

// results returns the whole results in a file, by line. The last may be cut off.
func results(t *testing.T, path string) map[int]batchResult {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := map[int]batchResult{}
	for line := range strings.SplitSeq(string(text), "\n") {
		var r struct {
			batchResult
			Line int
		}
		if json.Unmarshal([]byte(line), &r) != nil {
			continue
		}
		if _, twice := all[r.Line]; twice {
			t.Errorf("line %d is there twice", r.Line)
		}
		all[r.Line] = r.batchResult
	}
	return all
}
