package openai

import (
	"maps"
	"slices"
	"strconv"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// Style says how a server differs from others of the dialect. The zero Style is that of OpenAI itself.
type Style struct {
	// MaxTokensField is the name of the bound on the reply; "" is max_completion_tokens. Older servers know max_tokens.
	MaxTokensField string
	// EnableThinking sends "on" and "off" as chat_template_kwargs.enable_thinking, as vLLM, SGLang and llama.cpp take
	// it, instead of as a reasoning effort.
	EnableThinking bool
	// NoReasoning leaves out the reasoning of turns that called tools, for servers that refuse what they do not know.
	NoReasoning bool
	// NoNull leaves the content out of a message that only calls tools, for servers that want text there or nothing.
	NoNull bool
	// NoStreamOptions leaves stream_options out, for servers that refuse it. They count tokens in streams by themselves or
	// not at all.
	NoStreamOptions bool
	// ReasoningObject sends the effort as reasoning.effort, as OpenRouter takes it, instead of as reasoning_effort.
	ReasoningObject bool
	// ImageDetail is the detail of images, "low", "high" or "auto"; "" leaves it to the server. An extra named
	// image_detail takes its place.
	ImageDetail string
	// StrictSchema sends schemas in their strict form, for a server that refuses others; see [schema.Schema.Strict].
	StrictSchema bool
	// Structured says how the server holds a reply to a schema.
	Structured Structured
}

// Structured is the way of a request for structured output.
type Structured uint8

// The ways, from the best to none.
const (
	BySchema      Structured = iota // response_format json_schema
	ByJSON                          // response_format json_object and an instruction
	ByInstruction                   // an instruction only
)

// imageDetail is the extra that sets the detail of images. It is no member of a request.
const imageDetail = "image_detail"

// AppendRequest appends the request as JSON. Its options must have been resolved to one layer; the model is theirs, and
// they say whether to stream. Members come in a fixed order, so equal requests are equal bytes.
//
// Extras of the options become members of the request. One that is an object is merged into the object of that name,
// and "extra_body" is merged into the request itself. Those about calling tools are left out when there are none:
// servers refuse them then, and a hook may have taken the tools away. The error is a *[ValueError]: an extra that would replace what
// the request has, or content that the dialect has no form for.
func AppendRequest(dst []byte, r backend.Request, style Style) ([]byte, error) {
	o := r.Options
	if detail, ok := o.Extra(imageDetail); ok {
		if style.ImageDetail, ok = detail.(string); !ok {
			return dst, &ValueError{Name: imageDetail, Reason: "is not a string"}
		}
	}
	if !r.Format.IsZero() && style.Structured != BySchema {
		r.Messages = instructed(r.Messages, r.Format)
	}
	dst = append(dst, `{"model":`...)
	dst = appendString(dst, o.Model())
	dst = append(dst, `,"messages":[`...)
	dst, err := AppendMessages(dst, r.Messages, style)
	if err != nil {
		return dst, err
	}
	dst = append(dst, ']')
	if o.Stream() {
		dst = append(dst, `,"stream":true`...)
	}
	if dst, err = AppendParameters(dst, o, style); err != nil {
		return dst, err
	}
	dst = AppendTools(dst, r.Tools)
	switch style.Structured {
	case BySchema:
		if dst, err = appendFormat(dst, r, style); err != nil {
			return dst, err
		}
	case ByJSON:
		if !r.Format.IsZero() {
			dst = append(dst, `,"response_format":{"type":"json_object"}`...)
		}
	}
	if dst, err = appendExtras(dst, r, style); err != nil {
		return dst, err
	}
	return append(dst, '}'), nil
}

// AppendParameters appends the neutral options of o, which has one layer, as members that follow others. The error is a
// *[ValueError].
func AppendParameters(dst []byte, o backend.Options, style Style) (_ []byte, err error) {
	if n, ok := o.MaxTokens(); ok {
		dst = appendIntMember(dst, style.maxTokens(), int64(n))
	}
	for _, p := range [...]struct {
		name  string
		value func(backend.Options) (float64, bool)
	}{
		{"temperature", backend.Options.Temperature},
		{"top_p", backend.Options.TopP},
		{"frequency_penalty", backend.Options.FrequencyPenalty},
		{"presence_penalty", backend.Options.PresencePenalty},
	} {
		if f, ok := p.value(o); ok {
			if dst, err = appendFloatMember(dst, p.name, f); err != nil {
				return dst, err
			}
		}
	}
	if k, ok := o.TopK(); ok {
		dst = appendIntMember(dst, "top_k", int64(k))
	}
	if seed, ok := o.Seed(); ok {
		dst = appendIntMember(dst, "seed", seed)
	}
	if stop := o.Stop(); len(stop) > 0 {
		dst = append(appendName(dst, "stop"), '[')
		for i, s := range stop {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, s)
		}
		dst = append(dst, ']')
	}
	if effort := style.effort(o.Thinking()); effort != "" && !style.ReasoningObject {
		dst = appendString(appendName(dst, "reasoning_effort"), effort)
	}
	return dst, nil
}

func (s Style) maxTokens() string {
	if s.MaxTokensField == "" {
		return "max_completion_tokens"
	}
	return s.MaxTokensField
}

// effort is the reasoning_effort for a level of thinking, "" for none.
func (s Style) effort(thinking string) string {
	switch thinking {
	case "on":
		return "medium"
	case "off":
		if s.EnableThinking {
			return ""
		}
		return "none"
	}
	return thinking
}

// AppendTools appends the member "tools" after others, and nothing when there are none.
func AppendTools(dst []byte, tools content.List[content.ToolSpec]) []byte {
	if tools.Len() == 0 {
		return dst
	}
	dst = append(dst, `,"tools":[`...)
	for i, t := range tools.All() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"type":"function","function":{"name":`...)
		dst = appendString(dst, t.Name)
		if t.Description != "" {
			dst = appendString(appendName(dst, "description"), t.Description)
		}
		if !t.Parameters.IsZero() {
			dst = append(appendName(dst, "parameters"), t.Parameters.JSON()...)
		}
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}

// AppendFormat appends the member "response_format" after others, and nothing for the zero Schema.
func AppendFormat(dst []byte, f schema.Schema) []byte { return appendSchema(dst, f, true) }

// appendFormat appends the format of a request. One that has no strict form, for a server that wants it, goes as it is and
// is not strict; under strict options that is an error.
func appendFormat(dst []byte, r backend.Request, style Style) ([]byte, error) {
	if !style.StrictSchema {
		return appendSchema(dst, r.Format, true), nil
	}
	f, err := r.Format.Strict()
	switch {
	case err == nil:
		return appendSchema(dst, f, true), nil
	case r.Options.Strict():
		return dst, &ValueError{Name: "format", Reason: "has no strict form: " + err.Error(), Err: err}
	}
	return appendSchema(dst, r.Format, false), nil
}

func appendSchema(dst []byte, f schema.Schema, strict bool) []byte {
	if f.IsZero() {
		return dst
	}
	dst = append(dst, `,"response_format":{"type":"json_schema","json_schema":{"name":`...)
	dst = appendString(dst, schemaName(f.Name()))
	dst = strconv.AppendBool(append(dst, `,"strict":`...), strict)
	dst = append(append(dst, `,"schema":`...), f.JSON()...)
	return append(dst, `}}`...)
}

// instructed returns the messages with an instruction that says what the reply must look like, for a server that cannot
// be told otherwise. It ends the system message that comes first.
func instructed(ms content.Messages, f schema.Schema) content.Messages {
	text := "Answer with one JSON document and nothing else. It must match this JSON Schema:\n" + f.JSON()
	if ms.Len() == 0 || ms.At(0).Role() != content.RoleSystem || !ms.At(0).PlainText() {
		return content.NewMessages(content.System(text)).Concat(ms)
	}
	return content.NewMessages(content.System(ms.At(0).Text() + "\n\n" + text)).Concat(ms.From(1))
}

// schemaName makes a name the API accepts: letters, digits, "_" and "-", at most 64 of them.
func schemaName(name string) string {
	ok := func(c byte) bool {
		return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
	}
	clean := len(name) <= 64
	for i := 0; clean && i < len(name); i++ {
		clean = ok(name[i])
	}
	if clean {
		return name
	}
	b := []byte(name[:min(len(name), 64)])
	for i, c := range b {
		if !ok(c) {
			b[i] = '_'
		}
	}
	return string(b)
}

// written are the members that a request writes itself, so that an extra of the name cannot stand beside them.
func written(r backend.Request, style Style, name string) bool {
	switch name {
	case "model", "messages", "stream":
		return true
	case "tools":
		return r.Tools.Len() > 0
	case "response_format":
		return !r.Format.IsZero() && style.Structured != ByInstruction
	case "temperature":
		return r.Options.Has(backend.NeutralTemperature)
	case "top_p":
		return r.Options.Has(backend.NeutralTopP)
	case "top_k":
		return r.Options.Has(backend.NeutralTopK)
	case "frequency_penalty":
		return r.Options.Has(backend.NeutralFrequencyPenalty)
	case "presence_penalty":
		return r.Options.Has(backend.NeutralPresencePenalty)
	case "seed":
		return r.Options.Has(backend.NeutralSeed)
	case "stop":
		return r.Options.Has(backend.NeutralStop)
	case "reasoning_effort":
		return style.effort(r.Options.Thinking()) != "" && !style.ReasoningObject
	case style.maxTokens():
		return r.Options.Has(backend.NeutralMaxTokens)
	}
	return false
}

// appendExtras appends the extras and the two objects that an extra may add to: stream_options and
// chat_template_kwargs.
func appendExtras(dst []byte, r backend.Request, style Style) ([]byte, error) {
	o := r.Options
	thinking := o.Thinking()
	toggle := style.EnableThinking && (thinking == "on" || thinking == "off")
	effort := ""
	if style.ReasoningObject {
		effort = style.effort(thinking)
	}
	if !hasExtras(o) && !toggle && effort == "" { // the usual case, without a map
		if o.Stream() && !style.NoStreamOptions {
			dst = append(dst, `,"stream_options":{"include_usage":true}`...)
		}
		return dst, nil
	}
	all := map[string]any{}
	if toggle {
		all["chat_template_kwargs"] = map[string]any{"enable_thinking": thinking == "on"}
	}
	if effort != "" {
		all["reasoning"] = map[string]any{"effort": effort}
	}
	if o.Stream() && !style.NoStreamOptions {
		all["stream_options"] = map[string]any{"include_usage": true}
	}
	body, _ := o.Extra("extra_body")
	if body, ok := body.(map[string]any); ok {
		merge(all, body)
		delete(all, "extra_body")
	}
	for name, v := range o.Extras() {
		if name != "extra_body" && name != imageDetail {
			merge(all, map[string]any{name: v})
		}
	}
	if r.Tools.Len() == 0 && all["tools"] == nil {
		delete(all, "tool_choice")
		delete(all, "parallel_tool_calls")
	}
	if n, ok := all["n"]; ok && n != 1 && n != 1.0 {
		return dst, &ValueError{Name: "n", Reason: "asks for several replies: a generation has one"}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if written(r, style, name) {
			return dst, &ValueError{Name: strconv.Quote(name), Reason: "is set by the request itself: use the option for it, not an extra of that name"}
		}
		dst = append(appendString(append(dst, ','), name), ':')
		var err error
		if dst, err = appendValue(dst, name, all[name]); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

func hasExtras(o backend.Options) bool {
	for range o.Extras() {
		return true
	}
	return false
}

// merge lays over on top of base, object by object. It changes base and the objects that base owns, never over.
func merge(base, over map[string]any) {
	for k, v := range over {
		sub, isObject := v.(map[string]any)
		if !isObject {
			base[k] = v
			continue
		}
		own := map[string]any{}
		if old, ok := base[k].(map[string]any); ok {
			own = old
		}
		merge(own, sub)
		base[k] = own
	}
}
