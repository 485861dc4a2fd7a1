package local

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/gbnf"
	"github.com/mellea-go/mellea/schema"
)

// Generate starts one generation, as [backend.Backend] says: it waits for a context that is free, computes the prompt
// and then one token after the other, and looks between them whether it was cancelled. Images and recordings are an
// *[backend.Error] with [backend.CodeUnsupported].
//
// Tools are offered in the text of the conversation, see [WithToolFormat], and calls are read out of the reply. The extras
// tool_choice and parallel_tool_calls are those of OpenAI's API. A call that is demanded, and with [ToolsHermes] one that
// the model begins of its own accord, is held to the schema of its tool by a grammar. Ids are made up. A call that is no
// JSON, or was cut off, has what the model wrote as its arguments.
//
// What a model whose template shows that it thinks writes between <think> and </think> at the beginning of a reply is its
// reasoning.
//
// A Format becomes a grammar that leaves the model no other token. Where the schema says more than a grammar can, such
// as a pattern, the reply keeps to the rest of it; under strict options that is an error instead.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if b.problem != nil {
		return nil, named("chat", b.problem)
	}
	set, err := b.prepare("chat", req.Options, req.Format)
	if err != nil {
		return nil, err
	}
	box, err := b.tools("chat", req, &set)
	if err != nil {
		return nil, err
	}
	for m := range req.Messages.Values() {
		if err := readable(m); err != nil {
			return nil, err
		}
	}
	if err := b.enter("chat"); err != nil {
		return nil, err
	}
	c := &chat{b: b, set: set, messages: req.Messages, box: box}
	return backend.Start(ctx, req, backend.Generation{
		Provider: provider, Model: b.shown(set.sent.Model()), Sent: set.sent, Streaming: set.stream, InProcess: true,
	}, c.run), nil
}

// shown is how a model is called in metadata.
func (b *Backend) shown(spec string) string {
	if b.model != "" && spec == shownName(b.model) {
		return spec
	}
	return shownName(spec)
}

// prepare resolves the options of a call and its format.
func (b *Backend) prepare(op string, call backend.Options, format schema.Schema) (settings, error) {
	set, err := b.resolve(op, call)
	if err != nil || format.IsZero() {
		return set, err
	}
	if set.sampling.grammar != "" {
		return set, misconfigured(op, "the call has a format and the option grammar: give one of them", nil)
	}
	g, err := gbnf.FromSchema(format.JSON())
	if err != nil {
		return set, noGrammar(op, err)
	}
	if err := b.loose(op, set.sent, g); err != nil {
		return set, err
	}
	set.sampling.grammar = g.Text
	return set, nil
}

// chat is one generation.
type chat struct {
	b        *Backend
	set      settings
	messages content.Messages
	box      toolbox
}

func (c *chat) run(ctx context.Context, w *backend.Writer) error {
	defer c.b.running.Done()
	g := w.Generation()
	m, err := c.b.load(ctx, "chat", c.set.sent.Model())
	if err != nil {
		return err
	}
	g.Model, g.ResponseModel = m.shown, m.weights.name()
	if g.ResponseModel == "" {
		g.ResponseModel = m.shown
	}
	g.Sent = c.set.sent.WithModel(m.shown)
	prompt, err := m.plan.chat(c.messages, c.box.offered)
	if err != nil {
		return err
	}
	if c.box.held() {
		grammar, err := c.box.grammar(m.plan.format)
		if err != nil {
			return noGrammar("chat", err)
		}
		c.set.sampling.grammar = grammar.Text
	}
	a := newAnswer(w, c, &m.plan)
	r := run{b: c.b, m: m, op: "chat", set: c.set, prompt: prompt, emit: a.feed}
	if a.reader != nil {
		r.tags, r.follow = m.plan.format.Tags(), a.follow
	}
	if a.think != nil {
		r.tags = append(r.tags, think, thinkEnd)
	}
	err = r.do(ctx)
	if ended := a.end(); err == nil {
		err = ended
	}
	g.Usage = content.Usage{InputTokens: r.in, OutputTokens: r.out}
	g.Logits, g.RawLogits = content.ListOf(r.logits...), content.ListOf(r.rawLogits...)
	if err != nil {
		return err
	}
	if a.asked > 0 && r.finish == finishStop {
		r.finish = finishCalls
	}
	g.FinishReasons = content.ListOf(r.finish)
	return c.verdict(a.some, r.finish)
}

// verdict judges a reply that is complete.
func (c *chat) verdict(some bool, finish string) error {
	if some || len(c.set.stops) > 0 {
		return nil
	}
	remedy := "the reply is empty: try again or change the request"
	if finish == finishLength {
		remedy = "the reply is empty because it reached its bound: allow more tokens, or a larger context window"
	}
	return &backend.Error{Provider: provider, Op: "chat", Code: backend.CodeInvalidResponse, Remedy: remedy}
}

// Why a reply ended.
const (
	finishStop   = "stop"
	finishLength = "length"
	finishCalls  = "tool_calls"
)

// run is what a generation and an item of a batch have in common: tokens in, text out.
type run struct {
	b      *Backend
	m      *model
	op     string
	set    settings
	prompt []token
	emit   func(at time.Time, piece []byte)
	tags   []string                                   // control tokens that are text
	follow func(sampler, bool) (done bool, err error) // runs after each token, nil for nothing

	in, out int // tokens

	logits, rawLogits []backend.Scores
	finish            string
	last              time.Time // when the last token came
}

var errSilent = errors.New("no token within the stream timeout")

// do generates. The error is an *[backend.Error], or the cause of ctx.
func (r *run) do(ctx context.Context) error {
	window := r.b.windowOf(r.m, r.set.window)
	r.last = time.Now()
	if len(r.prompt) >= window {
		return tooLong(r.op, len(r.prompt), window)
	}
	if len(r.prompt) == 0 {
		return misconfigured(r.op, "the prompt has no tokens", nil)
	}
	s, err := r.m.weights.sampler(r.set.sampling)
	if err != nil {
		return named(r.op, err)
	}
	defer s.free()
	place, err := r.sit(ctx, window)
	if err != nil {
		return err
	}
	defer r.m.stand(place)
	return r.generate(ctx, place.seq, s, window)
}

func (r *run) sit(ctx context.Context, window int) (*seat, error) {
	waiting := ctx
	if r.set.idle > 0 {
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeoutCause(ctx, r.set.idle, errSilent)
		defer cancel()
	}
	place, err := r.m.sit(waiting, r.b.closing, window)
	switch {
	case err == errSilent:
		err = r.silent()
	case err != nil:
		err = named(r.op, err)
	}
	return place, err
}

func (r *run) silent() error {
	return &backend.Error{Provider: provider, Op: r.op, Code: backend.CodeTimeout, Err: errSilent,
		Remedy: "no token came within the stream timeout: give it more time, allow more contexts at once, or use a smaller model"}
}

// windowOf is the context of a call, in tokens.
func (b *Backend) windowOf(m *model, asked int) int {
	trained := m.weights.trained()
	window := asked
	if window == 0 {
		window = b.window
	}
	if window == 0 {
		window = defaultWindow
	}
	if trained > 0 {
		window = min(window, trained)
	}
	return window
}

// check is made between tokens.
func (r *run) check(ctx context.Context) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	select {
	case <-r.b.closing:
		return closedError(r.op)
	default:
	}
	if r.late(time.Now()) {
		return r.silent()
	}
	return nil
}

func (r *run) late(at time.Time) bool { return r.set.idle > 0 && at.Sub(r.last) > r.set.idle }

func (r *run) decode(ctx context.Context, seq sequence, tokens []token) error {
	if err := r.check(ctx); err != nil {
		return err
	}
	if err := seq.decode(tokens); err != nil {
		return &backend.Error{Provider: provider, Op: r.op, Code: codeCompute, Err: err,
			Remedy: "llama.cpp could not compute the reply: is there memory left? a smaller context window needs less"}
	}
	return nil
}

const codeCompute = "compute_failed"

func (r *run) generate(ctx context.Context, seq sequence, s sampler, window int) error {
	for rest := r.prompt; len(rest) > 0; {
		n := min(step, len(rest))
		if err := r.decode(ctx, seq, rest[:n]); err != nil {
			return err
		}
		r.in += n
		rest = rest[n:]
	}
	var at time.Time
	out := outlet{stops: r.set.stops, emit: func(piece []byte) { r.emit(at, piece) }}
	defer out.end()
	var piece []byte
	var err error
	for {
		t, ok := r.sample(seq, s)
		if !ok {
			return &backend.Error{Provider: provider, Op: r.op, Code: backend.CodeInvalidResponse, Err: io.ErrUnexpectedEOF,
				Remedy: "the grammar leaves the model no token to go on with: loosen the schema or the grammar"}
		}
		if r.m.weights.ends(t) {
			r.finish = finishStop
			return nil
		}
		at = time.Now()
		if r.late(at) {
			return r.silent()
		}
		r.last = at
		r.out++
		piece = r.piece(piece[:0], t)
		out.feed(piece)
		done := out.stopped
		if r.follow != nil && !done {
			if done, err = r.follow(s, len(out.held) == 0); err != nil {
				return err
			}
		}
		switch {
		case done:
			r.finish = finishStop
			return nil
		case r.out == r.set.maxTokens || len(r.prompt)+r.out >= window:
			r.finish = finishLength
			return nil
		}
		if err := r.decode(ctx, seq, []token{t}); err != nil {
			return err
		}
	}
}

// sample chooses the next token, and keeps the scores that are asked for.
func (r *run) sample(seq sequence, s sampler) (token, bool) {
	if r.set.rawLogits {
		r.rawLogits = append(r.rawLogits, backend.NewScores(seq.logits()))
	}
	t, ok := seq.sample(s)
	if ok && r.set.sampling.scored {
		r.logits = append(r.logits, backend.NewScores(seq.scores()))
	}
	return t, ok
}

// piece appends the text of a token: nothing for a control token, unless it is one of the tags.
func (r *run) piece(dst []byte, t token) []byte {
	dst = r.m.weights.piece(dst, t)
	if len(dst) == 0 && len(r.tags) > 0 {
		if text := r.m.weights.control(t); slices.Contains(r.tags, text) {
			dst = append(dst, text...)
		}
	}
	return dst
}
