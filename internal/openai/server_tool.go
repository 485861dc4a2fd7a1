package openai

import (
	"bytes"
	"cmp"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// What a provider tells of the tools that it ran itself stands beside the reply, in members that are no part of the dialect
// and have no fixed form. Where they are not of the form known here they are left out: no reply is lost for them.
// Annotations, in which OpenAI and others cite what a search found, are about the text and say neither what was called nor
// what it gave: they are left alone.

// ServerTool is what a document says of a tool that the provider ran. Its bytes are its own.
type ServerTool struct {
	// Index numbers the tools of a reply from 0; -1 when the server tells them apart by ID.
	Index int
	// ID, Name, Type and Arguments are those of the call. Of a result alone there is the ID only.
	ID, Name, Type string
	Arguments      []byte
	// ResultType is "" where there is no result yet. Result is JSON text.
	ResultType string
	Result     []byte
}

// executedTools reads the tools that Groq's compound systems ran: message.executed_tools, and delta.executed_tools, where
// each chunk has all that is known of a tool by then, at first without what it gave. The form is that of ExecutedTool in
// Groq's Python SDK (groq/types/chat/chat_completion_message.py), with the name that LiteLLM finds there as well
// (litellm/llms/groq/chat/transformation.py). There are no ids. What a tool gave is in members of many names, such as output,
// search_results and code_results, which are kept together as an object.
func (d *Decoder) executedTools() error {
	return d.serverTools("executed_tools", func(i int, v jsontext.Value) (ServerTool, bool) {
		t := ServerTool{Index: i}
		var result []byte
		members(v, func(name string, v jsontext.Value) {
			switch name {
			case "index":
				if n, err := strconv.Atoi(string(v)); err == nil && n >= 0 {
					t.Index = n
				}
			case "type":
				t.Type = textOf(v)
			case "name":
				t.Name = textOf(v)
			case "arguments":
				if t.Arguments = []byte(textOf(v)); v.Kind() == '{' {
					t.Arguments = v.Clone()
				}
			default:
				if !hollow(v) {
					result = append(append(appendString(append(result, ','), name), ':'), v...)
				}
			}
		})
		t.Name, t.Type = cmp.Or(t.Name, t.Type), cmp.Or(t.Type, t.Name)
		if len(result) > 0 {
			result[0] = '{'
			result = append(result, '}')
			t.ResultType, t.Result = t.Type, result
		}
		return t, t.Name != ""
	})
}

// providerFields reads what LiteLLM tells of the tools that Anthropic ran: message.provider_specific_fields, and those of a
// delta, which have all results of the reply so far. The calls are among the tool calls, see [ToolCall.Served]; what they gave
// is here in Anthropic's blocks, those of web_search and web_fetch in web_search_results and all others in tool_results
// (litellm/llms/anthropic/chat/transformation.py and handler.py of version 1.106; testdata has what its proxy sends). What
// else there is says the same in other words.
func (d *Decoder) providerFields() error {
	s := &d.scan
	if s.dec.PeekKind() != '{' {
		return s.skip()
	}
	return s.object("provider_specific_fields", func(name []byte) error {
		switch string(name) {
		case `"web_search_results"`, `"tool_results"`:
			return d.serverTools("provider_specific_fields", func(_ int, v jsontext.Value) (ServerTool, bool) {
				t := ServerTool{Index: -1}
				members(v, func(name string, v jsontext.Value) {
					switch name {
					case "tool_use_id":
						t.ID = textOf(v)
					case "type":
						t.ResultType = textOf(v)
					case "content":
						t.Result = v.Clone()
					}
				})
				return t, t.ID != "" && t.ResultType != ""
			})
		}
		return s.skip()
	})
}

// serverTools reads a list of objects, each by read, which says whether it is of use.
func (d *Decoder) serverTools(field string, read func(i int, v jsontext.Value) (ServerTool, bool)) error {
	s := &d.scan
	if s.dec.PeekKind() != '[' {
		return s.skip()
	}
	return s.array(field, func(i int) error {
		if i >= MaxToolCalls {
			return &FormatError{Field: field, Reason: "has too many elements"}
		}
		v, err := s.raw()
		if err != nil || v.Kind() != '{' {
			return err
		}
		if t, ok := read(i, v); ok {
			d.served = append(d.served, t)
		}
		return nil
	})
}

// members calls f with each member of a JSON object that was found to be valid. The value is valid until f returns.
func members(object jsontext.Value, f func(name string, v jsontext.Value)) {
	dec := jsontext.NewDecoder(bytes.NewReader(object), lenient...)
	for _, err := dec.ReadToken(); err == nil && dec.PeekKind() == '"'; {
		name, _ := dec.ReadToken()
		key := name.String() // before the next read
		v, err := dec.ReadValue()
		if err != nil {
			return
		}
		f(key, v)
	}
}

// textOf returns a string, "" for any other value.
func textOf(v jsontext.Value) string {
	if v.Kind() != '"' {
		return ""
	}
	text, _ := jsontext.AppendUnquote(nil, v)
	return string(text)
}

// hollow reports whether there is nothing in a value but empty texts, lists and objects, and nulls.
func hollow(v jsontext.Value) bool {
	dec := jsontext.NewDecoder(bytes.NewReader(v), lenient...)
	for {
		tok, err := dec.ReadToken()
		if err != nil {
			return true
		}
		switch tok.Kind() {
		case '0', 't', 'f':
			return false
		case '"':
			within, n := dec.StackIndex(dec.StackDepth())
			if isName := within == '{' && n%2 == 1; !isName && tok.String() != "" {
				return false
			}
		}
	}
}
