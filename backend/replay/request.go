package replay

import (
	"crypto/sha256"
	"maps"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// request is what identifies an exchange.
type request struct {
	Model    string    `json:"model"`
	Messages []message `json:"messages"`
	Options  options   `json:"options,omitzero"`
	Format   *format   `json:"format,omitzero"`
	Tools    []tool    `json:"tools,omitempty"`
	// Prompts are those of a batch, which has no messages.
	Prompts []string `json:"prompts,omitempty"`
}

type message struct {
	Role  string `json:"role"`
	Text  string `json:"text,omitzero"`
	Parts []part `json:"parts,omitempty"`
}

type part struct {
	Type      string `json:"type"`
	ID        string `json:"id,omitzero"`
	Name      string `json:"name,omitzero"`
	Kind      string `json:"kind,omitzero"`
	Text      string `json:"text,omitzero"`
	Signature string `json:"signature,omitzero"`
	Arguments string `json:"arguments,omitzero"`
	IsError   bool   `json:"is_error,omitzero"`
	MIME      string `json:"mime,omitzero"`
	Data      string `json:"data,omitzero"`
	URL       string `json:"url,omitzero"`
}

type format struct {
	Name   string         `json:"name"`
	Schema jsontext.Value `json:"schema"`
}

type tool struct {
	Name        string         `json:"name"`
	Description string         `json:"description,omitzero"`
	Parameters  jsontext.Value `json:"parameters,omitzero"`
}

type options struct {
	Temperature      *float64                  `json:"temperature,omitzero"`
	TopP             *float64                  `json:"top_p,omitzero"`
	FrequencyPenalty *float64                  `json:"frequency_penalty,omitzero"`
	PresencePenalty  *float64                  `json:"presence_penalty,omitzero"`
	TopK             *int                      `json:"top_k,omitzero"`
	MaxTokens        *int                      `json:"max_tokens,omitzero"`
	ContextWindow    *int                      `json:"context_window,omitzero"`
	Seed             *int64                    `json:"seed,omitzero"`
	Stop             []string                  `json:"stop,omitempty"`
	Thinking         string                    `json:"thinking,omitzero"`
	Extra            map[string]jsontext.Value `json:"extra,omitempty"`
}

// sent is a generation's resolved options.
type sent struct {
	Model string `json:"model,omitzero"`
	options
}

// recordRequest returns the request as it is recorded, for a backend whose own model is model. The error says that a
// value of the options is not JSON.
func recordRequest(req backend.Request, model string) (request, error) {
	r := request{Model: model, Messages: make([]message, 0, req.Messages.Len())}
	if m := req.Options.Model(); m != "" {
		r.Model = m
	}
	for m := range req.Messages.Values() {
		r.Messages = append(r.Messages, recordMessage(m))
	}
	if !req.Format.IsZero() {
		r.Format = &format{Name: req.Format.Name(), Schema: jsontext.Value(req.Format.JSON())}
	}
	for t := range req.Tools.Values() {
		r.Tools = append(r.Tools, tool{Name: t.Name, Description: t.Description, Parameters: jsontext.Value(t.Parameters.JSON())})
	}
	var err error
	r.Options, err = recordOptions(req.Options)
	return r, err
}

func recordMessage(m content.Message) message {
	if m.PlainText() {
		return message{Role: string(m.Role()), Text: m.Text()}
	}
	r := message{Role: string(m.Role())}
	for p := range m.Parts() {
		r.Parts = append(r.Parts, recordPart(p))
	}
	return r
}

func recordPart(p content.Part) part {
	switch p := p.(type) {
	case content.Text:
		return part{Type: "text", Text: string(p)}
	case content.Reasoning:
		return part{Type: "reasoning", Text: p.Text, Signature: p.Signature}
	case content.ToolCall:
		return part{Type: "tool_call", ID: p.ID, Name: p.Name, Arguments: p.Arguments}
	case content.ToolResult:
		return part{Type: "tool_result", ID: p.CallID, Name: p.Name, Text: p.Content, IsError: p.IsError}
	case content.ServerToolCall:
		return part{Type: "server_tool_call", ID: p.ID, Name: p.Name, Kind: p.Type, Arguments: p.Arguments}
	case content.ServerToolResult:
		return part{Type: "server_tool_result", ID: p.CallID, Kind: p.Type, Text: p.Content}
	case content.Image:
		if p.URL() != "" {
			return part{Type: "image", URL: p.URL()}
		}
		return part{Type: "image", MIME: p.MIME(), Data: p.Base64()}
	case content.Audio:
		return part{Type: "audio", MIME: p.MIME(), Data: p.Base64()}
	case content.File:
		if p.ID() != "" {
			return part{Type: "file", ID: p.ID()}
		}
		return part{Type: "file", Name: p.Name(), MIME: p.MIME(), Data: p.Base64()}
	}
	return part{Type: "unknown"} // the set is closed
}

func recordOptions(o backend.Options) (options, error) {
	r := options{Stop: o.Stop(), Thinking: o.Thinking()}
	r.Temperature = optional(o.Temperature())
	r.TopP = optional(o.TopP())
	r.FrequencyPenalty = optional(o.FrequencyPenalty())
	r.PresencePenalty = optional(o.PresencePenalty())
	r.TopK = optional(o.TopK())
	r.MaxTokens = optional(o.MaxTokens())
	r.ContextWindow = optional(o.ContextWindow())
	r.Seed = optional(o.Seed())
	for name, v := range o.Extras() {
		text, err := json.Marshal(v, lenient)
		if err != nil {
			return options{}, &backend.OptionError{Name: name, Want: "a value that can be encoded as JSON"}
		}
		if r.Extra == nil {
			r.Extra = map[string]jsontext.Value{}
		}
		r.Extra[name] = text
	}
	return r, nil
}

func optional[T any](v T, set bool) *T {
	if !set {
		return nil
	}
	return &v
}

// values returns the recorded options as a value of the contract's.
func (s sent) values() backend.Options {
	var o backend.Options
	if s.Model != "" {
		o = o.WithModel(s.Model)
	}
	set(s.Temperature, func(v float64) { o = o.WithTemperature(v) })
	set(s.TopP, func(v float64) { o = o.WithTopP(v) })
	set(s.FrequencyPenalty, func(v float64) { o = o.WithFrequencyPenalty(v) })
	set(s.PresencePenalty, func(v float64) { o = o.WithPresencePenalty(v) })
	set(s.TopK, func(v int) { o = o.WithTopK(v) })
	set(s.MaxTokens, func(v int) { o = o.WithMaxTokens(v) })
	set(s.ContextWindow, func(v int) { o = o.WithContextWindow(v) })
	set(s.Seed, func(v int64) { o = o.WithSeed(v) })
	if s.Stop != nil {
		o = o.WithStop(s.Stop...)
	}
	if s.Thinking != "" {
		o = o.WithThinking(s.Thinking)
	}
	for name, raw := range maps.All(s.Extra) {
		var v any
		if json.Unmarshal(raw, &v, lenient) == nil {
			o = o.WithExtra(name, v)
		}
	}
	return o
}

func set[T any](v *T, with func(T)) {
	if v != nil {
		with(*v)
	}
}

// identity returns the digest of the request's canonical form.
func (r *request) identity() ([32]byte, error) {
	text, err := canonical(r)
	return sha256.Sum256(text), err
}

// canonical returns the canonical form of v: that of RFC 8785, but for integers, which keep their digits because seeds
// are 64 bits wide.
func canonical(v any) (jsontext.Value, error) {
	text, err := json.Marshal(v, lenient)
	if err != nil {
		return nil, err
	}
	c := jsontext.Value(text)
	if err := c.Canonicalize(lenient, jsontext.CanonicalizeRawInts(false)); err != nil {
		return nil, err
	}
	return c, nil
}
