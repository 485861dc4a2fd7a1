package components

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
)

// shared are the servers of the package whose tests [Main] runs, nil outside it.
var shared atomic.Pointer[pool]

// Main runs the tests of a package that share servers: in them [StartOllama],
// [StartJaeger], [StartLiteLLM] and [TransformersServe] start each server once,
// for the first test that asks, and Main stops them all after the last. A test
// that harms its server starts one of its own, by [RunOllama] and its like. Main
// returns the code to exit with:
//
//	func TestMain(m *testing.M) { os.Exit(components.Main(m)) }
func Main(m *testing.M) int {
	p := &pool{}
	shared.Store(p)
	code := m.Run()
	shared.Store(nil)
	if err := p.stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = max(code, 1)
	}
	return code
}

// pool holds the servers that tests share.
type pool struct {
	mu      sync.Mutex
	servers map[string]any // by name, or the error of its start
	stops   []func() error // in the order of the starts
}

func (p *pool) stop() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stop := range slices.Backward(p.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// serve returns the server called name, which run starts: for the time of the
// test, or in [Main] the one that tests share. When the test fails, the end of the
// server's log is in the test's output.
func serve[T any](t testing.TB, name string, run func(context.Context) (T, func() error, error), process func(T) *server) T {
	t.Helper()
	p := shared.Load()
	if p == nil {
		p = &pool{}
		t.Cleanup(func() {
			if err := p.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch known := p.servers[name].(type) {
	case error:
		t.Fatalf("%s did not start for an earlier test: %v", name, known)
	case T:
		logOnFailure(t, process(known))
		return known
	}
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	v, stop, err := run(ctx)
	if p.servers == nil {
		p.servers = map[string]any{}
	}
	if err != nil {
		p.servers[name] = err
		t.Fatal(err)
	}
	p.servers[name] = v
	p.stops = append(p.stops, stop)
	logOnFailure(t, process(v)) // runs before the stop, which removes the log
	return v
}

func logOnFailure(t testing.TB, s *server) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the end of the log of %s:\n%s", s.name, s.logTail())
		}
	})
}
