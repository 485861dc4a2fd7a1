package backendtest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
)

// ChatCompletions is the dialect of the OpenAI API, strict: a member that it does not know is an error.
type ChatCompletions struct {
	// Path of chat completions; "" is /v1/chat/completions. Raw completions and the list of models are beside it.
	Path string
	// Known names members of requests that the server knows beyond those of the API reference.
	Known []string
}

var _ Dialect = ChatCompletions{}

// Decode implements [Dialect].
func (d ChatCompletions) Decode(path string, body []byte) (Received, error) {
	if path == d.beside("completions") {
		return d.decodeBatch(body)
	}
	if want := d.path(); path != want {
		return Received{}, fmt.Errorf("path %q, want %q", path, want)
	}
	in, err := openai.DecodeRequest(body)
	if err != nil {
		return Received{}, err
	}
	o := in.Request.Options
	for name := range o.Extras() {
		if name != backend.ToolChoice && !slices.Contains(d.Known, name) {
			return Received{}, fmt.Errorf("unknown member %q", name)
		}
	}
	switch {
	case len(in.Unknown) > 0:
		return Received{}, fmt.Errorf("unknown members %q", in.Unknown)
	case o.Model() == "":
		return Received{}, fmt.Errorf("no model")
	case o.Stream() && !in.IncludeUsage:
		return Received{}, fmt.Errorf("a stream without stream_options.include_usage")
	}
	return Received{Model: o.Model(), Messages: in.Request.Messages, Tools: in.Request.Tools, Stream: o.Stream()}, nil
}

func (d ChatCompletions) path() string {
	if d.Path == "" {
		return "/v1/chat/completions"
	}
	return d.Path
}

// beside is the path of another resource of the API.
func (d ChatCompletions) beside(resource string) string {
	return strings.TrimSuffix(d.path(), "chat/completions") + resource
}

// ContentType implements [Dialect].
func (ChatCompletions) ContentType(stream bool) string {
	if stream {
		return "text/event-stream; charset=utf-8"
	}
	return "application/json"
}

// Reply implements [Dialect].
func (ChatCompletions) Reply(r Reply) []byte {
	ev := openai.Event{ID: r.ID, Model: r.Model, Fingerprint: fingerprint, ServiceTier: serviceTier, Created: 1700000000, FinishReason: r.finish(), Usage: r.Usage, HasUsage: r.Usage.Reported()}
	if len(r.Text) > 0 {
		ev.Text = []byte(r.FullText())
	}
	if len(r.Reasoning) > 0 {
		ev.Reasoning = []byte(r.FullReasoning())
	}
	ev.ToolCalls = r.calls()
	return openai.AppendReply(nil, &ev)
}

// What the server says of the system that answered.
const fingerprint, serviceTier = "fp_1", "default"

// Frames implements [Dialect].
func (ChatCompletions) Frames(r Reply) [][]byte {
	var frames [][]byte
	frame := func(ev openai.Event) {
		ev.ID, ev.Model, ev.Created = r.ID, r.Model, 1700000000
		ev.Fingerprint, ev.ServiceTier = fingerprint, serviceTier
		frames = append(frames, openai.AppendEvent(nil, openai.AppendChunk(nil, &ev)))
	}
	frame(openai.Event{HasMessage: true, HasRole: true, Text: []byte{}})
	for _, piece := range r.Reasoning {
		frame(openai.Event{HasMessage: true, Reasoning: []byte(piece)})
	}
	for _, piece := range r.Text {
		frame(openai.Event{HasMessage: true, Text: []byte(piece)})
	}
	for i, c := range r.calls() { // the head with half of the arguments, then the rest
		half := len(c.Arguments) / 2
		frame(openai.Event{HasMessage: true, ToolCalls: []openai.ToolCall{{Index: i, ID: c.ID, Name: c.Name, Arguments: c.Arguments[:half]}}})
		frame(openai.Event{HasMessage: true, ToolCalls: []openai.ToolCall{{Index: i, Arguments: c.Arguments[half:]}}})
	}
	frame(openai.Event{HasMessage: true, FinishReason: r.finish()})
	if r.Usage.Reported() {
		frame(openai.Event{HasUsage: true, Usage: r.Usage})
	}
	return append(frames, openai.AppendDone(nil))
}

func (r Reply) finish() string {
	if len(r.ToolCalls) > 0 {
		return openai.FinishToolCalls
	}
	return r.Finish
}

func (r Reply) calls() []openai.ToolCall {
	var calls []openai.ToolCall
	for i, c := range r.ToolCalls {
		calls = append(calls, openai.ToolCall{Index: i, ID: c.ID, Name: c.Name, Arguments: []byte(c.Arguments)})
	}
	return calls
}

// Failure implements [Dialect].
func (ChatCompletions) Failure(_ int, code, message string) []byte {
	return openai.AppendError(nil, "invalid_request_error", message, "", code)
}

// Missing implements [Dialect].
func (ChatCompletions) Missing(stream bool) []byte {
	doc := []byte(`{"id":"x","object":"chat.completion","created":1700000000,"model":"m","choices":[]}`)
	if !stream {
		return doc
	}
	return openai.AppendDone(openai.AppendEvent(nil, doc))
}
