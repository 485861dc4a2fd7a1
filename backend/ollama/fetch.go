package ollama

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// ImageFetch says how images are fetched that messages know by their URL: Ollama takes only bytes, so the backend
// fetches them, and whoever writes the message decides where from. The zero value is the default.
type ImageFetch struct {
	// MaxBytes bounds one image; 0 is 20 MiB.
	MaxBytes int64
	// Timeout bounds the fetching of one image, redirects included; 0 is 30 seconds.
	Timeout time.Duration
	// Private allows addresses that are not public ones: of this machine, of private networks, link-local ones such as
	// those where clouds keep credentials. Without it they are refused, however a name resolves or a redirect leads.
	Private bool
	// Disable refuses images by URL altogether.
	Disable bool
}

const (
	maxFetched   = 32 // images of one request
	maxRedirects = 5
	codeImage    = "image_fetch"
)

// fetcher fetches images. It asks no proxy, because that would be the one to resolve the name, sends nothing of the
// program's but the URL, and keeps no connection.
type fetcher struct {
	ImageFetch

	client *http.Client
	// public tells addresses that may be dialled.
	public func(netip.Addr) bool
}

func newFetcher(o ImageFetch) *fetcher {
	if o.MaxBytes <= 0 {
		o.MaxBytes = 20 << 20
	}
	if o.Timeout <= 0 {
		o.Timeout = 30 * time.Second
	}
	f := &fetcher{ImageFetch: o, public: isPublic}
	dialer := &net.Dialer{ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return f.check(address) }}
	f.client = &http.Client{
		Transport: &http.Transport{
			DialContext: dialer.DialContext, DisableKeepAlives: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: checkRedirect,
	}
	return f
}

// refusal is a reason of our own not to fetch. Its text holds nothing of the URL.
type refusal string

func (r refusal) Error() string { return string(r) }

// check judges the address that a name resolved to, right before it is dialled: there is no later look-up that could
// differ.
func (f *fetcher) check(address string) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || (!f.Private && !f.public(to.Addr())) {
		return refusal("its address is not a public one, which ollama.ImageFetch can allow")
	}
	return nil
}

func checkRedirect(next *http.Request, before []*http.Request) error {
	next.Header.Del("Referer") // a signed URL is a secret
	switch {
	case len(before) > maxRedirects:
		return refusal("it redirects too often")
	case next.URL.Scheme != "http" && next.URL.Scheme != "https":
		return refusal("it redirects to something that is not HTTP")
	case before[0].URL.Scheme == "https" && next.URL.Scheme != "https":
		return refusal("it redirects to an address without TLS")
	}
	return nil
}

// special are the networks among the globally routed ones that lead elsewhere: into a network by translation, to a
// cloud's own host, or nowhere.
var special = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"),    // shared by carriers; a cloud's metadata
	netip.MustParsePrefix("168.63.129.16/32"), // a cloud's host
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("2001::/23"), // Teredo among them, which holds an IPv4 address
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // holds an IPv4 address
	netip.MustParsePrefix("3fff::/20"),
}

// global is all of IPv6 that is routed; what translates to IPv4 is outside it.
var global = netip.MustParsePrefix("2000::/3")

// isPublic reports whether an address is one of the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap()
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.Zone() != "" || (a.Is6() && !global.Contains(a)) {
		return false
	}
	for _, p := range special {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// resolve returns the messages with every image that is known by its URL fetched; an image that is there twice is
// fetched once.
func (f *fetcher) resolve(ctx context.Context, ms content.Messages) (content.Messages, error) {
	fetched := map[string]content.Image{}
	resolved := make([]content.Message, 0, ms.Len())
	for _, m := range ms.All() {
		if m.PlainText() {
			resolved = append(resolved, m)
			continue
		}
		var parts []content.Part
		for p := range m.Parts() {
			if img, ok := p.(content.Image); ok && img.URL() != "" {
				file, known := fetched[img.URL()]
				if !known {
					var err error
					if file, err = f.fetch(ctx, img.URL()); err != nil {
						return ms, imageError(len(fetched)+1, err)
					}
					fetched[img.URL()] = file
				}
				p = file
			}
			parts = append(parts, p)
		}
		resolved = append(resolved, content.NewMessage(m.Role(), parts...))
	}
	return content.NewMessages(resolved...), nil
}

// fetch gets one image.
func (f *fetcher) fetch(ctx context.Context, address string) (content.Image, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, f.Timeout, refusal("it took longer than "+f.Timeout.String()))
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return content.Image{}, refusal("its URL is not one")
	}
	req.Header.Set("Accept", "image/png, image/jpeg, image/gif, image/webp")
	req.Header.Set("User-Agent", "mellea")
	res, err := f.client.Do(req)
	if err != nil {
		return content.Image{}, f.why(ctx, err)
	}
	defer func() { _ = res.Body.Close() }() // it was only read
	switch {
	case res.StatusCode != http.StatusOK:
		return content.Image{}, refusal(fmt.Sprintf("its server answered HTTP %d", res.StatusCode))
	case !isImage(res.Header.Get("Content-Type")):
		return content.Image{}, refusal("its server says that it is not an image")
	case res.ContentLength > f.MaxBytes:
		return content.Image{}, f.tooLarge()
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, f.MaxBytes+1))
	switch {
	case err != nil:
		return content.Image{}, f.why(ctx, err)
	case int64(len(data)) > f.MaxBytes:
		return content.Image{}, f.tooLarge()
	}
	img, err := content.NewImage(data)
	if err != nil {
		return content.Image{}, refusal("it is not a PNG, JPEG, GIF or WebP file")
	}
	return img, nil
}

func (f *fetcher) tooLarge() error {
	return refusal(fmt.Sprintf("it is larger than %d bytes", f.MaxBytes))
}

// isImage judges a Content-Type. Storage that does not know says octet-stream or nothing; the bytes decide then.
func isImage(header string) bool {
	if header == "" {
		return true
	}
	kind, _, err := mime.ParseMediaType(header)
	return err == nil && (strings.HasPrefix(kind, "image/") || kind == "application/octet-stream" || kind == "binary/octet-stream")
}

// why drops from an error what would quote the URL.
func (f *fetcher) why(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	if own, ok := errors.AsType[refusal](err); ok {
		return own
	}
	if around, ok := errors.AsType[*url.Error](err); ok {
		err = around.Err
	}
	return fmt.Errorf("it cannot be read: %w", err)
}

// imageError is the error of a request whose image could not be fetched. It tells which by its number: the URL is
// content.
func imageError(n int, err error) error {
	reason := "it cannot be read"
	if own, ok := errors.AsType[refusal](err); ok {
		reason = own.Error()
	}
	return &backend.Error{Provider: provider, Op: opChat, Code: codeImage, Err: err,
		Remedy: fmt.Sprintf("image %d of those given by URL was not fetched: %s; use content.NewImage with its bytes", n, reason)}
}
