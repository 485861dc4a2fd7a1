package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
)

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
	AudioInput  *float64 `json:"audio_input"`
	AudioOutput *float64 `json:"audio_output"`
	Reasoning   *float64 `json:"reasoning"`
	BatchInput  *float64 `json:"batch_input"`
	BatchOutput *float64 `json:"batch_output"`
	Long        *struct {
		Above      int      `json:"above"`
		Input      *float64 `json:"input"`
		Output     *float64 `json:"output"`
		CacheRead  *float64 `json:"cache_read"`
		CacheWrite *float64 `json:"cache_write"`
	} `json:"long"`
	Source string `json:"source"`
}

func (r row) price() (Price, error) {
	p := Price{Input: *r.Input, Output: *r.Output, CacheRead: r.CacheRead, CacheWrite: r.CacheWrite,
		AudioInput: r.AudioInput, AudioOutput: r.AudioOutput, Reasoning: r.Reasoning,
		BatchInput: r.BatchInput, BatchOutput: r.BatchOutput, Source: r.Source}
	if l := r.Long; l != nil {
		if l.Above <= 0 || l.Input == nil || l.Output == nil {
			return p, errors.New("long needs the fields above, input and output")
		}
		p.Long = &LongPrice{Above: l.Above, Input: *l.Input, Output: *l.Output, CacheRead: l.CacheRead, CacheWrite: l.CacheWrite}
	}
	if !p.sane() {
		return p, errors.New("has a price that is negative or no number")
	}
	return p, nil
}

// perToken is an entry of LiteLLM's table, in US dollars a token. It has many more fields, which say nothing of cost.
type perToken struct {
	Input       *float64 `json:"input_cost_per_token"`
	Output      *float64 `json:"output_cost_per_token"`
	CacheRead   *float64 `json:"cache_read_input_token_cost"`
	CacheWrite  *float64 `json:"cache_creation_input_token_cost"`
	AudioInput  *float64 `json:"input_cost_per_audio_token"`
	AudioOutput *float64 `json:"output_cost_per_audio_token"`
	Reasoning   *float64 `json:"output_cost_per_reasoning_token"`
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
// audio_input, audio_output, reasoning, batch_input, batch_output, source and long, an object with above (a number of input
// tokens), input, output, cache_read and cache_write; the second is that of LiteLLM's table, in US dollars a token. The error is a
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
		price, err := r.price()
		if err != nil {
			return &PricingError{Line: line, Reason: fmt.Sprintf("the model %q %v", r.Model, err)}
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
			AudioInput: million(r.AudioInput), AudioOutput: million(r.AudioOutput), Reasoning: million(r.Reasoning),
			BatchInput: million(r.BatchInput), BatchOutput: million(r.BatchOutput), Long: longPerToken(raw), Source: r.Source}
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

// longPerToken returns the price of a long input, which has the length in its name: input_cost_per_token_above_200k_tokens.
// Of several the shortest counts.
func longPerToken(raw []byte) *LongPrice {
	var fields map[string]any
	if json.Unmarshal(raw, &fields) != nil {
		return nil
	}
	const before, behind = "_above_", "k_tokens"
	least := 0
	for name := range fields {
		rest, ok := strings.CutPrefix(name, "input_cost_per_token"+before)
		if !ok {
			continue
		}
		if k, err := strconv.Atoi(strings.TrimSuffix(rest, behind)); err == nil && strings.HasSuffix(rest, behind) && k > 0 && (least == 0 || k < least) {
			least = k
		}
	}
	get := func(name string) *float64 {
		v, ok := fields[name+before+strconv.Itoa(least)+behind].(float64)
		if !ok {
			return nil
		}
		return million(&v)
	}
	input, output := get("input_cost_per_token"), get("output_cost_per_token")
	if input == nil || output == nil {
		return nil
	}
	return &LongPrice{Above: least * 1000, Input: *input, Output: *output,
		CacheRead: get("cache_read_input_token_cost"), CacheWrite: get("cache_creation_input_token_cost")}
}

func million(perToken *float64) *float64 {
	if perToken == nil {
		return nil
	}
	v := *perToken * 1e6
	return &v
}

func (p Price) sane() bool {
	all := []*float64{&p.Input, &p.Output, p.CacheRead, p.CacheWrite, p.AudioInput, p.AudioOutput, p.Reasoning, p.BatchInput, p.BatchOutput}
	if p.Long != nil {
		all = append(all, &p.Long.Input, &p.Long.Output, p.Long.CacheRead, p.Long.CacheWrite)
	}
	for _, v := range all {
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
