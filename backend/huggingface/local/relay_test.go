package local

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// relay is an engine whose models say what a server of the conformance suite has them say: what a model is asked is the
// request, and each line of the reply is a token.
type relay struct {
	url    string
	client *http.Client
}

// asked is a request to a relay.
type asked struct {
	Model            string  `json:"model"`
	Prompt           string  `json:"prompt"`
	Temperature      float64 `json:"temperature"`
	TopP             float64 `json:"top_p"`
	TopK             int     `json:"top_k"`
	FrequencyPenalty float64 `json:"frequency_penalty"`
	PresencePenalty  float64 `json:"presence_penalty"`
	Grammar          string  `json:"grammar"`
	Window           int     `json:"n_ctx"`
}

// said is a line of a reply: the text of a token, or why it ends.
type said struct {
	Text string `json:"text"`
	End  string `json:"end,omitempty"`
}

func (r relay) load(path string, _ loadSettings) (weights, error) {
	name := strings.TrimSuffix(filepath.Base(path), ".gguf")
	for part := range strings.SplitSeq(path, string(filepath.Separator)) {
		if id, ok := strings.CutPrefix(part, "models--"); ok {
			name = strings.Replace(id, "--", "/", 1)
		}
	}
	return &relayModel{fakeModel: &fakeModel{&fake{}}, relay: r, id: name, tokens: map[string]token{}}, nil
}

// relayModel is a fakeModel whose tokens beyond those are whatever texts it has said.
type relayModel struct {
	*fakeModel
	relay relay
	id    string

	mu     sync.Mutex
	texts  []string
	tokens map[string]token
}

const firstText token = 1000

func (m *relayModel) name() string { return "served-model" }
func (m *relayModel) trained() int { return 8192 }

func (m *relayModel) template() string { return "fake <think>" }

// tokenize begins a text with two tokens, so that a prompt of a letter has the three that the suite wants.
func (m *relayModel) tokenize(text string, begin, control bool) []token {
	tokens := m.fakeModel.tokenize(text, begin, control)
	if begin {
		tokens = append([]token{fakeBegin}, tokens...)
	}
	return tokens
}

func (m *relayModel) token(text string) token {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tokens[text]
	if !ok {
		t = firstText + token(len(m.texts))
		m.tokens[text] = t
		m.texts = append(m.texts, text)
	}
	return t
}

func (m *relayModel) piece(dst []byte, t token) []byte {
	if t < firstText {
		return m.fakeModel.piece(dst, t)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return append(dst, m.texts[t-firstText]...)
}

func (m *relayModel) open(window int) (sequence, error) {
	return &relaySequence{m: m, window: window}, nil
}

func (m *relayModel) sampler(set sampling) (sampler, error) {
	ctx, cancel := context.WithCancel(context.Background())
	return &relaySampler{set: set, ctx: ctx, cancel: cancel}, nil
}

// relaySampler lives as long as a generation, and so does the exchange with the server.
type relaySampler struct {
	set     sampling
	ctx     context.Context //nolint:containedctx // that of the exchange
	cancel  context.CancelFunc
	running sync.WaitGroup
}

func (s *relaySampler) hold(string) error { return nil }

func (s *relaySampler) free() {
	s.cancel()
	s.running.Wait()
}

type relaySequence struct {
	m       *relayModel
	window  int
	held    []token
	lines   chan said
	failed  error
	endless bool
}

func (s *relaySequence) decode(ts []token) error {
	s.held = append(s.held, ts...)
	return s.failed
}

// silence is how long a token takes at most: a model computes, and something comes of it. It is longer than the time after
// which the suite has a silent model given up, and cancelled calls end after it.
const silence = 2 * time.Second

// sample returns the next token that the server says. While that says nothing there are tokens without text.
func (s *relaySequence) sample(by sampler) (token, bool) {
	if s.endless {
		return fakeStop, true
	}
	if s.lines == nil {
		s.begin(by.(*relaySampler))
	}
	select {
	case l, ok := <-s.lines:
		switch {
		case !ok:
			s.failed = errors.New("the model broke down")
			return fakeStop, true
		case l.End == "length": // a model that goes on for ever
			s.endless = true
			return fakeStop, true
		case l.End != "":
			return fakeEnd, true
		}
		return s.m.token(l.Text), true
	case <-time.After(silence):
		return fakeStop, true
	}
}

func (*relaySequence) logits() []float32 { return []float32{1, 2} }
func (*relaySequence) scores() []float32 { return []float32{3, 4} }

func (s *relaySequence) begin(by *relaySampler) {
	s.lines = make(chan said)
	set, lines := by.set, s.lines
	body, err := json.Marshal(asked{Model: s.m.id, Prompt: show(s.held), Temperature: set.temperature, TopP: set.topP, TopK: set.topK,
		FrequencyPenalty: set.frequency, PresencePenalty: set.presence, Grammar: set.grammar, Window: s.window})
	if err != nil {
		panic(err) // it is a test's own
	}
	by.running.Go(func() {
		defer close(lines)
		_ = s.m.relay.say(by.ctx, body, lines) // an end that is none shows
	})
}

func (r relay) say(ctx context.Context, body []byte, lines chan<- said) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.url+"/generate", bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", resp.StatusCode)
	}
	for d := json.NewDecoder(resp.Body); ; {
		var l said
		if err := d.Decode(&l); err != nil {
			return err
		}
		select {
		case lines <- l:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (s *relaySequence) clear() { *s = relaySequence{m: s.m, window: s.window} }
func (s *relaySequence) free()  {}
