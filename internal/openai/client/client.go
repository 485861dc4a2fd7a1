package client

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/warnonce"
	"github.com/mellea-go/mellea/internal/wire"
)

// Config says how a backend uses its server.
type Config struct {
	// Provider is the value of gen_ai.provider.name.
	Provider string
	// Server says how to reach it. A ReadIdle of 0 is [backend.DefaultStreamTimeout].
	Server wire.Config
	// Problem is what is wrong with the settings, found by the backend; nil when nothing is. A base URL that cannot work
	// goes before it.
	Problem *backend.Error
	// Options are the backend's own, below a request's.
	Options backend.Options
	// Names maps what the server calls the neutral options; see [Names].
	Names backend.Names
	// Lacks lists the neutral options that the server does not have: reported once each, or refused under strict options.
	Lacks []backend.Neutral
	// NoToolChoice says that the server refuses tool_choice: it lets the model choose.
	NoToolChoice bool
	// Style is how requests are written.
	Style openai.Style
	// NoFormatInBatch refuses a format of raw completions, for a server that would not heed it.
	NoFormatInBatch bool
	// Capabilities is what [Client.Info] says.
	Capabilities backend.Capabilities
	// Logger gets what is reported once; nil is [slog.Default] at that time.
	Logger *slog.Logger

	// Key names where the key comes from, for the remedy of a 401: "OPENAI_API_KEY or WithAPIKey".
	Key string
	// Base says how a base URL should look, for the remedies of a wrong one; "" is about the /v1 at its end.
	Base string
	// Path returns the path below the base URL of a request for a model; nil appends the operation's usual one.
	Path func(op Operation, model string) string
	// Describe adds what a header of a reply tells to the metadata of a generation, or of one that failed; nil adds
	// nothing. The request id is there already.
	Describe func(h http.Header, g *backend.Generation)
	// Remedy says what to do about an error status, "" to leave it as it is; nil leaves all. It may put a code in the
	// place of one that says less than the message.
	Remedy func(e *backend.Error) string
}

// Operation is what a request asks of the server.
type Operation uint8

// The operations.
const (
	Chat Operation = iota
	Completions
	Models
)

var (
	paths = [...]string{"/chat/completions", "/completions", "/models"}
	ops   = [...]string{"chat", "batch", "models"}
)

// Path is the usual path of the operation below a base URL.
func (o Operation) Path() string { return paths[o] }

// String is the operation's name in errors.
func (o Operation) String() string { return ops[o] }

// Names maps the dialect's names to neutral options. Names added are of options that only some servers have: "top_k".
func Names(added ...string) backend.Names {
	n := backend.Names{
		"model":                 backend.NeutralModel,
		"temperature":           backend.NeutralTemperature,
		"top_p":                 backend.NeutralTopP,
		"frequency_penalty":     backend.NeutralFrequencyPenalty,
		"presence_penalty":      backend.NeutralPresencePenalty,
		"max_completion_tokens": backend.NeutralMaxTokens,
		"max_tokens":            backend.NeutralMaxTokens,
		"seed":                  backend.NeutralSeed,
		"stop":                  backend.NeutralStop,
		"reasoning_effort":      backend.NeutralThinking,
	}
	for _, name := range added {
		if o, ok := fewHave[name]; ok {
			n[name] = o
		}
	}
	return n
}

var fewHave = map[string]backend.Neutral{"top_k": backend.NeutralTopK}

// Client makes the requests of one backend. It is immutable and safe for concurrent use. It prints masked.
type Client struct {
	cfg      Config       // without Server
	wire     *wire.Client // nil when problem says why
	problem  error
	info     backend.Info
	warnings warnonce.Log
	learned  sync.Map // what the server turned out to be like: oneByOne, way
}

// New returns a client. It does no I/O; what is wrong with cfg is what [Client.Info] returns.
func New(cfg Config) *Client {
	if cfg.Server.ReadIdle == 0 {
		cfg.Server.ReadIdle = backend.DefaultStreamTimeout
	}
	if cfg.Base == "" {
		cfg.Base = "the base URL should end in /v1, or wherever the server has its chat-completions API"
	}
	server := cfg.Server
	cfg.Server = wire.Config{} // it holds secrets
	cfg.Names = maps.Clone(cfg.Names)
	c := &Client{cfg: cfg, info: backend.Info{Provider: cfg.Provider, Model: cfg.Options.Model(), Capabilities: cfg.Capabilities}}
	c.info.NeedsModel, c.warnings.Logger = c.info.Model == "", cfg.Logger
	transport, err := wire.New(server)
	switch {
	case err != nil:
		c.problem = c.fail("info", err)
	case cfg.Problem != nil:
		problem := *cfg.Problem
		problem.Provider, problem.Op = cfg.Provider, "info"
		c.problem = &problem
	}
	if c.wire = transport; transport != nil {
		c.info.ServerAddress, c.info.ServerPort = transport.Server()
	}
	return c
}

// Format prints the client without its secrets, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s backend %s", c.cfg.Provider, c.wire) // the printer keeps its own errors
}

// LogValue is the masked form for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(c)) }

// Info describes the backend. It asks nobody. The error is a *[backend.Error] with code [backend.CodeConfiguration].
func (c *Client) Info(context.Context) (backend.Info, error) { return c.info, c.problem }

// Generate starts one chat completion, as [backend.Backend] says.
func (c *Client) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if c.problem != nil {
		return nil, c.problem
	}
	options, err := c.resolve(Chat, req.Options)
	if err != nil {
		return nil, err
	}
	if c.cfg.NoToolChoice {
		var offer bool
		options, offer, err = options.DropToolChoice(func() error { return c.lacking(Chat, backend.ToolChoice) }, func() { c.leaveOut(Chat, backend.ToolChoice) })
		if err != nil {
			return nil, err
		}
		if !offer {
			req.Tools = content.List[content.ToolSpec]{}
		}
	}
	req.Options = options

	x := &exchange{c: c, model: options.Model(), stream: options.Stream(), stops: options.Has(backend.NeutralStop), idle: options.Silence()}
	if !req.Format.IsZero() {
		held := req.Detached()
		x.format, x.way = &held, c.way(x.model)
	}
	if err := x.encode(req); err != nil {
		return nil, err
	}
	return backend.Start(ctx, req, backend.Generation{
		Provider: c.cfg.Provider, Model: x.model, Sent: options, Streaming: x.stream,
		ServerAddress: c.info.ServerAddress, ServerPort: c.info.ServerPort,
	}, x.run), nil
}

// encode writes the request into a buffer of the exchange.
func (x *exchange) encode(req backend.Request) error {
	style := x.c.cfg.Style
	style.Structured = x.way
	body := wire.GetBuffer()
	encoded, err := openai.AppendRequest(body.AvailableBuffer(), req, style)
	if err != nil {
		wire.PutBuffer(body)
		return x.c.fail(Chat.String(), err)
	}
	body.Write(encoded)
	x.body = body
	return nil
}

// path is where a request goes.
func (c *Client) path(op Operation, model string) string {
	if c.cfg.Path == nil {
		return op.Path()
	}
	return c.cfg.Path(op, model)
}

// describe takes from a header what the backend wants of it.
func (c *Client) describe(h http.Header, g *backend.Generation) {
	if c.cfg.Describe != nil && h != nil {
		c.cfg.Describe(h, g)
	}
}

// resolve returns the options as they are sent.
func (c *Client) resolve(op Operation, call backend.Options) (backend.Options, error) {
	o, err := c.cfg.Options.Merge(call).Resolve(c.cfg.Names)
	if err != nil {
		return o, &backend.Error{Provider: c.cfg.Provider, Op: op.String(), Code: backend.CodeConfiguration, Remedy: err.Error(), Err: err}
	}
	if o.Model() == "" {
		return o, &backend.Error{Provider: c.cfg.Provider, Op: op.String(), Code: backend.CodeConfiguration,
			Remedy: "no model: name one with WithModel"}
	}
	// The dialect has log-probabilities of the likeliest tokens, which are no logits.
	lacks := append(slices.Clip(c.cfg.Lacks), backend.NeutralLogits, backend.NeutralRawLogits)
	if op == Completions {
		lacks = append(lacks, backend.NeutralThinking)
	}
	return o.Drop(lacks, func(n backend.Neutral) error { return c.lacking(op, n.String()) }, func(n backend.Neutral) { c.leaveOut(op, n.String()) })
}

// notHad is an option that an operation does not have.
type notHad struct {
	op     Operation
	option string
}

func (c *Client) lacking(op Operation, option string) error {
	return c.unsupported(op, "the provider has no option "+option+": leave it out, or do without strict options")
}

// leaveOut reports an option that has no effect.
func (c *Client) leaveOut(op Operation, option string) {
	c.once(notHad{op, option}, "the provider has no such option, it is left out", "option", option)
}

func (c *Client) unsupported(op Operation, remedy string) error {
	return &backend.Error{Provider: c.cfg.Provider, Op: op.String(), Code: backend.CodeUnsupported, Remedy: remedy}
}

// once reports something the first time that it happens.
func (c *Client) once(key any, message string, attributes ...any) {
	c.warnings.Warn(key, message, append(attributes, "provider", c.cfg.Provider)...)
}

// decoders are kept warm: their buffers have grown to the size of a usual chunk.
var decoders = sync.Pool{New: func() any { return new(openai.Decoder) }}
