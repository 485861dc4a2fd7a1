package ollama

import (
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

// Option changes how [New] makes a backend. Options win over the environment.
type Option func(*config)

type config struct {
	baseURL   string
	model     string
	transport http.RoundTripper
	options   backend.Options
	keepAlive string // as JSON, "" leaves it to the server
	retry     wire.RetryPolicy
	limit     int64
	images    ImageFetch
	log       *slog.Logger

	batchConcurrency int
}

// WithBaseURL sets the server's address in place of OLLAMA_HOST. It is a URL, for example "http://gpu-box:11434";
// user-info in it becomes basic authentication.
func WithBaseURL(url string) Option { return func(c *config) { c.baseURL = url } }

// WithModel names the model of requests that name none themselves. A name without a tag means ":latest".
func WithModel(name string) Option { return func(c *config) { c.model = name } }

// WithTransport carries the requests in place of a pooled transport that all backends share.
func WithTransport(t http.RoundTripper) Option { return func(c *config) { c.transport = t } }

// WithOptions sets the options that requests are laid over.
func WithOptions(o backend.Options) Option { return func(c *config) { c.options = o } }

// WithKeepAlive says how long the server keeps the model loaded after a request; 0 unloads it at once, a negative d
// keeps it for ever. By default the server decides, usually 5 minutes.
func WithKeepAlive(d time.Duration) Option {
	return func(c *config) {
		c.keepAlive = "-1"
		if d >= 0 {
			c.keepAlive = strconv.Quote(d.String())
		}
	}
}

// WithRetries bounds how often a request is sent again that failed before its first byte; 0 is never, the default 2.
func WithRetries(n int) Option { return func(c *config) { c.retry = c.retry.Times(n) } }

// WithReplyLimit bounds a reply as the server sends it, in bytes. By default it is 64 MiB, for a streamed one 512 MiB.
func WithReplyLimit(bytes int64) Option { return func(c *config) { c.limit = bytes } }

// WithImageFetch changes how images are fetched that messages know by their URL.
func WithImageFetch(f ImageFetch) Option { return func(c *config) { c.images = f } }

// WithBatchConcurrency bounds how many prompts of one batch are with the server at a time; 0 is [DefaultBatchConcurrency].
// More than OLLAMA_NUM_PARALLEL of the server only wait there.
func WithBatchConcurrency(n int) Option { return func(c *config) { c.batchConcurrency = n } }

// WithLogger sets where problems are reported that do not stop a request, such as an option that Ollama does not have, once
// each, at WARN. The default is [slog.Default] at that time.
func WithLogger(l *slog.Logger) Option { return func(c *config) { c.log = l } }
