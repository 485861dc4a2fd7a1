package wire

import (
	"io"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Call is one request.
type Call struct {
	// Method defaults to POST with a body and to GET without.
	Method string

	// Path is appended to the path of the base URL, not escaped. A slash is put between them if need be.
	Path string

	// Query is an encoded query added to that of the base URL. It is never shown.
	Query string

	// Body is sent as it is, again for each retry. The caller must leave it alone until Do has returned an
	// error or the Response is closed; after that it is not read again, not even by a transport that is
	// still writing.
	Body []byte

	// ContentType of the body; empty is application/json.
	ContentType string

	// Accept header; empty is application/json.
	Accept string

	// Stream says that the reply is read as it is produced: ReadIdle then covers the wait for the first
	// byte as well, and Config.MaxStream bounds the reply instead of Config.MaxBody.
	Stream bool

	// ReadIdle is the longest silence allowed within the reply before the call fails with an
	// [*IdleTimeoutError]: between reads of the body, and when Stream is set also from sending the request
	// to the first byte. Without Stream the wait for the reply to begin is bounded by the context alone,
	// because a model may take any time to produce a whole reply. Time the caller spends between reads
	// does not count. 0 is that of the Config, negative is no limit.
	ReadIdle time.Duration

	// SetHeaders, if not nil, is called before each try with a function that sets a header of that try,
	// replacing one of the same name. It must not keep the function.
	SetHeaders func(set func(key, value string))

	// Secrets are words of this call that never appear in the text of an error, whoever repeats them: a token that
	// SetHeaders sets, a key in the body. Header values of the Config are kept out anyway.
	Secrets []string `json:"-"`

	// OnRetry, if not nil, is told of each retry before its delay begins.
	OnRetry func(Retry)
}

func (c *Call) method() string {
	switch {
	case c.Method != "":
		return c.Method
	case c.Body != nil:
		return http.MethodPost
	default:
		return http.MethodGet
	}
}

// url returns the address of call.
func (c *Client) url(call *Call) *url.URL {
	u := *c.base
	path := call.Path
	if path != "" && path[0] != '/' {
		path = "/" + path
	}
	u.Path += path
	if u.RawPath != "" {
		u.RawPath += (&url.URL{Path: path}).EscapedPath()
	}
	u.RawQuery = c.secret.query
	if call.Query != "" {
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += call.Query
	}
	return &u
}

// headers builds the header of one try. It lives in the Response so that handing out its set method costs
// no more than that.
type headers struct {
	h      http.Header
	values []string // backs the one-element slices of h: one allocation for all
}

func (b *headers) set(key, value string) {
	key = canonical(key)
	if len(b.values) == 0 {
		b.h[key] = []string{value}
		return
	}
	b.values[0] = value
	b.h[key] = b.values[:1:1]
	b.values = b.values[1:]
}

// build returns a fresh header each time: transports in the wild do write to the one they are given.
func (b *headers) build(static http.Header, call *Call) http.Header {
	const own = 4 // Accept, Content-Type, traceparent, tracestate
	b.h = make(http.Header, len(static)+own)
	b.values = make([]string, len(static)+own)
	b.set("Accept", orJSON(call.Accept))
	if call.Body != nil {
		b.set("Content-Type", orJSON(call.ContentType))
	}
	for k, vs := range static {
		if len(vs) == 1 {
			b.set(k, vs[0])
		} else {
			b.h[k] = slices.Clone(vs)
		}
	}
	if call.SetHeaders != nil {
		call.SetHeaders(b.set)
	}
	h := b.h
	*b = headers{} // a Response that is printed shows no key
	return h
}

func orJSON(mediaType string) string {
	if mediaType == "" {
		return "application/json"
	}
	return mediaType
}

// canonical is textproto.CanonicalMIMEHeaderKey without an allocation for the names set on every call.
func canonical(key string) string {
	switch key {
	case "traceparent":
		return "Traceparent"
	case "tracestate":
		return "Tracestate"
	case "baggage":
		return "Baggage"
	}
	return textproto.CanonicalMIMEHeaderKey(key)
}

// payload is the body of a call, shared by the readers of its tries. A transport may go on reading after
// RoundTrip has returned, when the server answers early; release takes the bytes away from it.
type payload struct {
	mu       sync.Mutex
	data     []byte
	released bool
}

func (p *payload) open() (io.ReadCloser, error) { return &payloadReader{p: p}, nil }

func (p *payload) release() {
	p.mu.Lock()
	p.data, p.released = nil, true
	p.mu.Unlock()
}

type payloadReader struct {
	p   *payload
	off int
}

func (r *payloadReader) Read(b []byte) (int, error) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	if r.p.released {
		return 0, http.ErrBodyReadAfterClose
	}
	if r.off >= len(r.p.data) {
		return 0, io.EOF
	}
	n := copy(b, r.p.data[r.off:])
	r.off += n
	return n, nil
}

func (r *payloadReader) Close() error { return nil }
