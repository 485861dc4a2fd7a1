package backend

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// Options are the parameters of a generation. They are an immutable value: each With… returns a changed copy. An
// option that is not set leaves the choice to the layer below: call over session over backend, and below them the
// model server.
//
// Neutral names cover what most providers know; [Options.WithExtra] carries anything else under the provider's own
// name. An extra that is the provider's name for a neutral option counts as that option, in its own layer: a call's
// "num_predict" wins over a session's WithMaxTokens.
type Options struct{ v *values }

type values struct {
	set   uint32
	model string

	temperature, topP                 float64
	frequencyPenalty, presencePenalty float64
	topK, maxTokens, contextWindow    int
	seed                              int64
	stop                              []string
	thinking                          string
	stream, strict                    bool
	logits, rawLogits                 bool
	idle                              time.Duration
	extra                             map[string]any

	under *values // the layer below
}

const (
	setModel = 1 << iota
	setTemperature
	setTopP
	setFrequencyPenalty
	setPresencePenalty
	setTopK
	setMaxTokens
	setContextWindow
	setSeed
	setStop
	setThinking
	setStream
	setStrict
	setIdle
	setLogits
	setRawLogits
)

func (o Options) with(bit uint32, change func(*values)) Options {
	var v values
	if o.v != nil {
		v = *o.v
	}
	v.set |= bit
	change(&v)
	return Options{&v}
}

// find returns the topmost layer that sets the option, nil when none does.
func (o Options) find(bit uint32) *values {
	for v := o.v; v != nil; v = v.under {
		if v.set&bit != 0 {
			return v
		}
	}
	return nil
}

// IsZero reports whether no option is set.
func (o Options) IsZero() bool { return o.v == nil }

// Merge lays over on top of o: what over sets wins, whatever it leaves open is as in o.
func (o Options) Merge(over Options) Options {
	switch {
	case over.v == nil:
		return o
	case o.v == nil:
		return over
	}
	return Options{over.v.onto(o.v)}
}

func (v *values) onto(base *values) *values {
	top := *v
	if v.under != nil {
		base = v.under.onto(base)
	}
	top.under = base
	return &top
}

// WithModel names the model, as the provider knows it.
func (o Options) WithModel(name string) Options {
	return o.with(setModel, func(v *values) { v.model = name })
}

// Model returns the model's name, "" when not set.
func (o Options) Model() string {
	if v := o.find(setModel); v != nil {
		return v.model
	}
	return ""
}

// WithTemperature sets the sampling temperature; 0 asks for the likeliest token each time.
func (o Options) WithTemperature(t float64) Options {
	return o.with(setTemperature, func(v *values) { v.temperature = t })
}

// Temperature returns the sampling temperature.
func (o Options) Temperature() (float64, bool) {
	if v := o.find(setTemperature); v != nil {
		return v.temperature, true
	}
	return 0, false
}

// WithTopP keeps the likeliest tokens that together have probability p.
func (o Options) WithTopP(p float64) Options { return o.with(setTopP, func(v *values) { v.topP = p }) }

// TopP returns the nucleus probability.
func (o Options) TopP() (float64, bool) {
	if v := o.find(setTopP); v != nil {
		return v.topP, true
	}
	return 0, false
}

// WithTopK keeps the k likeliest tokens.
func (o Options) WithTopK(k int) Options { return o.with(setTopK, func(v *values) { v.topK = k }) }

// TopK returns how many tokens are kept.
func (o Options) TopK() (int, bool) {
	if v := o.find(setTopK); v != nil {
		return v.topK, true
	}
	return 0, false
}

// WithFrequencyPenalty makes tokens less likely the more often they occurred.
func (o Options) WithFrequencyPenalty(p float64) Options {
	return o.with(setFrequencyPenalty, func(v *values) { v.frequencyPenalty = p })
}

// FrequencyPenalty returns the frequency penalty.
func (o Options) FrequencyPenalty() (float64, bool) {
	if v := o.find(setFrequencyPenalty); v != nil {
		return v.frequencyPenalty, true
	}
	return 0, false
}

// WithPresencePenalty makes tokens that occurred less likely.
func (o Options) WithPresencePenalty(p float64) Options {
	return o.with(setPresencePenalty, func(v *values) { v.presencePenalty = p })
}

// PresencePenalty returns the presence penalty.
func (o Options) PresencePenalty() (float64, bool) {
	if v := o.find(setPresencePenalty); v != nil {
		return v.presencePenalty, true
	}
	return 0, false
}

// WithMaxTokens bounds the reply, in tokens.
func (o Options) WithMaxTokens(n int) Options {
	return o.with(setMaxTokens, func(v *values) { v.maxTokens = n })
}

// MaxTokens returns the bound on the reply, in tokens.
func (o Options) MaxTokens() (int, bool) {
	if v := o.find(setMaxTokens); v != nil {
		return v.maxTokens, true
	}
	return 0, false
}

// WithContextWindow asks a local server for a context of n tokens.
func (o Options) WithContextWindow(n int) Options {
	return o.with(setContextWindow, func(v *values) { v.contextWindow = n })
}

// ContextWindow returns the context size asked for, in tokens.
func (o Options) ContextWindow() (int, bool) {
	if v := o.find(setContextWindow); v != nil {
		return v.contextWindow, true
	}
	return 0, false
}

// WithSeed makes sampling repeatable where the provider can.
func (o Options) WithSeed(seed int64) Options {
	return o.with(setSeed, func(v *values) { v.seed = seed })
}

// Seed returns the seed.
func (o Options) Seed() (int64, bool) {
	if v := o.find(setSeed); v != nil {
		return v.seed, true
	}
	return 0, false
}

// WithStop ends the reply before any of the sequences.
func (o Options) WithStop(sequences ...string) Options {
	return o.with(setStop, func(v *values) { v.stop = slices.Clone(sequences) })
}

// Stop returns the stop sequences, as a slice the caller owns; nil when not set.
func (o Options) Stop() []string {
	if v := o.find(setStop); v != nil {
		return slices.Clone(v.stop)
	}
	return nil
}

// WithThinking asks a reasoning model for an effort: "off", "on", or a level the provider knows such as "low".
func (o Options) WithThinking(level string) Options {
	return o.with(setThinking, func(v *values) { v.thinking = level })
}

// Thinking returns the reasoning effort, "" when not set.
func (o Options) Thinking() string {
	if v := o.find(setThinking); v != nil {
		return v.thinking
	}
	return ""
}

// WithStream asks for the reply in pieces.
func (o Options) WithStream(on bool) Options {
	return o.with(setStream, func(v *values) { v.stream = on })
}

// Stream reports whether the reply is asked for in pieces.
func (o Options) Stream() bool {
	v := o.find(setStream)
	return v != nil && v.stream
}

// WithStrict turns options that the provider cannot honour into errors; without it they are reported once.
func (o Options) WithStrict(on bool) Options {
	return o.with(setStrict, func(v *values) { v.strict = on })
}

// Strict reports whether an option that cannot be honoured is an error.
func (o Options) Strict() bool {
	v := o.find(setStrict)
	return v != nil && v.strict
}

// WithStreamTimeout bounds the time between two pieces of a streamed reply, the first included: 0 gives up at
// once, a negative d removes the bound. The default is the backend's, 120 s.
func (o Options) WithStreamTimeout(d time.Duration) Options {
	return o.with(setIdle, func(v *values) { v.idle = d })
}

// StreamTimeout returns the time allowed between two pieces.
func (o Options) StreamTimeout() (time.Duration, bool) {
	if v := o.find(setIdle); v != nil {
		return v.idle, true
	}
	return 0, false
}

// WithExtra sets a parameter by the provider's own name. The value is encoded as JSON; it must not be changed later. Of
// one name in two layers the upper wins, but two objects (map[string]any) are merged, member by member.
func (o Options) WithExtra(name string, value any) Options {
	return o.with(0, func(v *values) {
		v.extra = maps.Clone(v.extra)
		if v.extra == nil {
			v.extra = map[string]any{}
		}
		v.extra[name] = value
	})
}

// WithoutExtra unsets a parameter of a provider's own name in every layer, for a backend that cannot honour it.
func (o Options) WithoutExtra(name string) Options { return Options{o.v.withoutExtra(name)} }

func (v *values) withoutExtra(name string) *values {
	if v == nil {
		return nil
	}
	under := v.under.withoutExtra(name)
	_, has := v.extra[name]
	if !has && under == v.under {
		return v
	}
	less := *v
	less.under = under
	if has {
		less.extra = maps.Clone(v.extra)
		delete(less.extra, name)
	}
	return &less
}

// Extra returns the parameter of a provider's own name.
func (o Options) Extra(name string) (any, bool) {
	var found any
	var ok bool
	for v := o.v; v != nil; v = v.under {
		x, here := v.extra[name]
		switch {
		case here && ok:
			found = mergeObjects(found, x)
		case here:
			found, ok = x, true
		}
	}
	return found, ok
}

// Extras iterates over the parameters of the provider's own names, sorted by name.
func (o Options) Extras() iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		var all map[string]any
		for v := o.v; v != nil; v = v.under {
			for k, x := range v.extra {
				if all == nil {
					all = map[string]any{}
				}
				if over, both := all[k]; both {
					x = mergeObjects(over, x)
				}
				all[k] = x
			}
		}
		if len(all) == 0 {
			return
		}
		for _, k := range slices.Sorted(maps.Keys(all)) {
			if !yield(k, all[k]) {
				return
			}
		}
	}
}
