package watsonx

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/warnonce"
	"github.com/mellea-go/mellea/internal/wire"
)

// Backend generates text with the models of a watsonx.ai service. It is immutable but for the access token that it
// keeps, and safe for concurrent use. It prints masked.
type Backend struct {
	client      *wire.Client // nil when problem says why
	tokens      *tokens      // nil when a header authorises the requests
	problem     error
	scope       member
	query       string
	options     backend.Options
	concurrency int
	info        backend.Info
	warnings    warnonce.Log
}

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
)

// Format prints the backend without its secrets, whatever the verb.
func (b *Backend) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s backend %s", Provider, b.client) // the printer keeps its own errors
}

// LogValue is the masked form for log/slog.
func (b *Backend) LogValue() slog.Value { return slog.StringValue(fmt.Sprint(b)) }

// Info describes the backend. It asks nobody, so it does not say whether the key is good. The error is a
// *[backend.Error] with code [backend.CodeConfiguration]: no address, no key, no project or space, or both, or one of
// them in a form that cannot work.
func (b *Backend) Info(context.Context) (backend.Info, error) { return b.info, b.problem }

// Generate starts one chat. Errors before it starts are a *[backend.Error]: a configuration that cannot work, an option
// of the wrong type, content that the service has no form for or, under strict options, an option that it does not have.
//
// An API key that IAM does not accept ends the output with code [backend.CodeAuthentication]. A request that a
// moderation blocked ends it with the code "content_filter"; a refusal by the model is its reply, with the finish reason
// "refusal". RequestID of an error is the service's trace id.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if b.problem != nil {
		return nil, b.problem
	}
	options, err := b.resolve(opChat, chatNames, chatLacks, req.Options)
	if err != nil {
		return nil, err
	}
	req.Options = options
	body := wire.GetBuffer()
	encoded, err := appendChat(body.AvailableBuffer(), b.scope, req)
	if err != nil {
		wire.PutBuffer(body)
		return nil, fail(opChat, err)
	}
	body.Write(encoded)
	x := &exchange{b: b, body: body, model: options.Model(), stream: options.Stream(), stops: options.Has(backend.NeutralStop), idle: options.Silence()}
	return backend.Start(ctx, req, b.generation(options, x.stream), x.run), nil
}

// generation is what is known of a generation beforehand.
func (b *Backend) generation(options backend.Options, stream bool) backend.Generation {
	return backend.Generation{
		Provider: Provider, Model: options.Model(), Sent: options, Streaming: stream,
		ServerAddress: b.info.ServerAddress, ServerPort: b.info.ServerPort,
	}
}

// chatNames and batchNames map the service's names to neutral options. A chat has no top_k, so there it stays what the
// program called it.
var (
	chatNames = backend.Names{
		"model_id":              backend.NeutralModel,
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
	chatLacks  = []backend.Neutral{backend.NeutralContextWindow, backend.NeutralTopK, backend.NeutralLogits, backend.NeutralRawLogits}
	batchNames = backend.Names{
		"model_id":       backend.NeutralModel,
		"temperature":    backend.NeutralTemperature,
		"top_p":          backend.NeutralTopP,
		"top_k":          backend.NeutralTopK,
		"max_new_tokens": backend.NeutralMaxTokens,
		"random_seed":    backend.NeutralSeed,
		"stop_sequences": backend.NeutralStop,
	}
	batchLacks = []backend.Neutral{
		backend.NeutralContextWindow, backend.NeutralFrequencyPenalty, backend.NeutralPresencePenalty, backend.NeutralThinking,
		backend.NeutralLogits, backend.NeutralRawLogits,
	}
)

// resolve returns the options as they are sent.
func (b *Backend) resolve(op string, names backend.Names, lacks []backend.Neutral, call backend.Options) (backend.Options, error) {
	o, err := b.options.Merge(call).Resolve(names)
	if err != nil {
		return o, &backend.Error{Provider: Provider, Op: op, Code: backend.CodeConfiguration, Remedy: err.Error(), Err: err}
	}
	if o.Model() == "" {
		return o, &backend.Error{Provider: Provider, Op: op, Code: backend.CodeConfiguration,
			Remedy: "no model: name one with WithModel (--model), for example ibm/granite-4-h-small"}
	}
	return o.Drop(lacks, func(n backend.Neutral) error {
		return unsupported(op, "the service has no option "+n.String()+" for a "+op+": leave it out, or do without strict options")
	}, func(n backend.Neutral) { b.report(op, n) })
}

func unsupported(op, remedy string) error {
	return &backend.Error{Provider: Provider, Op: op, Code: backend.CodeUnsupported, Remedy: remedy}
}

// report says once that an option has no effect.
func (b *Backend) report(op string, n backend.Neutral) {
	b.warnings.Warn(op+" "+n.String(), "the provider has no such option, it is left out", "option", n.String(), "operation", op, "provider", Provider)
}

// do makes a call with a token that is good and, when the service does not take that, once more with another. onRetry
// is told of each retry.
func (b *Backend) do(ctx context.Context, op string, call wire.Call, onRetry func(backend.Retry)) (*wire.Response, error) {
	call.Query = joinQuery(b.query, call.Query)
	call.OnRetry = func(r wire.Retry) { onRetry(retryOf(r)) }
	var used token
	if b.tokens != nil {
		var err error
		if used, err = b.tokens.get(ctx); err != nil {
			return nil, err
		}
	}
	res, err := b.send(ctx, call, used)
	if b.tokens == nil || err == nil {
		return res, failed(op, err)
	}
	refused, ok := errors.AsType[*wire.StatusError](err)
	if !ok || refused.Status != http.StatusUnauthorized {
		return nil, fail(op, err)
	}
	at := time.Now()
	next, renewal := b.tokens.renew(ctx, used)
	switch {
	case renewal != nil:
		return nil, renewal
	case next.value == used.value: // the same again helps nobody
		return nil, fail(op, err)
	}
	call.OnRetry(wire.Retry{Attempt: 1, Status: refused.Status, Err: err, At: at})
	res, err = b.send(ctx, call, next)
	return res, failed(op, err)
}

func failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return fail(op, err)
}

func (b *Backend) send(ctx context.Context, call wire.Call, t token) (*wire.Response, error) {
	call.SetHeaders = func(set func(key, value string)) {
		backend.Inject(ctx, set)
		if t.value != "" {
			set("Authorization", "Bearer "+t.value)
		}
	}
	if t.value != "" {
		call.Secrets = []string{t.value}
	}
	return b.client.Do(ctx, call)
}

func joinQuery(a, b string) string {
	if b == "" {
		return a
	}
	return a + "&" + b
}

// decoders are kept warm: their buffers have grown to the size of a usual chunk.
var decoders = sync.Pool{New: func() any { return new(openai.Decoder) }}
