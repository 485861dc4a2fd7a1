package openai

import (
	"encoding/base64"
	"strconv"
	"strings"

	"github.com/mellea-go/mellea/content"
)

// unnamedIDs counts the tool calls and results without an id, which the dialect demands: a model that was asked through
// another API may have given none. Results are taken to come in the order of the calls.
type unnamedIDs struct{ calls, results int }

func nextID(n *int) string {
	*n++
	return "call_" + strconv.Itoa(*n)
}

// AppendMessages appends the messages, separated by commas, as members of an array. The error is a *[ValueError].
func AppendMessages(dst []byte, ms content.Messages, style Style) (_ []byte, err error) {
	var ids unnamedIDs
	start := len(dst)
	for _, m := range ms.All() {
		if dst, err = appendMessage(dst, start, m, &ids, style); err != nil {
			return dst, err
		}
	}
	return dst, nil
}

// open begins the next message; start is where the first one goes.
func open(dst []byte, start int, role content.Role) []byte {
	if len(dst) > start {
		dst = append(dst, ',')
	}
	return appendString(append(dst, `{"role":`...), role)
}

func appendMessage(dst []byte, start int, m content.Message, ids *unnamedIDs, style Style) (_ []byte, err error) {
	if m.PlainText() {
		dst = open(dst, start, m.Role())
		dst = appendString(append(dst, `,"content":`...), m.Text())
		return append(dst, '}'), nil
	}
	var calls, results, media, text int
	for p := range m.Parts() {
		switch p.(type) {
		case content.ToolCall:
			calls++
		case content.ToolResult:
			results++
		case content.Image, content.Audio, content.File:
			media++
		case content.Text:
			text++
		}
	}
	if results > 0 {
		dst = appendResults(dst, start, m, ids)
		if media+text+calls == 0 {
			return dst, nil
		}
	}
	dst = open(dst, start, m.Role())
	switch {
	case media > 0:
		if dst, err = appendParts(appendName(dst, "content"), m, style); err != nil {
			return dst, err
		}
	case text > 0 || calls == 0:
		dst = appendString(appendName(dst, "content"), m.Text())
	case !style.NoNull:
		dst = append(appendName(dst, "content"), "null"...)
	}
	if calls > 0 {
		dst = appendCalls(dst, m, ids, style)
	}
	return append(dst, '}'), nil
}

// appendResults appends a message for each tool result: the dialect has one result a message.
func appendResults(dst []byte, start int, m content.Message, ids *unnamedIDs) []byte {
	for p := range m.Parts() {
		r, ok := p.(content.ToolResult)
		if !ok {
			continue
		}
		id := r.CallID
		if id == "" {
			id = nextID(&ids.results)
		}
		dst = open(dst, start, content.RoleTool)
		dst = appendString(append(dst, `,"tool_call_id":`...), id)
		dst = appendString(append(dst, `,"content":`...), r.Content)
		dst = append(dst, '}')
	}
	return dst
}

// appendCalls appends the tool calls of a turn and, before them, the reasoning that led to them. Models need that to go
// on where they stopped; the reasoning of other turns is not sent back, which providers advise against.
func appendCalls(dst []byte, m content.Message, ids *unnamedIDs, style Style) []byte {
	if r := m.Reasoning(); r != "" && !style.NoReasoning {
		dst = appendString(appendName(dst, "reasoning_content"), r)
	}
	dst = append(dst, `,"tool_calls":[`...)
	n := 0
	for c := range m.ToolCalls() {
		if n++; n > 1 {
			dst = append(dst, ',')
		}
		id := c.ID
		if id == "" {
			id = nextID(&ids.calls)
		}
		dst = appendString(append(dst, `{"id":`...), id)
		dst = appendString(append(dst, `,"type":"function","function":{"name":`...), c.Name)
		dst = appendString(append(dst, `,"arguments":`...), c.Arguments)
		dst = append(dst, `}}`...)
	}
	return append(dst, ']')
}

// appendParts appends text and media as a list of parts.
func appendParts(dst []byte, m content.Message, style Style) ([]byte, error) {
	dst = append(dst, '[')
	n := 0
	for p := range m.Parts() {
		mark := len(dst)
		if n > 0 {
			dst = append(dst, ',')
		}
		n++
		switch p := p.(type) {
		case content.Text:
			dst = appendString(append(dst, `{"type":"text","text":`...), p)
			dst = append(dst, '}')
		case content.Image:
			dst = append(dst, `{"type":"image_url","image_url":{"url":`...)
			if p.URL() != "" {
				dst = appendString(dst, p.URL())
			} else {
				dst = append(append(append(dst, `"data:`...), p.MIME()...), `;base64,`...)
				dst = append(base64.StdEncoding.AppendEncode(dst, p.Bytes()), '"')
			}
			if style.ImageDetail != "" {
				dst = appendString(appendName(dst, "detail"), style.ImageDetail)
			}
			dst = append(dst, `}}`...)
		case content.Audio:
			format := AudioFormat(p.MIME())
			if format == "" {
				return dst, &ValueError{Name: "audio", Reason: "has a media type that is not audio/…"}
			}
			dst = append(dst, `{"type":"input_audio","input_audio":{"data":"`...)
			dst = base64.StdEncoding.AppendEncode(dst, p.Bytes())
			dst = appendString(append(dst, `","format":`...), format)
			dst = append(dst, `}}`...)
		case content.File:
			dst = appendFile(dst, p)
		default:
			dst = dst[:mark]
			n--
		}
	}
	return append(dst, ']'), nil
}

func appendFile(dst []byte, f content.File) []byte {
	dst = append(dst, `{"type":"file","file":{`...)
	if f.ID() != "" {
		dst = appendString(append(dst, `"file_id":`...), f.ID())
		return append(dst, `}}`...)
	}
	dst = appendString(append(dst, `"filename":`...), f.Name())
	dst = appendString(append(dst, `,"file_data":`...), "data:"+f.MIME()+";base64,"+f.Base64())
	return append(dst, `}}`...)
}

// AudioFormat returns the dialect's name for a media type: "wav" for audio/x-wav. It is "" for what is not audio.
func AudioFormat(mime string) string {
	sub, _ := strings.CutPrefix(mime, "audio/")
	switch sub {
	case mime:
		return ""
	case "x-wav", "wave", "vnd.wave":
		return "wav"
	case "mpeg":
		return "mp3"
	}
	return strings.TrimPrefix(sub, "x-")
}
