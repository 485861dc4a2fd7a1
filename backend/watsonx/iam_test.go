package watsonx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/watsonxtest"
	"github.com/mellea-go/mellea/telemetry"
)

// issuer is an IAM that gives numbered tokens after a while.
type issuer struct {
	takes time.Duration
	life  string // members that say how long a token lives; "" is an hour
	fails atomic.Bool
	n     atomic.Int64
}

func (i *issuer) serve(r *http.Request, _ string) *http.Response {
	select {
	case <-time.After(i.takes):
	case <-r.Context().Done():
		return nil
	}
	if i.fails.Load() {
		return respond(503, "application/json", `{"errorMessage":"later"}`)
	}
	life := i.life
	if life == "" {
		life = `"expires_in":3600,"expiration":7`
	}
	return respond(200, "application/json", fmt.Sprintf(`{"access_token":"eyJ-%d","token_type":"Bearer",%s}`, i.n.Add(1), life))
}

func TestOneExchangeServesAllCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := &issuer{takes: time.Second}
		m := &memory{iam: iam.serve, service: says(aReply)}
		b := newBackend(m)
		var all sync.WaitGroup
		for range 1000 {
			all.Go(func() {
				if _, err := chat(t.Context(), b, request(false)); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
		if got := m.exchanges(); got != 1 {
			t.Errorf("got %d exchanges for 1000 calls, want 1", got)
		}
		if got := len(m.seen()); got != 1000 {
			t.Errorf("got %d requests, want 1000", got)
		}
	})
}

// The same over real sockets, against the strict servers.
func TestOneExchangeServesAllCallsOverSockets(t *testing.T) {
	t.Parallel()
	iam := watsonxtest.NewIAM(t, theKey)
	service := watsonxtest.NewService(t, iam)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	b := newBackend(transport, watsonx.WithBaseURL(service.URL), watsonx.WithIAMURL(iam.URL))
	var all sync.WaitGroup
	for i := range 1000 {
		all.Go(func() {
			prompt := fmt.Sprintf("prompt %d", i)
			r, err := chat(context.Background(), b, backend.Request{Messages: content.NewMessages(content.User(prompt)), Options: backend.Options{}.WithStream(i%2 == 0)})
			if err != nil || r.Message.Text() != "echo: "+prompt {
				t.Errorf("got %q, %v, want the echo of %q", r.Message.Text(), err, prompt)
			}
		})
	}
	all.Wait()
	if got := iam.Exchanges(); got != 1 {
		t.Errorf("got %d exchanges for 1000 calls, want 1", got)
	}
}

func TestTokenIsRenewedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := &issuer{takes: time.Second}
		m := &memory{iam: iam.serve, service: says(aReply)}
		b := newBackend(m)
		used := func() string {
			t.Helper()
			if _, err := chat(t.Context(), b, request(false)); err != nil {
				t.Fatal(err)
			}
			all := m.seen()
			return strings.TrimPrefix(all[len(all)-1].authorization, "Bearer eyJ-")
		}
		for _, step := range []struct {
			sleep time.Duration
			token string
		}{
			{0, "1"}, {47 * time.Minute, "1"}, {2 * time.Minute, "2"}, {47 * time.Minute, "2"}, {24 * time.Hour, "3"},
		} {
			time.Sleep(step.sleep)
			if got := used(); got != step.token {
				t.Errorf("got token %s after %v more, want %s", got, step.sleep, step.token)
			}
		}

		// While one call renews a token that is still good, others do not wait for it.
		time.Sleep(50 * time.Minute)
		began := time.Now()
		go func() { _, _ = chat(t.Context(), b, request(false)) }()
		synctest.Wait() // it asks IAM
		if got := used(); got != "3" || time.Since(began) != 0 {
			t.Errorf("got token %s after %v, want 3 at once", got, time.Since(began))
		}
		time.Sleep(2 * time.Second)
		if got := used(); got != "4" {
			t.Errorf("got token %s, want the renewed one", got)
		}
	})
}

// A renewal that fails costs nothing while the token is good, and is not tried at every call.
func TestRenewalFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := &issuer{}
		m := &memory{iam: iam.serve, service: says(aReply)}
		b := newBackend(m)
		ask := func() error { _, err := chat(t.Context(), b, request(false)); return err }
		if err := ask(); err != nil {
			t.Fatal(err)
		}
		iam.fails.Store(true)
		time.Sleep(49 * time.Minute)
		for range 10 {
			if err := ask(); err != nil {
				t.Errorf("got error %v, want the old token used", err)
			}
		}
		if got := m.exchanges(); got != 1+3 {
			t.Errorf("got %d exchanges, want the first, and one renewal with its two retries", got)
		}
		time.Sleep(12 * time.Minute) // it has expired
		err := ask()
		e, ok := errors.AsType[*backend.Error](err)
		if !ok || e.Op != "token" || e.Status != 503 {
			t.Errorf("got error %v, want that of IAM", err)
		}
		iam.fails.Store(false)
		if err := ask(); err != nil {
			t.Errorf("got error %v, want a new token when IAM is back", err)
		}
	})
}

// How long a token lives is told by a duration, whatever the clocks say, or by the clock of IAM alone.
func TestClockSkew(t *testing.T) {
	tests := map[string]struct {
		life, date string
		good, over time.Duration // after so long it is still used, and not any more
	}{
		"an expiration long past":              {life: `"expires_in":1000,"expiration":1`, good: 790 * time.Second, over: 20 * time.Second},
		"an expiration far ahead":              {life: `"expires_in":1000,"expiration":99999999999`, good: 790 * time.Second, over: 20 * time.Second},
		"only an expiration, by IAM's clock":   {life: `"expiration":87400`, date: "Fri, 02 Jan 1970 00:00:00 GMT", good: 790 * time.Second, over: 20 * time.Second},
		"an expiration before its own date":    {life: `"expiration":5`, date: "Fri, 02 Jan 1970 00:00:00 GMT", good: 7 * time.Second, over: 2 * time.Second},
		"no life at all":                       {life: `"scope":"ibm openid"`, good: 7 * time.Second, over: 2 * time.Second},
		"a life that is negative":              {life: `"expires_in":-5`, good: 7 * time.Second, over: 2 * time.Second},
		"a life beyond belief":                 {life: `"expires_in":1e300`, good: 19 * time.Hour, over: time.Hour},
		"an expiration that is not a time now": {life: `"expires_in":0,"expiration":1e300`, good: 19 * time.Hour, over: time.Hour},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{service: says(aReply), iam: func(*http.Request, string) *http.Response {
					return respond(200, "application/json", `{"access_token":"eyJ",`+tt.life+`}`, "Date", tt.date)
				}}
				b := newBackend(m)
				ask := func(want int) {
					t.Helper()
					if _, err := chat(t.Context(), b, request(false)); err != nil {
						t.Fatal(err)
					}
					if got := m.exchanges(); got != want {
						t.Errorf("got %d exchanges, want %d", got, want)
					}
				}
				ask(1)
				time.Sleep(tt.good)
				ask(1)
				time.Sleep(tt.over)
				ask(2)
			})
		})
	}
}

// A call that is given up while it asks for the token fails no other: the next one asks again.
func TestCancelledCallFailsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		iam := &issuer{takes: 20 * time.Second}
		m := &memory{iam: iam.serve, service: says(aReply)}
		b := newBackend(m)
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			if _, err := chat(ctx, b, request(false)); !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled", err)
			}
		})
		synctest.Wait()
		short, stop := context.WithTimeout(t.Context(), 10*time.Second)
		defer stop()
		all.Go(func() {
			began := time.Now()
			_, err := chat(short, b, request(false))
			if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != "timeout" || time.Since(began) != 10*time.Second {
				t.Errorf("got error %v after %v, want a timeout after 10s", err, time.Since(began))
			}
		})
		for range 20 {
			all.Go(func() {
				if _, err := chat(t.Context(), b, request(false)); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		all.Wait()
		if got := m.exchanges(); got > 3 {
			t.Errorf("got %d exchanges, want at most one for each call that was given up and one more", got)
		}
	})
}

// A token that the service does not take is renewed once, however many calls hear of it, and each is tried once more.
func TestRefusedTokenIsRenewedOnce(t *testing.T) {
	t.Parallel()
	iam := watsonxtest.NewIAM(t, theKey)
	service := watsonxtest.NewService(t, iam)
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	b := newBackend(transport, watsonx.WithBaseURL(service.URL), watsonx.WithIAMURL(iam.URL), watsonx.WithRetries(0))
	if _, err := chat(context.Background(), b, request(false)); err != nil {
		t.Fatal(err)
	}
	iam.Revoke()
	var all sync.WaitGroup
	for i := range 100 {
		all.Go(func() {
			r, err := chat(context.Background(), b, request(i%2 == 0))
			if err != nil {
				t.Error(err)
				return
			}
			for retry := range r.Generation.Retries.Values() {
				if retry.Status != 401 || retry.Reason != "token_renewed" {
					t.Errorf("got a retry after %d (%s), want 401 (token_renewed)", retry.Status, retry.Reason)
				}
			}
		})
	}
	all.Wait()
	if got := iam.Exchanges(); got != 2 {
		t.Errorf("got %d exchanges, want 2", got)
	}
	if got := len(service.Requests()); got > 1+200 {
		t.Errorf("got %d requests, want at most two for each call", got)
	}
}

func TestRefusedAgain(t *testing.T) {
	t.Parallel()
	refuse := func(r *http.Request, _ string) *http.Response {
		return respond(401, "application/json", `{"errors":[{"code":"authentication_token_not_valid","message":"not `+
			r.Header.Get("Authorization")+`"}],"trace":"trace-1","status_code":401}`, "X-Request-Id", r.Header.Get("Authorization"))
	}
	for name, tt := range map[string]struct {
		iam      func(*http.Request, string) *http.Response
		requests int
	}{
		"another token":  {(&issuer{}).serve, 2},
		"the same token": {says(anAccessToken), 1},
	} {
		m := &memory{iam: tt.iam, service: refuse}
		r, err := chat(t.Context(), newBackend(m), request(false))
		e, ok := errors.AsType[*backend.Error](err)
		if !ok || e.Status != 401 || e.RequestID != "trace-1" || r.Generation.RequestID != "trace-1" || !strings.Contains(e.Remedy, "WATSONX_API_KEY") {
			t.Errorf("%s: got error %v of request %q, want a 401 with its trace", name, err, r.Generation.RequestID)
		}
		wantClean(t, err)
		if got := len(m.seen()); got != tt.requests || m.exchanges() != 2 {
			t.Errorf("%s: got %d requests and %d exchanges, want %d and 2", name, got, m.exchanges(), tt.requests)
		}
		if got := telemetry.ClassifyError(err); got != telemetry.Auth {
			t.Errorf("%s: got category %s, want %s", name, got, telemetry.Auth)
		}
	}
}

// A service that refuses every token does not make each call ask IAM, and is asked with a new one after a while.
func TestServiceThatRefusesEveryToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{iam: (&issuer{}).serve, service: func(*http.Request, string) *http.Response { return respond(401, "application/json", `{}`) }}
		b := newBackend(m)
		refused := func(calls, exchanges int) {
			t.Helper()
			for range calls {
				if _, err := chat(t.Context(), b, request(false)); err == nil {
					t.Error("got no error, want the 401")
				}
			}
			if got := m.exchanges(); got != exchanges {
				t.Errorf("got %d exchanges, want %d", got, exchanges)
			}
		}
		refused(100, 2)
		time.Sleep(time.Minute)
		refused(100, 3)
		if got := len(m.seen()); got != 202 {
			t.Errorf("got %d requests, want one for each call and two more", got)
		}
	})
}

func TestTokenErrors(t *testing.T) {
	t.Parallel()
	notKnown := `{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found: ` + theKey + `","context":{"requestId":"r-1"}}`
	tests := map[string]struct {
		status            int
		contentType, body string
		header            []string
		code              string
		says              string // in the remedy
		category          telemetry.Category
		exchanges         int
	}{
		"an API key that is not known":   {status: 400, body: notKnown, code: backend.CodeAuthentication, says: "WATSONX_API_KEY", category: telemetry.Auth},
		"401":                            {status: 401, body: notKnown, code: backend.CodeAuthentication, says: "WATSONX_API_KEY", category: telemetry.Auth},
		"403 without a body":             {status: 403, code: backend.CodeAuthentication, says: "WATSONX_API_KEY", category: telemetry.Auth},
		"404":                            {status: 404, body: `{}`, says: "WATSONX_IAM_URL", category: telemetry.InvalidRequest},
		"429":                            {status: 429, body: `{}`, header: []string{"Retry-After", "3600"}, says: "later", category: telemetry.RateLimit},
		"501":                            {status: 501, body: `{}`, says: "later", category: telemetry.ServerError},
		"a redirect":                     {status: 307, header: []string{"Location", "https://evil.example/identity/token?k=" + theKey}, code: backend.CodeRedirect, says: "WATSONX_IAM_URL", category: telemetry.InvalidRequest},
		"a web page":                     {status: 200, contentType: "text/html", body: "<html>eyJ", code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"not JSON":                       {status: 200, body: "eyJ", code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"nothing":                        {status: 200, code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"no token":                       {status: 200, body: `{"expires_in":3600}`, code: backend.CodeInvalidResponse, says: "no usable token", category: telemetry.ServerError},
		"a token of another kind":        {status: 200, body: `{"access_token":"eyJ","token_type":"mac"}`, code: backend.CodeInvalidResponse, says: "bearer", category: telemetry.ServerError},
		"a token that adds a header":     {status: 200, body: `{"access_token":"eyJ\r\nX-Evil: 1"}`, code: backend.CodeInvalidResponse, says: "no usable token", category: telemetry.ServerError},
		"a token beyond ASCII":           {status: 200, body: `{"access_token":"eyJü"}`, code: backend.CodeInvalidResponse, says: "no usable token", category: telemetry.ServerError},
		"a token that is no string":      {status: 200, body: `{"access_token":["eyJ"]}`, code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"a token too long for a header":  {status: 200, body: `{"access_token":"eyJ` + strings.Repeat("x", 64<<10) + `"}`, code: backend.CodeInvalidResponse, says: "no usable token", category: telemetry.ServerError},
		"more than any token":            {status: 200, body: `{"access_token":"eyJ` + strings.Repeat("x", 1<<20) + `"}`, code: backend.CodeInvalidResponse, says: "longer than the limit", category: telemetry.ServerError},
		"a life that is no number":       {status: 200, body: `{"access_token":"eyJ","expires_in":"soon"}`, code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"two tokens":                     {status: 200, body: `{"access_token":"eyJ","access_token":"eyJ2"}`, code: backend.CodeInvalidResponse, says: "WATSONX_IAM_URL", category: telemetry.ServerError},
		"a failure that passes, 3 tries": {status: 503, body: `{}`, header: []string{"Retry-After", "0"}, says: "later", category: telemetry.ServerError, exchanges: 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := &memory{service: says(aReply), iam: func(*http.Request, string) *http.Response {
				contentType := tt.contentType
				if contentType == "" {
					contentType = "application/json"
				}
				return respond(tt.status, contentType, tt.body, tt.header...)
			}}
			_, err := chat(t.Context(), newBackend(m), request(false))
			e, ok := errors.AsType[*backend.Error](err)
			if !ok {
				t.Fatalf("got error %v, want a *backend.Error", err)
			}
			wantClean(t, err)
			if e.Op != "token" || e.Provider != "ibm.watsonx.ai" || !strings.Contains(e.Remedy, tt.says) || tt.code != "" && e.Code != tt.code {
				t.Errorf("got error %v with code %q, want %q and a remedy with %q", e, e.Code, tt.code, tt.says)
			}
			if got := telemetry.ClassifyError(err); got != tt.category {
				t.Errorf("got category %s, want %s", got, tt.category)
			}
			if got := m.exchanges(); got != max(tt.exchanges, 1) {
				t.Errorf("got %d exchanges, want %d", got, max(tt.exchanges, 1))
			}
			if got := len(m.seen()); got != 0 {
				t.Errorf("got %d requests to the service without a token, want none", got)
			}
		})
	}
}

// All calls that wait for an exchange share its failure, and those that come later ask again.
func TestFailureIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memory{service: says(aReply), iam: func(r *http.Request, _ string) *http.Response {
			time.Sleep(time.Second)
			return respond(400, "application/json", `{"errorCode":"BXNIM0415E"}`)
		}}
		b := newBackend(m)
		for want := 1; want <= 2; want++ {
			var all sync.WaitGroup
			for range 100 {
				all.Go(func() {
					if _, err := chat(t.Context(), b, request(false)); err == nil {
						t.Error("got no error, want one")
					}
				})
			}
			all.Wait()
			if got := m.exchanges(); got != want {
				t.Errorf("got %d exchanges, want %d", got, want)
			}
		}
	})
}

// dripping never ends and never falls silent for long.
type dripping struct{ ctx context.Context }

func (d dripping) Read(p []byte) (int, error) {
	select {
	case <-time.After(20 * time.Second):
		p[0] = ' '
		return 1, nil
	case <-d.ctx.Done():
		return 0, d.ctx.Err()
	}
}
func (dripping) Close() error { return nil }

// An IAM that is silent or drips is given up, though the call itself has no deadline.
func TestSlowIAM(t *testing.T) {
	for name, tt := range map[string]struct {
		serve func(*http.Request) io.ReadCloser
		after time.Duration
	}{
		"silent":   {func(r *http.Request) io.ReadCloser { <-r.Context().Done(); return http.NoBody }, 30 * time.Second},
		"dripping": {func(r *http.Request) io.ReadCloser { return dripping{r.Context()} }, 2 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := &memory{service: says(aReply), iam: func(r *http.Request, _ string) *http.Response {
					res := respond(200, "application/json", "")
					res.Body = tt.serve(r)
					return res
				}}
				began := time.Now()
				_, err := chat(t.Context(), newBackend(m), request(false))
				if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != "timeout" || e.Op != "token" {
					t.Errorf("got error %v, want a timeout of the exchange", err)
				}
				if got := time.Since(began); got != tt.after {
					t.Errorf("got the error after %v, want %v", got, tt.after)
				}
			})
		})
	}
}

// The API key goes to IAM as a form and nowhere else.
func TestKeyGoesToIAMOnly(t *testing.T) {
	t.Parallel()
	const odd = "k&y=+%/é"
	var form string
	m := &memory{service: says(aReply), iam: func(r *http.Request, body string) *http.Response {
		form = body
		if r.Header.Get("Authorization") != "" || r.Header.Get("Traceparent") != "" || r.Header.Get("X-Own") != "" {
			t.Errorf("got header %v at IAM, want nothing of the program's", r.Header)
		}
		return respond(200, "application/json", anAccessToken)
	}}
	ctx := backend.WithCarrier(t.Context(), func(set func(key, value string)) { set("traceparent", "00-1") })
	if _, err := chat(ctx, newBackend(m, watsonx.WithAPIKey(odd), watsonx.WithHeader("X-Own", "1")), request(false)); err != nil {
		t.Fatal(err)
	}
	if want := "apikey=k%26y%3D%2B%25%2F%C3%A9&grant_type=urn%3Aibm%3Aparams%3Aoauth%3Agrant-type%3Aapikey"; form != want {
		t.Errorf("got form %q, want %q", form, want)
	}
	want := []sent{{"/ml/v1/text/chat", "version=2026-08-11", "Bearer eyJraWQiOiI", `{"model_id":"` + theModel + `","project_id":"a-project","messages":[{"role":"user","content":"hello"}]}`}}
	if diff := cmp.Diff(m.seen(), want, cmp.AllowUnexported(sent{})); diff != "" {
		t.Errorf("requests (-got +want):\n%s", diff)
	}
}
