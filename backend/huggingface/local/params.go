package local

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"github.com/mellea-go/mellea/backend"
)

// names are what transformers, llama.cpp and servers of both call the neutral options.
var names = backend.Names{
	"model":             backend.NeutralModel,
	"temperature":       backend.NeutralTemperature,
	"top_p":             backend.NeutralTopP,
	"top_k":             backend.NeutralTopK,
	"frequency_penalty": backend.NeutralFrequencyPenalty,
	"presence_penalty":  backend.NeutralPresencePenalty,
	"max_new_tokens":    backend.NeutralMaxTokens,
	"max_tokens":        backend.NeutralMaxTokens,
	"n_predict":         backend.NeutralMaxTokens,
	"n_ctx":             backend.NeutralContextWindow,
	"num_ctx":           backend.NeutralContextWindow,
	"seed":              backend.NeutralSeed,
	"stop":              backend.NeutralStop,
	"stop_strings":      backend.NeutralStop,
	"output_scores":     backend.NeutralLogits,
	"output_logits":     backend.NeutralRawLogits,
}

// Extras that the backend takes beside the neutral options.
const (
	extraMinP     = "min_p"
	extraTypicalP = "typical_p"
	extraRepeat   = "repetition_penalty" // transformers' name
	extraRepeat2  = "repeat_penalty"     // llama.cpp's
	extraLast     = "repeat_last_n"
	extraGrammar  = "grammar"
)

// settings are the options of one call, as used.
type settings struct {
	sampling  sampling
	sent      backend.Options
	stops     []string
	maxTokens int // 0 is up to the end of the context
	window    int // 0 is the backend's
	idle      time.Duration
	stream    bool
	rawLogits bool
}

func optionError(op string, err error) error {
	if o, ok := errors.AsType[*backend.OptionError](err); ok {
		return misconfigured(op, o.Error(), err)
	}
	return err
}

// resolve lays a call's options over the backend's. The error is an *[backend.Error].
func (b *Backend) resolve(op string, call backend.Options) (settings, error) {
	o, err := b.options.Merge(call).Resolve(names)
	if err != nil {
		return settings{}, optionError(op, err)
	}
	if o.Model() == "" {
		if b.model == "" {
			return settings{}, misconfigured(op, "no model: name one with WithModel, as a .gguf file, a folder or the hub's id", nil)
		}
		o = o.WithModel(b.model)
	}
	if o.Has(backend.NeutralThinking) {
		if err := b.without(op, o, backend.NeutralThinking.String()); err != nil {
			return settings{}, err
		}
		o = o.Without(backend.NeutralThinking)
	}
	if op == "batch" { // whose items have nowhere to put them
		o, err = o.Drop([]backend.Neutral{backend.NeutralLogits, backend.NeutralRawLogits}, func(n backend.Neutral) error {
			return unsupported(op, "a batch has no option "+n.String()+": ask for each reply by itself, or do without strict options")
		}, func(n backend.Neutral) { b.report(op+" "+n.String(), "a batch has no such option, it is left out") })
		if err != nil {
			return settings{}, err
		}
	}
	s := settings{stream: o.Stream(), stops: o.Stop(), rawLogits: o.RawLogits()}
	if s.sampling, err = b.sampling(op, o); err != nil {
		return s, err
	}
	s.sampling.scored = o.Logits()
	if n, ok := o.MaxTokens(); ok {
		if n < 1 {
			return s, misconfigured(op, "the bound on the reply is not positive: leave it out for none", nil)
		}
		s.maxTokens = n
	}
	if n, ok := o.ContextWindow(); ok {
		if n < 1 {
			return s, misconfigured(op, "the context window is not positive: leave it out for the model's own", nil)
		}
		s.window = n
	}
	if d, ok := o.StreamTimeout(); ok && s.stream {
		s.idle = max(d, 0)
		if d == 0 {
			s.idle = time.Nanosecond // zero is a bound too
		}
	}
	for i, stop := range s.stops {
		if stop == "" {
			return s, misconfigured(op, fmt.Sprintf("stop sequence %d is empty: leave it out", i+1), nil)
		}
	}
	s.sent = o
	return s, nil
}

// without reports an option that has no effect, or refuses it under strict options.
func (b *Backend) without(op string, o backend.Options, option string) error {
	if o.Strict() {
		return unsupported(op, "a model in process has no option "+option+": leave it out, or do without strict options")
	}
	b.report(option, "a model in process has no such option, it is left out")
	return nil
}

// sampling is how tokens are chosen. What nobody sets is as in llama.cpp's own programs.
func (b *Backend) sampling(op string, o backend.Options) (sampling, error) {
	s := sampling{temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, typicalP: 1, repeat: 1, window: 64}
	set := func(dst *float64, v float64, ok bool) {
		if ok {
			*dst = v
		}
	}
	set(&s.temperature, first(o.Temperature()), o.Has(backend.NeutralTemperature))
	set(&s.topP, first(o.TopP()), o.Has(backend.NeutralTopP))
	set(&s.frequency, first(o.FrequencyPenalty()), o.Has(backend.NeutralFrequencyPenalty))
	set(&s.presence, first(o.PresencePenalty()), o.Has(backend.NeutralPresencePenalty))
	if k, ok := o.TopK(); ok {
		s.topK = k
	}
	last := float64(s.window)
	numbers := map[string]*float64{
		extraMinP: &s.minP, extraTypicalP: &s.typicalP, extraRepeat: &s.repeat, extraRepeat2: &s.repeat, extraLast: &last,
	}
	for name, x := range o.Extras() {
		if dst := numbers[name]; dst != nil {
			n, ok := number(x)
			if !ok {
				return s, optionError(op, &backend.OptionError{Name: name, Want: "a number"})
			}
			*dst = n
			continue
		}
		if name == extraGrammar {
			text, ok := x.(string)
			if !ok || text == "" {
				return s, optionError(op, &backend.OptionError{Name: name, Want: "the text of a grammar in GBNF"})
			}
			s.grammar = text
			continue
		}
		if name == extraToolChoice || name == extraParallel {
			continue
		}
		if err := b.without(op, o, name); err != nil {
			return s, err
		}
	}
	for name, x := range map[string]float64{
		"temperature": s.temperature, "top-p": s.topP, "frequency-penalty": s.frequency, "presence-penalty": s.presence,
		extraMinP: s.minP, extraTypicalP: s.typicalP, extraRepeat: s.repeat, extraLast: last,
	} {
		if math.IsNaN(x) || math.IsInf(x, 0) || math.Abs(x) > math.MaxInt32 {
			return s, optionError(op, &backend.OptionError{Name: name, Want: "a finite number"})
		}
	}
	if s.repeat <= 0 {
		return s, optionError(op, &backend.OptionError{Name: extraRepeat, Want: "a number above 0"})
	}
	s.window = int(last)
	s.seed = rand.Uint32()
	if seed, ok := o.Seed(); ok {
		s.seed = uint32(seed) ^ uint32(seed>>32) //nolint:gosec // every seed is one of 32 bits
	}
	if s.seed == math.MaxUint32 { // to llama.cpp that is: choose one
		s.seed--
	}
	return s, nil
}

func first[T any](v T, _ bool) T { return v }

func number(x any) (float64, bool) {
	switch x := x.(type) {
	case float64:
		return x, true
	case float32:
		return float64(x), true
	case int:
		return float64(x), true
	case int64:
		return float64(x), true
	}
	return 0, false
}
