package openai

import (
	"encoding/base64"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// Incoming is a chat request as a server receives it.
type Incoming struct {
	// Request has the model and the parameters in its Options; members this package does not know are extras of them,
	// so a strict server finds what it should refuse there.
	Request backend.Request
	// IncludeUsage asks for a chunk with the usage at the end of a stream.
	IncludeUsage bool
	// Unknown names the members of messages that were skipped.
	Unknown []string
}

// DecodeRequest reads the body of POST /chat/completions. The error is a *[FormatError] that names the member.
func DecodeRequest(doc []byte) (*Incoming, error) {
	d := requestDecoder{names: map[string]string{}}
	s := &d.scan
	s.reset(doc)
	if s.dec.PeekKind() != '{' {
		return nil, &FormatError{Reason: "is not a JSON object"}
	}
	if err := s.object("", d.top); err != nil {
		return nil, err
	}
	if err := s.end(); err != nil {
		return nil, err
	}
	if len(d.messages) == 0 {
		return nil, &FormatError{Field: "messages", Reason: "is missing or empty"}
	}
	d.in.Request.Messages = content.NewMessages(d.messages...)
	d.in.Request.Options = d.options
	d.in.Request.Tools = content.ListOf(d.tools...)
	return &d.in, nil
}

type requestDecoder struct {
	scan     scanner
	in       Incoming
	options  backend.Options
	messages []content.Message
	tools    []content.ToolSpec
	names    map[string]string // tool names by the id of the call, for results, which have none
}

func (d *requestDecoder) top(name []byte) (err error) {
	s := &d.scan
	switch string(name) {
	case `"messages"`:
		d.messages = nil
		return s.array("messages", d.message)
	case `"tools"`:
		d.tools = nil
		return s.array("tools", d.tool)
	case `"response_format"`:
		return d.format()
	case `"stream_options"`:
		return s.object("stream_options", func(name []byte) error {
			if string(name) == `"include_usage"` {
				return s.value("include_usage", "a boolean", &d.in.IncludeUsage)
			}
			return d.extra("stream_options", name)
		})
	case `"stream"`:
		return decodeOption(d, "stream", "a boolean", backend.Options.WithStream)
	case `"model"`:
		return decodeOption(d, "model", "a string", backend.Options.WithModel)
	case `"max_completion_tokens"`, `"max_tokens"`:
		return decodeOption(d, "max_completion_tokens", "a whole number", backend.Options.WithMaxTokens)
	case `"temperature"`:
		return decodeOption(d, "temperature", "a number", backend.Options.WithTemperature)
	case `"top_p"`:
		return decodeOption(d, "top_p", "a number", backend.Options.WithTopP)
	case `"top_k"`:
		return decodeOption(d, "top_k", "a whole number", backend.Options.WithTopK)
	case `"frequency_penalty"`:
		return decodeOption(d, "frequency_penalty", "a number", backend.Options.WithFrequencyPenalty)
	case `"presence_penalty"`:
		return decodeOption(d, "presence_penalty", "a number", backend.Options.WithPresencePenalty)
	case `"seed"`:
		return decodeOption(d, "seed", "a whole number", backend.Options.WithSeed)
	case `"reasoning_effort"`:
		return decodeOption(d, "reasoning_effort", "a string", backend.Options.WithThinking)
	case `"stop"`:
		if s.dec.PeekKind() == '"' {
			return decodeOption(d, "stop", "a string", func(o backend.Options, one string) backend.Options { return o.WithStop(one) })
		}
		return decodeOption(d, "stop", "a list of strings", func(o backend.Options, all []string) backend.Options { return o.WithStop(all...) })
	}
	return d.extra("", name)
}

// decodeOption reads a value and sets the option; null leaves it open.
func decodeOption[T any](d *requestDecoder, field, want string, set func(backend.Options, T) backend.Options) error {
	if d.scan.dec.PeekKind() == 'n' {
		return d.scan.skip()
	}
	var v T
	if err := d.scan.value(field, want, &v); err != nil {
		return err
	}
	d.options = set(d.options, v)
	return nil
}

// value reads the next value into dst.
func (s *scanner) value(field, want string, dst any) error {
	v, err := s.raw()
	if err != nil {
		return err
	}
	if json.Unmarshal(v, dst, lenient...) != nil {
		return wrongType(field, want)
	}
	return nil
}

// extra keeps a member that has no place of its own; within is the object it was found in.
func (d *requestDecoder) extra(within string, quoted []byte) error {
	name, _ := jsontext.AppendUnquote(nil, quoted)
	var v any
	if err := d.scan.value("extra", "a JSON value", &v); err != nil {
		return err
	}
	if within == "" {
		d.options = d.options.WithExtra(string(name), v)
		return nil
	}
	object := map[string]any{string(name): v}
	if old, ok := d.options.Extra(within); ok {
		if old, ok := old.(map[string]any); ok {
			merge(object, old)
			object[string(name)] = v
		}
	}
	d.options = d.options.WithExtra(within, object)
	return nil
}

func (d *requestDecoder) format() error {
	var f struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Name   string         `json:"name"`
			Schema jsontext.Value `json:"schema"`
		} `json:"json_schema"`
	}
	raw, err := d.scan.raw()
	if err != nil || raw.Kind() == 'n' {
		return err
	}
	if json.Unmarshal(raw, &f, lenient...) != nil {
		return wrongType("response_format", "an object with a type")
	}
	switch f.Type {
	case "text":
		return nil
	case "json_schema":
		parsed, err := schema.Parse(f.JSONSchema.Name, f.JSONSchema.Schema)
		if err != nil {
			return &FormatError{Field: "response_format.json_schema.schema", Reason: "is not a usable JSON Schema"}
		}
		d.in.Request.Format = parsed
		return nil
	}
	var v any
	if json.Unmarshal(raw, &v, lenient...) != nil {
		return wrongType("response_format", "an object")
	}
	d.options = d.options.WithExtra("response_format", v)
	return nil
}

func (d *requestDecoder) tool(int) error {
	var t struct {
		Type     string `json:"type"`
		Function struct {
			Name        string         `json:"name"`
			Description string         `json:"description"`
			Parameters  jsontext.Value `json:"parameters"`
		} `json:"function"`
	}
	if err := d.scan.value("tools", "a list of functions", &t); err != nil {
		return err
	}
	if t.Type != "function" || t.Function.Name == "" {
		return &FormatError{Field: "tools", Reason: "has an element that is not a function with a name"}
	}
	spec := content.ToolSpec{Name: t.Function.Name, Description: t.Function.Description}
	if p := t.Function.Parameters; len(p) > 0 && p.Kind() != 'n' {
		var err error
		if spec.Parameters, err = schema.Parse(spec.Name, p); err != nil {
			return &FormatError{Field: "tools", Reason: "has parameters that are not a usable JSON Schema"}
		}
	}
	d.tools = append(d.tools, spec)
	return nil
}

// incomingMessage is one message while it is read: the order of its members is free.
type incomingMessage struct {
	role, id, reasoning string
	parts               []content.Part
	calls               []content.Part
}

func (d *requestDecoder) message(int) error {
	s := &d.scan
	if s.dec.PeekKind() != '{' {
		return wrongType("messages", "a list of objects")
	}
	var m incomingMessage
	err := s.object("messages", func(name []byte) (err error) {
		switch string(name) {
		case `"role"`:
			m.role, err = s.text("messages.role")
		case `"content"`:
			m.parts, err = s.contentParts()
		case `"tool_call_id"`:
			m.id, err = s.text("messages.tool_call_id")
		case `"reasoning_content"`, `"reasoning"`:
			m.reasoning, err = s.text("messages.reasoning_content")
		case `"tool_calls"`:
			m.calls = nil
			err = s.array("messages.tool_calls", func(i int) error {
				if i >= MaxToolCalls {
					return &FormatError{Field: "messages.tool_calls", Reason: "has too many elements"}
				}
				var c ToolCall
				err := s.toolCall(&c)
				m.calls = append(m.calls, content.ToolCall{ID: c.ID, Name: c.Name, Arguments: string(c.Arguments)})
				if c.ID != "" {
					d.names[c.ID] = c.Name
				}
				return err
			})
		case `"name"`, `"refusal"`:
			err = s.skip()
		default:
			member, _ := jsontext.AppendUnquote([]byte("messages."), name)
			d.in.Unknown = append(d.in.Unknown, string(member))
			err = s.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	if m.role == "" {
		return &FormatError{Field: "messages.role", Reason: "is missing"}
	}
	d.messages = append(d.messages, m.build(d.names))
	return nil
}

func (m *incomingMessage) build(names map[string]string) content.Message {
	role := content.Role(m.role)
	if role == content.RoleTool {
		text := content.NewMessage(role, m.parts...).Text()
		return content.NewMessage(role, content.ToolResult{CallID: m.id, Name: names[m.id], Content: text})
	}
	var parts []content.Part
	if m.reasoning != "" {
		parts = append(parts, content.Reasoning{Text: m.reasoning})
	}
	return content.NewMessage(role, append(append(parts, m.parts...), m.calls...)...)
}

// contentParts reads the content of a message: a string, null, or a list of parts.
func (s *scanner) contentParts() ([]content.Part, error) {
	if s.dec.PeekKind() != '[' {
		text, err := s.text("messages.content")
		if err != nil || text == "" {
			return nil, err
		}
		return []content.Part{content.Text(text)}, nil
	}
	var parts []content.Part
	err := s.array("messages.content", func(int) error {
		var p struct {
			Type     string `json:"type"`
			Text     string `json:"text"`
			ImageURL struct {
				URL string `json:"url"`
			} `json:"image_url"`
			InputAudio struct {
				Data   []byte `json:"data"`
				Format string `json:"format"`
			} `json:"input_audio"`
			File struct {
				ID   string `json:"file_id"`
				Name string `json:"filename"`
				Data string `json:"file_data"`
			} `json:"file"`
		}
		if err := s.value("messages.content", "text or a list of parts", &p); err != nil {
			return err
		}
		var part content.Part
		var err error
		switch p.Type {
		case "text":
			part = content.Text(p.Text)
		case "image_url":
			part, err = decodeImage(p.ImageURL.URL)
		case "input_audio":
			part, err = content.NewAudio(audioMIME(p.InputAudio.Format), p.InputAudio.Data)
		case "file":
			if p.File.ID != "" {
				part, err = content.FileID(p.File.ID)
			} else {
				part, err = decodeFile(p.File.Name, p.File.Data)
			}
		default:
			return &FormatError{Field: "messages.content", Reason: "has a part of an unknown type"}
		}
		if err != nil {
			return &FormatError{Field: "messages.content", Reason: "has media that cannot be used"}
		}
		parts = append(parts, part)
		return nil
	})
	return parts, err
}

func decodeImage(url string) (content.Image, error) {
	data, isData := strings.CutPrefix(url, "data:")
	if !isData {
		return content.ImageURL(url)
	}
	_, encoded, _ := strings.Cut(data, ";base64,")
	file, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return content.Image{}, err
	}
	return content.NewImage(file)
}

// decodeFile reads a data URL.
func decodeFile(name, address string) (content.File, error) {
	mime, encoded, _ := strings.Cut(strings.TrimPrefix(address, "data:"), ";base64,")
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return content.File{}, err
	}
	return content.NewFile(name, mime, data)
}

func audioMIME(format string) string {
	switch format {
	case "":
		return ""
	case "mp3":
		return "audio/mpeg"
	}
	return "audio/" + format
}
