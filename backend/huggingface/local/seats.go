package local

import (
	"context"
	"errors"
	"path/filepath"
	"strings"

	"github.com/mellea-go/mellea/backend"
)

// model is one model of a backend: its weights, and the seats of those that generate with it.
type model struct {
	path  string
	shown string // what it is called in metadata

	loading chan struct{} // holds one token: the right to load
	weights weights       // nil before
	plan    prompter

	seats chan *seat
}

// seat is the right to one context, and that context when it has been made.
type seat struct {
	seq    sequence
	window int
}

// shownName is what a model is called where others read it: a hub id as it is, a file or folder without the way there.
func shownName(spec string) string {
	if !isPath(spec) {
		return spec
	}
	name := filepath.Base(filepath.Clean(spec))
	if base, found := strings.CutSuffix(name, ".gguf"); found && base != "" {
		name = base
	}
	return name
}

// load returns the model that spec stands for, with its weights. Callers that come while they are read wait for them,
// within ctx.
func (b *Backend) load(ctx context.Context, op, spec string) (*model, error) {
	if b.model != "" && spec == shownName(b.model) {
		spec = b.model // metadata and Info name it so
	}
	path, err := b.cache.find(spec)
	if err != nil {
		return nil, named(op, err)
	}
	b.mu.Lock()
	m := b.models[path]
	if m == nil {
		m = &model{path: path, shown: shownName(spec), loading: make(chan struct{}, 1), seats: make(chan *seat, b.contexts)}
		for range b.contexts {
			m.seats <- new(seat)
		}
		b.models[path] = m
	}
	b.mu.Unlock()

	select {
	case m.loading <- struct{}{}:
		defer func() { <-m.loading }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-b.closing:
		return nil, closedError(op)
	}
	if m.weights != nil {
		return m, nil
	}
	file, err := b.converted(path, spec)
	if err != nil {
		return nil, named(op, err)
	}
	w, err := b.engine.load(file, b.settings)
	if err != nil {
		return nil, named(op, err)
	}
	m.plan = newPrompter(w, b.template, b.toolFormat)
	m.weights = w
	return m, nil
}

// named gives an error the operation that met it.
func named(op string, err error) error {
	if e, ok := errors.AsType[*backend.Error](err); ok {
		same := *e
		same.Op = op
		return &same
	}
	return err
}

// free runs when nothing generates any more.
func (m *model) free() {
	for range cap(m.seats) {
		if s := <-m.seats; s.seq != nil {
			s.seq.free()
		}
	}
	if m.weights != nil {
		m.weights.free()
	}
}

// sit waits for a seat with a context of window tokens. It goes back by stand.
func (m *model) sit(ctx context.Context, closing <-chan struct{}, window int) (*seat, error) {
	var s *seat
	select {
	case s = <-m.seats:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-closing:
		return nil, closedError("chat")
	}
	if s.seq != nil && s.window == window {
		s.seq.clear()
		return s, nil
	}
	if s.seq != nil {
		s.seq.free()
		s.seq = nil
	}
	seq, err := m.weights.open(window)
	if err != nil {
		m.stand(s)
		return nil, &backend.Error{Provider: provider, Op: "chat", Code: codeMemory, Err: err,
			Remedy: "llama.cpp cannot make a context of that size: ask for a smaller context window, or fewer contexts"}
	}
	s.seq, s.window = seq, window
	return s, nil
}

const codeMemory = "out_of_memory"

func (m *model) stand(s *seat) { m.seats <- s }
