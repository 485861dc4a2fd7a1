package client

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// exchange is one request and its reply. It belongs to the goroutine of the output.
type exchange struct {
	c      *Client
	body   *bytes.Buffer
	format *backend.Request // what was asked for, when it has a format
	way    openai.Structured
	model  string
	stream bool
	stops  bool // stop sequences are set, so that an empty reply is one
	idle   time.Duration

	calls   calls
	found   []seenCall // of the tool calls of an event, in their order
	served  served
	choices int
	finish  string
	refused bool
	done    bool // the stream said that it is over
	some    bool // text, reasoning, a refusal or a tool call arrived
}

// run is the produce function of the output.
func (x *exchange) run(ctx context.Context, w *backend.Writer) error {
	defer func() { wire.PutBuffer(x.body) }()
	g := w.Generation()
	res, err := x.send(ctx, g)
	if err != nil {
		return err
	}
	defer func() { _ = res.Close() }() // it never fails
	g.RequestID = res.RequestID()
	x.c.describe(res.Header, g)
	dec := decoders.Get().(*openai.Decoder)
	defer decoders.Put(dec)
	// Some servers do not stream, whatever they are asked.
	if dec.Whole = !x.stream || res.ContentType() == "application/json"; dec.Whole {
		err = x.readWhole(w, res, dec)
	} else {
		err = x.readStream(w, res, dec)
	}
	if at := res.LastRead(); !at.IsZero() {
		w.End(at)
	}
	return err
}

// send makes the request, once more for each way of structured output that the server turns out not to have.
func (x *exchange) send(ctx context.Context, g *backend.Generation) (*wire.Response, error) {
	for {
		call := wire.Call{
			Path: x.c.path(Chat, x.model), Body: x.body.Bytes(), Stream: x.stream, ReadIdle: x.idle,
			SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
			OnRetry:    func(r wire.Retry) { g.Retries = g.Retries.Append(failure.Retry(r)) },
		}
		if x.stream {
			call.Accept = "text/event-stream, application/json" // errors come as JSON
		}
		res, err := x.c.wire.Do(ctx, call)
		if err == nil {
			return res, nil
		}
		if status, ok := errors.AsType[*wire.StatusError](err); ok {
			if x.simplify(status) {
				g.Retries = g.Retries.Append(backend.Retry{At: time.Now(), Status: status.Status, Reason: "unsupported_format"})
				continue
			}
			x.c.describe(status.Header, g)
		}
		err = x.c.fail(Chat.String(), err)
		if failed, ok := errors.AsType[*backend.Error](err); ok {
			g.RequestID = failed.RequestID
			x.c.nameModel(failed, x.model)
		}
		return nil, err
	}
}

func (x *exchange) readWhole(w *backend.Writer, res *wire.Response, dec *openai.Decoder) error {
	data, err := res.ReadAll(0)
	if err != nil {
		return x.c.broken(Chat, res, err)
	}
	if err := x.take(w, res, dec, data); err != nil {
		return err
	}
	return x.verdict(res)
}

func (x *exchange) readStream(w *backend.Writer, res *wire.Response, dec *openai.Decoder) error {
	events := res.SSE()
	for !x.done {
		event, err := events.Next()
		if err != nil {
			// A last event without the blank line after it is whole if it decodes.
			if rest := events.Rest().Data; len(rest) > 0 && errors.Is(err, io.EOF) {
				if whole(rest) {
					if err := x.take(w, res, dec, rest); err != nil {
						return err
					}
				}
			}
			if !x.done && x.finish == "" || !failure.CutOff(err) {
				return x.c.broken(Chat, res, err)
			}
			break
		}
		if string(event.Name) == "error" {
			return x.c.serverError(Chat, res, event.Data)
		}
		if err := x.take(w, res, dec, event.Data); err != nil {
			return err
		}
	}
	return x.verdict(res)
}

// take delivers one reply or chunk to the output.
func (x *exchange) take(w *backend.Writer, res *wire.Response, dec *openai.Decoder, data []byte) error {
	if string(data) == openai.Done {
		x.done = true
		return nil
	}
	ev, err := dec.Decode(data)
	if err != nil {
		return x.c.malformed(Chat, res, data, err, x.choices > 0)
	}
	if ev.HasError {
		return x.c.serverError(Chat, res, data)
	}
	g, at := w.Generation(), res.LastRead()
	if ev.ID != "" {
		g.ResponseID = ev.ID
	}
	if ev.Model != "" {
		g.ResponseModel = ev.Model
	}
	if ev.Fingerprint != "" {
		g.SystemFingerprint = ev.Fingerprint
	}
	if ev.ServiceTier != "" {
		g.ServiceTier = ev.ServiceTier
	}
	if ev.HasUsage {
		g.Usage = ev.Usage
	}
	if ev.HasCost {
		g.Cost = backend.Cost{USD: ev.CostUSD, Reported: true}
	}
	x.choices += ev.Choices
	if ev.FinishReason != "" {
		x.finish = ev.FinishReason
	}
	if len(ev.Refusal) > 0 {
		x.refused = true
	}
	if x.finish != "" && (ev.FinishReason != "" || len(ev.Refusal) > 0) {
		reason := x.finish
		if x.refused && reason == openai.FinishStop {
			reason = "refusal"
		}
		g.FinishReasons = content.ListOf(reason)
	}
	return x.deliver(w, at, ev)
}

func (x *exchange) deliver(w *backend.Writer, at time.Time, ev *openai.Event) error {
	before := w.Generation().Chunks
	w.Reasoning(at, ev.Reasoning)
	if err := x.deliverServed(w, at, ev); err != nil {
		return err
	}
	w.Text(at, ev.Text)
	w.Text(at, ev.Refusal)
	for i, call := range x.found {
		if call.served {
			continue
		}
		c := &ev.ToolCalls[i]
		err := w.ToolCall(at, backend.ToolDelta{Index: call.place, ID: c.ID, Name: c.Name, Arguments: string(c.Arguments)})
		if err != nil {
			return err
		}
	}
	if w.Generation().Chunks == before {
		w.Other(at)
		return nil
	}
	x.some = true
	return nil
}

// deliverServed finds which calls an event adds to, and delivers what it says of those that the provider ran itself.
func (x *exchange) deliverServed(w *backend.Writer, at time.Time, ev *openai.Event) error {
	x.found = x.found[:0]
	for i := range ev.ToolCalls {
		c := &ev.ToolCalls[i]
		call := x.calls.find(c)
		x.found = append(x.found, call)
		if !call.served {
			continue
		}
		err := w.ServerTool(at, backend.ServerToolDelta{
			Index: x.served.identified(call.id), ID: c.ID, Name: c.Name, Type: c.Name, Arguments: string(c.Arguments),
		})
		if err != nil {
			return err
		}
	}
	for i := range ev.ServerTools {
		if d, news := x.served.delta(&ev.ServerTools[i]); news {
			if err := w.ServerTool(at, d); err != nil {
				return err
			}
		}
	}
	return nil
}

// verdict judges a reply that arrived whole.
func (x *exchange) verdict(res *wire.Response) error {
	switch {
	case x.choices == 0:
		return x.c.invalid(Chat, res, "the reply has no choices: does the base URL lead to a chat-completions API?", nil)
	case x.finish == openai.FinishContentFilter:
		return x.c.filtered(Chat, res)
	case x.some || x.stops:
		return nil
	case x.finish == openai.FinishLength:
		return x.c.invalid(Chat, res, "the reply is empty because it reached its bound: allow more tokens", nil)
	}
	return x.c.invalid(Chat, res, "the reply is empty: try again or change the request", nil)
}
