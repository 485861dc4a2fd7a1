package cli_test

import (
	"encoding/json"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// costs is what mellea cost --format json prints, as far as tests read it.
type costs struct {
	By   string
	Rows []struct {
		Key   string
		Calls int
		USD   float64
	}
	Total struct {
		Calls  int
		Input  int `json:"input_tokens"`
		Output int `json:"output_tokens"`
		USD    float64
	}
	Unpriced []struct {
		Model string
		Calls int
	}
}

func costOf(t *testing.T, p process, args ...string) costs {
	t.Helper()
	got := p.run(t, append([]string{"cost", "--format", "json"}, args...)...)
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	var c costs
	if err := json.Unmarshal([]byte(got.stdout), &c); err != nil {
		t.Fatalf("%v\n%s", err, got.stdout)
	}
	return c
}

// measured returns the sum of the metric of cost that arrived, and its calls.
func measured(s *otlptest.Server) (usd float64, calls uint64) {
	for _, series := range s.Series() {
		switch series.Name {
		case "mellea.llm.cost.usd":
			usd += series.Value
		case "gen_ai.client.inference.duration":
			calls += series.Count
		}
	}
	return usd, calls
}

// What the demonstration and a run cost by their traces is what the metric says.
func TestCostIsThatOfTheMetric(t *testing.T) {
	t.Parallel()
	table := file(t, "prices.json", `{"prices": [
		{"model": "ollama/smollm2:135m-instruct", "input": 1.5, "output": 7},
		{"model": "ollama/m", "input": 3, "output": 11}
	]}`)
	f := newFake(t, "too long a reply this is", "a judge says nothing", "short")
	for name, args := range map[string][]string{
		"demo": {"demo", "--speed", "0"},
		"run":  {"run", "Say {{x}}", "--var", "x=hi", "--model", "m", "--check", "max-words:2", "--budget", "3", "--strategy", "repair"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			trace := filepath.Join(t.TempDir(), "trace.jsonl")
			env := append(f.env(), "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP, "MELLEA_PRICING_FILE="+table)
			if got := (process{env: env}).run(t, append(args, "--trace-file", trace)...); got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.stderr)
			}
			usd, calls := measured(server)
			for _, by := range []string{"model", "operation", "trace", "session", "day"} {
				got := costOf(t, process{}, "--by", by, "--prices", table, trace)
				if math.Abs(got.Total.USD-usd) > 1e-12 || usd == 0 || got.Total.Calls != int(calls) || got.By != by {
					t.Errorf("by %s the trace cost %v in %d calls, the metric says %v in %d", by, got.Total.USD, got.Total.Calls, usd, calls)
				}
			}
			if got := costOf(t, process{env: []string{"MELLEA_PRICING_FILE=" + table}}, "--by", "session", trace); len(got.Rows) != 1 || len(got.Rows[0].Key) < 20 {
				t.Errorf("sessions are %+v", got.Rows)
			}
		})
	}
}

const oneCall = `{"resourceSpans":[{"scopeSpans":[{"scope":{"name":"s"},"spans":[{"traceId":"0123456789abcdef0123456789abcdef","spanId":"0123456789abcdef","startTimeUnixNano":"1764000000000000000","attributes":[` +
	`{"key":"gen_ai.operation.name","value":{"stringValue":"chat"}},{"key":"gen_ai.provider.name","value":{"stringValue":"openai"}},` +
	`{"key":"gen_ai.request.model","value":{"stringValue":"MODEL"}},{"key":"gen_ai.usage.input_tokens","value":{"intValue":"1000"}},{"key":"gen_ai.usage.output_tokens","value":{"intValue":"100"}}]}]}]}]}` + "\n"

func TestCostText(t *testing.T) {
	t.Parallel()
	unknown := strings.NewReplacer("MODEL", `\u001b[31mevil\nmodel\u202e`, "0123456789abcdef\",\"start", "1123456789abcdef\",\"start").Replace(oneCall)
	trace := strings.ReplaceAll(oneCall, "MODEL", "gpt-4o-mini") + unknown
	got := process{stdin: trace}.run(t, "cost", "-")
	want := `MODEL                              CALLS  INPUT  CACHED  WRITTEN  OUTPUT  REASONING         USD
gpt-4o-mini (openai)                   1   1000       0        0     100          0    0.000210
\x1b[31mevil model\u202e (openai)      1   1000       0        0     100          0           ?
total                                  2   2000       0        0     200          0  0.000210+?

No price is known of these models, so that what they cost is not in the sum; --prices can give one:
  \x1b[31mevil model\u202e: 1 call, 1100 tokens
`
	if diff := cmp.Diff(got, result{0, want, ""}, cmp.AllowUnexported(result{})); diff != "" {
		t.Errorf("output (-got +want):\n%s", diff)
	}
	terminal := process{stdin: trace, stdout: true}.run(t, "cost", "-")
	if plain := strings.NewReplacer("\x1b[1m", "", "\x1b[0m", "").Replace(terminal.stdout); plain != want || terminal.stdout == want {
		t.Errorf("on a terminal there is %q", terminal.stdout)
	}
	if got := (process{stdin: trace, stdout: true}).run(t, "cost", "-", "--by", "day", "--format", "json"); !strings.Contains(got.stdout, `"key":"2025-11-24"`) || strings.ContainsAny(got.stdout, "\x1b\u202e") {
		t.Errorf("JSON is %s", got.stdout)
	}
}

func TestCostEnds(t *testing.T) {
	t.Parallel()
	call := strings.ReplaceAll(oneCall, "MODEL", "gpt-4o-mini")
	good := file(t, "good.jsonl", call)
	bad := file(t, "bad.json", "{\n\"prices\": [\n{\"model\": \"m\", \"input\": -1, \"output\": 1}]}")
	tests := map[string]struct {
		stdin  string
		args   []string
		code   int
		stderr string // is part of it
	}{
		"no file":           {args: nil, code: 2, stderr: "cost needs a trace file"},
		"not there":         {args: []string{"missing.jsonl"}, code: 3, stderr: "missing.jsonl"},
		"a folder":          {args: []string{filepath.Dir(good)}, code: 3, stderr: "directory"},
		"wrong by":          {args: []string{good, "--by", "colour"}, code: 2, stderr: "--by colour: it is one of model, operation, trace, session, day"},
		"wrong format":      {args: []string{good, "--format", "xml"}, code: 2, stderr: "--format xml: it is text or json"},
		"no prices":         {args: []string{good, "--prices", "missing.json"}, code: 3, stderr: "missing.json"},
		"wrong prices":      {args: []string{good, "--prices", bad}, code: 2, stderr: `bad.json: prices, line 3: the model "m" has a price that is negative`},
		"a broken line":     {stdin: call + "{\"resourceSpans\":[{\n" + strings.Replace(call, "0123456789abcdef\",\"start", "2123456789abcdef\",\"start", 1), args: []string{"-"}, code: 1, stderr: "warning: standard input: line 2: not JSON: it ends too early\nmellea: a part of the trace could not be read"},
		"many broken lines": {stdin: strings.Repeat("x\n", 500), args: []string{"-"}, code: 1, stderr: "490 more parts cannot be read\nmellea: 500 parts"},
		"another format":    {stdin: "{\"data\":[]}\n", args: []string{"-"}, code: 1, stderr: "line 1: neither resourceSpans"},
		"nothing":           {stdin: "", args: []string{"-"}, code: 0, stderr: "standard input is empty"},
		"metrics only":      {stdin: `{"resourceMetrics":[{}]}`, args: []string{"-"}, code: 0},
		"several files":     {args: []string{good, good}, code: 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := process{stdin: tt.stdin}.run(t, append([]string{"cost"}, tt.args...)...)
			if got.code != tt.code || !strings.Contains(got.stderr, tt.stderr) || tt.stderr == "" && got.stderr != "" {
				t.Errorf("exit %d, want %d: %s", got.code, tt.code, got.stderr)
			}
			if tt.code == 1 && !strings.Contains(got.stdout, "total") {
				t.Errorf("what could be read is not printed: %s", got.stdout)
			}
		})
	}
}

// The file of a trace that cannot be is an error before anything runs.
func TestTraceFile(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--trace-file", filepath.Join("missing", "t")}, {"--trace-file=" + filepath.Join("missing", "t")}} {
		got := process{}.run(t, append([]string{"demo", "--speed", "0"}, args...)...)
		if got.code != 3 || got.stdout != "" || !strings.Contains(got.stderr, "--trace-file: ") {
			t.Errorf("%q: exit %d, %s%s", args, got.code, got.stdout, got.stderr)
		}
	}
	if got := (process{}).run(t, "version", "--trace-file", "x"); got.code != 2 {
		t.Errorf("version: exit %d, want 2", got.code)
	}
}
