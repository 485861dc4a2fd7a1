package litellm

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"os"
	"strconv"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/openai/client"
	"github.com/mellea-go/mellea/internal/wire"
)

// DefaultBaseURL is where the proxy is taken to be when neither [WithBaseURL] nor LITELLM_PROXY_API_BASE says otherwise.
const DefaultBaseURL = "http://localhost:4000"

// Provider is the value of gen_ai.provider.name.
const Provider = "litellm"

// Backend generates text through a LiteLLM proxy. It is immutable and safe for concurrent use. It prints masked.
type Backend struct{ client *client.Client }

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
)

// Option configures a [Backend].
type Option func(*config)

type config struct {
	key, baseURL string
	header       http.Header
	transport    http.RoundTripper
	options      backend.Options
	retry        wire.RetryPolicy
	replyLimit   int64
	logger       *slog.Logger
}

// WithAPIKey sets the master key or a virtual key of the proxy, instead of LITELLM_PROXY_API_KEY. Without a key none is
// sent: a proxy may want none.
func WithAPIKey(key string) Option { return func(c *config) { c.key = key } }

// WithBaseURL sets the address of the proxy, instead of LITELLM_PROXY_API_BASE, with or without /v1 at its end. The
// default is [DefaultBaseURL].
func WithBaseURL(url string) Option { return func(c *config) { c.baseURL = url } }

// WithModel names the model of requests that name none: an alias of the proxy's configuration, or "provider/model" where
// the proxy passes those on.
func WithModel(name string) Option {
	return func(c *config) { c.options = c.options.WithModel(name) }
}

// WithOptions sets what a request's options do not. It may be given several times; the last wins. Extras become members
// of the request, for example "fallbacks", "metadata" or "cache", which the proxy heeds.
func WithOptions(o backend.Options) Option {
	return func(c *config) { c.options = c.options.Merge(o) }
}

// WithHeader sends a header with every request, for example x-litellm-tags. One named Authorization takes the place of
// the key.
func WithHeader(name, value string) Option {
	return func(c *config) {
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Set(name, value)
	}
}

// WithTransport sets what carries the requests, for TLS settings or a recorder. The default is a pool that all backends
// of the program share.
func WithTransport(t http.RoundTripper) Option { return func(c *config) { c.transport = t } }

// WithRetries sets how many times a request that failed before its first byte is made again: on 429, on 5xx and when
// the connection was reset. The default is 2; 0 is never. The proxy has retries of its own.
func WithRetries(n int) Option {
	return func(c *config) { c.retry = c.retry.Times(n) }
}

// WithReplyLimit bounds the bytes of a reply; one that is longer fails. The default is 64 MiB, and 512 MiB streamed.
func WithReplyLimit(bytes int64) Option { return func(c *config) { c.replyLimit = bytes } }

// WithLogger sets where an option that the provider cannot honour is reported, once each, at WARN. The default is
// [slog.Default] at the time of the report.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// New returns a backend. It does no I/O and starts nothing; see [Backend.Info] for what it reports of a configuration
// that cannot work.
func New(opts ...Option) *Backend {
	c := config{key: os.Getenv("LITELLM_PROXY_API_KEY"), baseURL: os.Getenv("LITELLM_PROXY_API_BASE")}
	for _, o := range opts {
		o(&c)
	}
	header := c.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if c.key != "" && header.Get("Authorization") == "" {
		header.Set("Authorization", "Bearer "+c.key)
	}
	return &Backend{client.New(client.Config{
		Provider: Provider,
		Server: wire.Config{
			BaseURL: atV1(cmp.Or(strings.TrimSpace(c.baseURL), DefaultBaseURL)), Header: header, Transport: c.transport, Retry: c.retry,
			MaxBody: c.replyLimit, MaxStream: c.replyLimit,
		},
		Options: c.options,
		Names:   client.Names("top_k"),
		Lacks:   []backend.Neutral{backend.NeutralContextWindow},
		// The proxy turns max_tokens into what each provider calls it.
		Style:        openai.Style{MaxTokensField: "max_tokens"},
		Capabilities: backend.Capabilities{Images: true, Audio: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
		Logger:       c.logger,
		Key:          "LITELLM_PROXY_API_KEY or WithAPIKey",
		Base:         "the base URL should be that of a LiteLLM proxy: LITELLM_PROXY_API_BASE or WithBaseURL",
		Describe:     describe,
		Remedy:       remedy,
	})}
}

// atV1 returns the address below which the proxy has the OpenAI API. A query and what follows it stay at the end.
func atV1(base string) string {
	address, rest := base, ""
	if i := strings.IndexAny(base, "?#"); i >= 0 {
		address, rest = base[:i], base[i:]
	}
	address = strings.TrimRight(address, "/")
	if !strings.HasSuffix(address, "/v1") && strings.Contains(address, "://") {
		address += "/v1"
	}
	return address + rest
}

// describe takes from the header of a reply what the proxy tells of the call.
func describe(h http.Header, g *backend.Generation) {
	if id := told(h, "X-Litellm-Call-Id"); id != "" {
		g.RequestID = id
	}
	if id := told(h, "X-Litellm-Model-Id"); id != "" {
		g.Deployment = id
	}
	usd, err := strconv.ParseFloat(told(h, "X-Litellm-Response-Cost"), 64)
	if err == nil && usd >= 0 && !math.IsInf(usd, 0) {
		g.Cost = backend.Cost{USD: usd, Reported: true}
	}
}

// told returns a header's value, "" for what the proxy says when it has none.
func told(h http.Header, name string) string {
	values := h[name]
	if len(values) == 0 || values[0] == "None" {
		return ""
	}
	return values[0]
}

// remedy says what to do about the errors that are the proxy's own.
func remedy(e *backend.Error) string {
	message := strings.ToLower(e.Message)
	switch {
	case strings.Contains(message, "litellm.contentpolicyviolationerror:"): // the code is the status
		e.Code = "content_policy_violation"
		return "the provider's content filter refused the request: change it"
	case e.Code == "budget_exceeded" || strings.Contains(message, "budget has been exceeded") || strings.Contains(message, "exceededbudget"):
		return "the budget of the key, its team or its user is spent: raise it in the proxy, or use another key"
	case e.Code == "key_model_access_denied" || e.Code == "team_model_access_denied" || e.Code == "user_model_access_denied":
		return "the key may not use this model: allow it in the proxy, or use another key"
	case e.Code == "expired_key":
		return "the key has expired: make a new one in the proxy"
	case e.Status == http.StatusBadRequest && (strings.Contains(message, "invalid model name") || strings.Contains(message, "you passed in model=")):
		return "the proxy does not know the model: check its name against the proxy's model_list"
	case strings.Contains(message, "no healthy deployment") || strings.Contains(message, "no deployments available"):
		return "the proxy has no deployment of the model that is well: look at its log, or wait until one has recovered"
	case e.Code == "no_db_connection":
		return "the proxy has no database for virtual keys: use its master key, or give it one"
	}
	return ""
}

// Format prints the backend without its secrets, whatever the verb.
func (b *Backend) Format(f fmt.State, verb rune) { b.client.Format(f, verb) }

// LogValue is the masked form for log/slog.
func (b *Backend) LogValue() slog.Value { return b.client.LogValue() }

// Info describes the backend. It asks nobody: what it says of images, audio and tools is what the proxy passes on, and
// the model behind it may do less. The error is a *[backend.Error] with code [backend.CodeConfiguration]: a base URL
// that cannot work.
func (b *Backend) Info(ctx context.Context) (backend.Info, error) { return b.client.Info(ctx) }

// Generate starts one chat completion. Errors before it starts are a *[backend.Error]: a configuration that cannot
// work, an option of the wrong type or, under strict options, one that the proxy does not have.
//
// A format goes to the proxy as a strict JSON Schema. A model behind it that has no such thing is asked for any JSON
// document, or in words; under strict options the refusal is the error.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	return b.client.Generate(ctx, req)
}

// GenerateBatch makes raw completions through the proxy's /completions: in one request where it takes a list of prompts
// for the model, and one by one, several at a time, where it does not. The cost is that of all of them.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	return b.client.GenerateBatch(ctx, req)
}

// ListModels returns the models that the key may use, in the proxy's order.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	return b.client.ListModels(ctx)
}
