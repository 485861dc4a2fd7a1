package engine

import (
	"context"
	"iter"
	"slices"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// Call is one component to execute.
type Call struct {
	Component component.Component
	// Parse turns a reply into the call's value; nil takes the text.
	Parse        func(content.Message) (any, error)
	History      history.History
	Requirements requirement.Requirements
	// Strategy decides about attempts. nil is sampling.Repair([DefaultBudget]) when there are requirements; when there are
	// none, one generation is made and nothing validated.
	Strategy sampling.Strategy
	Options  backend.Options
	Format   schema.Schema
	Prompt   hookpoint.Prompt
	// Sink is given the chunks of each attempt as they arrive, in the caller's goroutine; nil is none. Under a strategy
	// that runs attempts in parallel it is called by several goroutines at once.
	Sink func(attempt int, c backend.Chunk)
	// Tools are offered to the model, and run when it asks, as the scope's Loop says. The announcement of the call
	// decides, so this is the engine's own.
	tools tool.Set
	// Append takes the turn of a call that succeeded, before closing the session stops waiting for the call; nil drops it.
	Append func(turn []content.Message)
}

// DefaultBudget is how many generations a call with requirements and no strategy makes at the most.
const DefaultBudget = 3

// Result is what a call gave.
type Result struct {
	Value any
	Reply backend.Reply
	// Turn is what the call adds to a history: its own messages and the reply.
	Turn []content.Message
	// Attempts are empty without a strategy. Selected is the index of the one the result is of, -1 for none.
	Attempts sampling.Attempts
	Selected int
	// Sampled says that a strategy ran, Success that all requirements were met, or that there were none.
	Sampled, Success bool
	// Generations counts the generations made, judges not included; Usage is their sum.
	Generations int
	Usage       content.Usage
	// Runs are the calls of tools on the way to Reply, in the order they were asked for, and Pending those that Reply asks
	// for.
	Runs    []ToolRun
	Pending []tool.Call
}

func turn(input, steps content.Messages, reply content.Message) []content.Message {
	all := make([]content.Message, 0, input.Len()+steps.Len()+1)
	for m := range input.Values() {
		all = append(all, m)
	}
	for m := range steps.Values() {
		all = append(all, m)
	}
	return append(all, reply)
}

func (r Result) end() hookpoint.ComponentEnd {
	return hookpoint.ComponentEnd{Value: r.Value, Reply: r.Reply.Message, Attempts: r.Attempts, Generations: r.Generations,
		Sampled: r.Sampled, Success: r.Success, Usage: r.Usage}
}

// withheld is the result of a call that succeeded and was then rejected by a review: what it cost, and nothing of what
// it said.
func (r Result) withheld() Result {
	return Result{Reply: backend.Reply{Generation: r.Reply.Generation}, Selected: -1, Sampled: r.Sampled,
		Generations: r.Generations, Usage: r.Usage}
}

// reviewed takes in the value that reviews left. Where the value is the reply itself, as a text or as a message, the reply
// and the turn follow it: what was taken out of one must not come back with the other.
func (r Result) reviewed(value any) Result {
	said := r.Reply.Message
	switch v := value.(type) {
	case string:
		if old, _ := r.Value.(string); v != old && old == said.Text() {
			said = said.WithText(v)
		}
	case content.Message:
		if old, _ := r.Value.(content.Message); !v.Equal(old) && old.Equal(said) {
			said = v
		}
	}
	r.Value, r.Reply.Message = value, said
	if n := len(r.Turn); n > 0 {
		r.Turn[n-1] = said
	}
	return r
}

// Act executes a component and returns when all is done. Requirements that are not met are no error: Success is false
// then. With an error the Result holds the attempts made before it, or nothing when a review rejected it.
func (s Scope) Act(ctx context.Context, c Call) (Result, error) {
	ctx, entry, err := s.calls.begin(ctx)
	if err != nil {
		return Result{Selected: -1}, err
	}
	defer entry.leave()
	if err := await(ctx, c.Component); err != nil {
		return Result{Selected: -1}, err
	}
	c.Strategy = c.strategy()
	var res Result
	var body error
	end, err := hookpoint.Component.Do(ctx, s.Set, s.announce(c, false),
		func(ctx context.Context, start hookpoint.ComponentStart) (hookpoint.ComponentEnd, error) {
			res, body = s.execute(ctx, c.edited(start))
			return res.end(), ending(ctx, body)
		})
	switch {
	case err != nil && body == nil:
		return res.withheld(), err
	case err != nil:
		return res, err
	case hookpoint.Component.Reviewed(s.Set):
		res = res.reviewed(end.Value)
	}
	if c.Append != nil && len(res.Turn) > 0 {
		c.Append(res.Turn)
	}
	return res, nil
}

// strategy returns the call's strategy, or the default for its requirements.
func (c Call) strategy() sampling.Strategy {
	if c.Strategy == nil && c.Requirements.Len() > 0 {
		return sampling.Repair(DefaultBudget)
	}
	return c.Strategy
}

func (s Scope) announce(c Call, lazy bool) hookpoint.ComponentStart {
	return hookpoint.ComponentStart{Session: s.Session, Component: c.Component, Kind: c.Component.Kind(), Prompt: c.Prompt,
		Requirements: c.Requirements, Options: s.Options.Merge(c.Options), Format: c.Format, Strategy: c.Strategy,
		Tools: s.Tools.Len() > 0, Available: s.Tools, Lazy: lazy}
}

// edited returns the call as the guards of its Component operation left it. Its options are whole from here on: those
// of the scope are merged in. Requirements that a guard brought to a call without any are checked as those of a call
// are; a guard that takes a strategy away gets the one generation it asks for.
func (c Call) edited(start hookpoint.ComponentStart) Call {
	none := c.Strategy == nil && !start.Lazy
	c.Requirements, c.Options, c.Format, c.Strategy = start.Requirements, start.Options, start.Format, start.Strategy
	if start.Tools {
		c.tools = start.Available
	}
	if none {
		c.Strategy = c.strategy()
	}
	return c
}

// await waits for the running outputs that a component uses. The failure of one is the failure of the call, before it
// starts.
func await(ctx context.Context, c component.Component) error {
	for _, out := range c.Pending() {
		err := out.Wait(ctx)
		if err == nil {
			continue
		}
		select {
		case <-out.Done():
			return &InputError{Kind: c.Kind(), Err: err}
		default: // the call was given up while it waited
			return ending(ctx, givenUp(ctx))
		}
	}
	return nil
}

// InputError says that an output which a call uses as input failed, so that the call did not start.
type InputError struct {
	Kind string // the component's
	Err  error
}

func (e *InputError) Error() string {
	return "mellea: " + e.Kind + " not started: an output it uses failed: " + e.Err.Error()
}

// Unwrap returns the output's error.
func (e *InputError) Unwrap() error { return e.Err }

func (s Scope) execute(ctx context.Context, c Call) (Result, error) {
	if c.Strategy != nil {
		return s.sample(ctx, c)
	}
	try, err := s.try(ctx, c, sampling.Step{Component: c.Component, History: c.History}, 0)
	if err != nil {
		return Result{Selected: -1, Generations: try.generations, Usage: try.usage, Reply: try.reply, Runs: try.runs}, err
	}
	return Result{Value: try.value, Reply: try.reply, Turn: turn(try.input, try.steps, try.reply.Message), Selected: -1,
		Success: true, Generations: try.generations, Usage: try.usage, Runs: try.runs, Pending: try.pending}, nil
}

// try is one reply to a component, rendered and parsed: one generation, or as many as the model needs to call tools.
type try struct {
	input       content.Messages
	steps       content.Messages // calls of tools and their results, between input and reply
	reply       backend.Reply
	value       any
	parse       error // the reply could not be parsed
	generations int
	usage       content.Usage
	runs        []ToolRun
	pending     []tool.Call // what reply asks for
}

// try renders, generates and parses. A reply that cannot be parsed is an error outside sampling (iteration 0) and a
// failed attempt within.
func (s Scope) try(ctx context.Context, c Call, step sampling.Step, iteration int) (try, error) {
	var t try
	a, err := s.prepare(ctx, c, step, iteration, &t.input)
	if err != nil {
		return t, err
	}
	if err := s.converse(ctx, a, c.tools, iteration, c.Sink, &t); err != nil {
		return t, err
	}
	t.value, t.parse = s.parse(ctx, c, t.reply.Message, iteration)
	if iteration == 0 {
		return t, t.parse
	}
	return t, nil
}

// prepare renders a step into the generation to make. The component's own messages go to input.
func (s Scope) prepare(ctx context.Context, c Call, step sampling.Step, iteration int, input *content.Messages) (ask, error) {
	options, b := c.Options, step.Backend
	switch {
	case b == nil:
		b = s.Backend
	case !same(b, s.Backend):
		options = options.Without(backend.NeutralModel) // it names a model of the call's own backend
	}
	options = options.Merge(step.Options)
	info, err := s.info(ctx, b)
	if err != nil {
		return ask{}, err
	}
	model := options.Model()
	if model == "" {
		model = info.Model
	}
	if err := await(ctx, step.Component); err != nil { // a strategy or a judge may have brought outputs of its own
		return ask{}, err
	}
	comp := asked(shown(step.Component, c.Requirements), c.Format, info)
	rendered, err := s.render(ctx, comp, model, iteration)
	if err != nil {
		return ask{}, err
	}
	*input = rendered.Messages
	var past content.Messages
	if step.History != nil {
		past = step.History.View()
	}
	return ask{backend: b, info: info, kind: comp.Kind(), prompt: c.Prompt, variables: variablesOf(comp),
		messages: s.withSystem(past, rendered.Messages), options: options, format: c.Format, tools: c.tools.Specs(),
		context: past.Len(), iteration: iteration}, nil
}

// withSystem puts the scope's system message, what came before and the new messages together.
func (s Scope) withSystem(past, own content.Messages) content.Messages {
	if s.System == "" {
		return past.Concat(own)
	}
	return content.NewMessages(content.System(s.System)).Concat(past).Concat(own)
}

// shown adds the texts of the requirements that the model is to see to a component that shows requirements.
func shown(c component.Component, reqs requirement.Requirements) component.Component {
	if reqs.Len() == 0 {
		return c
	}
	r, ok := c.(component.Requirer)
	if !ok {
		return c
	}
	texts := r.Requirements()
	own := len(texts)
	for req := range reqs.Values() {
		if req.Shown() && req.Description() != "" {
			texts = append(slices.Clip(texts), req.Description())
		}
	}
	if len(texts) == own {
		return c
	}
	return r.WithRequirements(texts...)
}

// asked shows a component the schema of its reply where the backend does not hold replies to schemas.
func asked(c component.Component, format schema.Schema, info backend.Info) component.Component {
	if format.IsZero() || info.Capabilities.Structured == backend.StructuredSchema {
		return c
	}
	if f, ok := c.(component.Formatted); ok {
		return f.WithFormat(format.JSON())
	}
	return c
}

// variablesOf returns how to list the variables of a component's template, nil when it has none.
func variablesOf(c component.Component) func() content.List[hookpoint.Variable] {
	v, ok := c.(interface {
		Variables() iter.Seq2[string, string]
	})
	if !ok {
		return nil
	}
	return func() content.List[hookpoint.Variable] {
		var all []hookpoint.Variable
		for name, value := range v.Variables() {
			all = append(all, hookpoint.Variable{Name: name, Value: value})
		}
		return content.ListOf(all...)
	}
}
