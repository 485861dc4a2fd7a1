package main

import (
	"context"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Steps is a plugin that prints each step of a program as it begins and ends, indented by depth. Its methods are safe
// for concurrent use.
type Steps struct {
	mu sync.Mutex
	w  io.Writer
}

// Bindings makes Steps a [hook.Source].
func (s *Steps) Bindings() []hook.Binding {
	return hook.Plugin{Name: "steps", Sources: []hook.Source{
		step(s, hookpoint.Component),
		step(s, hookpoint.Sampling),
		step(s, hookpoint.Generation),
		step(s, hookpoint.Validation),
		hookpoint.SamplingRepair.On(func(ctx context.Context, r hookpoint.Repair) {
			s.print(ctx, "repair of attempt %d: %d requirement(s) failed", r.Number, r.Failed)
		}),
	}}.Bindings()
}

// depth is the key of the context value by which a step knows how deep it is. A bracket's context is what everything
// beneath it is given, so this needs no state of the plugin's own.
type depth struct{}

// step binds a bracket: it opens with the step and closes exactly once, whatever happens in between.
func step[Pre, Post any](s *Steps, p *hook.Point[Pre, Post]) hook.Binding {
	return p.Bracket(func(ctx context.Context, _ Pre) (context.Context, func(hook.Outcome[Pre, Post])) {
		s.print(ctx, "%s", p.Name())
		deeper := context.WithValue(ctx, depth{}, indent(ctx)+1)
		return deeper, func(o hook.Outcome[Pre, Post]) { s.print(ctx, "%s: %s", p.Name(), o.Ending) }
	})
}

func indent(ctx context.Context) int {
	n, _ := ctx.Value(depth{}).(int)
	return n
}

func (s *Steps) print(ctx context.Context, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Fprintf(s.w, strings.Repeat("  ", indent(ctx))+format+"\n", args...)
}
