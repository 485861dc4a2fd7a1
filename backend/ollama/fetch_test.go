package ollama

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func TestPublicAddresses(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{
		"8.8.8.8": true, "93.184.216.34": true, "172.32.0.1": true, "2606:4700:4700::1111": true, "2a00:1450:4001::1": true,
		"::ffff:8.8.8.8": true,

		"127.0.0.1": false, "127.9.9.9": false, "0.0.0.0": false, "0.1.2.3": false, "10.1.2.3": false, "172.16.0.1": false,
		"172.31.255.255": false, "192.168.1.1": false, "169.254.169.254": false, "169.254.170.2": false, "100.64.0.1": false,
		"100.100.100.200": false, "168.63.129.16": false, "192.0.0.192": false, "192.0.2.1": false, "198.18.0.1": false,
		"198.51.100.1": false, "203.0.113.1": false, "224.0.0.1": false, "240.0.0.1": false, "255.255.255.255": false,
		"::": false, "::1": false, "fe80::1": false, "fe80::1%eth0": false, "fec0::1": false, "fc00::1": false,
		"fd00:ec2::254": false, "ff02::1": false, "::ffff:127.0.0.1": false, "::ffff:169.254.169.254": false,
		"::127.0.0.1": false, "64:ff9b::7f00:1": false, "64:ff9b:1::1": false, "2002:7f00:1::": false, "2001::1": false,
		"2001:db8::1": false, "3fff::1": false, "100::1": false,
	} {
		if got := isPublic(netip.MustParseAddr(address)); got != want {
			t.Errorf("isPublic(%s) = %t, want %t", address, got, want)
		}
	}
}

const picture = "GIF89a\x01\x00\x01\x00\x00\xff\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"

// local is a fetcher that takes 127.0.0.1 for public, and no other address of this machine.
func local(o ImageFetch) *fetcher {
	f := newFetcher(o)
	f.public = func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.1") }
	return f
}

func TestFetch(t *testing.T) {
	t.Parallel()
	serve := func(contentType, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			if contentType != "" {
				w.Header().Set("Content-Type", contentType)
			}
			fmt.Fprint(w, body)
		}
	}
	to := func(target string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/there" {
				if r.Referer() != "" {
					t.Errorf("the redirected request tells where it comes from: %s", r.Referer())
				}
				serve("image/gif", picture)(w, r)
				return
			}
			http.Redirect(w, r, target, http.StatusFound)
		}
	}
	tests := map[string]struct {
		serve http.HandlerFunc
		want  string // of the reason; "" is an image
	}{
		"an image":                          {serve("image/gif", picture), ""},
		"its kind unknown":                  {serve("", picture), ""},
		"a file of a store":                 {serve("application/octet-stream", picture), ""},
		"within the server":                 {to("/there"), ""},
		"a page":                            {serve("text/html", picture), "not an image"},
		"a page that calls itself an image": {serve("image/png", "<html>"), "not a PNG"},
		"a drawing":                         {serve("image/svg+xml", "<svg/>"), "not a PNG"},
		"too large":                         {serve("image/gif", picture+strings.Repeat("x", 1<<10)), "larger than 1000 bytes"},
		"too large, unannounced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "image/gif")
			fmt.Fprint(w, picture)
			w.(http.Flusher).Flush()
			fmt.Fprint(w, strings.Repeat("x", 1<<10))
		}, "larger than 1000 bytes"},
		"not there":             {http.NotFound, "HTTP 404"},
		"to another address":    {to("http://127.0.0.2:1/there?key=SECRET"), "not a public one"},
		"to another by name":    {to("http://[::1]:1/there?key=SECRET"), "not a public one"},
		"to the metadata":       {to("http://169.254.169.254/latest/meta-data"), "not a public one"},
		"round and round":       {to("/again"), "redirects too often"},
		"to a file":             {to("file:///etc/passwd"), "not HTTP"},
		"nothing but a promise": {func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "99") }, "cannot be read"},
		"never":                 {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "longer than"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(tt.serve)
			t.Cleanup(web.Close)
			limits := ImageFetch{MaxBytes: 1000, Timeout: time.Minute}
			if name == "never" {
				limits.Timeout = 50 * time.Millisecond
			}
			img, err := local(limits).fetch(t.Context(), web.URL+"/a?key=SECRET")
			if tt.want == "" {
				if string(img.Bytes()) != picture || err != nil {
					t.Errorf("fetch = %q, %v, want the picture", img.Bytes(), err)
				}
				return
			}
			err = imageError(3, err)
			var e *backend.Error
			if !errors.As(err, &e) || !strings.Contains(e.Remedy, tt.want) || !strings.Contains(e.Remedy, "image 3") {
				t.Errorf("error = %v, want one that says %q", err, tt.want)
			}
			for cause := err; cause != nil; cause = errors.Unwrap(cause) {
				if strings.Contains(cause.Error(), "SECRET") {
					t.Errorf("error %q quotes the URL", cause)
				}
			}
		})
	}
}

func TestFetchRefusesThisMachine(t *testing.T) {
	t.Parallel()
	var reached atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(web.Close)
	port := web.URL[strings.LastIndex(web.URL, ":"):]
	for _, host := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]"} {
		_, err := newFetcher(ImageFetch{}).fetch(t.Context(), "http://"+host+port+"/a.png")
		if err == nil || !strings.Contains(err.Error(), "not a public one") {
			t.Errorf("fetch from %s = %v, want it refused", host, err)
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("the server was reached %d times, want never", n)
	}
}

func TestFetchKeepsTLS(t *testing.T) {
	t.Parallel()
	plain := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(plain.Close)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL, http.StatusFound))
	t.Cleanup(secure.Close)
	f := local(ImageFetch{})
	f.client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: secure.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	if _, err := f.fetch(t.Context(), secure.URL); err == nil || !strings.Contains(err.Error(), "without TLS") {
		t.Errorf("fetch = %v, want the redirect refused", err)
	}
}

func TestResolve(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		fmt.Fprint(w, picture)
	}))
	t.Cleanup(web.Close)
	byURL, err := content.ImageURL(web.URL + "/a.gif")
	if err != nil {
		t.Fatal(err)
	}
	bytes, err := content.NewImage([]byte(picture))
	if err != nil {
		t.Fatal(err)
	}
	ms := content.NewMessages(content.System("plain"), content.NewMessage(content.RoleUser, content.Text("a"), byURL, content.Text("b"), byURL),
		content.NewMessage(content.RoleUser, byURL, bytes))
	if all, byURL := pictures(ms); all != 4 || byURL != 3 {
		t.Errorf("pictures = %d and %d by their URL, want 4 and 3", all, byURL)
	}
	got, err := local(ImageFetch{}).resolve(t.Context(), ms)
	if err != nil {
		t.Fatal(err)
	}
	want := []content.Message{content.System("plain"), content.NewMessage(content.RoleUser, content.Text("a"), bytes, content.Text("b"), bytes),
		content.NewMessage(content.RoleUser, bytes, bytes)}
	for i, m := range got.All() {
		if !m.Equal(want[i]) {
			t.Errorf("message %d is %v, want %v", i, m, want[i])
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the image was fetched %d times, want once", n)
	}
}

func TestFetchEndsWithItsContext(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	}))
	t.Cleanup(web.Close)
	if _, err := local(ImageFetch{}).fetch(ctx, web.URL); !errors.Is(err, context.Canceled) {
		t.Errorf("fetch = %v, want context.Canceled", err)
	}
}
