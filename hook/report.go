package hook

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
)

// A Failure is something a plugin did that it should not: a panic, a timeout, a forbidden edit, or being too slow for its
// queue. A rejection is none.
type Failure struct {
	// Point is the name of the point or signal, Plugin the name of what was bound there in Role.
	Point, Plugin string
	Role          Role
	// Err is [ErrPanicked], [context.DeadlineExceeded], [ErrDropped] or the error by which the point refused an edit.
	Err error
	// Panic is what the plugin panicked with, nil when it exited the goroutine. It may hold content.
	Panic any
	// Stack is that of the goroutine where the panic was recovered.
	Stack []byte
}

// Failures is emitted for each [Failure] in a Set, for whoever counts them. Listening to it does not silence the default
// report; [Set.Report] does.
var Failures = NewSignal[Failure]("hook_failure")

// isolate, deferred around a call of a subscriber that cannot fail the operation, reports its panic and lets the operation go on.
func (s *Set) isolate(ctx context.Context, who *installation) {
	if v := recover(); v != nil {
		s.failed(ctx, who, Failure{Err: ErrPanicked, Panic: v, Stack: debug.Stack()})
	}
}

// failed counts and reports a failure of who.
func (s *Set) failed(ctx context.Context, who *installation, f Failure) {
	s.family.failures.Add(1)
	s.report(ctx, who, f)
}

// dropped counts and reports an outcome that found no room in the queue of who.
func (s *Set) dropped(ctx context.Context, who *installation) {
	s.family.drops.Add(1)
	s.report(ctx, who, Failure{Err: ErrDropped})
}

func (s *Set) report(ctx context.Context, who *installation, f Failure) {
	f.Point, f.Plugin, f.Role = who.name, who.Plugin(), who.role
	s.callReporter(ctx, f)
	if who.id != Failures.id { // telling a listener of failures that it failed would not end
		Failures.Emit(ctx, s, f)
	}
}

// callReporter is safe from a reporter, or a log handler, that panics: it runs where no panic may get out.
func (s *Set) callReporter(ctx context.Context, f Failure) {
	defer func() {
		if recover() != nil {
			s.family.failures.Add(1)
		}
	}()
	if s.reporter != nil {
		s.reporter(f)
		return
	}
	s.warn(ctx, f)
}

// warn logs the first failure of each plugin. Of what the plugin panicked with it says only the type, as the text may be
// content.
func (s *Set) warn(ctx context.Context, f Failure) {
	if _, again := s.family.warned.LoadOrStore(f.Plugin, true); again {
		return
	}
	slog.Default().LogAttrs(ctx, slog.LevelWarn, "hook: a plugin failed; its further failures are not logged (hook.Set.Report sees all)",
		slog.String("point", f.Point),
		slog.String("plugin", f.Plugin),
		slog.String("role", f.Role.String()),
		slog.String("error", summary(f)),
	)
}

func summary(f Failure) string {
	switch v := f.Panic.(type) {
	case nil:
	case runtime.Error:
		return "panic: " + v.Error()
	default:
		return fmt.Sprintf("panic with a value of type %T", v)
	}
	switch f.Err {
	case ErrPanicked, ErrDropped, context.DeadlineExceeded:
		return f.Err.Error()
	}
	return CodeForbiddenEdit
}
