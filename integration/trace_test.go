package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/integration/components"
)

// TestTrace runs `mellea run` with two requirements on a real model, exports its trace to a real Jaeger by both
// protocols, and holds what Jaeger has against what the server itself counted.
func TestTrace(t *testing.T) {
	ollama := components.StartOllama(t)
	jaeger := components.StartJaeger(t)
	binary := filepath.Join(t.TempDir(), "mellea")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "github.com/mellea-go/mellea/cmd/mellea").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for protocol, endpoint := range map[string]string{"http/protobuf": jaeger.OTLPHTTP, "grpc": "http://" + jaeger.OTLPGRPC} {
		t.Run(protocol, func(t *testing.T) {
			proxy := newProxy(t, ollama.URL)
			cmd := exec.CommandContext(t.Context(), binary, "run", "Explain in one sentence why the sky is blue.",
				"--require", "be easy to understand", "--check", "max-words:25", "--output", "json",
				"--option", "temperature=0", "--option", "seed=3", "--option", "max-tokens=40", "--budget", "2")
			cmd.Env = []string{"OLLAMA_HOST=" + proxy.url, "MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
				"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol}
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			// What a small model makes of the requirements is its own affair.
			var exit *exec.ExitError
			if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
				t.Fatalf("mellea run: %v: %s", err, stderr.String())
			}
			var run runOutput
			if err := json.Unmarshal(out, &run); err != nil {
				t.Fatalf("stdout %q: %v", out, err)
			}
			spans := jaegerTrace(t, jaeger.QueryURL, run.TraceID)
			checkTree(t, spans, len(run.Attempts))
			checkAttributes(t, spans, run, ollama.Model, proxy.port)
			checkTokens(t, spans, run, proxy.exchanges())
			for _, s := range spans {
				for key, value := range s.tags {
					if text, ok := value.(string); ok && (strings.Contains(text, "sky") || strings.Contains(text, "easy")) {
						t.Errorf("%s: %s = %q is content", s.name, key, text)
					}
				}
			}
		})
	}
}

// runOutput is what --output json says.
type runOutput struct {
	Success  bool
	Attempts []struct {
		Passed bool
		Usage  tokens
	}
	Usage   tokens
	Model   string
	TraceID string `json:"trace_id"`
}

type tokens struct {
	Input  int `json:"input_tokens"`
	Output int `json:"output_tokens"`
}

// exchange is one chat as the server saw it.
type exchange struct {
	traceparent string
	counted     tokens
}

// proxy passes requests on to Ollama and notes what it counts.
type proxy struct {
	url, port string

	mu   sync.Mutex
	seen []exchange
}

func newProxy(t *testing.T, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(to) },
		ModifyResponse: func(resp *http.Response) error {
			if resp.Request.URL.Path != "/api/chat" {
				return nil
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				return err
			}
			resp.Body = io.NopCloser(bytes.NewReader(body))
			lines := bytes.Split(bytes.TrimSpace(body), []byte("\n"))
			var raw rawReply
			if err := json.Unmarshal(lines[len(lines)-1], &raw); err != nil {
				return err
			}
			p.mu.Lock()
			defer p.mu.Unlock()
			p.seen = append(p.seen, exchange{resp.Request.Header.Get("Traceparent"), tokens{raw.PromptEvalCount, raw.EvalCount}})
			return nil
		},
	}
	server := httptest.NewServer(pass)
	t.Cleanup(server.Close)
	p.url = server.URL
	_, p.port, _ = strings.Cut(strings.TrimPrefix(server.URL, "http://"), ":")
	return p
}

func (p *proxy) exchanges() []exchange {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.seen)
}

// jaegerSpan is a span as Jaeger has it.
type jaegerSpan struct {
	id, parent, name string
	start            int64 // microseconds
	tags             map[string]any
	service          string
}

// jaegerTrace reads a trace back, waiting until its root is there.
func jaegerTrace(t *testing.T, query, id string) []jaegerSpan {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		spans, err := readTrace(ctx, query, id)
		if err != nil {
			t.Fatalf("trace %s: %v", id, err)
		}
		if len(spans) > 0 && spans[0].parent == "" {
			return spans
		}
		select {
		case <-ctx.Done():
			t.Fatalf("Jaeger has %d spans of trace %s and no root", len(spans), id)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// readTrace returns the spans Jaeger has of a trace, in the order they started.
func readTrace(ctx context.Context, query, id string) ([]jaegerSpan, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, query+"/api/traces/"+id, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	var answer struct {
		Data []struct {
			Spans []struct {
				SpanID        string
				OperationName string
				StartTime     int64
				ProcessID     string
				References    []struct{ RefType, SpanID string }
				Tags          []struct {
					Key   string
					Value any
				}
			}
			Processes map[string]struct{ ServiceName string }
		}
	}
	d := json.NewDecoder(resp.Body)
	d.UseNumber()
	if err := d.Decode(&answer); err != nil {
		return nil, fmt.Errorf("%s: %w", resp.Status, err)
	}
	var spans []jaegerSpan
	for _, trace := range answer.Data {
		for _, s := range trace.Spans {
			span := jaegerSpan{id: s.SpanID, name: s.OperationName, start: s.StartTime, tags: map[string]any{}, service: trace.Processes[s.ProcessID].ServiceName}
			for _, r := range s.References {
				if r.RefType == "CHILD_OF" {
					span.parent = r.SpanID
				}
			}
			for _, tag := range s.Tags {
				span.tags[tag.Key] = tag.Value
			}
			spans = append(spans, span)
		}
	}
	slices.SortStableFunc(spans, func(a, b jaegerSpan) int {
		if a.start != b.start {
			return int(a.start - b.start)
		}
		return depth(spans, a) - depth(spans, b)
	})
	return spans, nil
}

// depth counts the spans above one.
func depth(spans []jaegerSpan, s jaegerSpan) int {
	for _, p := range spans {
		if p.id == s.parent {
			return 1 + depth(spans, p)
		}
	}
	return 0
}

// checkTree compares the shape of a trace with that of a run with two requirements.
func checkTree(t *testing.T, spans []jaegerSpan, attempts int) {
	t.Helper()
	want := "mellea run(start_session session(action(sampling(" +
		strings.TrimSuffix(strings.Repeat("chat validation(requirement requirement(chat)) ", attempts), " ") + "))))"
	var draw func(s jaegerSpan) string
	draw = func(s jaegerSpan) string {
		name := s.name
		if strings.HasPrefix(name, "chat ") {
			name = "chat"
		}
		var below []string
		for _, c := range spans {
			if c.parent == s.id {
				below = append(below, draw(c))
			}
		}
		if s.name == "validation" {
			slices.Sort(below) // the check by code may run beside the judge
		}
		if len(below) == 0 {
			return name
		}
		return name + "(" + strings.Join(below, " ") + ")"
	}
	if diff := cmp.Diff(want, draw(spans[0])); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

// checkAttributes looks for what each kind of span must say.
func checkAttributes(t *testing.T, spans []jaegerSpan, run runOutput, model, port string) {
	t.Helper()
	code := 1
	if run.Success {
		code = 0
	}
	attempts := strconv.Itoa(len(run.Attempts))
	want := map[string]map[string]string{
		"mellea run":    {"mellea.cli.command": "run", "process.exit.code": strconv.Itoa(code), "span.kind": "internal", "otel.scope.name": "mellea.application"},
		"start_session": {"mellea.session.id": "", "mellea.session.backend_name": "ollama", "gen_ai.request.model": model, "gen_ai.provider.name": "ollama", "mellea.session.context_type": "simple"},
		"session":       {"mellea.session.id": "", "mellea.session.context_type": "simple", "gen_ai.provider.name": "ollama", "mellea.session.interactions": ""},
		"action":        {"mellea.component.type": "instruction", "mellea.action.has_requirements": "true", "mellea.sampling.strategy_type": "repair", "mellea.sampling.success": strconv.FormatBool(run.Success)},
		"sampling": {"mellea.sampling.strategy_type": "repair", "mellea.sampling.loop_budget": "2", "mellea.sampling.requirement_count": "2",
			"mellea.sampling.iterations_used": attempts, "mellea.sampling.success": strconv.FormatBool(run.Success)},
		"validation": {"mellea.validation.requirement_count": "2", "mellea.validation.passed": "", "mellea.validation.passed_count": "",
			"mellea.validation.failed_count": "", "mellea.sampling.iteration": ""},
		"requirement": {"mellea.requirement.type": "", "mellea.requirement.name": "", "mellea.requirement.passed": ""},
		"chat " + model: {"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ollama", "gen_ai.request.model": model, "gen_ai.response.model": model,
			"gen_ai.response.finish_reasons": "", "gen_ai.usage.input_tokens": "", "gen_ai.usage.output_tokens": "",
			"server.address": "127.0.0.1", "server.port": port, "span.kind": "client", "otel.scope.name": "mellea.backend"},
	}
	for _, s := range spans {
		for key, value := range want[s.name] {
			got, ok := s.tags[key]
			if !ok || value != "" && fmt.Sprint(got) != value {
				t.Errorf("%s: %s = %v (set: %v), want %q", s.name, key, got, ok, value)
			}
		}
		if s.service != "mellea" {
			t.Errorf("%s: service = %q, want mellea", s.name, s.service)
		}
	}
}

// checkTokens holds the token counts of the spans and of the output against those of the server.
func checkTokens(t *testing.T, spans []jaegerSpan, run runOutput, exchanges []exchange) {
	t.Helper()
	var generated []tokens
	chats := 0
	for _, s := range spans {
		if !strings.HasPrefix(s.name, "chat ") {
			continue
		}
		if chats++; chats > len(exchanges) {
			break
		}
		got := tokens{number(t, s, "gen_ai.usage.input_tokens"), number(t, s, "gen_ai.usage.output_tokens")}
		x := exchanges[chats-1] // one after the other, so in the order of the spans
		if got != x.counted || got.Input == 0 || got.Output == 0 {
			t.Errorf("chat %d: tokens = %+v, the server counted %+v", chats, got, x.counted)
		}
		if !strings.Contains(x.traceparent, run.TraceID+"-"+s.id) {
			t.Errorf("chat %d: traceparent = %q, want trace %s and span %s", chats, x.traceparent, run.TraceID, s.id)
		}
		if s.tags["mellea.component.type"] == "instruction" {
			generated = append(generated, got)
		}
	}
	if chats != len(exchanges) {
		t.Errorf("the trace has %d chats, the server had %d", chats, len(exchanges))
	}
	var total tokens
	var attempts []tokens
	for _, a := range run.Attempts {
		attempts = append(attempts, a.Usage)
		total.Input += a.Usage.Input
		total.Output += a.Usage.Output
	}
	if diff := cmp.Diff(generated, attempts); diff != "" {
		t.Errorf("tokens of the attempts (-trace +output):\n%s", diff)
	}
	if run.Usage != total {
		t.Errorf("usage = %+v, want the sum %+v", run.Usage, total)
	}
}

func number(t *testing.T, s jaegerSpan, key string) int {
	t.Helper()
	n, err := strconv.Atoi(fmt.Sprint(s.tags[key]))
	if err != nil {
		t.Errorf("%s: %s = %v, want a number", s.name, key, s.tags[key])
	}
	return n
}
