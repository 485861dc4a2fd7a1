package ollama

import (
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

const defaultPort = "11434"

// hostURL returns the base URL that a value of OLLAMA_HOST stands for: empty, host, host:port, scheme://host:port, each
// with a path or without. As in Ollama's own client the port defaults to that of the scheme when one is given. An
// address to listen on, such as 0.0.0.0, becomes the loopback address, which is where a local server answers.
//
// ok is false when the port cannot be one; the default port is used then.
func hostURL(value string) (base string, ok bool) {
	value = strings.Trim(strings.TrimSpace(value), `"'`) // the server reads its variables like this
	scheme, rest, given := strings.Cut(value, "://")
	port := defaultPort
	switch {
	case !given:
		scheme, rest = "http", value
		if value == "ollama.com" {
			scheme, port = "https", "443"
		}
	case scheme == "http":
		port = "80"
	case scheme == "https":
		port = "443"
	}
	u := url.URL{Scheme: scheme}
	rest, u.RawQuery, _ = strings.Cut(rest, "?")
	rest, path, _ := strings.Cut(rest, "/")
	if user, host, found := cutLast(rest, "@"); found {
		name, password, has := strings.Cut(user, ":")
		u.User, rest = url.User(unescape(name)), host
		if has {
			u.User = url.UserPassword(unescape(name), unescape(password))
		}
	}
	host, ok := rest, true
	if h, p, err := net.SplitHostPort(rest); err == nil {
		host = h
		if n, err := strconv.ParseUint(p, 10, 16); err == nil && n > 0 {
			port = p
		} else {
			ok = false
		}
	}
	u.Host = net.JoinHostPort(connectable(host), port)
	if path != "" {
		u.Path = "/" + path
	}
	return u.String(), ok
}

func connectable(host string) string {
	host = strings.Trim(host, "[]")
	if host == "" {
		return "127.0.0.1"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil || !ip.IsUnspecified():
		return host
	case ip.Is4():
		return "127.0.0.1"
	default:
		return "::1"
	}
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return "", s, false
}

// unescape undoes percent-encoding; what is not encoded stays.
func unescape(s string) string {
	if plain, err := url.PathUnescape(s); err == nil {
		return plain
	}
	return s
}
