package telemetry

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Limits of a webhook.
const (
	webhookQueue   = 2048    // records
	webhookMemory  = 8 << 20 // bytes of records that wait
	webhookBatch   = 100     // records of one request
	webhookDelay   = time.Second
	webhookTimeout = 10 * time.Second
)

// A webhook posts log lines as JSON arrays. A line is made where it is logged and sent by one goroutine, which end
// awaits; the line that finds no room is dropped and counted.
type webhook struct {
	*delivery

	to        url.URL // without user information
	user      *url.Userinfo
	transport *http.Transport
	queue     chan []byte
	memory    atomic.Int64
	full      atomic.Bool // a line was dropped, which is to be reported
	flushes   chan chan struct{}
}

// webhookURL returns the URL of a webhook. The error completes "NAME …" and does not quote the URL, which may hold a key.
func webhookURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" {
		return nil, errors.New("is not a URL such as https://logs.example.com/hook")
	}
	if u.Scheme != "https" {
		return nil, errors.New("must be an https URL, as log lines are not for others to read on their way: put a proxy that speaks TLS before the receiver")
	}
	return u, nil
}

func newWebhook(u *url.URL, c *tls.Config, l *slog.Logger) *webhook {
	transport := newTransport(c.Clone())
	h := &webhook{to: *u, user: u.User, transport: transport, queue: make(chan []byte, webhookQueue), flushes: make(chan chan struct{})}
	h.to.User = nil
	h.delivery = newDelivery("webhook at "+u.Host, "log lines", l, webhookQueue, transport.CloseIdleConnections)
	h.local = true
	go h.run()
	return h
}

// Write queues one line, or drops it. It never blocks and never fails.
func (h *webhook) Write(p []byte) (int, error) {
	select {
	case <-h.closing:
		return len(p), nil
	default:
	}
	line := bytes.Clone(bytes.TrimSpace(p))
	size := int64(len(line))
	switch {
	case h.memory.Add(size) > webhookMemory, !h.admit():
		h.memory.Add(-size)
		h.dropped.Add(1)
		h.full.Store(true)
	default:
		h.queue <- line // has room, as it was admitted
	}
	return len(p), nil
}

// tell reports that a line was dropped. It is apart from Write, which is called with a lock held.
func (h *webhook) tell() {
	if h.full.CompareAndSwap(true, false) {
		h.report(1, errQueueFull)
	}
}

// run sends until Shutdown: a batch when there are webhookBatch lines, or webhookDelay after the first of them.
func (h *webhook) run() {
	defer func() { _ = h.finish(h.base, nil) }()
	timer := time.NewTimer(webhookDelay)
	timer.Stop()
	defer timer.Stop()
	var batch [][]byte
	send := func() {
		timer.Stop()
		h.post(batch)
		batch = batch[:0]
	}
	drain := func() {
		for len(h.queue) > 0 {
			if batch = append(batch, <-h.queue); len(batch) == webhookBatch {
				send()
			}
		}
		send()
	}
	for {
		select {
		case line := <-h.queue:
			if len(batch) == 0 {
				timer.Reset(webhookDelay)
			}
			if batch = append(batch, line); len(batch) == webhookBatch {
				send()
			}
		case <-timer.C:
			send()
		case done := <-h.flushes:
			drain()
			close(done)
		case <-h.closing:
			drain()
			return
		}
	}
}

func (h *webhook) post(batch [][]byte) {
	if len(batch) == 0 {
		return
	}
	body := append(append([]byte{'['}, bytes.Join(batch, []byte{','})...), ']')
	size := len(body) - len(batch) - 1 // what brackets and commas are not
	h.send(h.base, len(batch), func(ctx context.Context) error { return h.request(ctx, body) }, func(err error) bool {
		e, ok := errors.AsType[*webhookError](err)
		return !ok || e.status == http.StatusTooManyRequests || e.status >= 500
	})
	h.memory.Add(-int64(size))
	clear(batch)
}

// A webhookError says that a request was not taken. It holds nothing of the answer, nor of the URL.
type webhookError struct{ status int }

func (e *webhookError) Error() string {
	text := "HTTP status " + strconv.Itoa(e.status)
	if e.status >= 300 && e.status < 400 {
		text += ": redirects are not followed, name the URL that it leads to"
	}
	return text
}

// request makes one request. It goes round the HTTP client, which follows redirects, and puts the URL into its errors.
func (h *webhook) request(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, webhookTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.to.String(), bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", strings.TrimSuffix("mellea-go/"+moduleVersion(), "/"))
	if h.user != nil {
		password, _ := h.user.Password()
		req.SetBasicAuth(h.user.Username(), password)
	}
	resp, err := h.transport.RoundTrip(req)
	switch {
	case err == nil:
	case isNetwork(err), isTLS(err), ctx.Err() != nil:
		return err
	default:
		return errNoAnswer // the error may quote what came instead
	}
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10)) // the connection is used again
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode > 299 {
		return &webhookError{status: resp.StatusCode}
	}
	return nil
}

var errNoAnswer = errors.New("what answers does not speak HTTP")

// flush sends what waits, within ctx.
func (h *webhook) flush(ctx context.Context) error {
	done := make(chan struct{})
	select {
	case h.flushes <- done:
	case <-h.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-done:
		return nil
	case <-h.closed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Shutdown sends what waits and ends the goroutine, within ctx.
func (h *webhook) Shutdown(ctx context.Context) error {
	return h.end(ctx, func(ctx context.Context) error {
		select {
		case <-h.closed:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}
