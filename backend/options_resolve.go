package backend

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Names maps a provider's own parameter names to the neutral options they stand for, for example "num_predict" to
// [NeutralMaxTokens].
type Names map[string]Neutral

// Neutral names a neutral option.
type Neutral uint32

// The neutral options a provider may have a name for.
const (
	NeutralModel            Neutral = setModel
	NeutralTemperature      Neutral = setTemperature
	NeutralTopP             Neutral = setTopP
	NeutralFrequencyPenalty Neutral = setFrequencyPenalty
	NeutralPresencePenalty  Neutral = setPresencePenalty
	NeutralTopK             Neutral = setTopK
	NeutralMaxTokens        Neutral = setMaxTokens
	NeutralContextWindow    Neutral = setContextWindow
	NeutralSeed             Neutral = setSeed
	NeutralStop             Neutral = setStop
	NeutralThinking         Neutral = setThinking
	NeutralLogits           Neutral = setLogits
	NeutralRawLogits        Neutral = setRawLogits
)

var neutralNames = map[Neutral]string{
	NeutralModel: "model", NeutralTemperature: "temperature", NeutralTopP: "top-p", NeutralTopK: "top-k",
	NeutralFrequencyPenalty: "frequency-penalty", NeutralPresencePenalty: "presence-penalty",
	NeutralMaxTokens: "max-tokens", NeutralContextWindow: "context-window", NeutralSeed: "seed", NeutralStop: "stop",
	NeutralThinking: "thinking", NeutralLogits: "logits", NeutralRawLogits: "raw-logits",
}

func (n Neutral) String() string { return neutralNames[n] }

// Has reports whether a neutral option is set. Logits that are switched off are not.
func (o Options) Has(n Neutral) bool {
	switch n {
	case NeutralLogits:
		return o.Logits()
	case NeutralRawLogits:
		return o.RawLogits()
	}
	return o.find(uint32(n)) != nil
}

// OptionError says that the value of an option is not of its kind.
type OptionError struct{ Name, Want string }

func (e *OptionError) Error() string {
	return fmt.Sprintf("option %s: want %s", e.Name, e.Want)
}

// Resolve flattens the layers into one: in each layer the extras that names lists become the neutral options they
// stand for, unless the layer sets those too, and then upper layers win. What a backend sends is the result, and it
// goes into [Generation].Sent. The error is an *[OptionError].
func (o Options) Resolve(names Names) (Options, error) {
	if o.v == nil || (o.v.under == nil && !o.v.hasAny(names)) {
		return o, nil
	}
	var flat values
	for v := o.v; v != nil; v = v.under {
		layer := *v
		if v.hasAny(names) {
			layer.extra = maps.Clone(v.extra)
			// Sorted, so that of two names for one option the same one wins each time.
			for _, name := range slices.Sorted(maps.Keys(v.extra)) {
				n, ok := names[name]
				if !ok {
					continue
				}
				x := v.extra[name]
				delete(layer.extra, name)
				if layer.set&uint32(n) != 0 {
					continue
				}
				if err := layer.assign(name, n, x); err != nil {
					return Options{}, err
				}
			}
		}
		flat.fill(&layer)
	}
	return Options{&flat}, nil
}

func (v *values) hasAny(names Names) bool {
	for k := range v.extra {
		if _, ok := names[k]; ok {
			return true
		}
	}
	return false
}

// fill takes from below what v does not set.
func (v *values) fill(below *values) {
	take := below.set &^ v.set
	v.set |= take
	copyIf(take&setModel, &v.model, below.model)
	copyIf(take&setTemperature, &v.temperature, below.temperature)
	copyIf(take&setTopP, &v.topP, below.topP)
	copyIf(take&setFrequencyPenalty, &v.frequencyPenalty, below.frequencyPenalty)
	copyIf(take&setPresencePenalty, &v.presencePenalty, below.presencePenalty)
	copyIf(take&setTopK, &v.topK, below.topK)
	copyIf(take&setMaxTokens, &v.maxTokens, below.maxTokens)
	copyIf(take&setContextWindow, &v.contextWindow, below.contextWindow)
	copyIf(take&setSeed, &v.seed, below.seed)
	copyIf(take&setStop, &v.stop, below.stop)
	copyIf(take&setThinking, &v.thinking, below.thinking)
	copyIf(take&setStream, &v.stream, below.stream)
	copyIf(take&setStrict, &v.strict, below.strict)
	copyIf(take&setIdle, &v.idle, below.idle)
	copyIf(take&setLogits, &v.logits, below.logits)
	copyIf(take&setRawLogits, &v.rawLogits, below.rawLogits)
	if len(below.extra) == 0 {
		return
	}
	if v.extra == nil {
		v.extra = make(map[string]any, len(below.extra))
	}
	for k, x := range below.extra {
		over, both := v.extra[k]
		if !both {
			v.extra[k] = x
			continue
		}
		v.extra[k] = mergeObjects(over, x)
	}
}

// mergeObjects lays over on top of under when both are objects; otherwise over wins. It changes neither.
func mergeObjects(over, under any) any {
	top, ok := over.(map[string]any)
	if !ok {
		return over
	}
	base, ok := under.(map[string]any)
	if !ok {
		return over
	}
	merged := maps.Clone(base)
	for k, x := range top {
		if old, both := merged[k]; both {
			x = mergeObjects(x, old)
		}
		merged[k] = x
	}
	return merged
}

// Without returns the options with some unset in every layer, for a backend that cannot honour them.
func (o Options) Without(unset ...Neutral) Options {
	var bits uint32
	for _, n := range unset {
		bits |= uint32(n)
	}
	return Options{o.v.without(bits)}
}

// Drop is [Options.Without] for the options that are set of those a backend lacks. Each is reported, or under strict options
// refused: then the error is that of refuse, about the first.
func (o Options) Drop(lacks []Neutral, refuse func(Neutral) error, report func(Neutral)) (Options, error) {
	for _, n := range lacks {
		if !o.Has(n) {
			continue
		}
		if o.Strict() {
			return o, refuse(n)
		}
		report(n)
		o = o.Without(n)
	}
	return o, nil
}

// ToolChoice is the extra that says whether a model is to call tools, by the name and with the words of OpenAI's API.
const ToolChoice = "tool_choice"

// DropToolChoice takes [ToolChoice] out, for a backend whose provider has no such thing. It says whether tools are to be
// offered: with "none" they are not, and "auto" is what the provider does. Anything else demands a call, which is reported, or
// under strict options refused.
func (o Options) DropToolChoice(refuse func() error, report func()) (rest Options, offer bool, err error) {
	choice, set := o.Extra(ToolChoice)
	if !set {
		return o, true, nil
	}
	if choice != "auto" && choice != "none" {
		if o.Strict() {
			return o, true, refuse()
		}
		report()
	}
	return o.WithoutExtra(ToolChoice), choice != "none", nil
}

func (v *values) without(bits uint32) *values {
	if v == nil {
		return nil
	}
	under := v.under.without(bits)
	if v.set&bits == 0 && under == v.under {
		return v
	}
	less := *v
	less.set &^= bits
	less.under = under
	return &less
}

func copyIf[T any](take uint32, dst *T, src T) {
	if take != 0 {
		*dst = src
	}
}

// assign sets a neutral option from a value of the provider's name for it, converting as JSON does.
func (v *values) assign(name string, n Neutral, x any) error {
	var err error
	switch n {
	case NeutralModel:
		err = convert(name, "a string", x, &v.model)
	case NeutralTemperature:
		err = convert(name, "a number", x, &v.temperature)
	case NeutralTopP:
		err = convert(name, "a number", x, &v.topP)
	case NeutralFrequencyPenalty:
		err = convert(name, "a number", x, &v.frequencyPenalty)
	case NeutralPresencePenalty:
		err = convert(name, "a number", x, &v.presencePenalty)
	case NeutralTopK:
		err = convert(name, "a whole number", x, &v.topK)
	case NeutralMaxTokens:
		err = convert(name, "a whole number", x, &v.maxTokens)
	case NeutralContextWindow:
		err = convert(name, "a whole number", x, &v.contextWindow)
	case NeutralSeed:
		err = convert(name, "a whole number", x, &v.seed)
	case NeutralThinking:
		if on, ok := x.(bool); ok {
			x = map[bool]string{true: "on", false: "off"}[on]
		}
		err = convert(name, "a boolean or a level", x, &v.thinking)
	case NeutralLogits:
		err = convert(name, "a boolean", x, &v.logits)
	case NeutralRawLogits:
		err = convert(name, "a boolean", x, &v.rawLogits)
	case NeutralStop:
		if s, ok := x.(string); ok {
			x = []string{s}
		}
		err = convert(name, "a string or a list of strings", x, &v.stop)
	}
	if err != nil {
		return err
	}
	v.set |= uint32(n)
	return nil
}

func convert[T any](name, want string, x any, dst *T) error {
	if same, ok := x.(T); ok {
		*dst = same
		return nil
	}
	text, err := json.Marshal(x)
	if err == nil {
		err = json.Unmarshal(text, dst)
	}
	if err != nil {
		return &OptionError{Name: name, Want: want}
	}
	return nil
}

// Silence returns the bound that [Options.StreamTimeout] puts on the silence of a server, for a client that takes 0 for its
// own: 0 where it is not set or the reply is not streamed, and so short a time that nothing arrives within for a timeout of 0.
func (o Options) Silence() time.Duration {
	d, set := o.StreamTimeout()
	switch {
	case !set || !o.Stream():
		return 0
	case d == 0:
		return time.Nanosecond
	}
	return d
}

// DefaultStreamTimeout is the time allowed between two pieces of a streamed reply when nothing else is set.
const DefaultStreamTimeout = 120 * time.Second
