package telemetry

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
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
	// BatchInput and BatchOutput are the prices in a batch; nil where the provider has none.
	BatchInput, BatchOutput *float64
	// Source says where the price was read.
	Source string
}

// Cost returns what the tokens of u cost, in US dollars.
func (p Price) Cost(u content.Usage, batch bool) float64 {
	input, output := p.Input, p.Output
	if batch {
		input, output = or(p.BatchInput, input), or(p.BatchOutput, output)
	}
	cached, kept := u.CacheReadTokens, u.CacheWriteTokens
	plain := max(u.InputTokens-cached-kept, 0)
	return (float64(plain)*input + float64(cached)*min(or(p.CacheRead, input), input) +
		float64(kept)*or(p.CacheWrite, input) + float64(u.OutputTokens)*output) / 1e6
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

// PricingError says what is wrong with a table of prices, and on which line.
type PricingError struct {
	Line   int
	Reason string
}

func (e *PricingError) Error() string {
	return fmt.Sprintf("telemetry: prices, line %d: %s", e.Line, e.Reason)
}

// row is a line of a table of this package's shape.
type row struct {
	Model       string   `json:"model"`
	Input       *float64 `json:"input"`
	Output      *float64 `json:"output"`
	CacheRead   *float64 `json:"cache_read"`
	CacheWrite  *float64 `json:"cache_write"`
	BatchInput  *float64 `json:"batch_input"`
	BatchOutput *float64 `json:"batch_output"`
	Source      string   `json:"source"`
}

// perToken is an entry of LiteLLM's table, in US dollars a token. It has many more fields, which say nothing of cost.
type perToken struct {
	Input       *float64 `json:"input_cost_per_token"`
	Output      *float64 `json:"output_cost_per_token"`
	CacheRead   *float64 `json:"cache_read_input_token_cost"`
	CacheWrite  *float64 `json:"cache_creation_input_token_cost"`
	BatchInput  *float64 `json:"input_cost_per_token_batches"`
	BatchOutput *float64 `json:"output_cost_per_token_batches"`
	Source      string   `json:"source"`
}

// ParsePricing reads a table of prices in one of two shapes:
//
//	{"date": "2026-11-25", "prices": [{"model": "gpt-4o", "input": 2.5, "output": 10, "cache_read": 1.25}]}
//	{"gpt-4o": {"input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05}}
//
// The first is this package's own, in US dollars for a million tokens, with the optional fields cache_read, cache_write,
// batch_input, batch_output and source; the second is that of LiteLLM's table, in US dollars a token. The error is a
// *[PricingError]: a price that is negative or no number, a field that is not known, a model named twice.
func ParsePricing(table []byte) (*Pricing, error) {
	var head struct {
		Date   string          `json:"date"`
		Prices json.RawMessage `json:"prices"`
	}
	if err := json.Unmarshal(table, &head); err != nil {
		return nil, &PricingError{Line: lineOf(table, err), Reason: "not a JSON object: " + plain(err)}
	}
	p := &Pricing{Date: head.Date, prices: map[string]Price{}}
	if head.Prices == nil {
		return p, p.readPerToken(table)
	}
	return p, p.readRows(table)
}

// readRows reads the table of this package's shape, row by row, to know the line of each.
func (p *Pricing) readRows(table []byte) error {
	dec := json.NewDecoder(bytes.NewReader(table))
	if _, err := dec.Token(); err != nil {
		return p.wrong(table, dec, err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return p.wrong(table, dec, err)
		}
		switch key {
		case "date", "from":
			var text string
			if err := dec.Decode(&text); err != nil {
				return p.wrong(table, dec, err)
			}
		case "prices":
			if err := p.readList(table, dec); err != nil {
				return err
			}
		default:
			return &PricingError{Line: lineAt(table, dec.InputOffset()), Reason: fmt.Sprintf("the field %q is not known", key)}
		}
	}
	return nil
}

func (p *Pricing) readList(table []byte, dec *json.Decoder) error {
	if open, err := dec.Token(); err != nil || open != json.Delim('[') {
		return &PricingError{Line: lineAt(table, dec.InputOffset()), Reason: "prices must be a list"}
	}
	for dec.More() {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return p.wrong(table, dec, err)
		}
		line := lineAt(table, dec.InputOffset())
		strict := json.NewDecoder(bytes.NewReader(raw))
		strict.DisallowUnknownFields()
		var r row
		if err := strict.Decode(&r); err != nil {
			return &PricingError{Line: line, Reason: plain(err)}
		}
		if r.Model == "" {
			return &PricingError{Line: line, Reason: "a price without a model"}
		}
		if _, twice := p.prices[r.Model]; twice {
			return &PricingError{Line: line, Reason: fmt.Sprintf("the model %q stands twice", r.Model)}
		}
		if r.Input == nil || r.Output == nil {
			return &PricingError{Line: line, Reason: fmt.Sprintf("the model %q needs the fields input and output", r.Model)}
		}
		price := Price{Input: *r.Input, Output: *r.Output, CacheRead: r.CacheRead, CacheWrite: r.CacheWrite,
			BatchInput: r.BatchInput, BatchOutput: r.BatchOutput, Source: r.Source}
		if !price.sane() {
			return &PricingError{Line: line, Reason: fmt.Sprintf("the model %q has a price that is negative or no number", r.Model)}
		}
		p.prices[r.Model] = price
	}
	_, err := dec.Token()
	return err
}

// readPerToken reads LiteLLM's shape. What has no price, such as the row that explains the fields, is left out.
func (p *Pricing) readPerToken(table []byte) error {
	dec := json.NewDecoder(bytes.NewReader(table))
	if _, err := dec.Token(); err != nil {
		return p.wrong(table, dec, err)
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return p.wrong(table, dec, err)
		}
		line := lineAt(table, dec.InputOffset())
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return p.wrong(table, dec, err)
		}
		model, _ := key.(string)
		if model == "sample_spec" {
			continue
		}
		var r perToken
		if err := json.Unmarshal(raw, &r); err != nil {
			return &PricingError{Line: line, Reason: fmt.Sprintf("%q: %s", model, plain(err))}
		}
		if r.Input == nil || r.Output == nil {
			continue
		}
		price := Price{Input: *r.Input * 1e6, Output: *r.Output * 1e6, CacheRead: million(r.CacheRead), CacheWrite: million(r.CacheWrite),
			BatchInput: million(r.BatchInput), BatchOutput: million(r.BatchOutput), Source: r.Source}
		if !price.sane() {
			return &PricingError{Line: line, Reason: fmt.Sprintf("the model %q has a price that is negative or no number", model)}
		}
		p.prices[model] = price
	}
	if p.Len() == 0 {
		return &PricingError{Line: 1, Reason: "no prices: neither a list \"prices\" nor models with input_cost_per_token and output_cost_per_token"}
	}
	return nil
}

func million(perToken *float64) *float64 {
	if perToken == nil {
		return nil
	}
	v := *perToken * 1e6
	return &v
}

func (p Price) sane() bool {
	for _, v := range []*float64{&p.Input, &p.Output, p.CacheRead, p.CacheWrite, p.BatchInput, p.BatchOutput} {
		if v != nil && (math.IsNaN(*v) || math.IsInf(*v, 0) || *v < 0) {
			return false
		}
	}
	return true
}

func (p *Pricing) wrong(table []byte, dec *json.Decoder, err error) error {
	return &PricingError{Line: lineAt(table, dec.InputOffset()), Reason: plain(err)}
}

func lineOf(table []byte, err error) int {
	if se, ok := errors.AsType[*json.SyntaxError](err); ok {
		return lineAt(table, se.Offset)
	}
	if te, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return lineAt(table, te.Offset)
	}
	return lineAt(table, int64(len(table)))
}

func lineAt(table []byte, offset int64) int {
	return 1 + bytes.Count(table[:min(max(offset, 0), int64(len(table)))], []byte("\n"))
}

// plain is the text of an error of package encoding/json without its prefix.
func plain(err error) string {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return "it ends too early"
	}
	return strings.TrimPrefix(err.Error(), "json: ")
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

func (u *unpriced) warn(ctx context.Context, provider, model string) {
	if model == "" || isLocal(provider) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[model] || len(u.seen) >= maxWords {
		return
	}
	if u.seen == nil {
		u.seen = map[string]bool{}
	}
	u.seen[model] = true
	u.w.warn(ctx, fmt.Sprintf("no price is known of the model %q, so its cost is not counted: MELLEA_PRICING_FILE can give one", valid(model)))
}
