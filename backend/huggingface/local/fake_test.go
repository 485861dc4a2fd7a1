package local

import (
	"cmp"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is an engine whose tokens are bytes and whose model answers what the test says.
type fake struct {
	answer   func(prompt string) string // what the model says to a prompt; it ends after that
	sampling func(sampling)             // sees the settings of each generation
	sampled  func(n int)                // runs before token n
	deadEnd  int                        // the grammar leaves nothing after that many tokens, 0 is never
	decode   error                      // fails each decoding
	open     error
	untitled bool   // the model has no template
	window   int    // what the model was trained for, 0 is 1000
	held     string // what the model says when it is held to a grammar

	loads, contexts, most atomic.Int32 // contexts that are open, and the most at once
	freed                 atomic.Bool
	mu                    sync.Mutex
	prompts               []string
	holds                 []string // what samplers were held to, the root of each
	refuse                error    // of every grammar in the middle of a reply
}

const (
	fakeEnd   token = 256
	fakeStart token = 257 // <|start|>
	fakeStop  token = 258 // <|end|>
	fakeBegin token = 259 // what stands at the beginning of a text
	fakeCall  token = 260 // <tool_call>, in the place of byte 1 of an answer
)

func (f *fake) load(path string, _ loadSettings) (weights, error) {
	if strings.Contains(path, "broken") {
		return nil, &backend.Error{Provider: provider, Op: "load", Code: codeModel, Remedy: "it is broken"}
	}
	f.loads.Add(1)
	return &fakeModel{f}, nil
}

type fakeModel struct{ *fake }

func (m *fakeModel) name() string { return "Fake 1B" }

func (m *fakeModel) trained() int { return cmp.Or(m.window, 1000) }

func (m *fakeModel) template() string {
	if m.untitled {
		return ""
	}
	return "fake"
}
func (m *fakeModel) controls() []string { return []string{"<|start|>", "<|end|>", "<|end|>x"} }

func (m *fakeModel) render(template string, turns []turn) (string, bool) {
	if template != "fake" && template != "fake <think>" {
		return "", false
	}
	var b strings.Builder
	for _, t := range turns {
		b.WriteString("<|start|>" + t.role + "\n" + t.text + "<|end|>\n")
	}
	return b.String() + "<|start|>assistant\n", true
}

func (m *fakeModel) tokenize(text string, begin, control bool) []token {
	var all []token
	if begin {
		all = append(all, fakeBegin)
	}
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "<|start|>"); ok && control {
			all, text = append(all, fakeStart), rest
		} else if rest, ok := strings.CutPrefix(text, "<|end|>"); ok && control {
			all, text = append(all, fakeStop), rest
		} else {
			all, text = append(all, token(text[0])), text[1:]
		}
	}
	return all
}

func (m *fakeModel) piece(dst []byte, t token) []byte {
	if t < 256 {
		return append(dst, byte(t))
	}
	return dst
}

func (m *fakeModel) control(t token) string {
	switch t {
	case fakeStart:
		return "<|start|>"
	case fakeStop:
		return "<|end|>"
	case fakeCall:
		return "<tool_call>"
	}
	return ""
}

func (m *fakeModel) ends(t token) bool { return t == fakeEnd }
func (m *fakeModel) free()             { m.freed.Store(true) }

func (m *fakeModel) open(window int) (sequence, error) {
	if m.fake.open != nil {
		return nil, m.fake.open
	}
	if n := m.contexts.Add(1); n > m.most.Load() {
		m.most.Store(n)
	}
	return &fakeSequence{f: m.fake, window: window}, nil
}

type fakeSampler struct {
	f   *fake
	set sampling
}

func (s *fakeSampler) hold(grammar string) error {
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	root, _, _ := strings.Cut(grammar, "\n")
	s.f.holds = append(s.f.holds, root)
	return s.f.refuse
}

func (s *fakeSampler) free() {}

func (m *fakeModel) sampler(set sampling) (sampler, error) {
	if m.sampling != nil {
		m.sampling(set)
	}
	return &fakeSampler{m.fake, set}, nil
}

type fakeSequence struct {
	f      *fake
	window int
	held   []token
	answer string
	said   int
}

// show writes tokens as text, control tokens in a form that no text has.
func show(ts []token) string {
	var b strings.Builder
	for _, t := range ts {
		switch t {
		case fakeStart:
			b.WriteString("«start»")
		case fakeStop:
			b.WriteString("«end»")
		case fakeBegin:
			b.WriteString("«begin»")
		default:
			b.WriteByte(byte(t))
		}
	}
	return b.String()
}

func (s *fakeSequence) decode(ts []token) error {
	if s.f.decode != nil {
		return s.f.decode
	}
	if len(ts) > step {
		return errors.New("too many tokens at once")
	}
	if s.held = append(s.held, ts...); len(s.held) > s.window {
		return errors.New("the window is full")
	}
	return nil
}

func (s *fakeSequence) sample(by sampler) (token, bool) {
	if s.said == 0 {
		prompt := show(s.held)
		s.f.mu.Lock()
		s.f.prompts = append(s.f.prompts, prompt)
		s.f.mu.Unlock()
		s.answer = s.f.answer(prompt)
		if s.f.held != "" && by.(*fakeSampler).set.grammar != "" {
			s.answer = s.f.held
		}
	}
	if s.f.sampled != nil {
		s.f.sampled(s.said)
	}
	if s.f.deadEnd > 0 && s.said == s.f.deadEnd {
		return 0, false
	}
	if s.said == len(s.answer) {
		return fakeEnd, true
	}
	s.said++
	if c := s.answer[s.said-1]; c != 1 {
		return token(c), true
	}
	return fakeCall, true
}

// logits of a vocabulary of four are the number of the step and of the token; scores are those, halved.
func (s *fakeSequence) logits() []float32 {
	var all []float32
	for i := range 4 {
		all = append(all, float32(10*s.said+i))
	}
	return all
}

func (s *fakeSequence) scores() []float32 {
	all := s.logits()
	for i := range all {
		all[i] /= 2
	}
	return all
}

func (s *fakeSequence) clear() { s.held, s.said = nil, 0 }
func (s *fakeSequence) free()  { s.f.contexts.Add(-1) }

// says is the answer function of a model that always says the same.
func says(text string) func(string) string { return func(string) string { return text } }

// newFake returns a backend that runs f, closed when the test ends.
func newFake(t *testing.T, f *fake, opts ...Option) *Backend {
	t.Helper()
	path := touch(t, t.TempDir(), "tiny.gguf")
	opts = append([]Option{func(c *config) { c.engine = f }, WithModel(path)}, opts...)
	b := New(opts...)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func ask(text string) backend.Request {
	return backend.Request{Messages: content.NewMessages(content.User(text))}
}

func reply(t *testing.T, b *Backend, req backend.Request) (backend.Reply, error) {
	t.Helper()
	out, err := b.Generate(t.Context(), req)
	if err != nil {
		return backend.Reply{}, err
	}
	return out.Reply(t.Context())
}
