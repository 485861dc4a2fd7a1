package watsonx

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

const (
	// exchangeTime bounds one exchange of a key for a token, retries included, and exchangeIdle the silence within it.
	exchangeTime = 2 * time.Minute
	exchangeIdle = 30 * time.Second
	// A token is renewed when this part of its life is over, in tenths, and is usable to its end.
	renewAfter = 8
	// renewPause is how long a renewal that failed, or that brought a token that was refused too, is not tried again.
	renewPause = 30 * time.Second

	maxTokenReply = 256 << 10 // bytes of the reply of IAM
	maxToken      = 32 << 10  // bytes of a token: what servers take of a header
)

// tokens exchanges an API key for access tokens at IBM Cloud IAM and keeps the current one. At most one exchange runs at
// a time, in the goroutine of one of the calls that wait for it: when that call is given up, the next one takes over.
//
// How long a token lives is measured from the request for it by this machine's monotonic clock, so a clock that is wrong
// or set changes nothing. A machine that slept may hold a token that is over: the service says so, and the call that
// hears it has the token renewed.
type tokens struct {
	client *wire.Client
	form   []byte
	key    []string // the key, as it is and as it is encoded

	turn chan struct{} // holds a value while an exchange runs

	mu      sync.Mutex
	current token
	serial  int       // counts the exchanges that came to an end
	failure error     // of the last one; nil when it gave a token
	forced  time.Time // when a token that was refused was last renewed
}

type token struct {
	value          string
	serial         int
	renew, expires time.Time // renew is when to ask for another
}

func newTokens(c *config) (*tokens, error) {
	switch {
	case c.key == "":
		return nil, misconfigured("no API key: set WATSONX_API_KEY or WithAPIKey to one of IBM Cloud; for Cloud Pak for Data there is WithZenAPIKey")
	case strings.ContainsFunc(c.key, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return nil, misconfigured("the API key has white space or a control character in it: check WATSONX_API_KEY or WithAPIKey")
	}
	address := strings.TrimSpace(c.iamURL)
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Hostname() == "" || !bareURL(address):
		return nil, misconfigured("the address of IAM is not a plain URL: write WATSONX_IAM_URL or WithIAMURL like " + DefaultIAMURL)
	case u.Scheme == "http" && !isLocal(u.Hostname()):
		return nil, misconfigured("the address of IAM begins with http://, which would show the API key to the network: begin WATSONX_IAM_URL or WithIAMURL with https://")
	case strings.Trim(u.Path, "/") == "":
		address = strings.TrimRight(address, "/") + "/identity/token"
	}
	client, err := wire.New(wire.Config{BaseURL: address, Transport: c.transport, MaxBody: maxTokenReply, MaxStream: maxTokenReply})
	if err != nil {
		return nil, fail("info", err)
	}
	form := url.Values{"grant_type": {"urn:ibm:params:oauth:grant-type:apikey"}, "apikey": {c.key}}
	return &tokens{
		client: client, form: []byte(form.Encode()), key: []string{c.key, url.QueryEscape(c.key)}, turn: make(chan struct{}, 1),
	}, nil
}

// bareURL reports whether an address has neither user-info nor a query. One that does not parse is somebody else's to
// judge.
func bareURL(address string) bool {
	u, err := url.Parse(strings.TrimSpace(address))
	return err != nil || u.User == nil && u.RawQuery == ""
}

// isLocal reports whether a host is on this machine or in its own network, by its name or address alone.
func isLocal(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return !strings.Contains(host, ".") || strings.HasSuffix(host, ".local") || strings.HasSuffix(host, ".internal") || strings.HasSuffix(host, ".localhost")
}

// get returns a token that is good now. The error is a *[backend.Error] or the cause of ctx.
func (t *tokens) get(ctx context.Context) (token, error) {
	now := time.Now()
	t.mu.Lock()
	held, seen := t.current, t.serial
	t.mu.Unlock()
	switch {
	case now.Before(held.renew):
		return held, nil
	case now.Before(held.expires): // one call renews it, the others go on
		select {
		case t.turn <- struct{}{}:
		default:
			return held, nil
		}
	default:
		select {
		case t.turn <- struct{}{}:
		case <-ctx.Done():
			return token{}, context.Cause(ctx)
		}
	}
	defer func() { <-t.turn }()

	t.mu.Lock()
	held, last, failure := t.current, t.serial, t.failure
	t.mu.Unlock()
	switch {
	case time.Now().Before(held.renew): // who had the turn before has done it
		return held, nil
	case last != seen && failure != nil && !time.Now().Before(held.expires):
		return token{}, failure // that of the exchange this call waited for
	}
	return t.replace(ctx)
}

// replace exchanges the key. It is called by who has the turn.
func (t *tokens) replace(ctx context.Context) (token, error) {
	next, err := t.exchange(ctx)
	if err != nil && ctx.Err() != nil {
		return token{}, context.Cause(ctx) // says nothing of IAM
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.serial++
	t.failure = err
	if err == nil {
		next.serial = t.serial
		t.current = next
		return next, nil
	}
	if now := time.Now(); now.Before(t.current.expires) {
		t.current.renew = now.Add(renewPause)
		return t.current, nil
	}
	return token{}, err
}

// renew returns another token than old, which the service did not take. It is old again where IAM gives the same, and
// when such a renewal was only just made: a service that refuses every token must not make each call ask IAM.
func (t *tokens) renew(ctx context.Context, old token) (token, error) {
	t.mu.Lock()
	if now := time.Now(); t.current.serial == old.serial { // nobody has renewed it yet
		if !t.forced.IsZero() && now.Sub(t.forced) < renewPause {
			t.mu.Unlock()
			return old, nil
		}
		t.current, t.forced = token{}, now
	}
	t.mu.Unlock()
	return t.get(ctx)
}

// exchange asks IAM for a token.
func (t *tokens) exchange(ctx context.Context) (token, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, exchangeTime, &wire.IdleTimeoutError{Target: t.client.Base(), Idle: exchangeTime})
	defer cancel()
	asked := time.Now()
	res, err := t.client.Do(ctx, wire.Call{
		Method: http.MethodPost, Body: t.form, ContentType: "application/x-www-form-urlencoded", Secrets: t.key,
		Stream: true, ReadIdle: exchangeIdle, // a silent server is given up
	})
	if err != nil {
		return token{}, failIAM(err)
	}
	defer res.Close()
	body, err := res.ReadAll(0)
	if err != nil {
		return token{}, failIAM(err)
	}
	return readToken(body, asked, res.Header.Get("Date"), res.RequestID())
}

// readToken reads the reply of IAM to a request made at the time asked; date is when IAM says that it answered.
func readToken(body []byte, asked time.Time, date, requestID string) (token, error) {
	var reply struct {
		AccessToken string  `json:"access_token"`
		TokenType   string  `json:"token_type"`
		ExpiresIn   float64 `json:"expires_in"` // seconds
		Expiration  float64 `json:"expiration"` // seconds since 1970, by the clock of IAM
	}
	invalid := func(reason string, cause error) (token, error) {
		return token{}, &backend.Error{Provider: Provider, Op: opToken, Code: backend.CodeInvalidResponse, RequestID: requestID,
			Remedy: reason + ": check WATSONX_IAM_URL or WithIAMURL", Err: cause}
	}
	switch err := json.Unmarshal(body, &reply); {
	case err != nil:
		return invalid("the reply of IBM Cloud IAM is not one with a token", errNotToken)
	case !isToken(reply.AccessToken):
		return invalid("the reply of IBM Cloud IAM has no usable token", nil)
	case reply.TokenType != "" && !strings.EqualFold(reply.TokenType, "Bearer"):
		return invalid("the token of IBM Cloud IAM is not a bearer token", nil)
	}
	life := reply.ExpiresIn
	if life <= 0 && reply.Expiration > 0 {
		now := asked
		if at, err := http.ParseTime(date); err == nil {
			now = at // by the same clock
		}
		life = reply.Expiration - float64(now.Unix())
	}
	// IAM gives an hour. A life that is missing or beyond belief is taken for a short one: renewing costs little.
	const least, most = 10, 24 * 60 * 60
	d := time.Duration(min(max(life, least), most)) * time.Second
	return token{value: reply.AccessToken, renew: asked.Add(d * renewAfter / 10), expires: asked.Add(d)}, nil
}

// errNotToken stands for the decoder's own error, which may quote the reply.
var errNotToken = errors.New("not a JSON document with an access token")

// isToken reports whether s can be the value of a header: the visible characters of ASCII (RFC 6750, section 2.1, has
// fewer).
func isToken(s string) bool {
	return s != "" && len(s) <= maxToken && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r >= 0x7f })
}
