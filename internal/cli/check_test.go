package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/internal/cli"
	"github.com/mellea-go/mellea/internal/otlpfile"
)

const checked = "../../telemetry/semconv/check/testdata/"

func TestCheckFiles(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		args   []string
		stdin  string
		code   int
		stdout []string // what is in it
		absent string   // what is not
		stderr string
	}{
		"clean": {args: []string{checked + "right/mcp.json"}, code: 0, stdout: []string{
			"improvement not_stable: 12 names may still change", "0 violations, 12 improvements in 7 spans, 4 metrics, 0 log records; conventions of 2026-10-09\n"}},
		"several files":  {args: []string{checked + "right/mcp.json", checked + "right/python.jsonl"}, code: 0, stdout: []string{"in 9 spans, 9 metrics, 2 log records"}},
		"standard input": {args: []string{"-"}, stdin: textOf(t, checked+"right/python.jsonl"), code: 0, stdout: []string{"0 violations"}},
		"violations": {args: []string{checked + "legacy/openllmetry.json"}, code: 1, stdout: []string{
			`violation deprecated: span "openai.chat", gen_ai.system: the conventions have given it up: use gen_ai.provider.name (span `,
			"12 violations,"}, stderr: "mellea: 12 violations of the conventions\n"},
		"violations only":  {args: []string{"--level", "violation", checked + "legacy/openllmetry.json"}, code: 1, absent: "improvement", stdout: []string{"12 violations in 2 spans"}},
		"information":      {args: []string{"--level", "information", checked + "right/mcp.json"}, code: 0, stdout: []string{"information ", " of information in"}},
		"ignored rules":    {args: []string{"--ignore", "deprecated", "--ignore", "missing_attribute=gen_ai.openai.api_base", checked + "legacy/openllmetry.json"}, code: 1, stdout: []string{"1 violation,"}, absent: "gen_ai.system", stderr: "mellea: 1 violation of the conventions\n"},
		"all ignored":      {args: []string{"--ignore", "deprecated", checked + "legacy/dotnet-metrics.json"}, code: 0, stdout: []string{"0 violations"}},
		"nothing":          {args: []string{"-"}, code: 3, stderr: "nothing to check"},
		"no such file":     {args: []string{checked + "none.json"}, code: 3, stderr: "no such file"},
		"broken at a line": {args: []string{"-"}, stdin: "{\"resourceSpans\":[]}\n{\"resourceSp", code: 3, stderr: "mellea: warning: standard input: line 2: not JSON: it ends too early\n"},
		"partly broken": {args: []string{"-"}, stdin: textOf(t, checked+"right/python.jsonl") + "{]\n", code: 3,
			stdout: []string{"0 violations"}, stderr: "line 4: "},
		"no OTLP":           {args: []string{"-"}, stdin: `{"hello":"world"}`, code: 3, stderr: "line 1: "},
		"no input":          {code: 2, stderr: "name a file"},
		"file and listen":   {args: []string{"--listen", ":0", "x"}, code: 2, stderr: "leave one of them out"},
		"no address":        {args: []string{"--listen", "4318"}, code: 2, stderr: "host:port"},
		"for without":       {args: []string{"--for", "1s", "x"}, code: 2, stderr: "for --listen"},
		"negative":          {args: []string{"--listen", ":0", "--idle", "-1s"}, code: 2, stderr: "times to wait"},
		"unknown format":    {args: []string{"--format", "yaml", "x"}, code: 2, stderr: "text, json or junit"},
		"unknown level":     {args: []string{"--level", "error", "x"}, code: 2, stderr: "violation, improvement or information"},
		"unknown rule":      {args: []string{"--ignore", "unit_mismatsh", "x"}, code: 2, stderr: "did you mean unit_mismatch?"},
		"unknown directory": {args: []string{t.TempDir()}, code: 3, stderr: "is a directory"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := process{stdin: tt.stdin}.run(t, append([]string{"check"}, tt.args...)...)
			if got.code != tt.code {
				t.Errorf("exit %d, want %d", got.code, tt.code)
			}
			for _, part := range tt.stdout {
				if !strings.Contains(got.stdout, part) {
					t.Errorf("stdout has no %q:\n%s", part, got.stdout)
				}
			}
			if tt.absent != "" && strings.Contains(got.stdout, tt.absent) {
				t.Errorf("stdout has %q:\n%s", tt.absent, got.stdout)
			}
			if !strings.Contains(got.stderr, tt.stderr) || tt.stderr == "" && got.stderr != "" && tt.code == 0 {
				t.Errorf("stderr = %q, want %q", got.stderr, tt.stderr)
			}
			if strings.Contains(got.stdout, "\x1b") {
				t.Errorf("stdout has colours in a pipe:\n%q", got.stdout)
			}
		})
	}
}

func textOf(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestCheckJSON(t *testing.T) {
	t.Parallel()
	got := process{}.run(t, "check", "--format", "json", checked+"legacy/python-1.36.jsonl")
	var doc struct {
		Findings []struct {
			ID, Level, Attribute, Message string
			Signal                        string `json:"signal_type"`
			Name                          string `json:"signal_name"`
			Scope                         string
			TraceID                       string `json:"trace_id"`
			Count                         int
		}
		Counts     map[string]int
		Checked    map[string]int
		Convention struct {
			SchemaURL string `json:"schema_url"`
		}
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatalf("%v:\n%s", err, got.stdout)
	}
	f := doc.Findings[0]
	if got.code != 1 || f.ID != "deprecated" || f.Level != "violation" || f.Signal != "span" || f.Name != "chat gpt-4o-mini" || f.Attribute != "gen_ai.system" ||
		f.Scope != "opentelemetry.instrumentation.openai_v2" || f.TraceID == "" || f.Count != 1 {
		t.Errorf("exit %d, first finding %+v", got.code, f)
	}
	if doc.Counts["violation"] != 8 || doc.Checked["spans"] != 1 || doc.Checked["log_records"] != 2 || !strings.Contains(doc.Convention.SchemaURL, "gen-ai") {
		t.Errorf("document %+v", doc)
	}
	clean := process{}.run(t, "check", "--format", "json", "--level", "violation", checked+"right/mcp.json")
	if clean.code != 0 || !strings.HasPrefix(clean.stdout, `{"findings":[],"counts":{"violation":0}`) {
		t.Errorf("exit %d, %s, want an empty list", clean.code, clean.stdout)
	}
}

type junit struct {
	Tests    int `xml:"tests,attr"`
	Failures int `xml:"failures,attr"`
	Suites   []struct {
		Name  string `xml:"name,attr"`
		Cases []struct {
			Class   string `xml:"classname,attr"`
			Name    string `xml:"name,attr"`
			Failure *struct {
				Type string `xml:"type,attr"`
			} `xml:"failure"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestCheckJUnit(t *testing.T) {
	t.Parallel()
	for path, failures := range map[string]int{"right/agents.json": 0, "legacy/python-1.36.jsonl": 8} {
		got := process{}.run(t, "check", "--format", "junit", checked+path)
		var doc junit
		if err := xml.Unmarshal([]byte(got.stdout), &doc); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		cases, failed := 0, 0
		for _, s := range doc.Suites {
			for _, c := range s.Cases {
				cases++
				if c.Failure != nil {
					failed++
				}
			}
		}
		if doc.Failures != failures || failed != failures || doc.Tests != cases || len(doc.Suites) != 4 {
			t.Errorf("%s: %d of %d fail, counted %d of %d; want %d", path, doc.Failures, doc.Tests, failed, cases, failures)
		}
	}
}

// What arrives may try to act on a terminal, break a document, or be without end.
func TestCheckHostile(t *testing.T) {
	t.Parallel()
	name := "\\u001b]0;owned\\u0007<b>&\\\"'\\u202e\\u0000" + strings.Repeat("long", 10000)
	doc := `{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"` + name + `"},"spans":[{"name":"` + name + `","attributes":[{"key":"gen_ai.` + name + `","value":{"stringValue":"x"}},{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}}]}]}]}]}`
	for _, format := range []string{"text", "json", "junit"} {
		got := process{stdin: doc, stdout: true}.run(t, "check", "--format", format, "-")
		plain := regexp.MustCompile(`\x1b\[[0-9;]*m`).ReplaceAllString(got.stdout, "") // the command's own colours
		if got.code != 1 || strings.ContainsAny(plain, "\x00\x07\x1b\u202e") {
			t.Errorf("%s: exit %d, printed what acts on a terminal: %q", format, got.code, got.stdout)
		}
		if len(got.stdout) > 30000 {
			t.Errorf("%s: %d bytes are printed, want names cut", format, len(got.stdout))
		}
		switch format {
		case "json":
			if !json.Valid([]byte(got.stdout)) {
				t.Errorf("no JSON: %s", got.stdout)
			}
		case "junit":
			if err := xml.Unmarshal([]byte(got.stdout), &junit{}); err != nil {
				t.Errorf("no XML: %v", err)
			}
		case "text":
			if !strings.Contains(got.stdout, "\x1b[31mviolation\x1b[0m") {
				t.Errorf("no colour on a terminal: %q", got.stdout)
			}
			if bare := (process{stdin: doc, stdout: true, env: []string{"NO_COLOR=1"}}).run(t, "check", "-"); strings.Contains(bare.stdout, "\x1b") {
				t.Error("colours in spite of NO_COLOR")
			}
		}
	}
}

func TestCheckReadError(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	code := cli.Run(t.Context(), cli.System{Stdin: iotest.ErrReader(io.ErrClosedPipe), Stdout: cli.Output{Writer: &out}, Stderr: cli.Output{Writer: &out}}, "check", "-")
	if code != 3 || !strings.Contains(out.String(), "standard input: ") {
		t.Errorf("exit %d: %s", code, out.String())
	}
}

// A listening is a check that receives.
type listening struct {
	address    string
	interrupts *cli.Interrupts
	done       chan result
}

func startCheck(t *testing.T, ctx context.Context, args ...string) *listening { //nolint:revive // the test first
	t.Helper()
	l := &listening{interrupts: &cli.Interrupts{}, done: make(chan result, 1)}
	r, w := io.Pipe()
	t.Cleanup(func() { _ = r.Close() })
	var stdout bytes.Buffer
	var stderr strings.Builder
	go func() {
		code := cli.Run(ctx, cli.System{Stdout: cli.Output{Writer: &stdout}, Stderr: cli.Output{Writer: w}, Interrupts: l.interrupts}, append([]string{"check", "--listen", "127.0.0.1:0"}, args...)...)
		_ = w.Close()
		l.done <- result{code: code, stdout: stdout.String()}
	}()
	buf := make([]byte, 4096)
	for !strings.Contains(stderr.String(), "\n") {
		n, err := r.Read(buf)
		if err != nil {
			t.Fatalf("it does not listen: %v, %s", err, stderr.String())
		}
		stderr.Write(buf[:n])
	}
	l.address = regexp.MustCompile(`127\.0\.0\.1:\d+`).FindString(stderr.String())
	var rest sync.WaitGroup
	rest.Go(func() { _, _ = io.Copy(io.Discard, r) })
	t.Cleanup(rest.Wait)
	return l
}

// send exports a span that is right but for the provider, by gRPC or HTTP.
func (l *listening) send(t *testing.T, grpc bool) {
	t.Helper()
	var e sdktrace.SpanExporter
	var err error
	if grpc {
		e, err = otlptracegrpc.New(t.Context(), otlptracegrpc.WithEndpoint(l.address), otlptracegrpc.WithInsecure(), otlptracegrpc.WithCompressor("gzip"))
	} else {
		e, err = otlptracehttp.New(t.Context(), otlptracehttp.WithEndpoint(l.address), otlptracehttp.WithInsecure(), otlptracehttp.WithCompression(otlptracehttp.GzipCompression))
	}
	if err != nil {
		t.Fatal(err)
	}
	p := sdktrace.NewTracerProvider(sdktrace.WithSyncer(e))
	_, span := p.Tracer("t").Start(t.Context(), "chat m", trace.WithSpanKind(trace.SpanKindClient),
		trace.WithAttributes(attribute.String("gen_ai.operation.name", "chat"), attribute.String("gen_ai.request.model", "m")))
	span.End()
	if err := p.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCheckListen(t *testing.T) {
	t.Parallel()
	const want = `required_attribute_not_present: span "chat m", gen_ai.provider.name: is required (2 times, first in span `
	t.Run("until an interrupt", func(t *testing.T) {
		t.Parallel()
		l := startCheck(t, t.Context())
		l.send(t, true)
		l.send(t, false)
		if !l.interrupts.Deliver() {
			t.Error("the interrupt ends the command")
		}
		if got := <-l.done; got.code != 1 || !strings.Contains(got.stdout, want) || !strings.Contains(got.stdout, "in 2 spans") {
			t.Errorf("exit %d:\n%s", got.code, got.stdout)
		}
	})
	t.Run("until it is quiet", func(t *testing.T) {
		t.Parallel()
		l := startCheck(t, t.Context(), "--idle", "2s", "--format", "json")
		l.send(t, false)
		if got := <-l.done; got.code != 1 || !strings.Contains(got.stdout, `"checked":{"spans":1,`) {
			t.Errorf("exit %d:\n%s", got.code, got.stdout)
		}
	})
	t.Run("for a time, and nothing arrives", func(t *testing.T) {
		t.Parallel()
		l := startCheck(t, t.Context(), "--for", "1ms", "--idle", "1h")
		if got := <-l.done; got.code != 3 || got.stdout != "" {
			t.Errorf("exit %d, want 3: nothing has arrived\n%s", got.code, got.stdout)
		}
	})
	t.Run("until a signal ends it", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		l := startCheck(t, ctx)
		l.send(t, true)
		cancel(&cli.Interrupted{Signal: 15})
		if got := <-l.done; got.code != 143 || !strings.Contains(got.stdout, "in 1 span,") {
			t.Errorf("exit %d, want 143 and the report\n%s", got.code, got.stdout)
		}
	})
}

// Protobuf of each signal is told from the others, and from JSON.
func TestCheckProtobuf(t *testing.T) {
	t.Parallel()
	signals := map[string]proto.Message{}
	for r, err := range otlpfile.Read(strings.NewReader(textOf(t, checked+"right/python.jsonl"))) {
		switch {
		case err != nil:
			t.Fatal(err)
		case r.Spans != nil:
			signals["2 spans, 0 metrics, 0 log records"] = &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{r.Spans}}
		case r.Metrics != nil:
			signals["0 spans, 5 metrics, 0 log records"] = &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{r.Metrics}}
		default:
			signals["0 spans, 0 metrics, 2 log records"] = &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{r.Logs}}
		}
	}
	if len(signals) != 3 {
		t.Fatalf("%d signals, want 3", len(signals))
	}
	for want, m := range signals {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(t.TempDir(), "otlp.pb")
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := (process{}).run(t, "check", path); got.code != 0 || !strings.Contains(got.stdout, "0 violations") || !strings.Contains(got.stdout, want) {
			t.Errorf("exit %d: %s%s, want %s", got.code, got.stdout, got.stderr, want)
		}
	}
}
