package wire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/internal/wire"
)

// answer is one scripted reply; status 0 closes the connection without one.
type answer struct {
	status int
	header map[string]string
	body   string
}

// script answers call after call, the last answer again and again.
func script(answers []answer, onRequest func(*http.Request)) http.HandlerFunc {
	n := 0
	return func(w http.ResponseWriter, r *http.Request) {
		if onRequest != nil {
			onRequest(r)
		}
		a := answers[min(n, len(answers)-1)]
		n++
		if a.status == 0 {
			panic(http.ErrAbortHandler)
		}
		for k, v := range a.header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(a.status)
		io.WriteString(w, a.body)
	}
}

func TestRetry(t *testing.T) {
	t.Parallel()
	const ms = time.Millisecond
	after := func(v string) map[string]string { return map[string]string{"Retry-After": v} }
	type wait struct{ min, max time.Duration } // backoff is uniform over the upper half
	first, second := wait{125 * ms, 250 * ms}, wait{250 * ms, 500 * ms}
	for _, tt := range []struct {
		name    string
		answers []answer
		policy  wire.RetryPolicy
		waits   []wait
		want    int // final status; 0 is a TransportError
	}{
		{"500 then 200", []answer{{status: 500, body: "sorry"}, {status: 200}}, wire.RetryPolicy{}, []wait{first}, 200},
		{"529 and 503 then 200", []answer{{status: 529}, {status: 503}, {status: 200}}, wire.RetryPolicy{}, []wait{first, second}, 200},
		{"429 to the end", []answer{{status: 429}}, wire.RetryPolicy{}, []wait{first, second}, 429},
		{"closed without a reply then 200", []answer{{}, {status: 200}}, wire.RetryPolicy{}, []wait{first}, 200},
		{"closed to the end", []answer{{}}, wire.RetryPolicy{}, []wait{first, second}, 0},
		{"400 is not retried", []answer{{status: 400}}, wire.RetryPolicy{}, nil, 400},
		{"401 is not retried", []answer{{status: 401}}, wire.RetryPolicy{}, nil, 401},
		{"404 is not retried", []answer{{status: 404}}, wire.RetryPolicy{}, nil, 404},
		{"501 is not retried", []answer{{status: 501}}, wire.RetryPolicy{}, nil, 501},
		{"the server says not to", []answer{{status: 429, header: map[string]string{"X-Should-Retry": "false"}}}, wire.RetryPolicy{}, nil, 429},
		{"retries off", []answer{{status: 500}}, wire.RetryPolicy{Max: -1}, nil, 500},
		{"Retry-After in seconds", []answer{{status: 429, header: after("7")}, {status: 200}}, wire.RetryPolicy{}, []wait{{7000 * ms, 7000 * ms}}, 200},
		// The clock of a synctest bubble starts here.
		{"Retry-After as a date", []answer{{status: 503, header: after("Sat, 01 Jan 2000 00:00:09 GMT")}, {status: 200}}, wire.RetryPolicy{}, []wait{{8999 * ms, 9000 * ms}}, 200},
		{"Retry-After in the past", []answer{{status: 503, header: after("Fri, 31 Dec 1999 00:00:00 GMT")}, {status: 200}}, wire.RetryPolicy{}, []wait{first}, 200},
		{"Retry-After shorter than the backoff", []answer{{status: 503, header: map[string]string{"Retry-After-Ms": "1"}}, {status: 200}}, wire.RetryPolicy{}, []wait{first}, 200},
		{"Retry-After over the limit", []answer{{status: 429, header: after("61")}, {status: 200}}, wire.RetryPolicy{}, nil, 429},
		{"own limit", []answer{{status: 429, header: after("61")}, {status: 200}}, wire.RetryPolicy{MaxAfter: 2 * time.Minute}, []wait{{61000 * ms, 61000 * ms}}, 200},
		{"capped backoff", []answer{{status: 500}}, wire.RetryPolicy{Max: 4, Base: time.Second, Cap: 2 * time.Second}, []wait{{500 * ms, 1000 * ms}, {1000 * ms, 2000 * ms}, {1000 * ms, 2000 * ms}, {1000 * ms, 2000 * ms}}, 500},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var (
					bodies   []string
					arrivals []time.Time
					retries  []wire.Retry
					headers  int
				)
				transport := memServer(t, script(tt.answers, func(r *http.Request) {
					b, _ := io.ReadAll(r.Body)
					bodies, arrivals = append(bodies, string(b)), append(arrivals, time.Now())
				}))
				c := newClient(t, wire.Config{BaseURL: "http://model.test/v1", Transport: transport, Retry: tt.policy})
				call := wire.Call{
					Path: "/chat", Body: []byte("again"),
					OnRetry:    func(r wire.Retry) { retries = append(retries, r) },
					SetHeaders: func(func(string, string)) { headers++ },
				}
				res, err := c.Do(t.Context(), call)
				switch tt.want {
				case 200:
					if err != nil {
						t.Fatal(err)
					}
					if !res.FirstRead().IsZero() {
						t.Errorf("got first read at %v before reading, want that of no try", res.FirstRead())
					}
					discard(t, res)
				case 0:
					if as[*wire.TransportError](t, err); !errors.Is(err, io.EOF) {
						t.Errorf("got %v, want io.EOF within", err)
					}
				default:
					if got := as[*wire.StatusError](t, err).Status; got != tt.want {
						t.Errorf("got status %d, want %d", got, tt.want)
					}
				}
				if len(retries) != len(tt.waits) {
					t.Fatalf("got %d retries %v, want %d", len(retries), retries, len(tt.waits))
				}
				for i, w := range tt.waits {
					r := retries[i]
					if r.Delay < w.min || r.Delay > w.max {
						t.Errorf("retry %d: got delay %v, want %v to %v", i+1, r.Delay, w.min, w.max)
					}
					if got := arrivals[i+1].Sub(r.At); got != r.Delay {
						t.Errorf("retry %d: got sent %v after the failure, want %v", i+1, got, r.Delay)
					}
					if r.Attempt != i+1 || r.Status != tt.answers[min(i, len(tt.answers)-1)].status || r.Err == nil {
						t.Errorf("retry %d: got %+v", i+1, r)
					}
				}
				if want := len(tt.waits) + 1; headers != want || len(bodies) != want {
					t.Errorf("got SetHeaders %d times and %d requests, want %d", headers, len(bodies), want)
				}
				for i, b := range bodies {
					if b != "again" {
						t.Errorf("try %d: got body %q, want %q", i, b, "again")
					}
				}
			})
		})
	}
}

func TestRetryAfterBeyondLimitIsReported(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, script([]answer{{
			status: 429,
			header: map[string]string{"Retry-After": "3600", "Content-Type": "application/json", "X-Request-Id": "req_9"},
			body:   `{"error":{"message":"` + plantedWords + `","code":"rate_limit_exceeded"}}`,
		}}, nil))
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport})
		_, err := c.Do(t.Context(), post("/v1/chat"))
		want := &wire.StatusError{
			Status: 429, Code: "rate_limit_exceeded", Message: plantedWords, RetryAfter: time.Hour, RequestID: "req_9",
			ContentType: "application/json", Method: "POST", Target: "http://model.test/v1/chat",
		}
		got := as[*wire.StatusError](t, err)
		want.Header = http.Header{
			"Content-Length": got.Header["Content-Length"], "Content-Type": {"application/json"},
			"Date": got.Header["Date"], "Retry-After": {"3600"}, "X-Request-Id": {"req_9"},
		}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(wire.StatusError{})); diff != "" {
			t.Errorf("error (-want +got):\n%s", diff)
		}
		if got, want := err.Error(), "POST http://model.test/v1/chat: HTTP 429 Too Many Requests (rate_limit_exceeded), retry after 1h0m0s, request id req_9"; got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	})
}

// TestRetryStaysWithinDeadline returns the telling error at once instead of waiting for the deadline.
func TestRetryStaysWithinDeadline(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, script([]answer{{status: 503, header: map[string]string{"Retry-After": "30"}}}, nil))
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		start := time.Now()
		_, err := c.Do(ctx, post("/"))
		as[*wire.StatusError](t, err)
		if got := time.Since(start); got != 0 {
			t.Errorf("got %v of waiting, want none", got)
		}
	})
}

func TestCancelledWhileWaitingToRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, script([]answer{{status: 503, header: map[string]string{"Retry-After": "30"}}}, nil))
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport})
		ctx, cancel := context.WithCancelCause(t.Context())
		cause := errors.New("the user left")
		start := time.Now()
		time.AfterFunc(3*time.Second, func() { cancel(cause) })
		if _, err := c.Do(ctx, post("/")); err != cause {
			t.Errorf("got %v, want the cause of the context", err)
		}
		if got, want := time.Since(start), 3*time.Second; got != want {
			t.Errorf("got back after %v, want %v", got, want)
		}
	})
}

func TestIdle(t *testing.T) {
	t.Parallel()
	const s = time.Second
	for _, tt := range []struct {
		name    string
		silence []time.Duration // before the header, before each line
		cfg     time.Duration
		call    wire.Call
		wantErr time.Duration // the limit that was exceeded
		lines   int
		elapsed time.Duration
	}{
		{"default, first byte", []time.Duration{200 * s}, 0, wire.Call{Stream: true}, 120 * s, 0, 120 * s},
		{"default, between chunks", []time.Duration{100 * s, 100 * s, 121 * s}, 0, wire.Call{Stream: true}, 120 * s, 1, 320 * s},
		{"long but never silent", []time.Duration{119 * s, 119 * s, 119 * s, 119 * s}, 0, wire.Call{Stream: true}, 0, 3, 476 * s},
		{"of the client", []time.Duration{s, 6 * s}, 5 * s, wire.Call{Stream: true}, 5 * s, 0, 6 * s},
		{"of the call", []time.Duration{s, 6 * s}, 60 * s, wire.Call{Stream: true, ReadIdle: 2 * s}, 2 * s, 0, 3 * s},
		{"off for the client", []time.Duration{3600 * s, 3600 * s}, -1, wire.Call{Stream: true}, 0, 1, 7200 * s},
		{"off for the call", []time.Duration{3600 * s, 3600 * s}, 5 * s, wire.Call{Stream: true, ReadIdle: -1}, 0, 1, 7200 * s},
		{"a whole reply may take any time to begin", []time.Duration{3600 * s, s}, 0, wire.Call{}, 0, 1, 3601 * s},
		{"a whole reply must not stall", []time.Duration{3600 * s, 121 * s}, 0, wire.Call{}, 120 * s, 0, 3720 * s},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				transport := memServer(t, func(w http.ResponseWriter, r *http.Request) {
					for i, d := range tt.silence {
						select {
						case <-time.After(d):
						case <-r.Context().Done():
							return
						}
						if i > 0 {
							io.WriteString(w, "{}\n")
						}
						w.(http.Flusher).Flush()
					}
				})
				c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport, ReadIdle: tt.cfg})
				call := tt.call
				call.Path = "/chat"
				start := time.Now()
				lines := 0
				res, err := c.Do(t.Context(), call)
				if err == nil {
					in := res.NDJSON()
					for {
						if _, err = in.Next(); err != nil {
							break
						}
						lines++
						if got := time.Since(res.LastRead()); got != 0 {
							t.Errorf("line %d: got arrival %v ago, want now", lines, got)
						}
					}
					res.Close()
				}
				if lines != tt.lines || time.Since(start) != tt.elapsed {
					t.Errorf("got %d lines in %v, want %d in %v", lines, time.Since(start), tt.lines, tt.elapsed)
				}
				if tt.wantErr == 0 {
					if err != io.EOF {
						t.Errorf("got %v, want io.EOF", err)
					}
					return
				}
				e := as[*wire.IdleTimeoutError](t, err)
				if e.Idle != tt.wantErr || e.Target != "http://model.test/chat" || !e.Timeout() {
					t.Errorf("got %+v, want limit %v", e, tt.wantErr)
				}
			})
		})
	}
}

// TestIdleIgnoresSlowReader has a caller that takes its time between reads of bytes that have long arrived.
func TestIdleIgnoresSlowReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, func(w http.ResponseWriter, r *http.Request) {
			for range 3 {
				io.WriteString(w, strings.Repeat("x", 5000)+"\n")
				w.(http.Flusher).Flush()
			}
		})
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport})
		res, err := c.Do(t.Context(), wire.Call{Path: "/", Stream: true})
		if err != nil {
			t.Fatal(err)
		}
		defer res.Close()
		in := res.NDJSON()
		for i := range 3 {
			time.Sleep(time.Hour)
			if _, err := in.Next(); err != nil {
				t.Fatalf("line %d: %v", i, err)
			}
		}
	})
}

func TestCancelledWhileReading(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport})
		ctx, cancel := context.WithCancelCause(t.Context())
		res, err := c.Do(ctx, wire.Call{Path: "/", Stream: true})
		if err != nil {
			t.Fatal(err)
		}
		in := res.SSE()
		if _, err := in.Next(); err != nil {
			t.Fatal(err)
		}
		cause := errors.New("enough")
		start := time.Now()
		time.AfterFunc(time.Second, func() { cancel(cause) })
		for range 2 { // it stays so
			if _, err := in.Next(); err != cause {
				t.Errorf("got %v, want the cause of the context", err)
			}
		}
		res.Close()
		if got, want := time.Since(start), time.Second; got != want {
			t.Errorf("got back after %v, want %v", got, want)
		}
	})
}

func TestCancelledBeforeDo(t *testing.T) {
	t.Parallel()
	c := newClient(t, wire.Config{BaseURL: "http://127.0.0.1:1"})
	ctx, cancel := context.WithCancelCause(context.Background())
	cause := errors.New("never mind")
	cancel(cause)
	if _, err := c.Do(ctx, post("/")); err != cause {
		t.Errorf("got %v, want the cause of the context", err)
	}
}

// TestCloseDoesNotWaitForAStalledStream leaves a stream whose server goes on without a word.
func TestCloseDoesNotWaitForAStalledStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		transport := memServer(t, func(w http.ResponseWriter, r *http.Request) {
			io.WriteString(w, "data: 1\n\n")
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		})
		c := newClient(t, wire.Config{BaseURL: "http://model.test", Transport: transport, ReadIdle: -1})
		res, err := c.Do(t.Context(), wire.Call{Path: "/", Stream: true})
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		res.Close()
		if got, most := time.Since(start), 50*time.Millisecond; got > most {
			t.Errorf("got closed after %v, want at most %v", got, most)
		}
	})
}
