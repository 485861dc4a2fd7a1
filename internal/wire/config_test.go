package wire_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/internal/wire"
)

func TestNewRejectsBaseURL(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, base, want string }{
		{"empty", " ", "base URL is empty: set it to an address such as http://localhost:11434"},
		{"no scheme", "localhost:11434", "base URL has no http:// or https:// scheme: write it as http://host:port/path"},
		{"host only", "api.example.com/v1", "base URL has no http:// or https:// scheme: write it as http://host:port/path"},
		{"other scheme", "ftp://example.com", "base URL has no http:// or https:// scheme: write it as http://host:port/path"},
		{"no host", "http:///v1", "base URL has no host: write it as http://host:port/path"},
		{"port only", "http://:8080", "base URL has no host: write it as http://host:port/path"},
		{"fragment", "http://host/v1#x", "base URL has a fragment (#…): remove it"},
		{"port too large", "http://host:70000", "base URL has a port outside 1 to 65535"},
		{"password taken for a port", "http://u:" + plantedPass + "/@host", "base URL is not a valid URL: write it as http://host:port/path"},
		{"control character", "http://host/\x00", "base URL is not a valid URL: write it as http://host:port/path"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.New(wire.Config{BaseURL: tt.base})
			as[*wire.ConfigError](t, err)
			if got := err.Error(); got != tt.want {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestNewRejectsHeader(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		h    http.Header
		want string
	}{
		{"newline after the key", http.Header{"Authorization": {"Bearer " + plantedKey + "\n"}}, "header Authorization value has a control character: is there a newline at the end of the key?"},
		{"name with a space", http.Header{"X Y": {"z"}}, "header name is empty or has a character that is not allowed"},
		{"empty name", http.Header{"": {"z"}}, "header name is empty or has a character that is not allowed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			_, err := wire.New(wire.Config{BaseURL: "http://host", Header: tt.h})
			as[*wire.ConfigError](t, err)
			if got := err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestServerAddress(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		base string
		host string
		port int
	}{
		{"http://localhost:11434", "localhost", 11434},
		{"http://example.com/v1", "example.com", 80},
		{"https://api.example.com/v1", "api.example.com", 443},
		{"https://[2001:db8::1]:8443", "2001:db8::1", 8443},
		{"http://[::1]", "::1", 80},
		{"https://user:pass@host", "host", 443},
	} {
		u, err := url.Parse(tt.base)
		if err != nil {
			t.Fatal(err)
		}
		if host, port := wire.ServerAddress(u); host != tt.host || port != tt.port {
			t.Errorf("%s: got %s %d, want %s %d", tt.base, host, port, tt.host, tt.port)
		}
		c := newClient(t, wire.Config{BaseURL: tt.base})
		if host, port := c.Server(); host != tt.host || port != tt.port {
			t.Errorf("client of %s: got %s %d, want %s %d", tt.base, host, port, tt.host, tt.port)
		}
	}
}

// TestPrintsMasked prints configuration and client in every way fmt, slog and JSON know.
func TestPrintsMasked(t *testing.T) {
	t.Parallel()
	cfg := secretConfig("http://host:1/v1")
	c := newClient(t, cfg)
	if got, want := c.String(), "wire.Client{http://host:1/v1 Authorization=*** User-Agent=***}"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var out bytes.Buffer
	logger := slog.New(slog.NewJSONHandler(&out, nil))
	logger.Info("x", "client", c, "config", cfg, "pointer", &cfg)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "client", c, "config", cfg)
	holder := struct{ client *wire.Client }{c}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d", "%t", "%T"} {
		fmt.Fprintf(&out, verb, c)
		fmt.Fprintf(&out, verb, cfg)
		fmt.Fprintf(&out, verb, &cfg)
		fmt.Fprintf(&out, verb, holder)
	}
	for _, v := range []any{c, cfg} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(b)
	}
	io.WriteString(&out, c.Base())
	assertNoSecret(t, out.String())
}

func secretConfig(base string) wire.Config {
	base = strings.Replace(base, "//", "//"+plantedUser+":"+plantedPass+"@", 1)
	return wire.Config{
		BaseURL: base + "?api=" + plantedQuery,
		Header:  http.Header{"Authorization": {"Bearer " + plantedKey}},
	}
}

func assertNoSecret(tb testing.TB, text string) {
	tb.Helper()
	for _, secret := range []string{plantedKey, plantedUser, plantedPass, plantedQuery, plantedWords} {
		if i := strings.Index(text, secret); i >= 0 {
			tb.Errorf("%q is shown in …%q", secret, text[max(0, i-100):i+len(secret)])
		}
	}
}
