package openai

import (
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/openai/client"
	"github.com/mellea-go/mellea/internal/wire"
)

// DefaultBaseURL is where requests go when neither [WithBaseURL] nor OPENAI_BASE_URL says otherwise.
const DefaultBaseURL = "https://api.openai.com/v1"

// Values of gen_ai.provider.name that the backend finds by itself.
const (
	ProviderOpenAI = "openai"
	ProviderAzure  = "azure.ai.openai"
)

// Option configures a [Backend].
type Option func(*config)

type config struct {
	key, baseURL, org, project string
	keySet                     bool
	azure                      bool
	apiVersion                 string
	provider, maxTokensField   string
	style                      openai.Style
	header                     http.Header
	transport                  http.RoundTripper
	options                    backend.Options
	retry                      wire.RetryPolicy
	replyLimit                 int64
	logger                     *slog.Logger
}

// WithAPIKey sets the key, instead of OPENAI_API_KEY. The empty key says that the server wants none.
func WithAPIKey(key string) Option { return func(c *config) { c.key, c.keySet = key, true } }

// WithBaseURL sets the address that /chat/completions is appended to, instead of OPENAI_BASE_URL. It usually ends in
// /v1. A query, such as Azure's api-version, goes with every request.
//
// For Azure OpenAI it may be the endpoint alone, "https://NAME.openai.azure.com": with an api-version the model of each
// request is the deployment in its path, and without one its path is below /openai/v1. It may be that of a deployment,
// ending in "/openai/deployments/NAME", which then is the model of requests that name none.
func WithBaseURL(url string) Option { return func(c *config) { c.baseURL = url } }

// WithModel names the model of requests that name none.
func WithModel(name string) Option {
	return func(c *config) { c.options = c.options.WithModel(name) }
}

// WithOptions sets what a request's options do not. It may be given several times; the last wins.
func WithOptions(o backend.Options) Option {
	return func(c *config) { c.options = c.options.Merge(o) }
}

// WithOrganization sends OpenAI-Organization, instead of OPENAI_ORG_ID.
func WithOrganization(id string) Option { return func(c *config) { c.org = id } }

// WithProject sends OpenAI-Project, instead of OPENAI_PROJECT_ID.
func WithProject(id string) Option { return func(c *config) { c.project = id } }

// WithProvider sets the provider's name in errors and in [backend.Info], the value of gen_ai.provider.name. The default
// is "openai", or "azure.ai.openai" for an Azure endpoint.
func WithProvider(name string) Option { return func(c *config) { c.provider = name } }

// WithHeader sends a header with every request. One named Authorization takes the place of the key.
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

// WithHTTPClient takes the transport of client. Its timeout, its cookies and its redirect policy are not used: a
// generation lives by its context, and no redirect is followed.
func WithHTTPClient(client *http.Client) Option {
	return func(c *config) {
		if c.transport = client.Transport; c.transport == nil {
			c.transport = http.DefaultTransport
		}
	}
}

// WithRetries sets how many times a request that failed before its first byte is made again: on 429, on 5xx and when
// the connection was reset. The default is 2; 0 is never.
func WithRetries(n int) Option {
	return func(c *config) { c.retry = c.retry.Times(n) }
}

// WithReplyLimit bounds the bytes of a reply; one that is longer fails. The default is 64 MiB, and 512 MiB streamed.
func WithReplyLimit(bytes int64) Option { return func(c *config) { c.replyLimit = bytes } }

// WithMaxTokensField names the member that bounds the reply. The default is max_completion_tokens for OpenAI and Azure,
// whose newer models refuse the other, and max_tokens for all other servers: all of them know it, and one that knows only
// it, such as Ollama's, would drop the other without a word.
func WithMaxTokensField(name string) Option { return func(c *config) { c.maxTokensField = name } }

// WithReasoningField names the member that carries the effort of reasoning: "reasoning_effort", the default, or
// "reasoning.effort", as OpenRouter has it.
func WithReasoningField(name string) Option {
	return func(c *config) { c.style.ReasoningObject = name == "reasoning.effort" }
}

// WithImageDetail says how closely the model looks at images: "low", "high" or "auto". The default is the server's. An
// option of a call named image_detail takes its place.
func WithImageDetail(detail string) Option { return func(c *config) { c.style.ImageDetail = detail } }

// WithAzure says that the server is Azure OpenAI behind a host name of another kind: the key goes into the header
// api-key, and the base URL is read as [WithBaseURL] says of Azure.
func WithAzure() Option { return func(c *config) { c.azure = true } }

// WithAPIVersion sends Azure's api-version with each request, for example "2024-10-21". It wins over one in the base
// URL.
func WithAPIVersion(version string) Option { return func(c *config) { c.apiVersion = version } }

// WithLogger sets where an option that the provider cannot honour is reported, once each, at WARN. The default is
// [slog.Default] at the time of the report.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// environment is what New reads of it.
func environment() config {
	return config{
		key:     os.Getenv("OPENAI_API_KEY"),
		baseURL: os.Getenv("OPENAI_BASE_URL"),
		org:     os.Getenv("OPENAI_ORG_ID"),
		project: os.Getenv("OPENAI_PROJECT_ID"),
	}
}

// New returns a backend. It does no I/O and starts nothing; see [Backend.Info] for what it reports of a configuration
// that cannot work.
func New(opts ...Option) *Backend {
	c := environment()
	for _, o := range opts {
		o(&c)
	}
	if c.baseURL == "" {
		c.baseURL = DefaultBaseURL
	}
	host := endpointOf(c.baseURL)
	host.azure = host.azure || c.azure
	cfg := client.Config{
		Provider: c.provider, Options: c.options, Logger: c.logger,
		Server: wire.Config{
			BaseURL: c.baseURL, Header: c.headers(host), Transport: c.transport, Retry: c.retry,
			MaxBody: c.replyLimit, MaxStream: c.replyLimit,
		},
		Style:        c.style,
		Names:        client.Names("top_k"),
		Lacks:        []backend.Neutral{backend.NeutralContextWindow},
		Capabilities: backend.Capabilities{Images: true, Audio: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
		Key:          "OPENAI_API_KEY or WithAPIKey",
	}
	cfg.Style.MaxTokensField, cfg.Style.EnableThinking = c.maxTokensField, !host.hosted()
	if host.hosted() { // it has no top_k, so there that stays what the program called it
		cfg.Names = client.Names()
		cfg.Lacks = append(cfg.Lacks, backend.NeutralTopK)
		cfg.NoFormatInBatch, cfg.Style.StrictSchema = true, true
	}
	if cfg.Provider == "" {
		cfg.Provider = ProviderOpenAI
		if host.azure {
			cfg.Provider = ProviderAzure
		}
	}
	if c.maxTokensField == "" && !host.hosted() {
		cfg.Style.MaxTokensField = "max_tokens"
	}
	if host.azure {
		c.atAzure(&cfg)
	}
	if c.key == "" && !c.keySet && c.header.Get("Authorization") == "" && !host.user && !host.local {
		cfg.Problem = &backend.Error{Code: backend.CodeConfiguration,
			Remedy: `no API key: set OPENAI_API_KEY or WithAPIKey; WithAPIKey("") is for a server that wants none`}
	}
	return &Backend{client.New(cfg)}
}

// headers are those of every request.
func (c *config) headers(host endpoint) http.Header {
	h := c.header.Clone()
	if h == nil {
		h = http.Header{}
	}
	set := func(name, value string) {
		if value != "" && h.Get(name) == "" {
			h.Set(name, value)
		}
	}
	switch {
	case c.key == "" || host.user && !c.keySet: // user-info in the URL is the authorisation
	case host.azure:
		set("Api-Key", c.key)
	default:
		set("Authorization", "Bearer "+c.key)
	}
	set("OpenAI-Organization", c.org)
	set("OpenAI-Project", c.project)
	return h
}

// endpoint is what the host of a base URL tells.
type endpoint struct{ openai, azure, local, user bool }

// hosted says that the service is OpenAI's own, which refuses parameters it does not know.
func (e endpoint) hosted() bool { return e.openai || e.azure }

func endpointOf(base string) endpoint {
	u, err := url.Parse(strings.TrimSpace(base))
	if err != nil {
		return endpoint{}
	}
	host := strings.ToLower(strings.TrimSuffix(u.Hostname(), "."))
	under := func(domain string) bool { return host == domain || strings.HasSuffix(host, "."+domain) }
	e := endpoint{
		openai: under("openai.com"),
		azure:  under("openai.azure.com") || under("cognitiveservices.azure.com") || under("services.ai.azure.com"),
		user:   u.User != nil,
	}
	if ip, err := netip.ParseAddr(host); err == nil {
		e.local = ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || ip.IsUnspecified()
	} else {
		// A name without a dot is on this machine or in its own network, as those of containers are.
		e.local = !strings.Contains(host, ".") || under("local") || under("internal") || under("localhost")
	}
	return e
}
