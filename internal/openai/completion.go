package openai

import (
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// AppendCompletions appends a request for raw completions, POST /completions: of one prompt as a string, which all
// servers take, or of several as a list. The options must have been resolved to one layer. They are sent as
// [AppendRequest] does, but for those that only a chat has; the bound on each completion is max_tokens. The error is a
// *[ValueError].
func AppendCompletions(dst []byte, prompts []string, o backend.Options, format schema.Schema, style Style) ([]byte, error) {
	dst = appendString(append(dst, `{"model":`...), o.Model())
	dst = append(dst, `,"prompt":`...)
	if len(prompts) == 1 {
		dst = appendString(dst, prompts[0])
	} else {
		dst = append(dst, '[')
		for i, p := range prompts {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendString(dst, p)
		}
		dst = append(dst, ']')
	}
	style.MaxTokensField = "max_tokens"
	dst, err := AppendParameters(dst, o.Without(backend.NeutralThinking), style)
	if err != nil {
		return dst, err
	}
	dst = AppendFormat(dst, format)
	if !hasExtras(o) {
		return append(dst, '}'), nil
	}
	all := map[string]any{}
	if body, ok := o.Extra("extra_body"); ok {
		if body, ok := body.(map[string]any); ok {
			merge(all, body)
			delete(all, "extra_body")
		}
	}
	for name, v := range o.Extras() {
		if name != "extra_body" && !ofChat(name) {
			merge(all, map[string]any{name: v})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if name == "prompt" || written(backend.Request{Options: o, Format: format}, style, name) {
			return dst, &ValueError{Name: strconv.Quote(name), Reason: "is set by the request itself: use the option for it, not an extra of that name"}
		}
		if name == "n" || name == "best_of" {
			if n := all[name]; n != 1 && n != 1.0 {
				return dst, &ValueError{Name: name, Reason: "asks for several completions: a prompt of a batch has one"}
			}
		}
		dst = append(appendString(append(dst, ','), name), ':')
		if dst, err = appendValue(dst, name, all[name]); err != nil {
			return dst, err
		}
	}
	return append(dst, '}'), nil
}

// ofChat tells the extras that mean nothing to raw completions.
func ofChat(name string) bool {
	switch name {
	case "tool_choice", "parallel_tool_calls", "chat_template_kwargs", "reasoning", imageDetail:
		return true
	}
	return false
}

// CompletionReply is a reply to a request for raw completions.
type CompletionReply struct {
	ID, Model string
	// Fingerprint says what answered, "" where the server does not tell.
	Fingerprint string
	Choices     []CompletionChoice
	// Usage is that of all choices together, and meaningful with HasUsage.
	Usage    content.Usage
	HasUsage bool
	// HasError says that the document is an error that the server sent instead of a reply.
	HasError bool
}

// CompletionChoice is one completion.
type CompletionChoice struct {
	// Index is that of the prompt; its place among the choices where the server does not number them.
	Index              int
	Text, FinishReason string
}

// DecodeCompletions reads a reply with at most that many choices. The error is a *[FormatError].
func DecodeCompletions(doc []byte, most int) (CompletionReply, error) {
	var d Decoder
	var r CompletionReply
	err := d.document(doc, func(name []byte) error {
		if string(name) != `"choices"` {
			return d.top(name)
		}
		return d.scan.array("choices", func(i int) error {
			if i >= most {
				return &FormatError{Field: "choices", Reason: "has more elements than there were prompts"}
			}
			c := CompletionChoice{Index: i}
			err := d.scan.completion(&c)
			r.Choices = append(r.Choices, c)
			return err
		})
	})
	r.ID, r.Model, r.Fingerprint = d.ev.ID, d.ev.Model, d.ev.Fingerprint
	r.Usage, r.HasUsage, r.HasError = d.ev.Usage, d.ev.HasUsage, d.ev.HasError
	return r, err
}

func (s *scanner) completion(c *CompletionChoice) error {
	return s.object("choices", func(name []byte) (err error) {
		switch string(name) {
		case `"index"`:
			if s.dec.PeekKind() == 'n' {
				return s.skip()
			}
			c.Index, err = s.count("index")
		case `"text"`:
			c.Text, err = s.text("text")
		case `"finish_reason"`:
			c.FinishReason, err = s.text("finish_reason")
		default:
			err = s.skip()
		}
		return err
	})
}

// maxModels bounds a list of models.
const maxModels = 100_000

// DecodeModels reads the reply to GET /models: a list under "data", or one that is the document. Elements without an id
// are left out. The error is a *[FormatError].
func DecodeModels(doc []byte) ([]backend.ModelInfo, error) {
	var d Decoder
	models := []backend.ModelInfo{}
	element := func(i int) error {
		if i >= maxModels {
			return &FormatError{Field: "data", Reason: "has too many elements"}
		}
		m, err := d.scan.model()
		if m.Name != "" {
			models = append(models, m)
		}
		return err
	}
	d.scan.reset(doc)
	if d.scan.dec.PeekKind() == '[' {
		if err := d.scan.array("data", element); err != nil {
			return nil, err
		}
		return models, d.scan.end()
	}
	listed := false
	err := d.document(doc, func(name []byte) error {
		if string(name) == `"data"` {
			listed = true
			return d.scan.array("data", element)
		}
		return d.scan.skip()
	})
	switch {
	case err != nil:
		return nil, err
	case !listed:
		return nil, &FormatError{Field: "data", Reason: "is missing"}
	}
	return models, nil
}

func (s *scanner) model() (backend.ModelInfo, error) {
	var m backend.ModelInfo
	err := s.object("data", func(name []byte) (err error) {
		switch string(name) {
		case `"id"`:
			m.Name, err = s.text("id")
		case `"owned_by"`:
			m.Owner, err = s.text("owned_by")
		case `"created"`:
			if s.dec.PeekKind() != '0' { // a date in words, as some gateways have it
				return s.skip()
			}
			var n int
			if n, err = s.count("created"); n > 0 {
				m.Modified = time.Unix(int64(n), 0).UTC()
			}
		default:
			err = s.skip()
		}
		return err
	})
	return m, err
}
