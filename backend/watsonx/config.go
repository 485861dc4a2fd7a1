package watsonx

import (
	"encoding/base64"
	"log/slog"
	"net/http"
	"os"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/warnonce"
	"github.com/mellea-go/mellea/internal/wire"
)

// Provider is the value of gen_ai.provider.name.
const Provider = "ibm.watsonx.ai"

// Defaults of the options.
const (
	// DefaultIAMURL is where API keys are exchanged for tokens when neither [WithIAMURL] nor WATSONX_IAM_URL says
	// otherwise.
	DefaultIAMURL = "https://iam.cloud.ibm.com"
	// DefaultAPIVersion is the date of the API that requests ask for. It is pinned: a later one may mean other replies.
	DefaultAPIVersion = "2026-08-11"
	// DefaultBatchConcurrency is how many prompts of a batch are under way at once.
	DefaultBatchConcurrency = 8
)

// Option configures a [Backend]. Options win over the environment.
type Option func(*config)

type config struct {
	key, baseURL, iamURL, version string
	scope                         scope // by options
	envScope                      scope // by the environment
	header                        http.Header
	transport                     http.RoundTripper
	options                       backend.Options
	retry                         wire.RetryPolicy
	replyLimit                    int64
	concurrency                   int
	logger                        *slog.Logger
}

// scope is what pays for a request: one of the two.
type scope struct{ project, space string }

// WithAPIKey sets the IBM Cloud API key, instead of WATSONX_API_KEY or WATSONX_APIKEY.
func WithAPIKey(key string) Option { return func(c *config) { c.key = key } }

// WithToken sets a bearer token that the program got itself, instead of an API key. It is sent as it is and never
// renewed.
func WithToken(token string) Option { return WithHeader("Authorization", "Bearer "+token) }

// WithZenAPIKey authenticates with a user's platform API key of Cloud Pak for Data, instead of an API key of IBM Cloud.
// The base URL is that of the cluster then.
func WithZenAPIKey(user, key string) Option {
	return WithHeader("Authorization", "ZenApiKey "+base64.StdEncoding.EncodeToString([]byte(user+":"+key)))
}

// WithBaseURL sets the address of the service, instead of WATSONX_URL: scheme and host of a region, for example
// "https://us-south.ml.cloud.ibm.com", or of a Cloud Pak for Data cluster.
func WithBaseURL(url string) Option { return func(c *config) { c.baseURL = url } }

// WithIAMURL sets where the API key is exchanged, instead of WATSONX_IAM_URL: an address such as [DefaultIAMURL], or
// the whole one of the resource that gives tokens. It must begin with https:// unless it is in the machine's own network.
func WithIAMURL(url string) Option { return func(c *config) { c.iamURL = url } }

// WithProject sets the project that requests belong to, instead of WATSONX_PROJECT_ID or WATSONX_SPACE_ID.
func WithProject(id string) Option { return func(c *config) { c.scope.project = id } }

// WithSpace sets the deployment space that requests belong to, instead of WATSONX_PROJECT_ID or WATSONX_SPACE_ID.
func WithSpace(id string) Option { return func(c *config) { c.scope.space = id } }

// WithAPIVersion sets the date of the API, YYYY-MM-DD, instead of WATSONX_API_VERSION. The default is
// [DefaultAPIVersion].
func WithAPIVersion(date string) Option { return func(c *config) { c.version = date } }

// WithModel names the model of requests that name none, for example "ibm/granite-4-h-small".
func WithModel(name string) Option {
	return func(c *config) { c.options = c.options.WithModel(name) }
}

// WithOptions sets what a request's options do not. It may be given several times; the last wins.
func WithOptions(o backend.Options) Option {
	return func(c *config) { c.options = c.options.Merge(o) }
}

// WithHeader sends a header with every request to the service, none to IAM. One named Authorization takes the place of
// the API key.
func WithHeader(name, value string) Option {
	return func(c *config) {
		if c.header == nil {
			c.header = http.Header{}
		}
		c.header.Set(name, value)
	}
}

// WithTransport sets what carries the requests, to the service and to IAM, for a proxy, TLS settings or a recorder. The
// default is a pool that all backends of the program share.
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
// the connection was reset. The default is 2; 0 is never. It does not count the one retry with a renewed token.
func WithRetries(n int) Option {
	return func(c *config) { c.retry = c.retry.Times(n) }
}

// WithReplyLimit bounds the bytes of a reply; one that is longer fails. The default is 64 MiB, and 512 MiB streamed.
func WithReplyLimit(bytes int64) Option { return func(c *config) { c.replyLimit = bytes } }

// WithBatchConcurrency sets how many prompts of a batch are under way at once; below 1 is [DefaultBatchConcurrency].
func WithBatchConcurrency(n int) Option { return func(c *config) { c.concurrency = n } }

// WithLogger sets where an option that the service cannot honour is reported, once each, at WARN. The default is
// [slog.Default] at the time of the report.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// environment is what New reads of it.
func environment() config {
	c := config{
		key:      os.Getenv("WATSONX_API_KEY"),
		baseURL:  os.Getenv("WATSONX_URL"),
		iamURL:   os.Getenv("WATSONX_IAM_URL"),
		version:  os.Getenv("WATSONX_API_VERSION"),
		envScope: scope{project: os.Getenv("WATSONX_PROJECT_ID"), space: os.Getenv("WATSONX_SPACE_ID")},
	}
	if c.key == "" {
		c.key = os.Getenv("WATSONX_APIKEY")
	}
	return c
}

// New returns a backend. It does no I/O and starts nothing; see [Backend.Info] for what it reports of a configuration
// that cannot work.
func New(opts ...Option) *Backend {
	c := environment()
	for _, o := range opts {
		o(&c)
	}
	if c.iamURL == "" {
		c.iamURL = DefaultIAMURL
	}
	if c.version == "" {
		c.version = DefaultAPIVersion
	}
	if c.concurrency < 1 {
		c.concurrency = DefaultBatchConcurrency
	}
	b := &Backend{
		options: c.options, query: "version=" + c.version, concurrency: c.concurrency, warnings: warnonce.Log{Logger: c.logger},
		info: backend.Info{
			Provider: Provider, Model: c.options.Model(), NeedsModel: c.options.Model() == "",
			Capabilities: backend.Capabilities{Images: true, Audio: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
		},
	}
	b.problem = b.configure(&c)
	return b
}

// configure makes the clients of the backend. The error is the first setting that cannot work.
func (b *Backend) configure(c *config) error {
	if strings.TrimSpace(c.baseURL) == "" {
		return misconfigured("no address of the service: set WATSONX_URL or WithBaseURL (--base-url) to that of your region, " +
			"for example https://us-south.ml.cloud.ibm.com")
	}
	if !bareURL(c.baseURL) {
		return misconfigured("the base URL has user-info or a query: WATSONX_URL or WithBaseURL (--base-url) is a scheme and a host, " +
			"for example https://us-south.ml.cloud.ibm.com")
	}
	client, err := wire.New(wire.Config{
		BaseURL: c.baseURL, Header: c.header, Transport: c.transport, Retry: c.retry,
		MaxBody: c.replyLimit, MaxStream: c.replyLimit, ReadIdle: backend.DefaultStreamTimeout,
	})
	if err != nil {
		return fail("info", err)
	}
	b.client = client
	b.info.ServerAddress, b.info.ServerPort = client.Server()
	if b.scope, err = c.scopeMember(); err != nil {
		return err
	}
	if !isDate(c.version) {
		return misconfigured("the version of the API is not a date: write WATSONX_API_VERSION or WithAPIVersion as YYYY-MM-DD")
	}
	if c.header.Get("Authorization") != "" {
		return nil
	}
	b.tokens, err = newTokens(c)
	return err
}

// scopeMember returns the member of every request that says what pays for it.
func (c *config) scopeMember() (member, error) {
	s, from := c.scope, "WithProject and WithSpace"
	if s == (scope{}) {
		s, from = c.envScope, "WATSONX_PROJECT_ID and WATSONX_SPACE_ID"
	}
	switch {
	case s.project != "" && s.space != "":
		return member{}, misconfigured("both a project and a space: a request belongs to one, so set one of " + from)
	case s.project != "":
		return member{"project_id", s.project}, nil
	case s.space != "":
		return member{"space_id", s.space}, nil
	}
	return member{}, misconfigured("neither a project nor a space: set WATSONX_PROJECT_ID or WithProject (--project) to the id of a project, " +
		"or WATSONX_SPACE_ID or WithSpace (--space) to that of a deployment space")
}

// isDate reports whether s looks like YYYY-MM-DD; whether there is such a version is the service's to say.
func isDate(s string) bool {
	if len(s) != len("2006-01-02") {
		return false
	}
	for i := range len(s) {
		if dash := i == 4 || i == 7; dash != (s[i] == '-') || !dash && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

func misconfigured(remedy string) error {
	return &backend.Error{Provider: Provider, Op: "info", Code: backend.CodeConfiguration, Remedy: remedy}
}
