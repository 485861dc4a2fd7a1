package telemetry_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea/telemetry"
)

// receiver is what a webhook posts to.
type receiver struct {
	server *httptest.Server

	mu       sync.Mutex
	batches  [][]map[string]any
	requests []*http.Request
}

// receive starts a receiver. answer may write another answer than success; what was posted is kept all the same, unless it
// does.
func receive(t *testing.T, answer func(w http.ResponseWriter, n int) bool) *receiver {
	t.Helper()
	r := &receiver{}
	r.server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		body, _ := io.ReadAll(req.Body)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests = append(r.requests, req)
		if answer != nil && answer(w, len(r.requests)) {
			return
		}
		var batch []map[string]any
		if err := json.Unmarshal(body, &batch); err != nil {
			t.Errorf("the webhook got %q: %v", body, err)
		}
		r.batches = append(r.batches, batch)
	}))
	r.server.Config.ErrorLog = log.New(io.Discard, "", 0)
	r.server.StartTLS()
	t.Cleanup(r.server.Close)
	return r
}

func (r *receiver) trust() *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(r.server.Certificate())
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
}

func (r *receiver) options() []telemetry.Option {
	return []telemetry.Option{telemetry.WithLogWebhook(r.server.URL + "/hook"), telemetry.WithLogWebhookTLS(r.trust())}
}

func (r *receiver) lines() []map[string]any {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []map[string]any
	for _, b := range r.batches {
		all = append(all, b...)
	}
	return all
}

// Lines are posted in arrays, in order, with the user of the URL as the one who posts, and none is lost by Shutdown.
func TestWebhook(t *testing.T) {
	t.Parallel()
	r := receive(t, nil)
	u := must[*url.URL](t)(url.Parse(r.server.URL))
	u.User = url.UserPassword("user", "secret")
	u.Path, u.RawQuery = "/hook", "key=1"
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()),
		environ("MELLEA_LOGS_WEBHOOK="+u.String(), "MELLEA_LOGS_CONSOLE=false"), telemetry.WithLogWebhookTLS(r.trust())))
	l := slog.New(tel.LogHandler())
	for i := range 250 {
		l.Info("line", "n", i)
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Info("late")
	all := r.lines()
	if len(all) != 250 {
		t.Fatalf("%d lines arrived, want 250", len(all))
	}
	for i, line := range all {
		if line["n"] != float64(i) || line["msg"] != "line" || line["level"] != "INFO" || line["time"] == nil {
			t.Fatalf("line %d is %v", i, line)
		}
	}
	for _, b := range r.batches {
		if len(b) > 100 {
			t.Errorf("a batch has %d lines, want at most 100", len(b))
		}
	}
	req := r.requests[0]
	user, password, _ := req.BasicAuth()
	if req.Method != http.MethodPost || req.URL.String() != "/hook?key=1" || user != "user" || password != "secret" || req.Header.Get("Content-Type") != "application/json" {
		t.Errorf("request: %s %s as %s, %s", req.Method, req.URL, user, req.Header.Get("Content-Type"))
	}
	checkWarnings(t, book, nil)
}

// http is refused, in the environment by a warning and in code by an error. Neither quotes the URL.
func TestWebhookNeedsTLS(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		"http://user:secret@127.0.0.1/secret?key=secret": "must be an https URL, as log lines are not for others to read on their way: put a proxy that speaks TLS before the receiver",
		"ftp://secret.example.com":                       "must be an https URL",
		"https:///secret":                                "is not a URL such as",
		"https://secret:%zz@x":                           "is not a URL such as",
		"secret":                                         "is not a URL such as",
	} {
		book := &logbook{}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_LOGS_WEBHOOK="+raw), telemetry.WithLogger(book.logger())))
		_ = tel.Shutdown(t.Context())
		checkWarnings(t, book, []string{"MELLEA_LOGS_WEBHOOK " + want})
		_, err := telemetry.Setup(t.Context(), environ(), telemetry.WithLogWebhook(raw))
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: error %v, want one with %q", raw, err, want)
		}
		if strings.Contains(strings.Join(book.lines(), ""), "secret") {
			t.Errorf("%s: the warning quotes the URL: %q", raw, book.lines())
		}
	}
}

// What cannot be delivered is tried again where that may help, and is then lost: counted, reported once, without the URL
// and without what was answered.
func TestWebhookFailures(t *testing.T) {
	t.Parallel()
	status := func(code int) func(http.ResponseWriter, int) bool {
		return func(w http.ResponseWriter, n int) bool {
			if n > 1 {
				return false
			}
			w.Header().Set("Location", "http://planted.example.com/")
			http.Error(w, "planted", code)
			return true
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, int) bool
		warns  string // "" when the second try gets through
	}{
		"busy":       {status(http.StatusServiceUnavailable), ""},
		"slow down":  {status(http.StatusTooManyRequests), ""},
		"not there":  {status(http.StatusNotFound), "HTTP status 404"},
		"a redirect": {status(http.StatusTemporaryRedirect), "HTTP status 307: redirects are not followed"},
		"no HTTP": {func(w http.ResponseWriter, n int) bool {
			if n > 1 {
				return false
			}
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				_, _ = conn.Write([]byte("planted\r\n\r\n"))
				_ = conn.Close()
			}
			return true
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := receive(t, c.answer)
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(r.options(), environ("MELLEA_LOGS_CONSOLE=false"),
				telemetry.WithLogger(book.logger()))...))
			l := slog.New(tel.LogHandler())
			l.Info("one")
			err := tel.ForceFlush(t.Context())
			_ = tel.Shutdown(t.Context())
			if c.warns == "" {
				if err != nil || tel.DroppedLogs() != 0 || len(r.lines()) != 1 {
					t.Errorf("%v with %d lines lost and %d arrived, want it sent again", err, tel.DroppedLogs(), len(r.lines()))
				}
				checkWarnings(t, book, nil)
				return
			}
			if lost := new(telemetry.ExportError); !errors.As(err, &lost) || lost.Logs != 1 || tel.DroppedLogs() != 1 {
				t.Errorf("%v with %d lines lost, want an ExportError of 1", err, tel.DroppedLogs())
			}
			checkWarnings(t, book, []string{c.warns})
			if text := strings.Join(book.lines(), ""); strings.Contains(text, "planted") || strings.Contains(text, "/hook") {
				t.Errorf("the warning quotes too much: %s", text)
			}
		})
	}
}

// Nobody waits for a webhook that does not answer: lines are dropped when the queue is full, and Shutdown ends with its
// context.
func TestWebhookNeverBlocks(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, int) bool { <-gate; return false })
	defer close(gate)
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(r.options(), environ("MELLEA_LOGS_CONSOLE=false"),
		telemetry.WithLogger(book.logger()))...))
	l := slog.New(tel.LogHandler())
	for range 5000 {
		l.Info("line")
	}
	if got, most := tel.DroppedLogs(), int64(5000-2048); got != most {
		t.Errorf("%d lines dropped, want %d", got, most)
	}
	checkWarnings(t, book, []string{"the queue is full"})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := tel.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v, want the deadline", err)
	}
	checkWarnings(t, book, []string{"the queue is full"})
}

// What waits is bounded in bytes as well.
func TestWebhookMemoryIsBounded(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	r := receive(t, func(http.ResponseWriter, int) bool { <-gate; return false })
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(r.options(), environ("MELLEA_LOGS_CONSOLE=false"),
		telemetry.WithLogger(slog.New(slog.DiscardHandler)))...))
	l := slog.New(tel.LogHandler())
	for range 5 {
		l.Info(strings.Repeat("x", 2<<20))
	}
	if got := tel.DroppedLogs(); got != 2 {
		t.Errorf("%d of 5 lines of two megabytes dropped, want 2", got)
	}
	close(gate)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute) // a machine may be busy
	defer cancel()
	if err := tel.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if got := len(r.lines()); got != 3 {
		t.Errorf("%d lines arrived, want 3", got)
	}
}
