package mellea

import (
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/engine"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// CallOption configures one call.
type CallOption interface {
	DefineOption
	applyCall(*callConfig)
}

type callConfig struct {
	vars         map[string]any
	requirements []requirement.Requirement
	strategy     sampling.Strategy
	options      backend.Options
	system       string
	setSystem    bool
	conversation string
	format       schema.Schema
	prompt       hookpoint.Prompt
	examples     []string
	grounding    []grounding
	prefix       string
	outputPrefix string
	media        []content.Part
	sink         func(int, backend.Chunk)
	tools        tool.Set
	noTools      bool
	loop         engine.Loop
	methods      map[string]string // of the object of a query, by name
	err          error             // of an option
}

type grounding struct {
	name  string
	value any
}

type callOption func(*callConfig)

func (f callOption) applyCall(c *callConfig) { f(c) }

// Require states a requirement that is shown to the model. Without checks the model judges whether it is met; with
// checks, code does.
func Require(text string, checks ...requirement.Requirement) CallOption {
	return callOption(func(c *callConfig) {
		if len(checks) == 0 {
			c.requirements = append(c.requirements, requirement.Judge(text).Show(true))
			return
		}
		c.requirements = append(c.requirements, checks[0].Describe(text).Show(true))
		for _, r := range checks[1:] {
			c.requirements = append(c.requirements, r.Show(false))
		}
	})
}

// Check holds the result against requirements that are not shown to the model.
func Check(checks ...requirement.Requirement) CallOption {
	return callOption(func(c *callConfig) {
		for _, r := range checks {
			c.requirements = append(c.requirements, r.Show(false))
		}
	})
}

// Strategy decides how a call whose requirements are not met goes on. The default is sampling.Repair(3) when there are
// requirements, and a single generation when there are none.
func Strategy(s sampling.Strategy) CallOption {
	return callOption(func(c *callConfig) { c.strategy = s })
}

// Options sets parameters of the generation, over those of the session.
func Options(o backend.Options) CallOption {
	return callOption(func(c *callConfig) { c.options = c.options.Merge(o) })
}

func option(set func(backend.Options) backend.Options) CallOption {
	return callOption(func(c *callConfig) { c.options = set(c.options) })
}

// Model names the model.
func Model(name string) CallOption {
	return option(func(o backend.Options) backend.Options { return o.WithModel(name) })
}

// Temperature sets the sampling temperature.
func Temperature(t float64) CallOption {
	return option(func(o backend.Options) backend.Options { return o.WithTemperature(t) })
}

// MaxTokens bounds the reply, in tokens.
func MaxTokens(n int) CallOption {
	return option(func(o backend.Options) backend.Options { return o.WithMaxTokens(n) })
}

// Seed makes sampling repeatable where the provider can.
func Seed(n int64) CallOption {
	return option(func(o backend.Options) backend.Options { return o.WithSeed(n) })
}

// Strict turns options that the backend cannot honour into errors.
func Strict() CallOption {
	return option(func(o backend.Options) backend.Options { return o.WithStrict(true) })
}

// System puts a system message before the call's messages, in place of the session's.
func System(text string) CallOption {
	return callOption(func(c *callConfig) { c.system, c.setSystem = text, true })
}

// ConversationID says which conversation the call belongs to; see [WithConversationID].
func ConversationID(id string) CallOption {
	return callOption(func(c *callConfig) { c.conversation = id })
}

// Format constrains the reply to a schema, as far as the backend can. The result's text is then JSON.
func Format(s schema.Schema) CallOption { return callOption(func(c *callConfig) { c.format = s }) }

// PromptName names the prompt template that the call uses, and its version ("" for none), for traces.
func PromptName(name, version string) CallOption {
	return callOption(func(c *callConfig) { c.prompt = hookpoint.Prompt{Name: name, Version: version} })
}

// Examples show the model what good results look like.
func Examples(texts ...string) CallOption {
	return callOption(func(c *callConfig) { c.examples = append(c.examples, texts...) })
}

// Ground gives the model a named text to work from: a string, a fmt.Stringer, a running [backend.Output], or a value
// that is shown as JSON. It is data and never read as a template.
func Ground(name string, value any) CallOption {
	return callOption(func(c *callConfig) { c.grounding = append(c.grounding, grounding{name, value}) })
}

// Prefix stands before the instruction.
func Prefix(text string) CallOption { return callOption(func(c *callConfig) { c.prefix = text }) }

// OutputPrefix stands at the end of the prompt, for the model to go on from.
func OutputPrefix(text string) CallOption {
	return callOption(func(c *callConfig) { c.outputPrefix = text })
}

// Media attaches images or audio.
func Media(parts ...content.Part) CallOption {
	return callOption(func(c *callConfig) { c.media = append(c.media, parts...) })
}

// Stream asks for replies in pieces and hands them to sink as they arrive: the number of the attempt, from 1, and the
// chunk. sink is called in the caller's goroutine, or in several under a strategy that runs attempts in parallel. Being
// slow delays the call but changes no measured time. With a hook that reviews replies, sink gets the reviewed ones.
func Stream(sink func(attempt int, c backend.Chunk)) CallOption {
	return callOption(func(c *callConfig) {
		c.sink = sink
		c.options = c.options.WithStream(true)
	})
}
