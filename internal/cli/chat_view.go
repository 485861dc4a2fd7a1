package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// errStopped is the cause of a turn that the person at the terminal gave up.
var errStopped = errors.New("given up at the terminal")

// turn returns the context of a turn, which Ctrl-C ends when a person is there, and what ends the turn.
func (a *app) turn(ctx context.Context, person bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	restore := func() {}
	if person {
		restore = a.Interrupts.taken(func() bool {
			if ctx.Err() != nil {
				return false // it was given up before, and does not end: the command does
			}
			cancel(errStopped)
			return true
		})
	}
	return ctx, func() {
		restore()
		cancel(nil)
	}
}

// replyView shows a reply as it arrives: what the model thinks, faint, and what it says.
type replyView struct {
	app    *app
	person bool
	style  style
	text   io.Writer

	mu       sync.Mutex     // tools run in parallel
	served   map[int]string // calls of the provider's tools that are not shown yet
	thinking bool           // the cursor stands in reasoning
	midLine  bool
	wrote    bool
	err      error
}

func newReplyView(a *app, person bool) *replyView {
	return &replyView{app: a, person: person, style: a.style(a.Stdout), text: shown(a.Stdout)}
}

// chunk is the sink of a turn.
func (v *replyView) chunk(_ int, c backend.Chunk) {
	v.mu.Lock()
	defer v.mu.Unlock()
	switch c.Kind {
	case backend.ChunkReasoning:
		if v.person && c.Text != "" {
			v.thinking = true
			v.write(v.app.Stdout, v.style.faint(escape(c.Text)), c.Text)
		}
	case backend.ChunkText:
		if c.Text == "" {
			return
		}
		if v.thinking {
			v.thinking = false
			v.newLine()
		}
		v.wrote = true
		v.write(v.text, c.Text, c.Text)
	case backend.ChunkServerTool:
		v.serverTool(c.ServerTool)
	}
}

// serverTool shows a call of a tool that the provider runs once what it gave is there, as a call comes in pieces.
func (v *replyView) serverTool(d backend.ServerToolDelta) {
	if v.served == nil {
		v.served = map[int]string{}
	}
	call := v.served[d.Index]
	if d.Name != "" {
		call = d.Name + " "
	}
	if len(call) < maxNote {
		call += d.Arguments
	}
	v.served[d.Index] = call
	if d.ResultType == "" {
		return
	}
	delete(v.served, d.Index)
	if call != "" {
		v.line("→ the provider's " + call)
	}
	v.line("← " + d.ResultType + " " + d.Result)
}

func (v *replyView) write(w io.Writer, text, said string) {
	if _, err := io.WriteString(w, text); err != nil && v.err == nil {
		v.err = fmt.Errorf("standard output: %w", err)
	}
	v.midLine = !strings.HasSuffix(said, "\n")
}

func (v *replyView) newLine() {
	if v.midLine {
		v.write(v.app.Stdout, "\n", "\n")
	}
}

// maxNote is how much of a note is shown.
const maxNote = 300

// note shows a line about the reply to a person.
func (v *replyView) note(text string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.line(text)
}

// line is note under mu.
func (v *replyView) line(text string) {
	if !v.person {
		return
	}
	complete(v.text)
	v.newLine()
	v.thinking = false
	v.write(v.app.Stdout, v.style.faint(shorten(oneLine(text), maxNote))+"\n", "\n")
}

// end completes what is shown of a reply, and returns the first error of showing it.
func (v *replyView) end(m content.Message) error {
	for call := range m.ToolCalls() { // that nobody ran
		v.note("→ " + call.Name + " " + call.Arguments)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, i := range slices.Sorted(maps.Keys(v.served)) { // that nothing is known to have come of
		v.line("→ the provider's " + v.served[i])
	}
	complete(v.text)
	v.newLine()
	return v.err
}
