package watsonxtest

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/content"
)

// IAM is a fake of IBM Cloud IAM. It takes one API key and gives the same token until that is revoked.
type IAM struct {
	// URL is its address.
	URL string
	// Key is the only API key that it takes.
	Key string

	mu      sync.Mutex
	granted int // tokens
	asked   int
	life    time.Duration
}

// NewIAM starts a server that the test ends.
func NewIAM(tb testing.TB, key string) *IAM {
	tb.Helper()
	iam := &IAM{Key: key, granted: 1, life: time.Hour}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { iam.serve(tb, w, r) }))
	tb.Cleanup(web.Close)
	iam.URL = web.URL
	return iam
}

// Token is the one that is good now.
func (i *IAM) Token() string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.token()
}

func (i *IAM) token() string { return fmt.Sprintf("eyJraWQiOiIyMDE5-hidden-token-%d", i.granted) }

// Revoke makes the token void; the next one differs.
func (i *IAM) Revoke() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.granted++
}

// Live sets how long tokens are said to live from now on; the default is an hour.
func (i *IAM) Live(life time.Duration) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.life = life
}

// Exchanges counts the requests.
func (i *IAM) Exchanges() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked
}

func (i *IAM) serve(tb testing.TB, w http.ResponseWriter, r *http.Request) {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	w.Header().Set("Content-Type", "application/json")
	key, err := checkTokenRequest(r, body)
	if err != nil {
		tb.Errorf("IAM refuses the request: %v", err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	i.asked++
	if key != i.Key {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write(encode(object{"errorCode": "BXNIM0415E", "errorMessage": "Provided API key could not be found: " + key,
			"context": object{"requestId": "iam-request-1", "requestType": "incoming.Identity_Token"}}))
		return
	}
	life := int(i.life / time.Second)
	_, _ = w.Write(encode(object{"access_token": i.token(), "refresh_token": "not_supported", "token_type": "Bearer",
		"expires_in": life, "expiration": time.Now().Unix() + int64(life), "scope": "ibm openid"}))
}

// Request is what a [Service] received.
type Request struct {
	backendtest.Received

	Path   string
	Query  string
	Header http.Header
	Body   []byte
}

// Service is a fake of watsonx.ai that takes the tokens of an [IAM]. It answers a chat with "echo: " and the prompt, as
// it does a raw completion, and has the models "ibm/one" and "ibm/two".
type Service struct {
	// URL is its address.
	URL string
	// Answer, if not nil when the first request comes, replaces the answer to a request that is good. It reports
	// whether it has answered.
	Answer func(w http.ResponseWriter, r Request) bool

	iam      *IAM
	mu       sync.Mutex
	requests []Request
}

// NewService starts a server that the test ends.
func NewService(tb testing.TB, iam *IAM) *Service {
	tb.Helper()
	s := &Service{iam: iam}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serve(tb, w, r) }))
	tb.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	s.URL = web.URL
	return s
}

// Requests returns what was received, tokens good or not.
func (s *Service) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

func (s *Service) serve(tb testing.TB, w http.ResponseWriter, r *http.Request) {
	tb.Helper()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	refuse := func(err error) {
		tb.Errorf("the service refuses the request: %v\n%s", err, body)
		w.WriteHeader(http.StatusBadRequest)
	}
	if err := CheckRequest(r); err != nil {
		refuse(err)
		return
	}
	got := Request{Path: r.URL.Path, Query: r.URL.RawQuery, Header: r.Header.Clone(), Body: body}
	if r.Method == http.MethodPost {
		if got.Received, err = (Dialect{}).Decode(r.URL.Path, body); err != nil {
			refuse(err)
			return
		}
	}
	s.mu.Lock()
	s.requests = append(s.requests, got)
	s.mu.Unlock()
	w.Header().Set("X-Request-ID", "service-request-1")
	if r.Header.Get("Authorization") != "Bearer "+s.iam.Token() {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write(Dialect{}.Failure(http.StatusUnauthorized, "authentication_token_expired",
			"Failed to authenticate the request due to an expired token: "+r.Header.Get("Authorization")))
		return
	}
	if s.Answer == nil || !s.Answer(w, got) {
		s.answer(w, got)
	}
}

func (s *Service) answer(w http.ResponseWriter, r Request) {
	d := Dialect{}
	w.Header().Set("Content-Type", d.ContentType(r.Stream))
	switch {
	case r.Path == pathModels:
		if strings.Contains(r.Query, "start=") {
			_, _ = w.Write(modelPage([]string{"ibm/two"}, ""))
		} else {
			_, _ = w.Write(modelPage([]string{"ibm/one"}, "p2"))
		}
	case len(r.Prompts) > 0:
		_, _ = w.Write(d.Completions([]backendtest.Completion{{Model: r.Model, Text: "echo: " + r.Prompts[0], Finish: "stop", Usage: usageOf(r.Prompts[0])}}))
	default:
		reply := backendtest.Reply{ID: "chatcmpl-1", Model: cmp.Or(r.Model, "m"), Text: []string{"echo: ", r.Prompt()}, Finish: "stop", Usage: usageOf(r.Prompt())}
		if !r.Stream {
			_, _ = w.Write(d.Reply(reply))
			return
		}
		for _, f := range d.Frames(reply) {
			_, _ = w.Write(f)
			_ = http.NewResponseController(w).Flush() // a client that is gone shows at the next write
		}
	}
}

func usageOf(prompt string) content.Usage {
	return content.Usage{InputTokens: len(strings.Fields(prompt)), OutputTokens: 1 + len(strings.Fields(prompt))}
}
