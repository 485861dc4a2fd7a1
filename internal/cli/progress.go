package cli

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// progress shows the attempts of a call on a terminal while they are made, and streams text: a plugin like any other.
// In a pipe it shows nothing but what --stream sends to standard output.
type progress struct {
	out   io.Writer // standard error
	style style
	live  bool // attempts are shown
	// transients says that out is a terminal, on which a line can take the place of another.
	transients bool
	name       func(i int, r hookpoint.RequirementStart) string
	deltas     io.Writer // where deltas go; nil drops them
	watched    bool      // deltas go to out, below a line for each attempt

	mu        sync.Mutex
	budget    int
	transient bool           // the cursor stands behind a line that the next one replaces
	failed    map[int]string // by the requirement's place: verdicts come in any order
	midLine   bool           // the last delta did not end its line
	streamed  bool           // deltas were written
	shown     int            // the attempt whose deltas were last
}

// Bindings implements [hook.Source].
func (p *progress) Bindings() []hook.Binding {
	if !p.live {
		return nil
	}
	return hook.Plugin{Name: "cli.progress", Sources: []hook.Source{
		hookpoint.Sampling.Observe(p.sampling),
		hookpoint.Generation.Observe(p.generation),
		hookpoint.Requirement.Bracket(p.requirement),
		hookpoint.SamplingIteration.On(p.iteration),
	}}.Bindings()
}

// judging marks the context of a requirement: a generation below it is a judge's.
type judging struct{}

func (p *progress) sampling(_ context.Context, start hookpoint.SamplingStart) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.budget = start.Budget
}

func (p *progress) generation(ctx context.Context, start hookpoint.GenerationStart) {
	if ctx.Value(judging{}) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = nil
	switch head := p.head(start.Iteration); {
	case p.watched && start.Iteration > 0:
		p.line(p.style.bold(head))
	default:
		p.replace(p.style.faint(head + " running …"))
	}
}

func (p *progress) head(attempt int) string {
	if attempt == 0 || p.budget == 0 {
		return "  generation"
	}
	return fmt.Sprintf("  attempt %d of %d", attempt, p.budget)
}

func (p *progress) requirement(ctx context.Context, start hookpoint.RequirementStart) (context.Context, func(hookpoint.RequirementOutcome)) {
	name := p.name(start.Index, start)
	p.mu.Lock()
	p.breakLine()
	p.replace(p.style.faint(p.head(start.Iteration) + " checking " + shorten(oneLine(name), 40) + " …"))
	p.mu.Unlock()
	return context.WithValue(ctx, judging{}, true), func(o hookpoint.RequirementOutcome) {
		if o.Err != nil || o.Post.Verdict.Passed {
			return
		}
		text := p.style.red("✗ ") + oneLine(name)
		if reason := o.Post.Verdict.Reason; reason != "" && reason != name {
			text += p.style.faint(" — " + shorten(oneLine(reason), 300))
		}
		p.mu.Lock()
		if p.failed == nil {
			p.failed = map[int]string{}
		}
		p.failed[start.Index] = text
		p.mu.Unlock()
	}
}

func (p *progress) iteration(_ context.Context, it hookpoint.Iteration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.breakLine()
	head := p.head(it.Number) + " "
	if p.watched { // the line above the text has it
		head = "  "
	}
	switch {
	case it.Passed:
		p.line(head + p.style.green("passed"))
	case it.ParseFailed:
		p.line(head + p.style.red("failed") + p.style.faint(" — the reply is not the value asked for"))
	default:
		p.line(head + p.style.red("failed") + p.style.faint(fmt.Sprintf(" — %d of %d met", it.PassedCount, it.Requirements)))
		for _, i := range slices.Sorted(maps.Keys(p.failed)) {
			p.line("    " + p.failed[i])
		}
	}
	p.failed = nil
}

// chunk is the sink of a streamed call.
func (p *progress) chunk(attempt int, c backend.Chunk) {
	if p.deltas == nil || c.Kind != backend.ChunkText || c.Text == "" {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	if p.watched && p.shown != attempt {
		p.breakLine()
		p.shown = attempt
	}
	// A reader that has gone is found when the result is printed.
	_, _ = io.WriteString(p.deltas, c.Text)
	p.streamed, p.midLine = true, !strings.HasSuffix(c.Text, "\n")
}

// finish ends what is on the terminal, so that what comes next begins on a line of its own.
func (p *progress) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clear()
	p.breakLine()
}

// breakLine ends a line of deltas.
func (p *progress) breakLine() {
	if !p.midLine {
		return
	}
	complete(p.deltas)
	_, _ = io.WriteString(p.deltas, "\n")
	p.midLine = false
}

// line prints a line that stays.
func (p *progress) line(text string) {
	p.clear()
	fmt.Fprintln(p.out, text)
}

// replace prints a line that the next one replaces.
func (p *progress) replace(text string) {
	if !p.transients {
		return
	}
	p.clear()
	fmt.Fprint(p.out, text)
	p.transient = true
}

func (p *progress) clear() {
	if p.transient {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.transient = false
	}
}
