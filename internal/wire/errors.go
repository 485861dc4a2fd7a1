package wire

import (
	"fmt"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"
)

// ConfigError reports a setting that can never work. It quotes no value.
type ConfigError struct {
	Setting string // "base URL", "header Authorization"
	Reason  string // what is wrong and how to write it
}

func (e *ConfigError) Error() string { return e.Setting + " " + e.Reason }

// StatusError is a reply with an error status, or an error a server sent inside a stream.
type StatusError struct {
	Status      int           // HTTP status; that of the stream for an error inside one
	Code        string        // the server's own code or type, as sent, at most 256 bytes
	Message     string        // the server's text, at most 4 KiB: it may quote the prompt, so Error leaves it out
	RetryAfter  time.Duration // the wait the server asked for; 0 when it asked for none
	RequestID   string        // as [Response.RequestID]
	Trace       string        // the id of the failure in the body, of servers that have one apart from the RequestID
	ContentType string        // media type of the reply
	Header      http.Header   // of the reply, as it came; nil for an error inside a stream
	Method      string
	Target      string // scheme://host/path of the call
	Remedy      string // what to check, when that can be told from the reply; else empty

	retryable bool
}

// printable is what Error repeats of the server's words: codes and ids, no prose.
var printable = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)

// Error is a summary without the server's text.
func (e *StatusError) Error() string {
	var b strings.Builder
	if e.Target != "" {
		b.WriteString(e.Method + " " + e.Target + ": ")
	}
	fmt.Fprintf(&b, "HTTP %d", e.Status)
	if text := http.StatusText(e.Status); text != "" {
		b.WriteString(" " + text)
	}
	if printable.MatchString(e.Code) {
		b.WriteString(" (" + e.Code + ")")
	}
	if e.RetryAfter > 0 {
		b.WriteString(", retry after " + e.RetryAfter.String())
	}
	if printable.MatchString(e.RequestID) {
		b.WriteString(", request id " + e.RequestID)
	}
	if e.Remedy != "" {
		b.WriteString(": " + e.Remedy)
	}
	return b.String()
}

// TransportError is a failure to reach the server or to keep the connection. Err is the cause and may be
// examined ([syscall.ECONNREFUSED], [net.Error]); its own text is not for showing, because a transport of
// the user's, or net/http itself about a proxy, may put URLs into it.
type TransportError struct {
	Op     string // "dial", "tls", "write", "read" or "round trip"
	Target string // scheme://host/path of the call
	Reason string // what happened
	Remedy string // what to check; may be empty
	Err    error

	retryable bool
}

func (e *TransportError) Error() string {
	s := e.Op + " " + e.Target + ": " + e.Reason
	if e.Remedy != "" {
		s += ": " + e.Remedy
	}
	return s
}

// Unwrap returns the cause.
func (e *TransportError) Unwrap() error { return e.Err }

// ProtocolError is a reply that is not what HTTP, SSE or NDJSON allow, or that exceeds a limit. Err is
// [io.ErrUnexpectedEOF] for a reply that was cut off; it may be nil.
type ProtocolError struct {
	Target string // scheme://host/path of the call; empty for a reader without one
	Reason string
	Err    error
}

func (e *ProtocolError) Error() string {
	if e.Target == "" {
		return e.Reason
	}
	return e.Target + ": " + e.Reason
}

// Unwrap returns the cause.
func (e *ProtocolError) Unwrap() error { return e.Err }

// RedirectError reports a redirect that was not followed: one to another scheme, host or port, any for a
// request other than GET, and the sixth in a row.
type RedirectError struct {
	Status int
	From   string // scheme://host/path of the call
	To     string // scheme://host/path of the Location
	base   string // base URL that would have led there, if it can be told
}

func (e *RedirectError) Error() string {
	base := e.base
	if base == "" {
		base = "the address of the server itself"
	}
	return fmt.Sprintf("%s: HTTP %d redirects to %s, which is not followed: set the base URL to %s",
		e.From, e.Status, e.To, base)
}

// IdleTimeoutError reports that the server sent nothing for Idle. It is a [net.Error] and
// [os.ErrDeadlineExceeded].
type IdleTimeoutError struct {
	Target string // scheme://host/path of the call
	Idle   time.Duration
}

func (e *IdleTimeoutError) Error() string {
	return fmt.Sprintf("%s: the server sent nothing for %v: it is overloaded or still loading the model, or the limit is too short",
		e.Target, e.Idle)
}

// Timeout reports true.
func (e *IdleTimeoutError) Timeout() bool { return true }

// Temporary reports true.
func (e *IdleTimeoutError) Temporary() bool { return true }

// Is reports whether target is [os.ErrDeadlineExceeded].
func (e *IdleTimeoutError) Is(target error) bool { return target == os.ErrDeadlineExceeded }

// targetOf is the part of an address that may be shown.
func targetOf(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}).String()
}

var (
	userInfo = regexp.MustCompile(`//[^/\s"'@]*@`)
	urlQuery = regexp.MustCompile(`(://[^\s"'?]*)\?[^\s"']*`)
)

// scrub removes the client's secrets, more of a call's, and whatever looks like user-info or a query, from text that
// others composed. It runs on the way of an error only.
func (c *Client) scrub(text string, more []string) string {
	for _, words := range [...][]string{more, c.secret.words} {
		for _, s := range words {
			if len(s) >= 4 { // a shorter one is no secret and would riddle the text
				text = strings.ReplaceAll(text, s, "***")
			}
		}
	}
	text = userInfo.ReplaceAllString(text, "//***@")
	return urlQuery.ReplaceAllString(text, "$1")
}
