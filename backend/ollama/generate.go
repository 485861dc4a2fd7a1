package ollama

import (
	"bytes"
	"context"
	"errors"
	"io"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/failure"
	"github.com/mellea-go/mellea/internal/wire"
)

const opChat = "chat"

// chat is one request to /api/chat and its reply. After Generate returned, the goroutine of the Output owns it.
type chat struct {
	b      *Backend
	body   *bytes.Buffer // all but the model and the closing brace
	stream bool
	stops  bool // the request has stop sequences, which may leave nothing of a reply
	shows  bool // the request has images
	idle   time.Duration

	begun bool // a message has come, if only an empty one
	some  bool // text, reasoning or a tool call has come
	calls int  // tool calls so far

	later *backend.Request // not encoded yet: images are to be fetched first
}

// Generate starts one generation, as [backend.Backend] says. A part of a message or an option that Ollama cannot take
// is an *[backend.Error] with [backend.CodeUnsupported] or [backend.CodeConfiguration], and nothing is sent. With images the
// server is asked once whether the model sees; for one that does not, the output has an error with [backend.CodeUnsupported].
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if b.err != nil {
		return nil, b.err
	}
	sent, err := b.resolve(opChat, req.Options)
	if err != nil {
		return nil, err
	}
	sent, offer, err := sent.DropToolChoice(func() error { return lacking(opChat, backend.ToolChoice) }, func() { b.leaveOut(backend.ToolChoice) })
	if err != nil {
		return nil, err
	}
	if !offer {
		req.Tools = content.List[content.ToolSpec]{}
	}
	if picked := b.picked.Load(); picked != nil && sent.Model() == "" {
		sent = sent.WithModel(*picked)
	}
	images, n := pictures(req.Messages)
	switch {
	case n > 0 && b.images.Disable:
		return nil, unsupported("images by URL are switched off: fetch it and use content.NewImage")
	case n > maxFetched:
		return nil, unsupported("there are too many images by URL: fetch them and use content.NewImage")
	}
	c := &chat{b: b, body: wire.GetBuffer(), stream: sent.Stream(), shows: images > 0, stops: sent.Has(backend.NeutralStop),
		idle: backend.DefaultStreamTimeout}
	if d, ok := sent.StreamTimeout(); ok {
		c.idle = d
	}
	body, err := appendRequest(c.body.AvailableBuffer(), req, sent, b.keepAlive)
	if err == nil && n > 0 {
		later := req // encoded again with them; what cannot be sent is known now
		c.later = &later
	}
	if err != nil {
		wire.PutBuffer(c.body)
		return nil, err
	}
	if c.later == nil {
		c.body.Write(body)
	}
	host, port := b.client.Server()
	return backend.Start(ctx, req, backend.Generation{
		Provider:      provider,
		Model:         sent.Model(),
		Sent:          sent,
		Streaming:     c.stream,
		ServerAddress: host,
		ServerPort:    port,
	}, c.run), nil
}

func (c *chat) run(ctx context.Context, w *backend.Writer) error {
	defer wire.PutBuffer(c.body)
	g := w.Generation()
	if g.Model == "" {
		model, err := c.b.pick(ctx)
		if err != nil {
			return err
		}
		g.Model, g.Sent = model, g.Sent.WithModel(model)
	}
	if c.shows {
		if err := c.b.mustSee(ctx, g.Model); err != nil {
			return err
		}
	}
	if c.later != nil {
		if err := c.encode(ctx, g.Sent); err != nil {
			return err
		}
	}
	c.body.Write(closeRequest(c.body.AvailableBuffer(), g.Model))

	call := wire.Call{
		Path:       "/api/chat",
		Body:       c.body.Bytes(),
		Stream:     c.stream,
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
		OnRetry: func(r wire.Retry) {
			g.Retries = g.Retries.Append(failure.Retry(r))
		},
	}
	if c.stream {
		call.Accept, call.ReadIdle = "application/x-ndjson", c.idle
		if c.idle == 0 {
			call.ReadIdle = time.Nanosecond // zero is a bound, not the wire's default
		}
	}
	resp, err := c.b.client.Do(ctx, call)
	if err != nil {
		err = noModel(fail(opChat, err), g.Model)
		if e, ok := errors.AsType[*backend.Error](err); ok {
			g.RequestID = e.RequestID
		}
		return err
	}
	defer resp.Close()
	g.RequestID = resp.RequestID()

	d := decoders.Get().(*decoder)
	defer d.release()
	if c.stream {
		return c.readStream(resp, d, w)
	}
	return c.readWhole(resp, d, w)
}

// encode fetches the images of a request and encodes it.
func (c *chat) encode(ctx context.Context, sent backend.Options) error {
	messages, err := c.b.images.resolve(ctx, c.later.Messages)
	if err != nil {
		return err
	}
	req := *c.later
	req.Messages = messages
	body, err := appendRequest(c.body.AvailableBuffer(), req, sent, c.b.keepAlive)
	if err != nil {
		return err
	}
	c.body.Write(body)
	return nil
}

func (c *chat) readWhole(resp *wire.Response, d *decoder, w *backend.Writer) error {
	body, err := resp.ReadAll(0)
	if err != nil {
		return broken(opChat, resp, err)
	}
	if err := c.add(resp, d, w, body); err != nil {
		return err
	}
	if !d.done {
		return cutOff(opChat, resp)
	}
	return c.verdict(resp, d)
}

func (c *chat) readStream(resp *wire.Response, d *decoder, w *backend.Writer) error {
	lines := resp.NDJSON()
	for {
		line, err := lines.Next()
		switch {
		case err == io.EOF:
			return cutOff(opChat, resp)
		case err != nil:
			return broken(opChat, resp, err)
		}
		if err := c.add(resp, d, w, line); err != nil {
			return err
		}
		if d.done {
			return c.verdict(resp, d)
		}
	}
}

// add gives one object of the reply to the output.
func (c *chat) add(resp *wire.Response, d *decoder, w *backend.Writer, object []byte) error {
	at := resp.LastRead()
	if err := d.decode(object); err != nil {
		return malformed(opChat, resp)
	}
	if d.failed {
		if s := resp.StreamError(object); s != nil {
			return failStream(opChat, s)
		}
		return malformed(opChat, resp)
	}
	c.begun = c.begun || d.message
	if !d.message && (!d.done || !c.begun) {
		return malformed(opChat, resp)
	}
	w.Reasoning(at, d.reasoning)
	w.Text(at, d.text)
	for _, delta := range d.calls {
		delta.Index = c.calls
		if err := w.ToolCall(at, delta); err != nil {
			return err
		}
		c.calls++
	}
	if some := len(d.reasoning)+len(d.text)+len(d.calls) > 0; some {
		c.some = true
	} else {
		w.Other(at)
	}
	g := w.Generation()
	if g.ResponseModel == "" {
		g.ResponseModel = string(d.model)
	}
	if d.done {
		w.End(at)
		g.Usage = content.Usage{InputTokens: d.promptTokens, OutputTokens: d.tokens}
		if reason := c.finishReason(string(d.reason)); reason != "" {
			g.FinishReasons = content.ListOf(reason)
		}
	}
	return nil
}

// verdict judges a reply that arrived whole.
func (c *chat) verdict(resp *wire.Response, d *decoder) error {
	switch {
	case c.some || c.stops:
		return nil
	case string(d.reason) == "length":
		return invalid(opChat, resp, "the reply is empty because it reached its bound: allow more tokens, or a larger context window")
	}
	return invalid(opChat, resp, "the reply is empty: try again or change the request")
}

// finishReason is the server's, but for a reply with tool calls: the server calls that a stop.
func (c *chat) finishReason(reason string) string {
	if c.calls > 0 && (reason == "" || reason == "stop") {
		return "tool_calls"
	}
	return reason
}
