package ollama

import (
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// appendRequest appends the body of a chat request without its model and its closing brace, which [closeRequest] adds:
// the model may be known only later.
func appendRequest(b []byte, req backend.Request, sent backend.Options, keepAlive string) ([]byte, error) {
	if req.Messages.Len() == 0 {
		return nil, misconfigured("the request has no messages: it needs at least one")
	}
	b = append(b, `{"messages":[`...)
	for i, m := range req.Messages.All() {
		if i > 0 {
			b = append(b, ',')
		}
		var err error
		if b, err = appendMessage(b, m); err != nil {
			return nil, err
		}
	}
	b = append(b, ']')
	if !sent.Stream() { // the server streams unless told not to
		b = append(b, `,"stream":false`...)
	}
	if !req.Format.IsZero() {
		b = append(append(b, `,"format":`...), req.Format.JSON()...)
	}
	b = appendTools(b, req.Tools)
	return appendOptions(b, sent, keepAlive, !req.Format.IsZero())
}

func closeRequest(b []byte, model string) []byte {
	b = append(b, `,"model":`...)
	return append(appendString(b, model), '}')
}

// appendString appends a JSON string; bytes that are not UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b, _ = jsontext.AppendQuote(b, s)
	return b
}

// appendMessage appends one message, or one for each tool result it holds: the API has one result a message.
func appendMessage(b []byte, m content.Message) ([]byte, error) {
	if m.PlainText() {
		return append(appendHead(b, string(m.Role()), m.Text()), '}'), nil
	}
	var (
		images []content.Image
		calls  []content.ToolCall
	)
	start := len(b)
	for p := range m.Parts() {
		switch p := p.(type) {
		case content.Image:
			images = append(images, p)
		case content.Audio:
			return nil, unsupported("Ollama takes no audio: send text or images")
		case content.File:
			return nil, unsupported("Ollama takes no files: send their text, or their pages as images")
		case content.ToolCall:
			calls = append(calls, p)
		case content.ToolResult:
			b = append(appendToolResult(separate(b, start), p), '}')
		}
	}
	reasoning := m.Reasoning()
	if len(b) > start && m.Text() == "" && reasoning == "" && images == nil && calls == nil {
		return b, nil
	}
	b = appendHead(separate(b, start), string(m.Role()), m.Text())
	if reasoning != "" {
		b = appendString(append(b, `,"thinking":`...), reasoning)
	}
	b = appendImages(b, images)
	return append(appendToolCalls(b, calls), '}'), nil
}

// separate appends a comma when something was appended since start.
func separate(b []byte, start int) []byte {
	if len(b) > start {
		b = append(b, ',')
	}
	return b
}

func appendHead(b []byte, role, text string) []byte {
	b = appendString(append(b, `{"role":`...), role)
	return appendString(append(b, `,"content":`...), text)
}

func appendToolResult(b []byte, r content.ToolResult) []byte {
	b = appendHead(b, string(content.RoleTool), r.Content)
	if r.Name != "" {
		b = appendString(append(b, `,"tool_name":`...), r.Name)
	}
	if r.CallID != "" {
		b = appendString(append(b, `,"tool_call_id":`...), r.CallID)
	}
	return b
}

func appendImages(b []byte, images []content.Image) []byte {
	if len(images) == 0 {
		return b
	}
	b = append(b, `,"images":[`...)
	for i, img := range images {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '"')
		b = append(b, img.Base64()...)
		b = append(b, '"')
	}
	return append(b, ']')
}

func appendToolCalls(b []byte, calls []content.ToolCall) []byte {
	if len(calls) == 0 {
		return b
	}
	b = append(b, `,"tool_calls":[`...)
	for i, c := range calls {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, '{')
		if c.ID != "" {
			b = append(appendString(append(b, `"id":`...), c.ID), ',')
		}
		b = appendString(append(b, `"function":{"name":`...), c.Name)
		b = appendArguments(append(b, `,"arguments":`...), c.Arguments)
		b = append(b, '}', '}')
	}
	return append(b, ']')
}

// appendArguments appends a call's arguments, which the API wants as an object. What a model wrote instead is kept as
// text under "_invalid", so that a conversation with a failed call in it can go on.
func appendArguments(b []byte, arguments string) []byte {
	v := jsontext.Value(arguments)
	switch {
	case arguments == "":
		return append(b, '{', '}')
	case v.Kind() == '{' && v.IsValid():
		return append(b, arguments...)
	}
	return append(appendString(append(b, `{"_invalid":`...), arguments), '}')
}

func appendTools(b []byte, tools content.List[content.ToolSpec]) []byte {
	if tools.Len() == 0 {
		return b
	}
	b = append(b, `,"tools":[`...)
	for i, t := range tools.All() {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"type":"function","function":{"name":`...), t.Name)
		b = appendString(append(b, `,"description":`...), t.Description)
		b = append(b, `,"parameters":`...)
		if t.Parameters.IsZero() {
			b = append(b, `{"type":"object","properties":{}}`...)
		} else {
			b = append(b, t.Parameters.JSON()...)
		}
		b = append(b, '}', '}')
	}
	return append(b, ']')
}
