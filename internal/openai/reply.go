package openai

import (
	"strconv"

	"github.com/mellea-go/mellea/content"
)

// AppendReply appends ev as the JSON of a whole reply, as a server sends it.
func AppendReply(dst []byte, ev *Event) []byte {
	dst = appendHead(dst, ev, "chat.completion")
	dst = append(dst, `[{"index":0,"message":{"role":"assistant","content":`...)
	if ev.Text == nil && (len(ev.ToolCalls) > 0 || ev.Refusal != nil) {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, ev.Text)
	}
	dst = appendMessageRest(dst, ev, false)
	dst = appendFinish(dst, ev.FinishReason)
	if ev.HasUsage {
		dst = appendUsage(dst, ev.Usage)
	}
	return append(dst, '}')
}

// AppendChunk appends ev as the JSON of one chunk of a streamed reply. Without a message and a finish reason it has no
// choices, as the chunk with the usage has none.
func AppendChunk(dst []byte, ev *Event) []byte {
	dst = appendHead(dst, ev, "chat.completion.chunk")
	if ev.Choices == 0 && !ev.HasMessage && ev.FinishReason == "" {
		dst = append(dst, "[]"...)
	} else {
		dst = append(dst, `[{"index":0,"delta":{`...)
		mark := len(dst)
		if ev.HasRole {
			dst = append(dst, `,"role":"assistant"`...)
		}
		if ev.Text != nil {
			dst = appendString(appendName(dst, "content"), ev.Text)
		}
		dst = appendMessageRest(dst, ev, true)
		if dst[mark] == ',' { // the first member of the delta
			dst = append(dst[:mark], dst[mark+1:]...)
		}
		dst = appendFinish(dst, ev.FinishReason)
	}
	if ev.HasUsage {
		dst = appendUsage(dst, ev.Usage)
	}
	return append(dst, '}')
}

// AppendEvent appends data as one event of an event stream.
func AppendEvent(dst, data []byte) []byte {
	dst = append(append(dst, "data: "...), data...)
	return append(dst, "\n\n"...)
}

// AppendDone appends the event that ends a stream.
func AppendDone(dst []byte) []byte { return append(dst, "data: "+Done+"\n\n"...) }

// AppendError appends an error as a server sends it, alone or in the middle of a stream. Kind is the dialect's type of
// error, such as "invalid_request_error"; param and code may be empty.
func AppendError(dst []byte, kind, message, param, code string) []byte {
	orNull := func(dst []byte, s string) []byte {
		if s == "" {
			return append(dst, "null"...)
		}
		return appendString(dst, s)
	}
	dst = appendString(append(dst, `{"error":{"message":`...), message)
	dst = appendString(append(dst, `,"type":`...), kind)
	dst = orNull(append(dst, `,"param":`...), param)
	dst = orNull(append(dst, `,"code":`...), code)
	return append(dst, `}}`...)
}

func appendHead(dst []byte, ev *Event, object string) []byte {
	dst = appendString(append(dst, `{"id":`...), ev.ID)
	dst = appendString(appendName(dst, "object"), object)
	dst = appendIntMember(dst, "created", ev.Created)
	dst = appendString(appendName(dst, "model"), ev.Model)
	if ev.Fingerprint != "" {
		dst = appendString(appendName(dst, "system_fingerprint"), ev.Fingerprint)
	}
	if ev.ServiceTier != "" {
		dst = appendString(appendName(dst, "service_tier"), ev.ServiceTier)
	}
	return appendName(dst, "choices")
}

// appendMessageRest appends what may follow the content of a message and closes it. Calls are numbered in a stream only.
func appendMessageRest(dst []byte, ev *Event, numbered bool) []byte {
	if ev.Reasoning != nil {
		dst = appendString(appendName(dst, "reasoning_content"), ev.Reasoning)
	}
	if ev.Refusal != nil {
		dst = appendString(appendName(dst, "refusal"), ev.Refusal)
	}
	for i, c := range ev.ToolCalls {
		if i == 0 {
			dst = append(appendName(dst, "tool_calls"), '[')
		} else {
			dst = append(dst, ',')
		}
		dst = append(dst, '{')
		if numbered {
			dst = append(strconv.AppendInt(append(dst, `"index":`...), int64(max(c.Index, 0)), 10), ',')
		}
		if c.ID != "" {
			dst = appendString(append(dst, `"id":`...), c.ID)
			dst = append(dst, `,"type":"function",`...)
		}
		dst = append(dst, `"function":{`...)
		if c.Name != "" {
			dst = append(appendString(append(dst, `"name":`...), c.Name), ',')
		}
		dst = appendString(append(dst, `"arguments":`...), c.Arguments)
		dst = append(dst, `}}`...)
	}
	if len(ev.ToolCalls) > 0 {
		dst = append(dst, ']')
	}
	return append(dst, '}')
}

// appendFinish closes the only choice.
func appendFinish(dst []byte, reason string) []byte {
	dst = appendName(dst, "finish_reason")
	if reason == "" {
		dst = append(dst, "null"...)
	} else {
		dst = appendString(dst, reason)
	}
	return append(dst, `}]`...)
}

func appendUsage(dst []byte, u content.Usage) []byte {
	count := func(name string, n int) {
		if n > 0 {
			dst = appendIntMember(dst, name, int64(n))
		}
	}
	details := func(name, special string, n int, text, image, audio int) {
		if max(n, text, image, audio) <= 0 {
			return
		}
		dst = append(appendName(dst, name), '{')
		mark := len(dst)
		count(special, n)
		count("text_tokens", text)
		count("image_tokens", image)
		count("audio_tokens", audio)
		dst = append(append(dst[:mark], dst[mark+1:]...), '}')
	}
	dst = append(appendName(dst, "usage"), `{"prompt_tokens":`...)
	dst = strconv.AppendInt(dst, int64(u.InputTokens), 10)
	dst = appendIntMember(dst, "completion_tokens", int64(u.OutputTokens))
	dst = appendIntMember(dst, "total_tokens", int64(u.Total()))
	details("prompt_tokens_details", "cached_tokens", u.CacheReadTokens, u.Text.InputTokens, u.Image.InputTokens, u.Audio.InputTokens)
	details("completion_tokens_details", "reasoning_tokens", u.ReasoningTokens, u.Text.OutputTokens, u.Image.OutputTokens, u.Audio.OutputTokens)
	count("cache_creation_input_tokens", u.CacheWriteTokens)
	return append(dst, '}')
}
