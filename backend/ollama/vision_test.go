package ollama_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
)

// shower answers /api/show with what it is told, and counts who asks for what.
type shower struct {
	url           string
	asked, chats  atomic.Int64
	fetched       atomic.Int64 // images
	model         atomic.Value
	status        int
	body          string
	closesInstead bool
}

func (s *shower) start(t *testing.T) *ollama.Backend {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/show", func(w http.ResponseWriter, r *http.Request) {
		s.asked.Add(1)
		if s.closesInstead {
			panic(http.ErrAbortHandler)
		}
		var req struct{ Model string }
		if err := json.NewDecoder(r.Body).Decode(&req); err != nil {
			t.Error(err)
		}
		s.model.Store(req.Model)
		w.WriteHeader(s.status)
		_, _ = io.WriteString(w, s.body)
	})
	mux.HandleFunc("POST /api/chat", func(w http.ResponseWriter, _ *http.Request) {
		s.chats.Add(1)
		_, _ = io.WriteString(w, plainReply)
	})
	mux.HandleFunc("GET /a.png", func(w http.ResponseWriter, _ *http.Request) {
		s.fetched.Add(1)
		_, _ = io.WriteString(w, "\x89PNG\r\n\x1a\n!")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	s.url = server.URL
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return ollama.New(ollama.WithBaseURL(s.url), ollama.WithTransport(transport), ollama.WithModel("m"), ollama.WithRetries(0),
		ollama.WithImageFetch(ollama.ImageFetch{Private: true}))
}

func TestOnlyModelsThatSeeGetImages(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		body   string
		blind  bool
		asked  int64 // by three calls
	}{
		"it sees":                {200, `{"capabilities":["completion","vision"]}`, false, 1},
		"it does not":            {200, `{"capabilities":["completion","tools"]}`, true, 3},
		"the server is old":      {200, `{"license":"none"}`, false, 3},
		"null":                   {200, `{"capabilities":null}`, false, 3},
		"another type":           {200, `{"capabilities":"vision"}`, false, 3},
		"not JSON":               {200, `<html>`, false, 3},
		"no such path":           {404, `404 page not found`, false, 3},
		"no such model":          {404, `{"error":"model 'm' not found"}`, false, 3},
		"the server is not well": {500, `{"error":"oh"}`, false, 3},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := &shower{status: tt.status, body: tt.body}
			b := s.start(t)
			bytes := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n!")))
			for _, img := range []content.Image{bytes, must(content.ImageURL(s.url + "/a.png")), bytes} {
				_, err := generate(t, b, backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, img), content.User("hi"))})
				if tt.blind {
					wantError(t, err, backend.Error{Code: backend.CodeUnsupported}, "`ollama show m`")
				} else if err != nil {
					t.Errorf("error = %v, want a reply", err)
				}
			}
			if got := s.asked.Load(); got != tt.asked || s.model.Load() != "m" {
				t.Errorf("the server was asked %d times about %v, want %d times about m", got, s.model.Load(), tt.asked)
			}
			chats, fetched := int64(3), int64(1)
			if tt.blind {
				chats, fetched = 0, 0
			}
			if s.chats.Load() != chats || s.fetched.Load() != fetched {
				t.Errorf("%d chats and %d images fetched, want %d and %d", s.chats.Load(), s.fetched.Load(), chats, fetched)
			}
		})
	}
}

func TestTextAsksNothing(t *testing.T) {
	t.Parallel()
	s := &shower{status: http.StatusOK, body: `{"capabilities":["completion"]}`}
	if _, err := generate(t, s.start(t), ask("hi")); err != nil || s.asked.Load() != 0 {
		t.Errorf("error = %v after %d questions, want a reply after none", err, s.asked.Load())
	}
}

func TestNoServerToAskWhetherItSees(t *testing.T) {
	t.Parallel()
	s := &shower{closesInstead: true}
	b := s.start(t)
	img := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n!")))
	_, err := generate(t, b, backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, img))})
	wantError(t, err, backend.Error{Code: backend.CodeUnreachable})
	if s.chats.Load() != 0 {
		t.Error("the request was made all the same")
	}
}

func TestHostileNameOfABlindModel(t *testing.T) {
	t.Parallel()
	s := &shower{status: http.StatusOK, body: `{"capabilities":["completion"]}`}
	b := s.start(t)
	img := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n!")))
	for _, name := range []string{"a`; rm -rf /", "a\nSECRET", "SECRET €"} {
		_, err := generate(t, b, backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, img)),
			Options: backend.Options{}.WithModel(name)})
		wantError(t, err, backend.Error{Code: backend.CodeUnsupported}, "`ollama show it`")
	}
}

// More models than are remembered are all asked about.
func TestModelsThatSeeAreForgotten(t *testing.T) {
	t.Parallel()
	s := &shower{status: http.StatusOK, body: `{"capabilities":["vision"]}`}
	b := s.start(t)
	img := must(content.NewImage([]byte("\x89PNG\r\n\x1a\n!")))
	for i := range 600 {
		if _, err := generate(t, b, backend.Request{Messages: content.NewMessages(content.NewMessage(content.RoleUser, img)),
			Options: backend.Options{}.WithModel(fmt.Sprint("m", i%300))}); err != nil {
			t.Fatal(err)
		}
	}
	if got := s.asked.Load(); got <= 300 || got > 600 {
		t.Errorf("asked %d times about 300 models in two rounds, want some asked about again", got)
	}
}
