package ollama

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
)

// names are Ollama's names of the neutral options.
var names = backend.Names{
	"model":             backend.NeutralModel,
	"temperature":       backend.NeutralTemperature,
	"top_p":             backend.NeutralTopP,
	"top_k":             backend.NeutralTopK,
	"num_predict":       backend.NeutralMaxTokens,
	"num_ctx":           backend.NeutralContextWindow,
	"seed":              backend.NeutralSeed,
	"stop":              backend.NeutralStop,
	"frequency_penalty": backend.NeutralFrequencyPenalty,
	"presence_penalty":  backend.NeutralPresencePenalty,
	"think":             backend.NeutralThinking,
}

// lacks are the neutral options that Ollama does not have. Its logprobs are no logits.
var lacks = []backend.Neutral{backend.NeutralLogits, backend.NeutralRawLogits}

// topLevel are the parameters of a chat request that stand beside "options" rather than in it.
var topLevel = map[string]bool{
	"format": true, "keep_alive": true, "truncate": true, "shift": true, "logprobs": true, "top_logprobs": true,
	"_debug_render_only": true,
}

// reserved are the members of a chat request that other means set, with what to use instead.
var reserved = map[string]string{
	"messages": "messages are the call's, not an option",
	"tools":    "offer tools with the call, not as an option",
	"stream":   "use the stream option",
	"prompt":   "prompts are the call's, not an option",
	"raw":      "a batch is always raw, a chat never",
	"options":  "give each parameter as an extra of its own name, without \"options\" around it",
}

// appendOptions appends the options object and the parameters beside it, each after a comma. With format the reply's
// schema is set already, and wins over an extra "format".
func appendOptions(b []byte, sent backend.Options, keepAlive string, format bool) ([]byte, error) {
	if _, ok := sent.Extra("keep_alive"); !ok && keepAlive != "" {
		b = append(append(b, `,"keep_alive":`...), keepAlive...)
	}
	switch level := sent.Thinking(); level {
	case "":
	case "on":
		b = append(b, `,"think":true`...)
	case "off":
		b = append(b, `,"think":false`...)
	default:
		b = appendString(append(b, `,"think":`...), level)
	}
	for name, v := range sent.Extras() {
		if instead, ok := reserved[name]; ok {
			return nil, misconfigured("extra " + name + " cannot be set: " + instead)
		}
		if !topLevel[name] || (format && name == "format") {
			continue
		}
		var err error
		if b, err = appendExtra(append(b, ','), name, v); err != nil {
			return nil, err
		}
	}
	return appendInner(b, sent)
}

// appendInner appends the options object, or nothing when it would be empty.
func appendInner(b []byte, sent backend.Options) ([]byte, error) {
	w := paramWriter{b: b}
	if v, ok := sent.Temperature(); ok {
		w.float("temperature", v)
	}
	if v, ok := sent.TopP(); ok {
		w.float("top_p", v)
	}
	if v, ok := sent.TopK(); ok {
		w.int("top_k", int64(v))
	}
	if v, ok := sent.FrequencyPenalty(); ok {
		w.float("frequency_penalty", v)
	}
	if v, ok := sent.PresencePenalty(); ok {
		w.float("presence_penalty", v)
	}
	if v, ok := sent.MaxTokens(); ok {
		w.int("num_predict", int64(v))
	}
	if v, ok := sent.ContextWindow(); ok {
		w.int("num_ctx", int64(v))
	}
	if v, ok := sent.Seed(); ok {
		w.int("seed", v)
	}
	if stop := sent.Stop(); len(stop) > 0 {
		w.name("stop")
		w.b = append(w.b, '[')
		for i, s := range stop {
			if i > 0 {
				w.b = append(w.b, ',')
			}
			w.b = appendString(w.b, s)
		}
		w.b = append(w.b, ']')
	}
	for name, v := range sent.Extras() {
		if !topLevel[name] {
			w.extra(name, v)
		}
	}
	if w.open {
		w.b = append(w.b, '}')
	}
	return w.b, w.err
}

// paramWriter appends members of the options object, which it opens with the first.
type paramWriter struct {
	b    []byte
	open bool
	err  error // the first
}

func (w *paramWriter) name(name string) {
	w.next()
	w.b = append(appendString(w.b, name), ':')
}

func (w *paramWriter) next() {
	if w.open {
		w.b = append(w.b, ',')
		return
	}
	w.b = append(w.b, `,"options":{`...)
	w.open = true
}

func (w *paramWriter) int(name string, v int64) {
	w.name(name)
	w.b = strconv.AppendInt(w.b, v, 10)
}

func (w *paramWriter) float(name string, v float64) {
	if (math.IsNaN(v) || math.IsInf(v, 0)) && w.err == nil {
		w.err = misconfigured("option " + name + ": want a finite number")
	}
	w.name(name)
	w.b = strconv.AppendFloat(w.b, v, 'g', -1, 64)
}

func (w *paramWriter) extra(name string, v any) {
	w.next()
	b, err := appendExtra(w.b, name, v)
	if err != nil {
		if w.err == nil {
			w.err = err
		}
		return
	}
	w.b = b
}

func appendExtra(b []byte, name string, v any) ([]byte, error) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil { // its text may quote the value
		return nil, misconfigured("extra " + name + ": its value cannot be encoded as JSON")
	}
	return append(append(appendString(b, name), ':'), text...), nil
}
