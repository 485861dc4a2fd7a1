//go:build llama

package local

import (
	"math"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/hybridgroup/yzma/pkg/llama"

	"github.com/mellea-go/mellea/backend"
)

// cppModel is a model in llama.cpp.
type cppModel struct {
	m       llama.Model
	vocab   llama.Vocab
	n       int // tokens in the vocabulary
	threads int

	findOnce func() []string
}

func newModel(m llama.Model, threads int) (*cppModel, error) {
	w := &cppModel{m: m, vocab: llama.ModelGetVocab(m), threads: threads}
	w.n = int(llama.VocabNTokens(w.vocab))
	if w.n <= 0 || !llama.ModelHasDecoder(m) || llama.ModelHasEncoder(m) {
		w.free()
		return nil, &backend.Error{Provider: provider, Op: "load", Code: codeModel,
			Remedy: "the model does not generate text by itself, it embeds or translates: choose a model that chats"}
	}
	w.findOnce = sync.OnceValue(w.findControls)
	return w, nil
}

func (w *cppModel) free() { _ = llama.ModelFree(w.m) } // it fails for no model only

func (w *cppModel) name() string {
	name, _ := llama.ModelMetaValStr(w.m, "general.name")
	return name
}

func (w *cppModel) trained() int       { return int(llama.ModelNCtxTrain(w.m)) }
func (w *cppModel) template() string   { return llama.ModelChatTemplate(w.m, "") }
func (w *cppModel) controls() []string { return w.findOnce() }

func (w *cppModel) findControls() []string {
	var all []string
	for t := range w.n {
		if llama.VocabGetAttr(w.vocab, llama.Token(t))&(llama.TokenAttrControl|llama.TokenAttrUnknown) == 0 {
			continue
		}
		if text := llama.VocabGetText(w.vocab, llama.Token(t)); text != "" {
			all = append(all, text)
		}
	}
	return all
}

// noNul keeps a C string from ending early, and yzma from passing none.
func noNul(s string) string { return strings.ReplaceAll(s, "\x00", "\uFFFD") }

func (w *cppModel) render(template string, turns []turn) (string, bool) {
	chat := make([]llama.ChatMessage, 0, len(turns))
	size := 256
	for _, t := range turns {
		chat = append(chat, llama.NewChatMessage(noNul(t.role), noNul(t.text)))
		size += 2 * (len(t.role) + len(t.text))
	}
	if len(chat) == 0 {
		return "", true
	}
	for range 2 {
		buf := make([]byte, size)
		n := int(llama.ChatApplyTemplate(noNul(template), chat, true, buf))
		runtime.KeepAlive(chat)
		switch {
		case n < 0:
			return "", false
		case n <= size:
			return string(buf[:n]), true
		}
		size = n
	}
	return "", false
}

func (w *cppModel) tokenize(text string, begin, control bool) []token {
	tokens := llama.Tokenize(w.vocab, noNul(text), begin, control)
	out := make([]token, len(tokens))
	for i, t := range tokens {
		out[i] = token(t)
	}
	return out
}

func (w *cppModel) piece(dst []byte, t token) []byte {
	var short [64]byte
	n := llama.TokenToPiece(w.vocab, llama.Token(t), short[:], 0, false)
	if n >= 0 {
		return append(dst, short[:n]...)
	}
	long := make([]byte, -n)
	n = llama.TokenToPiece(w.vocab, llama.Token(t), long, 0, false)
	return append(dst, long[:max(n, 0)]...)
}

func (w *cppModel) control(t token) string {
	if llama.VocabGetAttr(w.vocab, llama.Token(t))&llama.TokenAttrControl == 0 {
		return ""
	}
	return llama.VocabGetText(w.vocab, llama.Token(t))
}

func (w *cppModel) ends(t token) bool { return llama.VocabIsEOG(w.vocab, llama.Token(t)) }

func (w *cppModel) open(window int) (sequence, error) {
	p := llama.ContextDefaultParams()
	p.NCtx = uint32(window) //nolint:gosec // bounded by the model's own, which is one
	p.NBatch, p.NUbatch = step, step
	p.NThreads, p.NThreadsBatch = int32(w.threads), int32(w.threads) //nolint:gosec // bounded where they are set
	ctx, err := llama.InitFromModel(w.m, p)
	if err != nil {
		return nil, err
	}
	mem, err := llama.GetMemory(ctx)
	if err != nil {
		_ = llama.Free(ctx)
		return nil, err
	}
	return &cppSequence{w: w, ctx: ctx, mem: mem, data: make([]llama.TokenData, w.n)}, nil
}

// cppSequence is a context of llama.cpp with one sequence in it.
type cppSequence struct {
	w    *cppModel
	ctx  llama.Context
	mem  llama.Memory
	data []llama.TokenData // candidates for the next token

	// What C reads and writes: parts of the sequence, so that they are on the heap and stay where they are.
	all, one llama.TokenDataArray
	only     llama.TokenData

	scored []float32 // see scores
}

func (s *cppSequence) free()  { _ = llama.Free(s.ctx) }               // it fails for no context only
func (s *cppSequence) clear() { _ = llama.MemoryClear(s.mem, false) } // the same

// decodeError is the number llama.cpp failed with.
type decodeError int32

func (e decodeError) Error() string {
	if e == 1 {
		return "llama.cpp: the context is full"
	}
	return "llama.cpp: decoding failed"
}

func (s *cppSequence) decode(ts []token) error {
	tokens := make([]llama.Token, len(ts))
	for i, t := range ts {
		tokens[i] = llama.Token(t)
	}
	code, err := llama.Decode(s.ctx, llama.BatchGetOne(tokens))
	runtime.KeepAlive(tokens)
	if err == nil && code != 0 {
		err = decodeError(code)
	}
	return err
}

func (s *cppSequence) logits() []float32 {
	logits, _ := llama.GetLogitsIth(s.ctx, -1, s.w.n) // without any there is nothing to sample from, which is told
	return slices.Clone(logits)                       // they are the context's
}

func (s *cppSequence) scores() []float32 { return s.scored }

// score keeps what a token was chosen by. Of one that was chosen freely the grammar is asked now what else it allows, which
// does not change what is chosen.
func (s *cppSequence) score(c *cppSampler, free bool) {
	s.scored = make([]float32, s.w.n)
	for i := range s.scored {
		s.scored[i] = never
	}
	for _, d := range unsafe.Slice(s.all.Data, s.all.Size) { //nolint:gosec // as C has left it
		s.scored[d.Id] = d.Logit
	}
	if c.grammar == 0 || !free || !s.candidates() {
		return
	}
	llama.SamplerApply(c.grammar, &s.all)
	for _, d := range s.data {
		if d.Logit == never {
			s.scored[d.Id] = never
		}
	}
}

// candidates makes every token one.
func (s *cppSequence) candidates() bool {
	logits, err := llama.GetLogitsIth(s.ctx, -1, s.w.n)
	if err != nil || logits == nil {
		return false
	}
	for i, x := range logits {
		s.data[i] = llama.TokenData{Id: llama.Token(i), Logit: x}
	}
	s.all = llama.TokenDataArray{Data: unsafe.SliceData(s.data), Size: uint64(len(s.data)), Selected: -1} //nolint:gosec // C sorts it in place
	return true
}

// selected is the candidate that a chain of samplers has chosen.
func (s *cppSequence) selected() (llama.TokenData, bool) {
	if s.all.Selected < 0 || uint64(s.all.Selected) >= s.all.Size {
		return llama.TokenData{}, false
	}
	return unsafe.Slice(s.all.Data, s.all.Size)[s.all.Selected], true //nolint:gosec // as C has left it
}

var never = float32(math.Inf(-1))

// sample first chooses freely and asks the grammar about that token alone, which is quick; only where it refuses, all
// candidates are put before the grammar.
func (s *cppSequence) sample(by sampler) (token, bool) {
	c := by.(*cppSampler)
	if !s.candidates() {
		return 0, false
	}
	llama.SamplerApply(c.chain, &s.all)
	chosen, ok := s.selected()
	if !ok {
		return 0, false
	}
	free := c.grammar == 0 || s.allowed(c.grammar, chosen.Id)
	if !free {
		if chosen, ok = s.resample(c); !ok {
			return 0, false
		}
	}
	if c.scored {
		s.score(c, free)
	}
	llama.SamplerAccept(c.chain, chosen.Id)
	if c.grammar != 0 {
		llama.SamplerAccept(c.grammar, chosen.Id)
	}
	return token(chosen.Id), true
}

func (s *cppSequence) allowed(grammar llama.Sampler, t llama.Token) bool {
	s.only = llama.TokenData{Id: t, Logit: 1}
	s.one = llama.TokenDataArray{Data: &s.only, Size: 1, Selected: -1}
	llama.SamplerApply(grammar, &s.one)
	return s.only.Logit != never
}

func (s *cppSequence) resample(c *cppSampler) (chosen llama.TokenData, ok bool) {
	if !s.candidates() {
		return chosen, false
	}
	llama.SamplerApply(c.grammar, &s.all)
	some := false
	for _, d := range s.data {
		some = some || d.Logit != never
	}
	if !some {
		return chosen, false
	}
	llama.SamplerApply(c.chain, &s.all)
	chosen, ok = s.selected()
	// A token that the grammar refuses must not be accepted: llama.cpp ends the program over that.
	return chosen, ok && s.allowed(c.grammar, chosen.Id)
}

// cppSampler is a chain of samplers, and a grammar beside it.
type cppSampler struct {
	w              *cppModel
	chain, grammar llama.Sampler
	scored         bool
}

func (c *cppSampler) hold(grammar string) error {
	if c.grammar != 0 {
		llama.SamplerFree(c.grammar)
		c.grammar = 0
	}
	if grammar == "" {
		return nil
	}
	if c.grammar = llama.SamplerInitGrammar(c.w.vocab, noNul(grammar), "root"); c.grammar == 0 {
		return misconfigured("chat", "llama.cpp refuses the grammar: look at the rules of GBNF, it needs one named root", nil)
	}
	return nil
}

func (c *cppSampler) free() {
	llama.SamplerFree(c.chain)
	if c.grammar != 0 {
		llama.SamplerFree(c.grammar)
	}
}

func (w *cppModel) sampler(set sampling) (sampler, error) {
	c := &cppSampler{w: w, scored: set.scored}
	if err := c.hold(set.grammar); err != nil {
		return nil, err
	}
	c.chain = llama.SamplerChainInit(llama.SamplerChainDefaultParams())
	add := func(on bool, make func() llama.Sampler) {
		if on {
			llama.SamplerChainAdd(c.chain, make())
		}
	}
	f := func(x float64) float32 { return float32(x) }
	n := int32(min(w.n, math.MaxInt32)) //nolint:gosec // bounded
	last := int32(min(max(set.window, 0), math.MaxInt32))
	add((set.repeat != 1 || set.frequency != 0 || set.presence != 0) && last > 0, func() llama.Sampler {
		return llama.SamplerInitPenalties(n, last, f(set.repeat), f(set.frequency), f(set.presence))
	})
	if set.temperature <= 0 {
		llama.SamplerChainAdd(c.chain, llama.SamplerInitGreedy())
		return c, nil
	}
	add(set.topK > 0, func() llama.Sampler { return llama.SamplerInitTopK(int32(min(set.topK, w.n))) }) //nolint:gosec // bounded
	add(set.typicalP < 1, func() llama.Sampler { return llama.SamplerInitTypical(f(set.typicalP), 1) })
	add(set.topP < 1, func() llama.Sampler { return llama.SamplerInitTopP(f(set.topP), 1) })
	add(set.minP > 0, func() llama.Sampler { return llama.SamplerInitMinP(f(set.minP), 1) })
	llama.SamplerChainAdd(c.chain, llama.SamplerInitTemp(f(set.temperature)))
	llama.SamplerChainAdd(c.chain, llama.SamplerInitDist(set.seed))
	return c, nil
}
