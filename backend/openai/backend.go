package openai

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// Backend generates text through a chat-completions API. It is immutable and safe for concurrent use. It prints
// masked.
type Backend struct {
	client   *wire.Client // nil when problem says why
	problem  error
	provider string
	hosted   bool
	style    openai.Style
	names    backend.Names
	options  backend.Options
	info     backend.Info
	logger   *slog.Logger
	reported sync.Map // names of options reported as unsupported
}

var _ backend.Backend = (*Backend)(nil)

// Format prints the backend without its secrets, whatever the verb.
func (b *Backend) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s backend %s", b.provider, b.client) // the printer keeps its own errors
}

// LogValue is the masked form for log/slog.
func (b *Backend) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(b)) }

// Info describes the backend. It asks nobody. The error is a *[backend.Error] with code [backend.CodeConfiguration]: a
// base URL that cannot work, no key for a public server.
func (b *Backend) Info(context.Context) (backend.Info, error) {
	if b.problem != nil {
		return b.info, b.problem
	}
	info := b.info
	info.NeedsModel = info.Model == ""
	return info, nil
}

func (b *Backend) noModel(op string) error {
	return &backend.Error{Provider: b.provider, Op: op, Code: backend.CodeConfiguration,
		Remedy: "no model: name one with WithModel"}
}

// Generate starts one chat completion. Errors before it starts are a *[backend.Error]: a configuration that cannot
// work, an option of the wrong type or, under strict options, one that the provider does not have.
//
// A reply that the provider's content filter cut off is an error with code "content_filter"; a refusal by the model is
// its reply, with the finish reason "refusal".
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if b.problem != nil {
		return nil, b.problem
	}
	options, err := b.resolve(req.Options)
	if err != nil {
		return nil, err
	}
	req.Options = options

	body := wire.GetBuffer()
	encoded, err := openai.AppendRequest(body.AvailableBuffer(), req, b.style)
	if err != nil {
		wire.PutBuffer(body)
		return nil, b.fail("chat", err)
	}
	body.Write(encoded)

	x := &exchange{b: b, body: body, model: options.Model(), stream: options.Stream(), stops: options.Has(backend.NeutralStop)}
	x.idle, _ = options.StreamTimeout()
	return backend.Start(ctx, req, backend.Generation{
		Provider: b.provider, Model: x.model, Sent: options, Streaming: x.stream,
		ServerAddress: b.info.ServerAddress, ServerPort: b.info.ServerPort,
	}, x.run), nil
}

// GenerateBatch is not there yet.
func (b *Backend) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	return backend.BatchReply{}, backend.NoBatch(b.provider)
}

// resolve returns the options as they are sent.
func (b *Backend) resolve(call backend.Options) (backend.Options, error) {
	o, err := b.options.Merge(call).Resolve(b.names)
	if err != nil {
		return o, &backend.Error{Provider: b.provider, Op: "chat", Code: backend.CodeConfiguration, Remedy: err.Error(), Err: err}
	}
	if o.Model() == "" {
		return o, b.noModel("chat")
	}
	for _, n := range [...]backend.Neutral{backend.NeutralContextWindow, backend.NeutralTopK} {
		if !o.Has(n) || n == backend.NeutralTopK && !b.hosted {
			continue
		}
		if o.Strict() {
			return o, &backend.Error{Provider: b.provider, Op: "chat", Code: backend.CodeUnsupported,
				Remedy: "the provider has no option " + n.String() + ": leave it out, or do without strict options"}
		}
		b.report(n)
		o = o.Without(n)
	}
	return o, nil
}

// report says once that an option has no effect.
func (b *Backend) report(n backend.Neutral) {
	if _, again := b.reported.LoadOrStore(n, true); again {
		return
	}
	logger := b.logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Warn("the provider has no such option, it is left out", "option", n.String(), "provider", b.provider)
}

// decoders are kept warm: their buffers have grown to the size of a usual chunk.
var decoders = sync.Pool{New: func() any { return new(openai.Decoder) }}
