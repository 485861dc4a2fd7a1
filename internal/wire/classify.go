package wire

import (
	"compress/gzip"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// sendError gives a failure of RoundTrip its type. The reply had not begun.
func (c *Client) sendError(u *url.URL, err error, secrets []string) error {
	e := &TransportError{Op: "round trip", Target: targetOf(u), Err: err}
	host := u.Host
	var (
		dns     *net.DNSError
		op      *net.OpError
		netErr  net.Error
		errno   syscall.Errno
		timeout = errors.As(err, &netErr) && netErr.Timeout()
	)
	if errors.As(err, &op) {
		e.Op = op.Op
	}
	switch {
	case e.Op == "proxyconnect" || e.Op == "socks connect":
		e.Op = "dial"
		e.Reason, e.Remedy = "the proxy cannot be reached", "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY"
	case errors.As(err, &dns):
		e.Op = "dial"
		e.Reason, e.Remedy = "the host name "+u.Hostname()+" cannot be resolved", "check the base URL"
	case errors.Is(err, syscall.ECONNREFUSED):
		e.Op = "dial"
		_, port := ServerAddress(u)
		if u.Port() == "" {
			host = net.JoinHostPort(u.Hostname(), itoa(port))
		}
		e.Reason, e.Remedy = "nothing listens at "+host, "is the server running?"
	case isPlainHTTP(err):
		e.Op = "tls"
		e.Reason, e.Remedy = "the server speaks plain HTTP", "begin the base URL with http://"
	case isTLS(err):
		e.Op = "tls"
		e.Reason, e.Remedy = "the server's TLS handshake or certificate was not accepted", "check the base URL and the trusted certificates"
	case timeout:
		if e.Op == "round trip" && strings.Contains(err.Error(), "TLS handshake") {
			e.Op = "tls"
		}
		e.Reason, e.Remedy = "timed out", "is "+host+" reachable from here?"
	case strings.Contains(err.Error(), "malformed") || strings.Contains(err.Error(), "unsupported transfer encoding"):
		// net/http has no exported type for it, and its text quotes the server.
		return &ProtocolError{Target: e.Target, Reason: "the server's answer is not HTTP: check the base URL", Err: err}
	case isBroken(err):
		if e.Op != "write" && e.Op != "readfrom" { // readfrom is a write from a reader
			e.Op = "read"
		} else {
			e.Op = "write"
		}
		e.Reason, e.retryable = "the server closed the connection before it replied", true
	case errors.As(err, &errno):
		e.Reason = errno.Error()
	default:
		e.Reason = c.scrub(err.Error(), secrets)
	}
	return e
}

// isPlainHTTP reports a TLS handshake that was answered in plain HTTP. http.Client would make it
// http.ErrSchemeMismatch, a transport does not.
func isPlainHTTP(err error) bool {
	var record tls.RecordHeaderError
	return errors.Is(err, http.ErrSchemeMismatch) || errors.As(err, &record) && string(record.RecordHeader[:]) == "HTTP/"
}

func isTLS(err error) bool {
	var (
		verify *tls.CertificateVerificationError
		record tls.RecordHeaderError
		alert  tls.AlertError
		author x509.UnknownAuthorityError
		name   x509.HostnameError
	)
	return errors.As(err, &verify) || errors.As(err, &record) || errors.As(err, &alert) ||
		errors.As(err, &author) || errors.As(err, &name)
}

// isBroken reports that a connection which stood was lost.
func isBroken(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) ||
		errors.As(err, new(streamError)) ||
		// Unexported in net/http; reaches us when a fresh connection is closed while the request is written.
		strings.HasSuffix(err.Error(), "http: server closed idle connection")
}

// streamError is what errors.As makes of net/http's own HTTP/2 stream error, which a server causes that
// gives up one stream (RST_STREAM): the counterpart of a connection closed in HTTP/1.
type streamError struct {
	StreamID uint32
	Code     uint32
	Cause    error
}

func (streamError) Error() string { return "HTTP/2 stream error" }

// readError gives a failure in the middle of a reply its type.
func readError(target string, err error) error {
	var netErr net.Error
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return &ProtocolError{Target: target, Reason: "the reply was cut off", Err: io.ErrUnexpectedEOF}
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, net.ErrClosed), errors.As(err, new(streamError)):
		return &TransportError{Op: "read", Target: target, Reason: "the connection was lost in the middle of the reply", Err: err}
	case errors.As(err, &netErr):
		reason := "the connection failed in the middle of the reply"
		if netErr.Timeout() {
			reason = "timed out in the middle of the reply"
		}
		return &TransportError{Op: "read", Target: target, Reason: reason, Err: err}
	case errors.Is(err, gzip.ErrHeader), errors.Is(err, gzip.ErrChecksum):
		return &ProtocolError{Target: target, Reason: "the reply's compression is damaged", Err: err}
	default: // malformed chunk sizes: unexported types
		return &ProtocolError{Target: target, Reason: "the reply is malformed or was broken off", Err: err}
	}
}
