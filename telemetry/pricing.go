package telemetry

import (
	"context"
	_ "embed"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"strings"
	"sync"

	"github.com/mellea-go/mellea/content"
)

// A Price is what a model costs, in US dollars for a million tokens. A part that has no price of its own costs what the
// tokens it is a part of cost.
type Price struct {
	Input, Output float64
	// CacheRead and CacheWrite are the prices of input tokens that a cache gave or kept; nil where the provider has none.
	CacheRead, CacheWrite *float64
	// AudioInput, AudioOutput and Reasoning are the prices of input and output tokens of that kind; nil where they cost
	// what others cost.
	AudioInput, AudioOutput, Reasoning *float64
	// BatchInput and BatchOutput are the prices of what may wait: the provider's batch service, and service tier flex.
	// nil where the provider has none.
	BatchInput, BatchOutput *float64
	// Long is what a call costs with a long input; nil where length does not matter.
	Long *LongPrice
	// Source says where the price was read.
	Source string
}

// A LongPrice is what all tokens of a call cost that has more than Above input tokens. A part without a price of its own
// costs what the tokens it is a part of cost.
type LongPrice struct {
	Above                 int
	Input, Output         float64
	CacheRead, CacheWrite *float64
}

// Cost returns what the tokens of u cost, in US dollars. batch is for calls that may wait.
func (p Price) Cost(u content.Usage, batch bool) float64 {
	input, output := p.Input, p.Output
	read, written := p.CacheRead, p.CacheWrite
	if p.Long != nil && u.InputTokens > p.Long.Above {
		input, output, read, written = p.Long.Input, p.Long.Output, p.Long.CacheRead, p.Long.CacheWrite
	}
	if batch { // of a long input as much less as of any other
		input *= share(p.BatchInput, p.Input)
		output *= share(p.BatchOutput, p.Output)
	}
	cached, kept := u.CacheReadTokens, u.CacheWriteTokens
	plain := max(u.InputTokens-cached-kept, 0)
	heard := min(u.Audio.InputTokens, plain)
	said := min(u.Audio.OutputTokens, u.OutputTokens)
	thought := min(u.ReasoningTokens, u.OutputTokens-said)
	return (float64(plain-heard)*input + float64(heard)*or(p.AudioInput, input) +
		float64(cached)*min(or(read, input), input) + float64(kept)*or(written, input) +
		float64(u.OutputTokens-said-thought)*output + float64(said)*or(p.AudioOutput, output) + float64(thought)*or(p.Reasoning, output)) / 1e6
}

// share returns how much of a price another is, 1 where there is none.
func share(v *float64, of float64) float64 {
	if v == nil || of == 0 {
		return 1
	}
	return *v / of
}

func or(v *float64, otherwise float64) float64 {
	if v == nil {
		return otherwise
	}
	return *v
}

// Pricing is a table of prices. It is immutable and safe for concurrent use.
type Pricing struct {
	// Date is the day its prices were read, in the form 2006-01-02; "" where the table does not say.
	Date string

	prices map[string]Price
}

//go:embed prices.json
var embeddedPrices []byte

var embedded = sync.OnceValue(func() *Pricing {
	p, err := ParsePricing(embeddedPrices)
	if err != nil {
		panic(err) // a test reads it
	}
	return p
})

// DefaultPricing returns the table of this version: list prices of models people use, with the day they were read.
func DefaultPricing() *Pricing { return embedded() }

// Len returns the number of models that have a price.
func (p *Pricing) Len() int { return len(p.prices) }

// Lookup returns the price of a model: that of provider/model, else that of model, else that of model without its first
// path segment.
func (p *Pricing) Lookup(provider, model string) (Price, bool) {
	if p == nil || model == "" {
		return Price{}, false
	}
	if price, ok := p.prices[provider+"/"+model]; ok {
		return price, true
	}
	if isLocal(provider) {
		return Price{}, false // a name alone does not say that it costs anything
	}
	if price, ok := p.prices[model]; ok {
		return price, true
	}
	if _, rest, ok := strings.Cut(model, "/"); ok {
		price, ok := p.prices[rest]
		return price, ok
	}
	return Price{}, false
}

// isLocal reports whether models of the provider run where the program's owner runs them.
func isLocal(provider string) bool { return provider == "ollama" || provider == "huggingface" }

// Cost returns what a call cost in US dollars; ok is false when its model has no price.
func (p *Pricing) Cost(provider, model string, u content.Usage, batch bool) (usd float64, ok bool) {
	price, ok := p.Lookup(provider, model)
	if !ok {
		return 0, false
	}
	return price.Cost(u, batch), true
}

// Over returns a table with the prices of p and, where both have one, those of p rather than those of base.
func (p *Pricing) Over(base *Pricing) *Pricing {
	all := &Pricing{Date: p.Date, prices: make(map[string]Price, p.Len()+base.Len())}
	for _, table := range []*Pricing{base, p} {
		maps.Copy(all.prices, table.prices)
	}
	return all
}

// pricing returns the table that is in force, nil for none. A file that cannot be used is a warning.
func pricing(ctx context.Context, c metricsConfig, o options, w *warner) *Pricing {
	if !c.pricing {
		return nil
	}
	if o.prices != nil {
		return o.prices
	}
	if c.prices == "" {
		return DefaultPricing()
	}
	table, err := os.ReadFile(c.prices)
	if err != nil {
		w.warn(ctx, "MELLEA_PRICING_FILE cannot be read: the prices of this version are used")
		return DefaultPricing()
	}
	own, err := ParsePricing(table)
	if err != nil {
		w.warn(ctx, "MELLEA_PRICING_FILE cannot be used, so the prices of this version are: "+strings.TrimPrefix(err.Error(), "telemetry: "))
		return DefaultPricing()
	}
	return own.Over(DefaultPricing())
}

// unpriced warns once about each model that has no price, up to a bound: a model costs nothing then.
type unpriced struct {
	w *warner

	mu   sync.Mutex
	seen map[string]bool
}

// first reports whether a model is to be warned about.
func (u *unpriced) first(model string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[model] || len(u.seen) >= maxWords {
		return false
	}
	if u.seen == nil {
		u.seen = map[string]bool{}
	}
	u.seen[model] = true
	return true
}

func (u *unpriced) warn(ctx context.Context, provider, model string) {
	if model == "" || isLocal(provider) {
		return
	}
	if !u.first(model) {
		return
	}
	// No lock is held while it is logged: other calls go on. The warner is not asked, which is for one goroutine.
	logger(u.w.logger).LogAttrs(ctx, slog.LevelWarn, "telemetry: "+fmt.Sprintf("no price is known of the model %q, so its cost is not counted: MELLEA_PRICING_FILE can give one", valid(model)))
}
