package wire

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"
)

const (
	// A stream's last event is followed by a few bytes of framing that nobody asks for. Close reads them,
	// within these bounds, so that the connection can be used again.
	drainBytes = 16 << 10
	drainTime  = 50 * time.Millisecond

	// maxPreallocate bounds what a Content-Length makes us reserve before a byte has arrived.
	maxPreallocate = 1 << 20
)

// Response is a reply whose header has arrived. It is read either whole, by ReadAll, or as it comes, by
// Read or one of the stream readers. One goroutine uses it; to stop a read from another, cancel the context
// given to Do.
type Response struct {
	Status int
	Header http.Header

	client   *Client
	method   string
	url      *url.URL
	ctx      context.Context
	payload  payload
	headers  headers
	watchdog watchdog
	idle     time.Duration
	limit    int64
	secrets  []string

	res    *http.Response // nil between tries and after Close
	read   int64
	first  time.Time
	last   time.Time
	err    error // sticky, io.EOF included
	body   *bytes.Buffer
	window *[]byte
	closed bool
}

// begin takes over the reply of a try.
func (r *Response) begin(res *http.Response) {
	r.Status, r.Header, r.res = res.StatusCode, res.Header, res
	r.read, r.err = 0, nil
	r.first, r.last = time.Time{}, time.Time{} // not those of an error reply that was retried
}

// Format prints status and target, whatever the verb: a reply holds prompts.
func (r *Response) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "wire.Response{%d %s}", r.Status, r.Target())
}

// Target returns scheme://host/path of the call, which is all of its address that may be shown.
func (r *Response) Target() string { return targetOf(r.url) }

// ContentType returns the media type of the reply without parameters, lower case.
func (r *Response) ContentType() string { return mediaType(r.Header) }

// RequestID returns the id the server gave the call: x-request-id, x-litellm-call-id or another of the
// kind, or "".
func (r *Response) RequestID() string { return requestID(r.Header) }

// FirstRead returns when the first byte of the body arrived; zero before.
func (r *Response) FirstRead() time.Time { return r.first }

// LastRead returns when the last read that brought bytes returned; zero before the first. Events taken from
// one read share its time.
func (r *Response) LastRead() time.Time { return r.last }

// Read implements [io.Reader]. Its errors are io.EOF, the cause of the context, a [*ProtocolError], a
// [*TransportError] or an [*IdleTimeoutError]; once failed it fails the same way for ever.
func (r *Response) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.closed {
		return 0, http.ErrBodyReadAfterClose
	}
	if r.ctx.Err() != nil {
		r.err = r.cause()
		return 0, r.err
	}
	r.watchdog.arm(r.idle)
	n, err := r.res.Body.Read(p)
	r.watchdog.disarm()
	if n > 0 {
		r.last = time.Now()
		if r.first.IsZero() {
			r.first = r.last
		}
	}
	r.read += int64(n)
	switch {
	case r.read > r.limit:
		n -= int(r.read - r.limit)
		r.err = r.tooLong(r.limit)
	case err == nil:
		return n, nil
	case err == io.EOF:
		r.err = io.EOF
	case r.ctx.Err() != nil:
		r.err = r.cause()
	default:
		r.err = readError(r.Target(), err)
	}
	return n, r.err
}

func (r *Response) tooLong(limit int64) error {
	return &ProtocolError{
		Target: r.Target(),
		Reason: "the reply is longer than the limit of " + strconv.FormatInt(limit, 10) + " bytes",
	}
}

// cause is why the context ended. The watchdog does not know the target; it is filled in here.
func (r *Response) cause() error {
	err := context.Cause(r.ctx)
	var idle *IdleTimeoutError
	if errors.As(err, &idle) && idle.Target == "" {
		return &IdleTimeoutError{Target: r.Target(), Idle: idle.Idle}
	}
	return err
}

// ReadAll reads the whole reply; limit bounds its bytes, 0 is Config.MaxBody. The slice is the response's
// own and valid until Close.
func (r *Response) ReadAll(limit int64) ([]byte, error) {
	if limit <= 0 || limit > r.limit {
		limit = r.limit
	}
	if r.closed {
		return nil, http.ErrBodyReadAfterClose
	}
	if r.res.ContentLength > limit {
		r.err = r.tooLong(limit)
		return nil, r.err
	}
	if err := r.readAll(limit); err != nil {
		return nil, err
	}
	return r.body.Bytes(), nil
}

// readAll reads up to limit bytes into r.body, where they are also when it fails.
func (r *Response) readAll(limit int64) error {
	declared := r.res.ContentLength
	if r.body == nil {
		r.body = GetBuffer()
	}
	r.body.Reset()
	r.body.Grow(int(min(max(declared, 0), limit, maxPreallocate)) + bytes.MinRead)
	for {
		if r.body.Available() == 0 {
			r.body.Grow(bytes.MinRead)
		}
		free := r.body.AvailableBuffer()
		n, err := r.Read(free[:cap(free)])
		r.body.Write(free[:n]) // in place: the bytes are where they belong
		switch {
		case int64(r.body.Len()) > limit:
			r.body.Truncate(int(limit))
			r.err = r.tooLong(limit)
			return r.err
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// SSE returns a reader of the reply as an event stream. Its buffer is given back by Close.
func (r *Response) SSE() *SSE {
	s := NewSSE(r, r.client.maxLine)
	s.in.buf = r.takeWindow()
	return s
}

// NDJSON returns a reader of the reply as newline-delimited JSON. Its buffer is given back by Close.
func (r *Response) NDJSON() *NDJSON {
	d := NewNDJSON(r, r.client.maxLine)
	d.in.buf = r.takeWindow()
	return d
}

func (r *Response) takeWindow() []byte {
	if r.window == nil {
		r.window = getWindow()
	}
	return *r.window
}

// StreamError reads an error that a server sent as data inside a stream, such as {"error":{…}}; it is nil
// when data holds none.
func (r *Response) StreamError(data []byte) *StatusError {
	if !bytes.Contains(data, []byte(`"error`)) { // the common case, without parsing
		return nil
	}
	e := parseStreamError(r.Status, r.Header, data)
	if e != nil {
		r.sign(e)
	}
	return e
}

// endTry gives up the body of a failed try.
func (r *Response) endTry() {
	if r.res != nil {
		r.drain()
		_ = r.res.Body.Close()
		r.res = nil
	}
}

// drain reads what little may be left, unless the call is over anyway.
func (r *Response) drain() {
	if r.err != nil || r.ctx.Err() != nil {
		return
	}
	window := r.takeWindow()
	r.watchdog.arm(drainTime)
	for left := drainBytes; left > 0; {
		n, err := r.res.Body.Read(window[:min(left, len(window))])
		if left -= n; err != nil {
			break
		}
	}
	r.watchdog.disarm()
}

// Close ends the call and gives back its buffers: slices from ReadAll and from the stream readers are
// invalid from here on, and the body of the call is the caller's again. A reply that was not read to its
// end is drained briefly (16 KiB, 50 ms), so that its connection can be used again, unless the context has
// ended. Close may be called twice, and returns nil.
func (r *Response) Close() error {
	r.release()
	return nil
}

func (r *Response) release() {
	if r.closed {
		return
	}
	r.endTry()
	r.closed = true
	r.watchdog.cancel(nil)
	r.payload.release()
	PutBuffer(r.body)
	putWindow(r.window)
	r.body, r.window = nil, nil
}
