package ollama

import (
	"context"
	"os"
	"sync/atomic"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/warnonce"
	"github.com/mellea-go/mellea/internal/wire"
)

// provider is the value of gen_ai.provider.name.
const provider = "ollama"

// Backend generates with models that an Ollama server serves. It is immutable but for what it learns of the server: the model
// it picks when none is configured, and which models see. It is safe for concurrent use.
type Backend struct {
	client    *wire.Client
	options   backend.Options
	keepAlive string
	images    *fetcher
	warnings  warnonce.Log
	err       error // what makes the configuration unusable

	batchConcurrency int

	picking chan struct{} // holds one token: the right to ask the server for a model
	picked  atomic.Pointer[string]

	sighted sighted
}

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
)

// New returns a backend for the server that OLLAMA_HOST names, by default http://127.0.0.1:11434. It does no I/O; a
// setting that cannot work is reported by [Backend.Info] and [Backend.Generate].
func New(opts ...Option) *Backend {
	var c config
	for _, o := range opts {
		o(&c)
	}
	b := &Backend{options: c.options, keepAlive: c.keepAlive, images: newFetcher(c.images), picking: make(chan struct{}, 1),
		warnings: warnonce.Log{Logger: c.log}, batchConcurrency: DefaultBatchConcurrency}
	if c.batchConcurrency > 0 {
		b.batchConcurrency = c.batchConcurrency
	}
	if c.model != "" {
		b.options = b.options.WithModel(c.model)
	}
	base := c.baseURL
	if base == "" {
		var ok bool
		if base, ok = hostURL(os.Getenv(envHost)); !ok { // Ollama's own client does the same
			b.warnings.Warn(envHost, "the port in OLLAMA_HOST is not a number from 1 to 65535: using the default one")
		}
	}
	b.client, b.err = wire.New(wire.Config{
		BaseURL: base, Transport: c.transport, Retry: c.retry, MaxBody: c.limit, MaxStream: c.limit,
	})
	if b.err != nil {
		b.err = fail("configuration", b.err)
	}
	return b
}

const envHost = "OLLAMA_HOST"

// resolve returns the options of a request as they are sent.
func (b *Backend) resolve(op string, call backend.Options) (backend.Options, error) {
	o, err := b.options.Merge(call).Resolve(names)
	if err != nil {
		return o, optionError(op, err)
	}
	return o.Drop(lacks, func(n backend.Neutral) error { return lacking(op, n.String()) }, func(n backend.Neutral) { b.leaveOut(n.String()) })
}

func lacking(op, option string) error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeUnsupported,
		Remedy: "Ollama has no option " + option + ": leave it out, or do without strict options"}
}

// leaveOut reports an option that has no effect.
func (b *Backend) leaveOut(option string) {
	b.warnings.Warn(option, "the provider has no such option, it is left out", "option", option, "provider", provider)
}

// String returns the address of the server.
func (b *Backend) String() string {
	if b.err != nil {
		return provider + " (misconfigured)"
	}
	return provider + " at " + b.client.Base()
}

// Info describes the backend. With a model configured it does no I/O, and whether that model is installed shows at the
// first request. Otherwise it asks the server for the models installed and takes the one that was modified last; of
// models modified at the same time, the first by name. Models that run elsewhere and models that only embed are not
// taken.
//
// The error is an *[backend.Error]: [backend.CodeConfiguration] for a setting that cannot work and when there is no
// model to take, [backend.CodeUnreachable] when there is no server.
func (b *Backend) Info(ctx context.Context) (backend.Info, error) {
	if b.err != nil {
		return backend.Info{}, b.err
	}
	set, err := b.options.Resolve(names)
	if err != nil {
		return backend.Info{}, optionError("info", err)
	}
	model := set.Model()
	if model == "" {
		if model, err = b.pick(ctx); err != nil {
			return backend.Info{}, err
		}
	}
	host, port := b.client.Server()
	return backend.Info{
		Provider:      provider,
		Model:         model,
		ServerAddress: host,
		ServerPort:    port,
		Capabilities:  backend.Capabilities{Images: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
	}, nil
}

// pick returns the model to use when none is named. It asks the server once; callers that come meanwhile wait.
func (b *Backend) pick(ctx context.Context) (string, error) {
	if name := b.picked.Load(); name != nil {
		return *name, nil
	}
	select {
	case b.picking <- struct{}{}:
		defer func() { <-b.picking }()
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
	if name := b.picked.Load(); name != nil {
		return *name, nil
	}
	models, err := b.Models(ctx)
	if err != nil {
		return "", err
	}
	var best *Model
	for i, m := range models {
		if !m.chats() {
			continue
		}
		if best == nil || m.Modified.After(best.Modified) || (m.Modified.Equal(best.Modified) && m.Name < best.Name) {
			best = &models[i]
		}
	}
	if best == nil {
		return "", &backend.Error{Provider: provider, Op: "info", Code: backend.CodeConfiguration,
			Remedy: "no model is installed that could chat: install one, for example with `ollama pull llama3.2`, or name one by WithModel (--model, MELLEA_MODEL)"}
	}
	b.picked.Store(&best.Name)
	return best.Name, nil
}
