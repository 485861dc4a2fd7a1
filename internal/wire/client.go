package wire

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const maxRedirects = 5

// Do makes call and returns its reply once the header of a 2xx reply has arrived. The caller must close the
// response. Failures are tried again as the policy says; the error is that of the last try: a
// [*StatusError], [*TransportError], [*ProtocolError], [*RedirectError], [*IdleTimeoutError], or the cause
// of ctx when ctx ended first. ctx governs the reply until it is closed.
func (c *Client) Do(ctx context.Context, call Call) (*Response, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := c.newResponse(ctx, &call)
	for try := 0; ; try++ {
		err := c.try(r, &call)
		if err == nil {
			return r, nil
		}
		retry, again := c.retry.next(ctx, try, err)
		if ctx.Err() != nil {
			err, again = context.Cause(ctx), false
		}
		if !again || r.ctx.Err() != nil {
			r.release()
			return nil, err
		}
		if call.OnRetry != nil {
			call.OnRetry(retry)
		}
		if err := sleep(ctx, retry.Delay); err != nil {
			r.release()
			return nil, err
		}
	}
}

func (c *Client) newResponse(ctx context.Context, call *Call) *Response {
	r := &Response{client: c, method: call.method(), idle: call.ReadIdle, limit: c.maxBody, secrets: call.Secrets}
	if r.idle == 0 {
		r.idle = c.readIdle
	}
	if call.Stream {
		r.limit = c.maxStream
	}
	r.payload.data = call.Body
	r.ctx, r.watchdog.cancel = context.WithCancelCause(ctx)
	return r
}

// try sends the call once and, for a GET, follows redirects within the server.
func (c *Client) try(r *Response, call *Call) error {
	u := c.url(call)
	for hop := 0; ; hop++ {
		r.url = u
		res, err := c.send(r, call, u)
		if err != nil {
			return err
		}
		next, err := c.receive(r, call, res, hop)
		if next == nil {
			return err
		}
		u = next
	}
}

// send makes one HTTP exchange up to the header of the reply.
func (c *Client) send(r *Response, call *Call, u *url.URL) (*http.Response, error) {
	req := c.template.WithContext(r.ctx)
	req.Method, req.URL, req.Header = r.method, u, r.headers.build(c.secret.header, call)
	if len(call.Body) > 0 {
		req.ContentLength = int64(len(call.Body))
		req.Body, _ = r.payload.open()
		req.GetBody = r.payload.open
	}
	if call.Stream {
		r.watchdog.arm(r.idle)
	}
	res, err := c.transport.RoundTrip(req)
	r.watchdog.disarm()
	if err != nil {
		if r.ctx.Err() != nil {
			return nil, r.cause()
		}
		return nil, c.sendError(u, err, call.Secrets)
	}
	if res == nil {
		return nil, &ProtocolError{Target: targetOf(u), Reason: "the transport returned neither a reply nor an error"}
	}
	if res.Body == nil {
		res.Body = http.NoBody
	}
	return res, nil
}

// receive judges the header of a reply. A nil next ends the try, with the reply in r when err is nil.
func (c *Client) receive(r *Response, call *Call, res *http.Response, hop int) (next *url.URL, err error) {
	switch s := res.StatusCode; {
	case s >= 200 && s < 300:
		if t := mediaType(res.Header); t == "text/html" || t == "application/xhtml+xml" {
			_ = res.Body.Close()
			return nil, &ProtocolError{
				Target: r.Target(),
				Reason: "the server answered with a web page, not data: check the base URL",
			}
		}
		r.begin(res)
		return nil, nil
	case isRedirect(s) && res.Header.Get("Location") != "":
		r.begin(res)
		r.endTry()
		to, parseErr := r.url.Parse(res.Header.Get("Location"))
		if parseErr != nil { // its text quotes the Location
			return nil, &ProtocolError{Target: r.Target(), Reason: "the server redirects to an address that is not a valid URL"}
		}
		if r.method == http.MethodGet && hop < maxRedirects && sameServer(r.url, to) {
			to.User = nil
			return to, nil
		}
		return nil, redirectError(s, r.url, to, call.Path)
	default:
		r.begin(res)
		return nil, r.statusError()
	}
}

// statusError reads the error reply in r, whose connection stays usable when the server kept it short.
func (r *Response) statusError() error {
	_ = r.readAll(maxErrorBody) // what came of the body is enough: the status is the error
	e := ParseStatusError(r.Status, r.Header, r.body.Bytes(), time.Now())
	e.Header = r.Header
	r.sign(e)
	r.endTry()
	return e
}

// sign adds to e where it came from, and removes the client's own secrets a server may have echoed.
func (r *Response) sign(e *StatusError) {
	e.Method, e.Target = r.method, r.Target()
	e.Message = r.client.scrub(e.Message, r.secrets)
	e.Code = r.client.scrub(e.Code, r.secrets)
	e.RequestID = r.client.scrub(e.RequestID, r.secrets)
	e.Trace = r.client.scrub(e.Trace, r.secrets)
}

func isRedirect(status int) bool {
	switch status {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther,
		http.StatusTemporaryRedirect, http.StatusPermanentRedirect:
		return true
	}
	return false
}

func sameServer(a, b *url.URL) bool {
	hostA, portA := ServerAddress(a)
	hostB, portB := ServerAddress(b)
	return a.Scheme == b.Scheme && strings.EqualFold(hostA, hostB) && portA == portB
}

func redirectError(status int, from, to *url.URL, path string) *RedirectError {
	e := &RedirectError{Status: status, From: targetOf(from), To: targetOf(to)}
	if base, ok := strings.CutSuffix(e.To, path); ok {
		e.base = base
	}
	return e
}
