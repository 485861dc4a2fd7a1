package watsonxtest

import (
	"encoding/json"
	"fmt"

	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/content"
)

// Dialect is the service's side of the API.
type Dialect struct{}

var (
	_ backendtest.Dialect   = Dialect{}
	_ backendtest.Completer = Dialect{}
	_ backendtest.Lister    = Dialect{}
)

// Trace is the id of every failure.
const Trace = "req-7f3a"

// ModelUnknown is the code of a failure for want of the model.
const ModelUnknown = "model_not_supported"

// ContentType implements [backendtest.Dialect].
func (Dialect) ContentType(stream bool) string {
	if stream {
		return "text/event-stream;charset=utf-8"
	}
	return "application/json"
}

// object is a JSON object; encoding/json sorts its members.
type object map[string]any

func encode(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // v is the fake's own
		panic(err)
	}
	return text
}

// head has what every reply and every chunk begins with.
func head(id, model, kind string) object {
	return object{
		"id": id, "object": kind, "model_id": model, "model": model, "model_version": "1.0.0",
		"created": 1749736055, "created_at": "2025-06-12T13:47:35.541Z",
	}
}

func usage(u content.Usage) object {
	return object{"prompt_tokens": u.InputTokens, "completion_tokens": u.OutputTokens, "total_tokens": u.Total()}
}

// finish is the finish reason of r.
func finish(r backendtest.Reply) string {
	if len(r.ToolCalls) > 0 {
		return "tool_calls"
	}
	return r.Finish
}

// Reply implements [backendtest.Dialect].
func (Dialect) Reply(r backendtest.Reply) []byte {
	message := object{"role": "assistant"}
	if len(r.Text) > 0 {
		message["content"] = r.FullText()
	}
	if len(r.Reasoning) > 0 {
		message["reasoning_content"] = r.FullReasoning()
	}
	var calls []object
	for _, c := range r.ToolCalls {
		calls = append(calls, object{"id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": c.Arguments}})
	}
	if calls != nil {
		message["tool_calls"] = calls
	}
	doc := head(r.ID, r.Model, "chat.completion")
	doc["choices"] = []object{{"index": 0, "message": message, "finish_reason": finish(r)}}
	if r.Usage.Reported() {
		doc["usage"] = usage(r.Usage)
	}
	return encode(doc)
}

// Frames implements [backendtest.Dialect]. The last chunk has the usage and no choices.
func (Dialect) Frames(r backendtest.Reply) [][]byte {
	var frames [][]byte
	frame := func(change func(doc object)) {
		doc := head(r.ID, r.Model, "chat.completion.chunk")
		change(doc)
		frames = append(frames, Event(len(frames)+1, "message", encode(doc)))
	}
	choice := func(delta object, reason any) {
		frame(func(doc object) {
			doc["choices"] = []object{{"index": 0, "finish_reason": reason, "delta": delta}}
		})
	}
	choice(object{"role": "assistant", "content": ""}, nil)
	for _, piece := range r.Reasoning {
		choice(object{"reasoning_content": piece}, nil)
	}
	for _, piece := range r.Text {
		choice(object{"content": piece}, nil)
	}
	for i, c := range r.ToolCalls { // the head without arguments, then these in two pieces
		half := len(c.Arguments) / 2
		choice(object{"tool_calls": []object{{"index": i, "id": c.ID, "type": "function", "function": object{"name": c.Name, "arguments": ""}}}}, nil)
		for _, piece := range []string{c.Arguments[:half], c.Arguments[half:]} {
			choice(object{"tool_calls": []object{{"index": i, "function": object{"name": "", "arguments": piece}}}}, nil)
		}
	}
	choice(object{"content": ""}, finish(r))
	frame(func(doc object) {
		doc["choices"] = []object{}
		doc["usage"] = usage(r.Usage)
	})
	return frames
}

// Event returns one event of a stream.
func Event(id int, name string, data []byte) []byte {
	return fmt.Appendf(nil, "id: %d\nevent: %s\ndata: %s\n\n", id, name, data)
}

// Failure implements [backendtest.Dialect].
func (Dialect) Failure(status int, code, message string) []byte {
	failure := object{"message": message, "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai#text-chat"}
	if code != "" {
		failure["code"] = code
	}
	return encode(object{"errors": []object{failure}, "trace": Trace, "status_code": status})
}

// Missing implements [backendtest.Dialect].
func (Dialect) Missing(stream bool) []byte {
	doc := head("chatcmpl-1", "m", "chat.completion")
	doc["choices"] = []object{}
	if stream {
		return Event(1, "message", encode(doc))
	}
	return encode(doc)
}

// Completions implements [backendtest.Completer]. A request has one prompt.
func (Dialect) Completions(all []backendtest.Completion) []byte {
	c := all[0]
	reason := map[string]string{"stop": "eos_token", "length": "max_tokens"}[c.Finish]
	return encode(object{
		"model_id": c.Model, "created_at": "2023-07-21T16:52:32.190Z",
		"results": []object{{
			"generated_text": c.Text, "generated_token_count": c.Usage.OutputTokens, "input_token_count": c.Usage.InputTokens, "stop_reason": reason,
		}},
	})
}

// Models implements [backendtest.Lister].
func (Dialect) Models(path string, names []string) ([]byte, bool) {
	if path != pathModels {
		return nil, false
	}
	return modelPage(names, ""), true
}

// modelPage is a page of models; next is the position of the next one, "" for none.
func modelPage(names []string, next string) []byte {
	resources := []object{}
	for _, n := range names {
		resources = append(resources, object{
			"model_id": n, "label": n, "provider": "the-provider", "source": "the-source", "short_description": "a model",
			"input_tier": "class_1", "output_tier": "class_1", "number_params": "8b", "functions": []object{{"id": "text_chat"}},
			"lifecycle": []object{{"id": "available", "start_date": "2025-02-03"}},
		})
	}
	doc := object{
		"total_count": len(names), "limit": len(names), "resources": resources,
		"first": object{"href": "https://us-south.ml.cloud.ibm.com" + pathModels},
	}
	if next != "" {
		doc["next"] = object{"href": "https://us-south.ml.cloud.ibm.com" + pathModels + "?version=2024-03-14&start=" + next}
	}
	return encode(doc)
}
