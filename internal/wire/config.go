package wire

import (
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Defaults of [Config].
const (
	DefaultMaxBody   = 64 << 20  // bytes of a reply read whole
	DefaultMaxStream = 512 << 20 // bytes of a streamed reply
	DefaultMaxLine   = 8 << 20   // bytes of one line or event of a stream
	DefaultReadIdle  = 120 * time.Second
)

// Config says how to reach one model server. It holds secrets: it prints masked, and a caller should hand
// it to [New] and forget it.
type Config struct {
	// BaseURL is the address calls are made relative to, such as "https://api.openai.com/v1". The scheme is
	// http or https. User-info becomes an Authorization header unless Header has one; a query is added to
	// every call. Neither is ever shown.
	BaseURL string `json:"-"`

	// Header is sent with every call, for example Authorization. Values are secret.
	Header http.Header `json:"-"`

	// Transport carries the calls; nil is a pooled transport shared by all clients. It is called directly,
	// without an [http.Client], so it sees no cookies and follows no redirects.
	Transport http.RoundTripper `json:"-"`

	// MaxBody bounds a reply read whole, MaxStream a streamed one, MaxLine one line or event of a stream,
	// all in bytes of the decompressed body; 0 is the default.
	MaxBody   int64
	MaxStream int64
	MaxLine   int

	// Retry says which failures are tried again and how soon; the zero value is the default policy.
	Retry RetryPolicy

	// ReadIdle is the longest silence of the server within a reply; see [Call.ReadIdle]. 0 is
	// [DefaultReadIdle], negative is no limit.
	ReadIdle time.Duration
}

// Format prints the configuration with its secrets masked, whatever the verb.
func (c Config) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String returns the configuration with its secrets masked.
func (c Config) String() string {
	target := "(invalid)"
	if u, err := parseBase(c.BaseURL); err == nil {
		target = targetOf(u)
	}
	return "wire.Config{" + target + headerNames(c.Header) + "}"
}

// LogValue is the masked form for log/slog.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// headerNames lists the names in h with their values masked.
func headerNames(h http.Header) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(h)) {
		b.WriteString(" " + k + "=***")
	}
	return b.String()
}

// Client makes calls to one server. It is immutable and safe for concurrent use. It prints masked.
type Client struct {
	base      *url.URL // without user-info and query
	secret    *secret
	transport http.RoundTripper
	template  *http.Request // copied for each try: the only way to set a context without a second copy
	maxBody   int64
	maxStream int64
	maxLine   int
	retry     RetryPolicy
	readIdle  time.Duration
}

// secret is what must not be shown. It is behind a pointer of its own because fmt prints the fields of a
// *Client when a struct that holds one unexported meets a verb such as %s, and no method of ours is asked.
type secret struct {
	query  string // of the base URL
	header http.Header
	words  []string // never to appear in the text of an error
}

// New returns a client for cfg. It does no I/O; the error is a [*ConfigError].
func New(cfg Config) (*Client, error) {
	base, err := parseBase(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	c := &Client{
		secret:    &secret{query: base.RawQuery, header: make(http.Header, len(cfg.Header)+1)},
		transport: cfg.Transport,
		template:  &http.Request{Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1},
		maxBody:   orDefault(cfg.MaxBody, DefaultMaxBody),
		maxStream: orDefault(cfg.MaxStream, DefaultMaxStream),
		maxLine:   orDefault(cfg.MaxLine, DefaultMaxLine),
		retry:     cfg.Retry.withDefaults(),
		readIdle:  cfg.ReadIdle,
	}
	if c.readIdle == 0 {
		c.readIdle = DefaultReadIdle
	}
	if c.transport == nil {
		c.transport = sharedTransport()
	}
	for k, vs := range cfg.Header {
		if err := checkHeader(k, vs); err != nil {
			return nil, err
		}
		c.secret.header[textproto.CanonicalMIMEHeaderKey(k)] = slices.Clone(vs)
		c.secret.words = append(c.secret.words, vs...)
	}
	if values, err := url.ParseQuery(base.RawQuery); err == nil {
		for _, vs := range values {
			c.secret.words = append(c.secret.words, vs...)
		}
	}
	if user := base.User; user != nil {
		c.addUser(user)
	}
	for _, vs := range c.secret.header {
		for _, v := range vs { // the token of "Bearer token" is a secret by itself
			if _, token, ok := strings.Cut(v, " "); ok {
				c.secret.words = append(c.secret.words, token)
			}
		}
	}
	slices.SortFunc(c.secret.words, func(a, b string) int { return len(b) - len(a) }) // one may contain another
	if c.secret.header.Get("User-Agent") == "" {
		c.secret.header.Set("User-Agent", "mellea-go")
	}
	base.User, base.RawQuery, base.ForceQuery = nil, "", false
	base.Path = strings.TrimRight(base.Path, "/")
	base.RawPath = strings.TrimRight(base.RawPath, "/")
	c.base = base
	return c, nil
}

func orDefault[T int | int64](v, d T) T {
	if v <= 0 {
		return d
	}
	return v
}

// addUser turns URL user-info into basic authentication, as net/http does, unless the caller set its own.
func (c *Client) addUser(user *url.Userinfo) {
	password, _ := user.Password()
	c.secret.words = append(c.secret.words, password, user.Username(), user.String())
	if c.secret.header.Get("Authorization") == "" {
		auth := base64.StdEncoding.EncodeToString([]byte(user.Username() + ":" + password))
		c.secret.header.Set("Authorization", "Basic "+auth)
		c.secret.words = append(c.secret.words, auth)
	}
}

// Server returns the host and port of the server, for server.address and server.port.
func (c *Client) Server() (host string, port int) { return ServerAddress(c.base) }

// Base returns the base URL without user-info and query.
func (c *Client) Base() string { return c.base.String() }

// CloseIdleConnections closes the connections that are not in use. With the shared transport these are
// those of every client.
func (c *Client) CloseIdleConnections() {
	if t, ok := c.transport.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}

// Format prints the client with its secrets masked, whatever the verb.
func (c *Client) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String returns the address of the server and the names of the headers sent to it.
func (c *Client) String() string {
	if c == nil {
		return "wire.Client(nil)"
	}
	return "wire.Client{" + c.base.String() + headerNames(c.secret.header) + "}"
}

// LogValue is the masked form for log/slog.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

// ServerAddress returns the host of u and its port, which defaults to 80 for http and 443 for https.
// An IPv6 host comes without brackets.
func ServerAddress(u *url.URL) (host string, port int) {
	if n, err := strconv.Atoi(u.Port()); err == nil {
		return u.Hostname(), n
	}
	if u.Scheme == "https" {
		return u.Hostname(), 443
	}
	return u.Hostname(), 80
}

// parseBase validates a base URL. Its errors quote nothing of raw: a wrong URL may show a password where
// the parser sees a port.
func parseBase(raw string) (*url.URL, error) {
	bad := func(reason string) (*url.URL, error) {
		return nil, &ConfigError{Setting: "base URL", Reason: reason}
	}
	if strings.TrimSpace(raw) == "" {
		return bad("is empty: set it to an address such as http://localhost:11434")
	}
	u, err := url.Parse(strings.TrimSpace(raw))
	if err != nil {
		return bad("is not a valid URL: write it as http://host:port/path")
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return bad("has no http:// or https:// scheme: write it as http://host:port/path")
	case u.Hostname() == "":
		return bad("has no host: write it as http://host:port/path")
	case u.Fragment != "":
		return bad("has a fragment (#…): remove it")
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return bad("has a port outside 1 to 65535")
		}
	}
	return u, nil
}

// checkHeader rejects what net/http would refuse at the first call, so that it shows at start-up: typically
// a key read from a file together with its newline.
func checkHeader(name string, values []string) error {
	if !isToken(name) {
		return &ConfigError{Setting: "header", Reason: "name is empty or has a character that is not allowed"}
	}
	for _, v := range values {
		if strings.ContainsFunc(v, func(r rune) bool { return (r < ' ' && r != '\t') || r == 0x7f }) {
			return &ConfigError{
				Setting: "header " + name,
				Reason:  "value has a control character: is there a newline at the end of the key?",
			}
		}
	}
	return nil
}

func isToken(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		alnum := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		return !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	})
}

// NewTransport returns a pooled transport as clients share it by default, for a program that wants a pool,
// TLS configuration or proxy of its own.
func NewTransport() *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		t = t.Clone()
	} else { // a program may have replaced it
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	}
	t.MaxIdleConns = 256
	t.MaxIdleConnsPerHost = 64 // a session samples in parallel against one host; net/http keeps 2
	t.MaxResponseHeaderBytes = 1 << 20
	return t
}

var sharedTransport = sync.OnceValue(NewTransport)
