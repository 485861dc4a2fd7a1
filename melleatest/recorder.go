package melleatest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Recorder is a plugin that notes every operation. Install it with mellea.WithHooks.
type Recorder struct {
	mu     sync.Mutex
	next   int
	ops    map[int]*Operation
	events []string
}

// Operation is one operation that a [Recorder] saw.
type Operation struct {
	ID, Parent int // Parent is 0 for an operation below none
	Point      string
	Ends       int
	Ending     hook.Ending
	Err        error
}

// recorderKey finds the innermost Recorder of a context, operationKey the operation that one Recorder saw begin there.
type (
	recorderKey  struct{}
	operationKey struct{ of *Recorder }
)

// NewRecorder returns a Recorder that fails the test, when it ends, for each operation that was left open or ended
// twice. tb may be nil.
func NewRecorder(tb testing.TB) *Recorder { //nolint:thelper // tb may be nil
	r := &Recorder{ops: map[int]*Operation{}}
	if tb != nil {
		tb.Cleanup(func() {
			for _, o := range r.Operations() {
				if o.Ends != 1 {
					tb.Errorf("operation %d of %s ended %d times, want once", o.ID, o.Point, o.Ends)
				}
			}
		})
	}
	return r
}

// Bindings implements [hook.Source].
func (r *Recorder) Bindings() []hook.Binding {
	return hook.Plugin{Name: "recorder", Sources: []hook.Source{
		record(r, hookpoint.SessionStart), record(r, hookpoint.Session), record(r, hookpoint.Component), record(r, hookpoint.Format),
		record(r, hookpoint.Generation), record(r, hookpoint.GenerationBatch), record(r, hookpoint.Sampling), record(r, hookpoint.Validation), record(r, hookpoint.Requirement), record(r, hookpoint.Tool),
		note(r, hookpoint.SessionReset), note(r, hookpoint.SamplingIteration), note(r, hookpoint.SamplingRepair), note(r, hookpoint.SamplingSelect),
	}}.Bindings()
}

func record[Pre, Post any](r *Recorder, p *hook.Point[Pre, Post]) hook.Binding {
	return p.Bracket(func(ctx context.Context, _ Pre) (context.Context, func(hook.Outcome[Pre, Post])) {
		parent, _ := ctx.Value(operationKey{r}).(int)
		r.mu.Lock()
		r.next++
		op := &Operation{ID: r.next, Parent: parent, Point: p.Name()}
		r.ops[op.ID] = op
		r.events = append(r.events, "+"+op.Point)
		r.mu.Unlock()
		ctx = context.WithValue(context.WithValue(ctx, operationKey{r}, op.ID), recorderKey{}, r)
		return ctx, func(o hook.Outcome[Pre, Post]) {
			r.mu.Lock()
			defer r.mu.Unlock()
			op.Ends++
			op.Ending, op.Err = o.Ending, o.Err
			event := "-" + op.Point
			if o.Ending != hook.Completed {
				event += "(" + o.Ending.String() + ")"
			}
			r.events = append(r.events, event)
		}
	})
}

func note[T any](r *Recorder, s *hook.Signal[T]) hook.Binding {
	return s.On(func(context.Context, T) { r.Note(s.Name()) })
}

// Note adds an event of the test's own to [Recorder.Events], to see what came before and what after it.
func (r *Recorder) Note(event string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, event)
}

// generating reports whether ctx is that of an open operation of a point at which the engine asks a backend.
func (r *Recorder) generating(ctx context.Context, point string) bool {
	id, _ := ctx.Value(operationKey{r}).(int)
	r.mu.Lock()
	defer r.mu.Unlock()
	op := r.ops[id]
	return op != nil && op.Point == point && op.Ends == 0
}

// Operations returns the operations seen so far, in the order they began.
func (r *Recorder) Operations() []Operation {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Operation, 0, len(r.ops))
	for _, o := range r.ops {
		out = append(out, *o)
	}
	slices.SortFunc(out, func(a, b Operation) int { return a.ID - b.ID })
	return out
}

// Events returns what happened, in order: "+point" for a beginning, "-point" for an end, with its ending when that is
// not ok, and the names of signals.
func (r *Recorder) Events() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.events)
}

// Tree returns the operations as an indented tree, without the Format operations.
func (r *Recorder) Tree() string {
	ops := r.Operations()
	var b strings.Builder
	var walk func(parent, depth int)
	walk = func(parent, depth int) {
		for _, o := range ops {
			if o.Parent != parent || o.Point == hookpoint.Format.Name() {
				continue
			}
			fmt.Fprintf(&b, "%s%s", strings.Repeat("  ", depth), o.Point)
			if o.Ends > 0 && o.Ending != hook.Completed {
				fmt.Fprintf(&b, " (%s)", o.Ending)
			}
			b.WriteByte('\n')
			walk(o.ID, depth+1)
		}
	}
	walk(0, 0)
	return b.String()
}
