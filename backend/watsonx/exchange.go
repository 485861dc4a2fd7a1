package watsonx

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// exchange is one chat and its reply. It belongs to the goroutine of the output.
type exchange struct {
	b      *Backend
	body   *bytes.Buffer
	model  string
	stream bool
	stops  bool // stop sequences are set, so that an empty reply is one
	idle   time.Duration

	calls     calls
	choices   int
	finish    string
	refused   bool
	moderated bool
	spoke     bool // a choice had a message or a delta
	done      bool // the stream said that it is over
	some      bool // text, reasoning, a refusal or a tool call arrived
}

// run is the produce function of the output.
func (x *exchange) run(ctx context.Context, w *backend.Writer) error {
	defer wire.PutBuffer(x.body)
	g := w.Generation()
	call := wire.Call{Path: "/ml/v1/text/chat", Body: x.body.Bytes(), Stream: x.stream, ReadIdle: x.idle}
	if x.stream {
		call.Path, call.Accept = "/ml/v1/text/chat_stream", "text/event-stream"
	}
	res, err := x.b.do(ctx, opChat, call, func(r backend.Retry) { g.Retries = g.Retries.Append(r) })
	if err != nil {
		nameModel(err, x.model)
		if failed, ok := errors.AsType[*backend.Error](err); ok {
			g.RequestID = failed.RequestID
		}
		return err
	}
	defer res.Close()
	g.RequestID = res.RequestID()
	dec := decoders.Get().(*openai.Decoder)
	defer decoders.Put(dec)
	if x.stream && res.ContentType() != "application/json" { // errors come as JSON
		err = x.readStream(w, res, dec)
	} else {
		err = x.readWhole(w, res, dec)
	}
	if failure := x.calls.flush(w, res.LastRead()); err == nil {
		err = failure
	}
	if at := res.LastRead(); !at.IsZero() {
		w.End(at)
	}
	if failed, ok := errors.AsType[*backend.Error](err); ok {
		nameModel(err, x.model)
		if failed.RequestID != "" { // the trace, where the service gave one
			g.RequestID = failed.RequestID
		}
	}
	return err
}

func (x *exchange) readWhole(w *backend.Writer, res *wire.Response, dec *openai.Decoder) error {
	data, err := res.ReadAll(0)
	if err != nil {
		return broken(opChat, res, err)
	}
	if err := x.take(w, res, dec, data); err != nil {
		return err
	}
	return x.verdict(w, res)
}

func (x *exchange) readStream(w *backend.Writer, res *wire.Response, dec *openai.Decoder) error {
	events := res.SSE()
	for !x.done {
		event, err := events.Next()
		if err != nil {
			// A last event without the blank line after it is whole if it decodes.
			if rest := events.Rest(); len(rest.Data) > 0 && errors.Is(err, io.EOF) && whole(rest.Data) {
				if err := x.event(w, res, dec, rest); err != nil {
					return err
				}
			}
			if !x.over() || !failure.CutOff(err) {
				return broken(opChat, res, err)
			}
			break
		}
		if err := x.event(w, res, dec, event); err != nil {
			return err
		}
	}
	return x.verdict(w, res)
}

// over reports whether the reply is complete, though the stream may go on with the usage. What a moderation blocks gets
// no finish reason.
func (x *exchange) over() bool { return x.done || x.finish != "" || x.blocked() }

func (x *exchange) blocked() bool { return x.moderated && !x.spoke }

func whole(data []byte) bool { return string(data) == openai.Done || jsontext.Value(data).IsValid() }

// event delivers one event of a stream. Those named "message" bring chunks, "error" an error, and "close" says that the
// stream is over, with the usage or with an empty object.
func (x *exchange) event(w *backend.Writer, res *wire.Response, dec *openai.Decoder, event wire.Event) error {
	switch string(event.Name) {
	case "error":
		return serverError(opChat, res, event.Data)
	case "close":
		x.done = true
		if string(bytes.TrimSpace(event.Data)) == "{}" {
			return nil
		}
	}
	return x.take(w, res, dec, event.Data)
}

// take delivers one reply or chunk to the output.
func (x *exchange) take(w *backend.Writer, res *wire.Response, dec *openai.Decoder, data []byte) error {
	if string(data) == openai.Done {
		x.done = true
		return nil
	}
	ev, err := dec.Decode(data)
	if err != nil {
		return malformed(opChat, res, data, x.choices > 0, err)
	}
	if ev.HasError {
		return serverError(opChat, res, data)
	}
	g := w.Generation()
	if ev.ID != "" {
		g.ResponseID = ev.ID
	}
	if ev.Model != "" {
		g.ResponseModel = ev.Model
	}
	if ev.HasUsage {
		g.Usage = ev.Usage
		if ev.Choices == 0 && x.choices > 0 { // the last chunk of a stream
			x.done = true
		}
	}
	x.choices += ev.Choices
	x.moderated = x.moderated || ev.Moderated
	x.spoke = x.spoke || ev.HasMessage
	if ev.FinishReason != "" {
		x.finish = ev.FinishReason
	}
	if len(ev.Refusal) > 0 {
		x.refused = true
	}
	return x.deliver(w, res.LastRead(), ev)
}

func (x *exchange) deliver(w *backend.Writer, at time.Time, ev *openai.Event) error {
	if len(ev.Text)+len(ev.Reasoning)+len(ev.Refusal)+len(ev.ToolCalls) == 0 {
		w.Other(at)
		return nil
	}
	x.some = true
	w.Reasoning(at, ev.Reasoning)
	w.Text(at, ev.Text)
	w.Text(at, ev.Refusal)
	for i := range ev.ToolCalls {
		if err := x.calls.add(w, at, &ev.ToolCalls[i]); err != nil {
			return err
		}
	}
	return nil
}

// verdict judges a reply that arrived whole.
func (x *exchange) verdict(w *backend.Writer, res *wire.Response) error {
	reason := x.finish
	switch {
	case x.refused && reason == openai.FinishStop:
		reason = "refusal"
	case reason == "" && len(x.calls) > 0: // as when the model was told to call a tool
		reason = openai.FinishToolCalls
	}
	if reason != "" {
		w.Generation().FinishReasons = content.ListOf(reason)
	}
	switch {
	case x.blocked():
		return &backend.Error{Provider: Provider, Op: opChat, Code: codeContentFilter, RequestID: res.RequestID(),
			Remedy: "a moderation of the service blocked the request or the reply: change the request"}
	case x.choices == 0:
		return invalid(opChat, res, "the reply has no choices: does the base URL lead to a watsonx.ai service?", nil)
	case x.finish == "error" || x.finish == "cancelled":
		return invalid(opChat, res, "the service gave the reply up: try again", nil)
	case x.some || x.stops:
		return nil
	case x.finish == openai.FinishLength:
		return invalid(opChat, res, "the reply is empty because it reached its bound: allow more tokens", nil)
	case x.finish == "time_limit":
		return invalid(opChat, res, "the reply is empty because its time was over: allow more with the extra time_limit, in milliseconds", nil)
	}
	return invalid(opChat, res, "the reply is empty: try again or change the request", nil)
}

// calls are the tool calls of a reply, by their number.
type calls []calling

// calling is a tool call as it grows. Some models write its arguments as a JSON string that holds the JSON text, so
// arguments that begin with a quotation mark are held back until they are whole.
type calling struct {
	begun bool
	held  []byte // nil when nothing is held back
}

// add delivers what a chunk adds to a call. The service numbers calls; what it does not number adds to the last one.
func (s *calls) add(w *backend.Writer, at time.Time, c *openai.ToolCall) error {
	i := c.Index
	if i < 0 {
		i = max(len(*s)-1, 0)
		if c.Name != "" && len(*s) > 0 {
			i++
		}
	}
	if i >= backend.MaxToolCalls {
		return w.ToolCall(at, backend.ToolDelta{Index: i}) // refuses it
	}
	for len(*s) <= i {
		*s = append(*s, calling{})
	}
	d := backend.ToolDelta{Index: i, ID: c.ID, Name: c.Name}
	switch call := &(*s)[i]; {
	case call.held != nil:
		call.held = append(call.held, c.Arguments...)
	case !call.begun && bytes.HasPrefix(bytes.TrimLeft(c.Arguments, " \t\r\n"), []byte{'"'}):
		call.held = append([]byte{}, c.Arguments...)
	default:
		if len(bytes.TrimSpace(c.Arguments)) > 0 {
			call.begun = true
		}
		d.Arguments = string(c.Arguments)
	}
	return w.ToolCall(at, d)
}

// flush delivers what was held back: the text within the string where that is an object, the string itself otherwise.
func (s *calls) flush(w *backend.Writer, at time.Time) error {
	for i := range *s {
		held := (*s)[i].held
		if held == nil {
			continue
		}
		text := held
		if value := jsontext.Value(bytes.TrimSpace(held)); value.IsValid() {
			inner, err := jsontext.AppendUnquote(nil, value)
			if object := jsontext.Value(inner); err == nil && object.Kind() == '{' && object.IsValid() {
				text = inner
			}
		}
		if err := w.ToolCall(at, backend.ToolDelta{Index: i, Arguments: string(text)}); err != nil {
			return err
		}
	}
	return nil
}
