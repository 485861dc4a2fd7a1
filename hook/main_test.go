package hook_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/hook"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The point of most tests here: a call of a model.
type (
	request struct{ Model, Prompt string }
	reply   struct{ Text string }
	outcome = hook.Outcome[request, reply]
)

var generate = hook.NewPoint[request, reply]("generate")

// install derives a Set from the empty one.
func install(sources ...hook.Source) *hook.Set { return (*hook.Set)(nil).With(sources...) }

// answer is a body that succeeds.
func answer(_ context.Context, r request) (reply, error) { return reply{"re: " + r.Prompt}, nil }

// generateOn runs the point with a body.
func generateOn(t *testing.T, s *hook.Set, body func(context.Context, request) (reply, error)) (reply, error) {
	t.Helper()
	return generate.Do(t.Context(), s, request{"m", "hi"}, body)
}

// A journal notes what happened in which order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]string{}, j.lines...)
}

// bracket notes its opening and its closing with the ending.
func (j *journal) bracket(name string, opts ...hook.Option) hook.Binding {
	return generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
		j.add("+%s", name)
		return ctx, func(o outcome) { j.add("-%s %s", name, o.Ending) }
	}, opts...)
}

// failures collects what a Set reports.
type failures struct {
	mu  sync.Mutex
	all []hook.Failure
}

func (f *failures) report(x hook.Failure) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.all = append(f.all, x)
}

func (f *failures) summary() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	lines := []string{}
	for _, x := range f.all {
		lines = append(lines, fmt.Sprintf("%s %s %s: %v %v", x.Point, x.Plugin, x.Role, x.Err, x.Panic))
	}
	return lines
}
