package backendtest

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// script says what the fake server does with one request. The zero value serves an empty reply.
type script struct {
	reply Reply

	// complete, if not nil, answers each prompt of a request for raw completions.
	complete func(prompt string) Completion

	// A status other than 0 and 200 is answered with a failure of the dialect.
	status        int
	code, message string
	header        map[string]string

	// raw, if not nil, is the body instead of the reply, of contentType.
	raw         []byte
	contentType string

	// hold delays the header until it closes, or until the client is gone.
	hold <-chan struct{}
	// stallAfter frames, when not 0, the server falls silent until the client is gone.
	stallAfter int
	// damage cuts the second frame in half.
	damage bool
	// endless repeats what it has got for ever.
	endless bool
	// done, if not nil, is called when the request has been dealt with.
	done func()
	// cut ends the connection after that many bytes of the body: rudely, or as a server does that closes it in time.
	cut *cut
	// kill ends the connection after that many bytes of the exchange, header included.
	kill *kill
}

type cut struct {
	after int
	clean bool
}

// request is what the server recorded of one request.
type request struct {
	Received
	header http.Header
	body   []byte
}

// server is the fake server of one check.
type server struct {
	t       *testing.T
	dialect Dialect
	url     string
	web     *httptest.Server
	plan    func(n int, r Received) script // n counts the requests from 0

	mu       sync.Mutex
	requests []request
	running  int        // handlers that still run
	ended    *sync.Cond // one of them has
}

// idle waits until no handler runs. Others may begin meanwhile: a request that a client gave up can still be on its way.
func (s *server) idle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.running > 0 {
		s.ended.Wait()
	}
}

func (s *server) enter() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running++
}

func (s *server) leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	s.ended.Broadcast()
}

func newServer(t *testing.T, d Dialect, plan func(n int, r Received) script) *server {
	s := &server{t: t, dialect: d, plan: plan}
	s.ended = sync.NewCond(&s.mu)
	s.web = httptest.NewServer(s)
	s.url = s.web.URL
	t.Cleanup(s.stop)
	return s
}

// stop ends the server. It may be called again.
func (s *server) stop() {
	s.web.CloseClientConnections()
	s.web.Close()
}

// always is the plan of a server that does the same each time.
func always(sc script) func(int, Received) script {
	return func(int, Received) script { return sc }
}

// sequence is the plan of a server that goes through scripts; the last one stays.
func sequence(scripts ...script) func(int, Received) script {
	return func(n int, _ Received) script { return scripts[min(n, len(scripts)-1)] }
}

func (s *server) recorded() []request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]request(nil), s.requests...)
}

// ServeHTTP implements [http.Handler].
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.enter()
	defer s.leave()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	if r.Method == http.MethodGet { // a backend may look around first
		s.list(w, r)
		return
	}
	if d, ok := s.dialect.(Describer); ok {
		if reply, ok := d.Describe(r.URL.Path); ok {
			_, _ = w.Write(reply) //nolint:gosec // the suite made it; the client may be gone
			return
		}
	}
	received, err := s.dialect.Decode(r.URL.Path, body)
	if err != nil {
		s.t.Errorf("the server refuses the request: %v\n%s", err, body)
		http.Error(w, "refused by the test", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	n := len(s.requests)
	s.requests = append(s.requests, request{Received: received, header: r.Header.Clone(), body: body})
	s.mu.Unlock()
	sc := s.plan(n, received)
	if sc.done != nil {
		defer sc.done()
	}
	s.serve(w, r, received, sc)
}

func (s *server) serve(w http.ResponseWriter, r *http.Request, received Received, sc script) {
	gone := r.Context().Done()
	if sc.hold != nil {
		select {
		case <-sc.hold:
		case <-gone:
			return
		}
	}
	frames, contentType := s.frames(received, sc)
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("X-Request-ID", requestID)
	for k, v := range sc.header {
		h.Set(k, v)
	}
	if sc.kill != nil {
		s.killed(w, sc, frames)
		return
	}
	if sc.cut != nil {
		s.cutOff(w, sc, bytes.Join(frames, nil))
		return
	}
	if sc.status != 0 {
		w.WriteHeader(sc.status)
	}
	flush := http.NewResponseController(w).Flush
	for i := 0; i < len(frames) || sc.endless; i++ {
		if sc.stallAfter != 0 && i == sc.stallAfter {
			<-gone
			return
		}
		if _, err := w.Write(frames[i%len(frames)]); err != nil {
			return
		}
		if !sc.endless {
			_ = flush() // a client that is gone shows at the next write
		}
	}
}

// requestID is the id the fake server gives every exchange.
const requestID = "req-7f3a"

func (s *server) frames(received Received, sc script) (frames [][]byte, contentType string) {
	switch {
	case sc.raw != nil:
		return [][]byte{sc.raw}, sc.contentType
	case sc.status != 0 && sc.status != http.StatusOK:
		return [][]byte{s.dialect.Failure(sc.status, sc.code, sc.message)}, "application/json"
	case received.Prompts != nil:
		return [][]byte{s.completions(received, sc)}, s.dialect.ContentType(false)
	case !received.Stream:
		return [][]byte{s.dialect.Reply(sc.reply)}, s.dialect.ContentType(false)
	}
	frames = s.dialect.Frames(sc.reply)
	if sc.damage {
		broken := frames[1]
		frames[1] = append(append([]byte(nil), broken[:len(broken)/2]...), "\n\n"...)
	}
	if sc.endless { // its text, again and again
		frames = frames[:2]
	}
	return frames, s.dialect.ContentType(true)
}

// list answers a GET for the models of the server, if the dialect has those.
func (s *server) list(w http.ResponseWriter, r *http.Request) {
	if lister, ok := s.dialect.(Lister); ok {
		if body, ok := lister.Models(r.URL.Path, []string{ownModel, calledModel}); ok {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body) //nolint:gosec // the names are the suite's
			return
		}
	}
	http.NotFound(w, r)
}

func (s *server) completions(received Received, sc script) []byte {
	d, ok := s.dialect.(Completer)
	if !ok || sc.complete == nil {
		s.t.Error("the server got a request for raw completions, want none")
		return nil
	}
	var all []Completion
	for _, p := range received.Prompts {
		all = append(all, sc.complete(p))
	}
	return d.Completions(all)
}

// cutOff serves the beginning of body and closes the connection.
func (s *server) cutOff(w http.ResponseWriter, sc script, body []byte) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		s.t.Errorf("hijack: %v", err)
		return
	}
	defer func() { _ = conn.Close() }()
	var head strings.Builder
	head.WriteString("HTTP/1.1 200 OK\r\nConnection: close\r\n")
	for k, vs := range w.Header() {
		fmt.Fprintf(&head, "%s: %s\r\n", k, vs[0])
	}
	if !sc.cut.clean { // promise more than what will come
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(body)+1)
	}
	head.WriteString("\r\n")
	_, _ = buffered.WriteString(head.String()) // a client that is gone is of no interest
	_, _ = buffered.Write(body[:min(sc.cut.after, len(body))])
	_ = buffered.Flush()
}
