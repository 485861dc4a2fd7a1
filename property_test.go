package mellea_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// Whatever happens to the calls of a session, every operation that began has ended exactly once when the session is
// closed, no goroutine is left (TestMain), and no request was made outside a Generation operation.
func TestExactlyOneEnd(t *testing.T) {
	t.Parallel()
	const plans = 400
	seen := map[hook.Ending]int{}
	for seed := range uint64(plans) {
		for e, n := range chaos(t, seed) {
			seen[e] += n
		}
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	for _, e := range []hook.Ending{hook.Completed, hook.Failed, hook.Rejected, hook.Cancelled, hook.Abandoned} {
		if seen[e] < 20 {
			t.Errorf("only %d operations ended as %s: the plans do not reach it", seen[e], e)
		}
	}
}

func chaos(t *testing.T, seed uint64) map[hook.Ending]int {
	rng := &source{r: rand.New(rand.NewPCG(seed, 7))}
	rng.stuck = rng.chance(5)
	b := melleatest.NewBackendFunc(func(int, backend.Request) melleatest.Reply { return rng.reply() })
	rec := melleatest.NewRecorder(nil)
	opts := []mellea.StartOption{mellea.WithHooks(rec)}
	for range rng.intn(3) {
		opts = append(opts, mellea.WithHooks(rng.plugin()))
	}
	s, err := mellea.Start(context.Background(), b, opts...)
	if err != nil {
		t.Error(err)
		return nil
	}
	var wg sync.WaitGroup
	for range 1 + rng.intn(4) {
		wg.Go(func() { rng.call(s) })
	}
	for range 10_000 * rng.intn(2) {
		if len(b.Requests()) > 0 {
			break
		}
		runtime.Gosched() // let a call get to the model before the session is closed; some are refused before
	}
	if rng.stuck || rng.chance(3) {
		_ = s.Close() // while calls run
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Errorf("close: %v", err)
	}
	count := map[hook.Ending]int{}
	for _, o := range rec.Operations() {
		if o.Ends != 1 {
			t.Errorf("%s ended %d times", o.Point, o.Ends)
		}
		count[o.Ending]++
	}
	if n := b.Outside(); n != 0 {
		t.Errorf("%d requests outside a Generation operation", n)
	}
	return count
}

// source is a random source that goroutines share.
type source struct {
	// stuck makes all replies block and no call give up: only closing the session ends them.
	stuck bool

	mu sync.Mutex
	r  *rand.Rand
}

func (s *source) intn(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.r.IntN(n)
}

func (s *source) chance(oneIn int) bool { return s.intn(oneIn) == 0 }

var errChaos = errors.New("chaos")

func (s *source) reply() melleatest.Reply {
	r := melleatest.Reply{Pieces: []string{"good ", "words"}, Block: s.stuck}
	switch s.intn(9) {
	case 0:
		r.Err = errChaos
	case 1:
		r.Refuse = errChaos
	case 2:
		r.Panic = "chaos"
	case 3:
		r.Block = true
	case 4:
		r.Pieces = []string{"bad"}
	case 5:
		r.Pieces = nil
	}
	return r
}

func (s *source) plugin() hook.Source {
	act := func() error {
		switch s.intn(6) {
		case 0:
			return hook.Reject("chaos", "")
		case 1:
			panic("chaos")
		case 2:
			return errChaos
		}
		return nil
	}
	switch s.intn(8) {
	case 0:
		return hookpoint.Generation.Guard(func(_ context.Context, p hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			return p, act()
		})
	case 1:
		return hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return act() }, hook.FailOpen())
	case 2:
		return hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			return p, act()
		})
	case 3:
		return hookpoint.Component.Guard(func(_ context.Context, p hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
			return p, act()
		})
	case 4:
		return hookpoint.Sampling.Check(func(context.Context, hookpoint.SamplingStart) error { return act() })
	case 5:
		return hookpoint.Validation.Review(func(_ context.Context, _ hookpoint.ValidationStart, p hookpoint.ValidationEnd) (hookpoint.ValidationEnd, error) {
			return p, act()
		})
	case 6:
		return hookpoint.Requirement.Observe(func(context.Context, hookpoint.RequirementStart) { _ = act() })
	}
	return hookpoint.Format.Guard(func(_ context.Context, p hookpoint.FormatStart) (hookpoint.FormatStart, error) { return p, act() })
}

// fussy is a component that parses only some replies.
type fussy struct{ component.PlainText }

func (fussy) Parse(m content.Message) (int, error) {
	if m.Text() == "bad" {
		return 0, errChaos
	}
	return len(m.Text()), nil
}

// call makes one random call. What it returns does not matter here; that a panic of the program's own code reaches the
// program does not either.
func (s *source) call(session *mellea.Session) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if !s.stuck {
		// Every call is cancelled at some point, so that a reply that blocks for ever ends; most are over by then.
		defer s.cancelLater(cancel)()
	}
	defer func() { _ = recover() }()
	good := requirement.Contains("good")
	broken := requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
		return requirement.Verdict{}, errChaos
	})
	panics := requirement.New("panics", func(context.Context, requirement.Env) (requirement.Verdict, error) { panic("chaos") })
	switch s.intn(11) {
	case 0:
		_, _ = session.Chat(ctx, "Say.")
	case 1:
		_, _ = session.Instruct(ctx, "Say.", mellea.Check(good))
	case 2:
		_, _ = session.Instruct(ctx, "Say.", mellea.Require("be good"), mellea.Strategy(sampling.MultiTurn(2)))
	case 3:
		_, _ = session.Instruct(ctx, "Say.", mellea.Check(good), mellea.Strategy(sampling.Reject(4, sampling.Parallel(3))))
	case 4:
		_, _ = mellea.Act[int](ctx, session, fussy{component.Text("Say.")})
	case 5:
		_, _ = mellea.Act[int](ctx, session, fussy{component.Text("Say.")}, mellea.Check(good, broken, panics))
	case 6: // never awaited
		_, _ = session.StartInstruct(ctx, "Say.")
	case 7: // an early break
		out, err := session.StartInstruct(ctx, "Say.")
		if err != nil {
			return
		}
		for range out.Chunks(ctx) {
			if !s.stuck && s.chance(2) {
				break
			}
		}
	case 8: // a sink that calls the session, or panics
		_, _ = session.Chat(ctx, "Say.", mellea.Strategy(sampling.Reject(2, sampling.Parallel(1+s.intn(2)))), mellea.Stream(func(int, backend.Chunk) {
			if s.chance(2) {
				panic("chaos")
			}
			_, _ = session.Chat(ctx, "Say inside.")
		}))
	case 9: // a parser that panics
		_, _ = mellea.Act[string](ctx, session, explosive{PlainText: component.Text("Say."), parse: boom}, mellea.Strategy(sampling.Reject(3, sampling.Parallel(2))))
	case 10: // an output that another call waits for, and that is given up meanwhile
		out, err := session.StartInstruct(ctx, "Say.")
		if err != nil {
			return
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() { _, _ = session.StartInstruct(ctx, "Use it.", mellea.Ground("x", out)) })
		if !s.stuck {
			out.Cancel(errChaos)
		}
	}
}

// cancelLater cancels a call after a random number of scheduler rounds. It returns what stops and awaits the goroutine.
func (s *source) cancelLater(cancel context.CancelFunc) func() {
	done, rounds := make(chan struct{}), 1<<s.intn(12)
	var wg sync.WaitGroup
	wg.Go(func() {
		for range rounds {
			select {
			case <-done:
				return
			default:
				runtime.Gosched()
			}
		}
		cancel()
	})
	return func() { close(done); wg.Wait() }
}
