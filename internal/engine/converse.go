package engine

import (
	"context"
	"slices"
	"strconv"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// Loop bounds the automatic running of tools.
type Loop struct {
	// Turns is how many replies of one attempt may ask for tools. 0 is [DefaultToolTurns]; below 0 tools are offered and not
	// run: the first reply is the result, whatever it asks for.
	Turns int
	// Parallel is how many calls of one reply run at the same time. Below 1 it is [DefaultToolParallel].
	Parallel int
}

// The bounds of a [Loop] that names none.
const (
	DefaultToolTurns    = 10
	DefaultToolParallel = 8
)

func (l Loop) turns() int {
	if l.Turns == 0 {
		return DefaultToolTurns
	}
	return max(l.Turns, 0)
}

func (l Loop) parallel() int {
	if l.Parallel < 1 {
		return DefaultToolParallel
	}
	return l.Parallel
}

// converse makes the generation of a, and as long as the reply asks for tools of a call runs them and asks again with their
// results. What came of it goes into t, after an error too.
//
// Few backends can do both at once, call tools and hold a reply to a schema. So where a call has both, the format is held
// back until the model has no more calls to make; an answer that is not in it by then is asked for again, without tools.
func (s Scope) converse(ctx context.Context, a ask, tools tool.Set, iteration int, sink func(int, backend.Chunk), t *try) error {
	if tools.Len() == 0 {
		_, _, err := s.ask(ctx, a, iteration, sink, t)
		return err
	}
	format := a.format
	a.format = schema.Schema{}
	for turn := 1; ; turn++ {
		g, out, err := s.ask(ctx, a, iteration, sink, t)
		if err != nil {
			return err
		}
		calls := slices.Collect(out.ToolCalls())
		switch {
		case len(calls) == 0 && !format.IsZero() && format.Validate([]byte(t.reply.Message.Text())) != nil:
			a.format = format
			if _, chosen := a.options.Extra(backend.ToolChoice); chosen { // servers refuse a choice without tools
				a.options = a.options.WithExtra(backend.ToolChoice, "none")
			} else {
				a.tools = content.List[content.ToolSpec]{}
			}
			_, _, err = s.ask(ctx, a, iteration, sink, t)
			return err
		case len(calls) == 0:
			return nil
		case s.Loop.turns() == 0:
			t.pending = calls
			return nil
		case turn > s.Loop.turns():
			return &tool.BudgetError{Turns: turn - 1}
		}
		runs, err := s.RunTools(ctx, tools.Offered(g.op.Pre.Tools), calls, iteration, turn)
		t.runs = append(t.runs, runs...)
		if err != nil {
			return err
		}
		said := make([]content.Message, 0, 1+len(runs))
		said = append(said, t.reply.Message)
		for _, r := range runs {
			said = append(said, r.Message())
		}
		t.steps = t.steps.Append(said...)
		a.messages = a.messages.Append(said...)
		if choice, chosen := a.options.Extra(backend.ToolChoice); chosen && choice != "auto" && choice != "none" {
			a.options = a.options.WithExtra(backend.ToolChoice, "auto") // it has called one: forced again, it could never answer
		}
	}
}

// ask makes one generation and waits for it.
func (s Scope) ask(ctx context.Context, a ask, iteration int, sink func(int, backend.Chunk), t *try) (*generation, *backend.Output, error) {
	g, out, err := s.open(ctx, a)
	if err != nil {
		return nil, nil, err
	}
	t.generations++
	t.reply, err = collect(ctx, out, max(iteration, 1), sink)
	t.usage = t.usage.Add(t.reply.Generation.Usage)
	return g, out, err
}

// identified returns m with an id for each of its tool calls: that of the provider, or one made up where that gave none or
// gave it to another call, of this reply or of those in the conversation so far. What is made up depends on nothing but
// these, so that a recording can be replayed.
func identified(m content.Message, said content.Messages) content.Message {
	if m.PlainText() {
		return m
	}
	given := map[string]bool{}
	for c := range m.ToolCalls() {
		given[c.ID] = true
	}
	if len(given) == 0 {
		return m
	}
	taken := map[string]bool{"": true}
	calls := 0
	for before := range said.Values() {
		for c := range before.ToolCalls() {
			taken[c.ID] = true
			calls++
		}
	}
	parts := slices.Collect(m.Parts())
	for i, p := range parts {
		c, ok := p.(content.ToolCall)
		if !ok {
			continue
		}
		calls++
		if c.ID == "" || taken[c.ID] {
			for n := calls; taken[c.ID] || given[c.ID]; n++ {
				c.ID = "call_" + strconv.Itoa(n)
			}
			parts[i] = c
		}
		taken[c.ID] = true
	}
	return content.NewMessage(m.Role(), parts...)
}
