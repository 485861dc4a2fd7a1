package ollama

import (
	"bytes"
	"context"
	"io"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/wire"
)

const opChat = "chat"

// chat is one request to /api/chat and its reply. After Generate returned, the goroutine of the Output owns it.
type chat struct {
	b      *Backend
	body   *bytes.Buffer // all but the model and the closing brace
	stream bool
	idle   time.Duration
	calls  int // tool calls so far
}

// Generate starts one generation, as [backend.Backend] says. A part of a message or an option that Ollama cannot take
// is an *[backend.Error] with [backend.CodeUnsupported] or [backend.CodeConfiguration], and nothing is sent.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if b.err != nil {
		return nil, b.err
	}
	sent, err := b.options.Merge(req.Options).Resolve(names)
	if err != nil {
		return nil, optionError(err)
	}
	if picked := b.picked.Load(); picked != nil && sent.Model() == "" {
		sent = sent.WithModel(*picked)
	}
	c := &chat{b: b, body: wire.GetBuffer(), stream: sent.Stream(), idle: backend.DefaultStreamTimeout}
	if d, ok := sent.StreamTimeout(); ok {
		c.idle = d
	}
	body, err := appendRequest(c.body.AvailableBuffer(), req, sent, b.keepAlive)
	if err != nil {
		wire.PutBuffer(c.body)
		return nil, err
	}
	c.body.Write(body)
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
	c.body.Write(closeRequest(c.body.AvailableBuffer(), g.Model))

	call := wire.Call{
		Path:       "/api/chat",
		Body:       c.body.Bytes(),
		Stream:     c.stream,
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
		OnRetry: func(r wire.Retry) {
			g.Retries = g.Retries.Append(backend.Retry{At: r.At, Delay: r.Delay, Status: r.Status, Reason: retryReason(r)})
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
		return noModel(fail(opChat, err), g.Model)
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

func (c *chat) readWhole(resp *wire.Response, d *decoder, w *backend.Writer) error {
	body, err := resp.ReadAll(0)
	if err != nil {
		return fail(opChat, err)
	}
	if err := c.add(resp, d, w, body); err != nil {
		return err
	}
	if !d.done {
		return cutOff(resp)
	}
	return nil
}

func (c *chat) readStream(resp *wire.Response, d *decoder, w *backend.Writer) error {
	lines := resp.NDJSON()
	for {
		line, err := lines.Next()
		switch {
		case err == io.EOF:
			return cutOff(resp)
		case err != nil:
			return fail(opChat, err)
		}
		if err := c.add(resp, d, w, line); err != nil {
			return err
		}
		if d.done {
			return nil
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
			return failStream(s)
		}
		return malformed(opChat, resp)
	}
	if !d.message && !(c.stream && d.done) {
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
	if len(d.reasoning) == 0 && len(d.text) == 0 && len(d.calls) == 0 {
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

// finishReason is the server's, but for a reply with tool calls: the server calls that a stop.
func (c *chat) finishReason(reason string) string {
	if c.calls > 0 && (reason == "" || reason == "stop") {
		return "tool_calls"
	}
	return reason
}
