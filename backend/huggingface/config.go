package huggingface

import (
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/openai/client"
	"github.com/mellea-go/mellea/internal/wire"
)

// DefaultBaseURL is the router of Inference Providers, where requests go when nothing says otherwise.
const DefaultBaseURL = "https://router.huggingface.co/v1"

// provider is the value of gen_ai.provider.name.
const provider = "huggingface"

// Option configures a [Backend].
type Option func(*config)

type config struct {
	token, baseURL string
	tokenSet       bool // by an option
	server         Server
	header         http.Header
	transport      http.RoundTripper
	options        backend.Options
	retry          wire.RetryPolicy
	replyLimit     int64
	logger         *slog.Logger
}

// Server is a kind of server, of those that differ in what they take.
type Server uint8

// The kinds of server.
const (
	// Compatible takes what OpenAI's chat completions have: the router, vLLM and most others.
	Compatible Server = iota
	// TGI is Text Generation Inference. It serves one model, whatever name it is asked for, and takes a schema in a
	// form of its own.
	TGI
	// Transformers is `transformers serve`. It refuses what it does not have: presence penalty, top-k, thinking, schemas.
	Transformers
)

// WithToken sets the token, instead of HF_TOKEN, and sends it to whatever server there is. The empty token says that the
// server wants none.
func WithToken(token string) Option { return func(c *config) { c.token, c.tokenSet = token, true } }

// WithBaseURL sets the server's address, instead of HF_ENDPOINT: http://localhost:8080, say. The API is below /v1 of an
// address without a path, and right below one that has a path.
func WithBaseURL(url string) Option { return func(c *config) { c.baseURL = url } }

// WithServer says what kind of server it is. The default is [Compatible].
func WithServer(kind Server) Option { return func(c *config) { c.server = kind } }

// WithModel names the model of requests that name none, as the hub does: "Qwen/Qwen3-8B". To the router it may go on
// with ":" and the name of a provider, or ":fastest" or ":cheapest"; to `transformers serve` with "@" and a revision.
func WithModel(name string) Option {
	return func(c *config) { c.options = c.options.WithModel(name) }
}

// WithOptions sets what a request's options do not. It may be given several times; the last wins.
func WithOptions(o backend.Options) Option {
	return func(c *config) { c.options = c.options.Merge(o) }
}

// WithHeader sends a header with every request: X-HF-Bill-To, say, to have an organisation pay. One named Authorization
// takes the place of the token.
func WithHeader(name, value string) Option {
	return func(c *config) {
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Set(name, value)
	}
}

// WithTransport sets what carries the requests, for a proxy, TLS settings or a recorder. The default is a pool that all
// backends of the program share.
func WithTransport(t http.RoundTripper) Option { return func(c *config) { c.transport = t } }

// WithRetries sets how many times a request that failed before its first byte is made again: on 429, on 5xx and when
// the connection was reset. The default is 2; 0 is never.
func WithRetries(n int) Option {
	return func(c *config) { c.retry = c.retry.Times(n) }
}

// WithReplyLimit bounds the bytes of a reply; one that is longer fails. The default is 64 MiB, and 512 MiB streamed.
func WithReplyLimit(bytes int64) Option { return func(c *config) { c.replyLimit = bytes } }

// WithLogger sets where an option that the server does not have is reported, once each, at WARN. The default is
// [slog.Default] at the time of the report.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// New returns a backend. It does no I/O and starts nothing; see [Backend.Info] for what it reports of a configuration
// that cannot work.
func New(opts ...Option) *Backend {
	c := config{token: os.Getenv("HF_TOKEN"), baseURL: os.Getenv("HF_ENDPOINT")}
	for _, o := range opts {
		o(&c)
	}
	at := addressOf(c.baseURL)
	cfg := client.Config{
		Provider: provider, Options: c.options, Logger: c.logger,
		Server: wire.Config{
			BaseURL: at.base, Header: c.headers(at), Transport: c.transport, Retry: c.retry,
			MaxBody: c.replyLimit, MaxStream: c.replyLimit,
		},
		Style:        openai.Style{MaxTokensField: "max_tokens", EnableThinking: true},
		Names:        client.Names("top_k"),
		Lacks:        []backend.Neutral{backend.NeutralContextWindow},
		Capabilities: backend.Capabilities{Images: true, Audio: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
		Key:          "HF_TOKEN or WithToken",
		Base:         "the base URL should be the address of the server, or of its chat-completions API",
		Remedy:       remedy,
	}
	switch c.server {
	case TGI:
		cfg.Style = openai.Style{MaxTokensField: "max_tokens", NoReasoning: true}
		cfg.Lacks = append(cfg.Lacks, backend.NeutralTopK, backend.NeutralThinking)
		cfg.Capabilities.Audio = false
		cfg.NoFormatInBatch = true
		cfg.Options = backend.Options{}.WithModel("tgi").Merge(c.options) // any name will do
	case Transformers:
		cfg.Style = openai.Style{MaxTokensField: "max_tokens", NoReasoning: true, NoStreamOptions: true}
		cfg.Lacks = append(cfg.Lacks, backend.NeutralTopK, backend.NeutralThinking, backend.NeutralPresencePenalty)
		cfg.Capabilities, cfg.NoToolChoice = backend.Capabilities{Images: true, Tools: true}, true
	default:
		cfg.Capabilities.Batch = !at.router
		if at.router {
			cfg.Style.EnableThinking = false // some providers refuse what they do not know
			cfg.Lacks = append(cfg.Lacks, backend.NeutralTopK)
		}
	}
	if at.router && c.token == "" && !c.tokenSet && c.header.Get("Authorization") == "" {
		cfg.Problem = &backend.Error{Code: backend.CodeConfiguration,
			Remedy: "no token: make one on huggingface.co/settings/tokens that may call Inference Providers, and set HF_TOKEN or WithToken; or name another server by HF_ENDPOINT or WithBaseURL"}
	}
	return &Backend{client: client.New(cfg), server: c.server, batch: cfg.Capabilities.Batch}
}

// headers are those of every request. A token of the environment goes to Hugging Face alone: another server has no
// business with it.
func (c *config) headers(at address) http.Header {
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	if c.token != "" && h.Get("Authorization") == "" && (c.tokenSet || at.trusted) {
		h.Set("Authorization", "Bearer "+c.token)
	}
	return h
}

// address is what the address of a server tells.
type address struct {
	base    string
	router  bool
	trusted bool // it is Hugging Face's own, and nobody listens on the way
}

func addressOf(raw string) address {
	raw = strings.TrimSpace(raw)
	if raw == "" {
		return address{base: DefaultBaseURL, router: true, trusted: true}
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		return address{base: raw} // the client says what is wrong with it
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	under := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	at := address{router: host == "router.huggingface.co"}
	at.trusted = u.Scheme == "https" && (under("huggingface.co") || under("hf.co") || under("hf.space") || under("endpoints.huggingface.cloud"))
	if host == "huggingface.co" || host == "hf.co" { // the hub, as HF_ENDPOINT has it for other programs
		return address{base: DefaultBaseURL, router: true, trusted: true}
	}
	if strings.Trim(u.Path, "/") == "" {
		u.Path = "/v1"
	}
	at.base = u.String()
	return at
}
