package wire

import (
	"errors"
	"strings"
	"testing"
)

// Whatever a base URL is, New says what is wrong or knows whom it calls, and never shows its user-info.
func FuzzBaseURL(f *testing.F) {
	for _, seed := range []string{"", "http://localhost:11434", "https://user:SECRET@host/v1?key=SECRET", "http://[::1]:80", "http://h:0", "h:1",
		"http://", "http://a b", "//x", "http://h#f", "HTTP://H:70000"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		c, err := New(Config{BaseURL: raw})
		if err != nil {
			var bad *ConfigError
			if !errors.As(err, &bad) || bad.Reason == "" {
				t.Fatalf("got error %v, want a *ConfigError with a reason", err)
			}
			return
		}
		if host, port := c.Server(); host == "" || port < 1 || port > 65535 {
			t.Errorf("got server %q, port %d", host, port)
		}
		if strings.Contains(raw, "SECRET@") && strings.Contains(c.String(), "SECRET@") {
			t.Errorf("%s shows the user-info", c)
		}
	})
}
