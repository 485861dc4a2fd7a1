package telemetry_test

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

func TestPricingLookup(t *testing.T) {
	t.Parallel()
	p := must[*telemetry.Pricing](t)(telemetry.ParsePricing([]byte(`{"prices": [
		{"model": "m", "input": 1, "output": 1},
		{"model": "azure.ai.openai/m", "input": 2, "output": 2},
		{"model": "org/m", "input": 3, "output": 3},
		{"model": "ollama/m", "input": 4, "output": 4}
	]}`)))
	tests := map[string]struct {
		provider, model string
		want            float64 // 0 is unknown
	}{
		"by name":                     {"openai", "m", 1},
		"by provider and name":        {"azure.ai.openai", "m", 2},
		"with a path":                 {"openai", "org/m", 3},
		"without its first segment":   {"litellm", "other/m", 1},
		"only the first is taken off": {"litellm", "a/b/m", 0},
		"unknown":                     {"openai", "n", 0},
		"no model":                    {"openai", "", 0},
		"a local model costs nothing": {"huggingface", "m", 0},
		"unless it is said so":        {"ollama", "m", 4},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, ok := p.Lookup(tt.provider, tt.model)
			if got.Input != tt.want || ok != (tt.want != 0) {
				t.Errorf("got %v, %v, want %v", got.Input, ok, tt.want)
			}
		})
	}
}

func TestCost(t *testing.T) {
	t.Parallel()
	f := func(v float64) *float64 { return &v }
	full := telemetry.Price{Input: 2, Output: 8, CacheRead: f(0.5), CacheWrite: f(2.5), BatchInput: f(1), BatchOutput: f(4)}
	long := telemetry.Price{Input: 2, Output: 8, CacheRead: f(0.5), BatchInput: f(1), BatchOutput: f(4),
		Long: &telemetry.LongPrice{Above: 2e5, Input: 4, Output: 12, CacheRead: f(1)}}
	tests := map[string]struct {
		price telemetry.Price
		usage content.Usage
		batch bool
		want  float64
	}{
		"plain":                       {full, content.Usage{InputTokens: 1e6, OutputTokens: 1e6}, false, 10},
		"cached":                      {full, content.Usage{InputTokens: 1e6, CacheReadTokens: 4e5}, false, 0.6*2 + 0.4*0.5},
		"written":                     {full, content.Usage{InputTokens: 1e6, CacheWriteTokens: 4e5}, false, 0.6*2 + 0.4*2.5},
		"in a batch":                  {full, content.Usage{InputTokens: 1e6, OutputTokens: 1e6}, true, 5},
		"cached in a batch":           {full, content.Usage{InputTokens: 1e6, CacheReadTokens: 1e6}, true, 0.5},
		"a batch without prices":      {telemetry.Price{Input: 2, Output: 8}, content.Usage{InputTokens: 1e6, OutputTokens: 1e6}, true, 10},
		"a cache without prices":      {telemetry.Price{Input: 2, Output: 8}, content.Usage{InputTokens: 1e6, CacheReadTokens: 1e6}, false, 2},
		"more cached than there were": {full, content.Usage{InputTokens: 1, CacheReadTokens: 1e6}, false, 0.5},
		"nothing":                     {full, content.Usage{}, false, 0},
		"audio": {telemetry.Price{Input: 2, Output: 8, AudioInput: f(30), AudioOutput: f(60)},
			content.Usage{InputTokens: 1e6, OutputTokens: 1e6, Audio: content.Modality{InputTokens: 4e5, OutputTokens: 1e5}}, false, 0.6*2 + 0.4*30 + 0.9*8 + 0.1*60},
		"reasoning":             {telemetry.Price{Input: 2, Output: 8, Reasoning: f(3)}, content.Usage{OutputTokens: 1e6, ReasoningTokens: 4e5}, false, 0.6*8 + 0.4*3},
		"reasoning like others": {full, content.Usage{OutputTokens: 1e6, ReasoningTokens: 4e5}, false, 8},
		"not long":              {long, content.Usage{InputTokens: 2e5, OutputTokens: 1e5}, false, 0.2*2 + 0.1*8},
		"long":                  {long, content.Usage{InputTokens: 2e5 + 1, OutputTokens: 1e5, CacheReadTokens: 1e5}, false, (1e5+1)/1e6*4 + 0.1*1 + 0.1*12},
		"long, and may wait":    {long, content.Usage{InputTokens: 1e6, OutputTokens: 1e6}, true, 2 + 6},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.price.Cost(tt.usage, tt.batch); math.Abs(got-tt.want) > 1e-12 {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestParsePricingPerToken(t *testing.T) {
	t.Parallel()
	p := must[*telemetry.Pricing](t)(telemetry.ParsePricing([]byte(`{
		"sample_spec": {"input_cost_per_token": "a number", "mode": "chat"},
		"gpt-x": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "cache_read_input_token_cost": 1.25e-06,
			"input_cost_per_token_batches": 1.25e-06, "litellm_provider": "openai", "source": "https://example.com/prices"},
		"gemini-x": {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, "input_cost_per_audio_token": 3e-06, "output_cost_per_reasoning_token": 4e-06,
			"input_cost_per_token_above_200k_tokens": 5e-06, "output_cost_per_token_above_200k_tokens": 6e-06, "cache_read_input_token_cost_above_200k_tokens": 7e-06,
			"input_cost_per_token_above_200k_tokens_batches": 1, "input_cost_per_token_above_1hr": 1},
		"an-image-model": {"output_cost_per_image": 0.04}
	}`)))
	got, ok := p.Lookup("openai", "gpt-x")
	if math.Abs(got.Input-2.5) > 1e-9 || math.Abs(got.Output-10) > 1e-9 || got.CacheRead == nil || math.Abs(*got.CacheRead-1.25) > 1e-9 ||
		got.BatchInput == nil || got.BatchOutput != nil || got.Long != nil || got.Source != "https://example.com/prices" || !ok || p.Len() != 2 {
		t.Errorf("got %+v, %v of %d", got, ok, p.Len())
	}
	f := func(v float64) *float64 { return &v }
	got, _ = p.Lookup("", "gemini-x")
	want := telemetry.Price{Input: 1, Output: 2, AudioInput: f(3), Reasoning: f(4), Long: &telemetry.LongPrice{Above: 200_000, Input: 5, Output: 6, CacheRead: f(7)}}
	if diff := cmp.Diff(got, want, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
		t.Errorf("price (-got +want):\n%s", diff)
	}
}

func TestWrongPricing(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ table, want string }{
		"not JSON":              {"{\n\"prices\": [}", "line 2: not a JSON object"},
		"cut off":               {"{\n\"prices\": [\n", "line 3: not a JSON object"},
		"not an object":         {"[]", "line 1: not a JSON object"},
		"not a list":            {"{\"prices\": {}}", "line 1: prices must be a list"},
		"negative":              {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1, \"output\": 1},\n{\"model\": \"n\", \"input\": -1, \"output\": 1}]}", `line 3: the model "n" has a price that is negative`},
		"negative, cached":      {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1, \"output\": 1, \"cache_read\": -0.1}]}", `line 2: the model "m" has a price that is negative`},
		"not a number":          {"{\"prices\": [\n{\"model\": \"m\", \"input\": \"NaN\", \"output\": 1}]}", "line 2: cannot unmarshal string"},
		"NaN":                   {"{\"prices\": [\n{\"model\": \"m\", \"input\": NaN, \"output\": 1}]}", "line 2: not a JSON object"},
		"infinite":              {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1e999, \"output\": 1}]}", "line 2: cannot unmarshal number"},
		"an unknown field":      {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1, \"output\": 1, \"inptu\": 1}]}", `line 2: unknown field "inptu"`},
		"another field":         {"{\"dates\": 1,\n\"prices\": []}", `line 1: the field "dates" is not known`},
		"twice":                 {"{\"prices\": [{\"model\": \"m\", \"input\": 1, \"output\": 1},\n{\"model\": \"m\", \"input\": 1, \"output\": 1}]}", `line 2: the model "m" stands twice`},
		"no model":              {"{\"prices\": [{\"input\": 1, \"output\": 1}]}", "line 1: a price without a model"},
		"no output":             {"{\"prices\": [{\"model\": \"m\", \"input\": 1}]}", `line 1: the model "m" needs the fields input and output`},
		"per token, negative":   {"{\"m\": {\n\"input_cost_per_token\": -1, \"output_cost_per_token\": 1}}", `line 1: the model "m" has a price that is negative`},
		"long without a length": {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1, \"output\": 1, \"long\": {\"input\": 1, \"output\": 1}}]}", `line 2: the model "m" long needs the fields above, input and output`},
		"negative, long":        {"{\"prices\": [\n{\"model\": \"m\", \"input\": 1, \"output\": 1, \"long\": {\"above\": 5, \"input\": 1, \"output\": -1}}]}", `line 2: the model "m" has a price that is negative`},
		"no prices at all":      {`{"m": {"mode": "chat"}}`, "line 1: no prices"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := telemetry.ParsePricing([]byte(tt.table))
			if _, ok := errors.AsType[*telemetry.PricingError](err); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want a PricingError with %q", err, tt.want)
			}
		})
	}
}

// Every row of the table of this version says where it was read, and the table when.
func TestDefaultPricing(t *testing.T) {
	t.Parallel()
	p := telemetry.DefaultPricing()
	if _, err := time.Parse(time.DateOnly, p.Date); err != nil || p.Len() < 100 {
		t.Errorf("%d prices of %q", p.Len(), p.Date)
	}
	table := must[[]byte](t)(os.ReadFile("prices.json"))
	for _, m := range regexp.MustCompile(`"model": "([^"]+)"`).FindAllSubmatch(table, -1) {
		price, ok := p.Lookup("x", string(m[1]))
		if !ok || !strings.HasPrefix(price.Source, "https://") || price.Input > price.Output*2 {
			t.Errorf("%s: %+v", m[1], price)
		}
	}
}

// A call's cost is what the server says, or else what the prices come to.
func TestCostMetric(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "prices.json")
	if err := os.WriteFile(file, []byte(`{"prices": [{"model": "m1", "input": 1000, "output": 10000}]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	own := must[*telemetry.Pricing](t)(telemetry.ParsePricing([]byte(`{"prices": [{"model": "m1", "input": 0, "output": 1000}]}`)))
	tests := map[string]struct {
		cost backend.Cost
		env  []string
		opts []telemetry.Option
		want float64
	}{
		"by a file":         {env: []string{"MELLEA_PRICING_FILE=" + file}, want: 0.037},
		"by an option":      {opts: []telemetry.Option{telemetry.WithPricing(own)}, want: 0.003},
		"by the server":     {cost: backend.Cost{USD: 0.5, Reported: true}, env: []string{"MELLEA_PRICING_FILE=" + file}, want: 0.5},
		"without a price":   {},
		"switched off":      {env: []string{"MELLEA_PRICING_ENABLED=false", "MELLEA_PRICING_FILE=" + file}},
		"said to cost none": {cost: backend.Cost{Reported: true}, env: []string{"MELLEA_PRICING_FILE=" + file}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := &priced{says("hello"), tt.cost}
			series, _ := measured(t, b, func(s *mellea.Session) {
				must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
			}, tt.env, tt.opts...)
			got := values(series, semconv.MetricMelleaLLMCostUSD)
			want := map[string]float64{}
			if tt.want != 0 {
				want[semconv.MetricMelleaLLMCostUSD+" gen_ai.operation.name=chat gen_ai.provider.name=openai gen_ai.request.model=m1"] = tt.want
			}
			if diff := cmp.Diff(got, want, cmp.Comparer(func(a, b float64) bool { return math.Abs(a-b) < 1e-12 })); diff != "" {
				t.Errorf("cost (-got +want):\n%s", diff)
			}
		})
	}
}

func FuzzParsePricing(f *testing.F) {
	f.Add([]byte(`{"date": "2026-11-25", "prices": [{"model": "m", "input": 1, "output": 1, "cache_read": 0.5}]}`))
	f.Add([]byte(`{"m": {"input_cost_per_token": 1e-6, "output_cost_per_token": 1e-6}}`))
	f.Add([]byte(`{"prices": [{"model": "m", "input": 1e308, "output": -1}]}`))
	f.Fuzz(func(t *testing.T, table []byte) {
		p, err := telemetry.ParsePricing(table)
		if err != nil {
			if pe, ok := errors.AsType[*telemetry.PricingError](err); !ok || pe.Line < 1 {
				t.Fatalf("%T %v", err, err)
			}
			return
		}
		if usd, ok := p.Cost("openai", "m", content.Usage{InputTokens: 10, OutputTokens: 10, CacheReadTokens: 3}, false); ok && !(usd >= 0) {
			t.Fatalf("costs %v", usd)
		}
	})
}
