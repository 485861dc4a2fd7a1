package batch

import (
	"context"
	"io"
	"sync"
)

// Config is a run.
type Config struct {
	// Input are the lines to do, each at most MaxLine bytes.
	Input   io.Reader
	MaxLine int
	// Out takes the records of lines that were done. Failed takes those of lines that failed; with nil they are not
	// written, and so done again by the next run.
	Out, Failed *Journal
	// Retry does lines again that are in Failed.
	Retry bool
	// Concurrency is how many lines are under way at once, at least 1.
	Concurrency int
	Limits      Limits
	// Estimate guesses how many tokens a line will take; nil guesses none.
	Estimate func(Item) int
	// Do does one line. It is called by several goroutines at once.
	Do func(context.Context, Item) (Result, error)
	// Progress is told of each line that has been done, and of those that need not be. It is not called by two
	// goroutines at once. nil tells nobody.
	Progress func(Summary)
}

// Result is what a line came to.
type Result struct {
	// Record is written behind line number and hash. It must encode as a JSON object.
	Record any
	// Failed says that the line failed.
	Failed bool
	// Requests and Tokens are what the line took.
	Requests, Tokens int
}

// Summary counts the lines of a run.
type Summary struct {
	// Before counts lines that an earlier run had done, Left those that had failed and are not tried again.
	Before, Left int
	// Done and Failed count the lines of this run.
	Done, Failed int
	// Changed counts lines that Out has a record of with other content: they were done again.
	Changed int
}

// All counts the lines that are dealt with.
func (s Summary) All() int { return s.Before + s.Left + s.Done + s.Failed }

// run is a run under way.
type run struct {
	Config

	ctx    context.Context
	cancel context.CancelCauseFunc
	slots  chan struct{}

	mu  sync.Mutex
	sum Summary
	err error
}

// Run does the lines of the input that no earlier run has done, and returns when nothing is under way any more. An error
// of Do, of a journal or of the input ends the run; the lines that are under way then are given up and not recorded.
// When ctx ends, so does the run, with its cause.
func Run(ctx context.Context, c Config) (Summary, error) {
	r := &run{Config: c, slots: make(chan struct{}, max(c.Concurrency, 1))}
	r.ctx, r.cancel = context.WithCancelCause(ctx)
	defer r.cancel(nil)
	var under sync.WaitGroup
	for it, err := range Items(c.Input, c.MaxLine) {
		if err != nil {
			r.fail(err)
		}
		if r.ctx.Err() != nil {
			break
		}
		if !r.due(it) {
			continue
		}
		tokens, err := r.admit(it)
		if err != nil {
			break // the context has ended
		}
		under.Go(func() {
			defer func() { <-r.slots }()
			r.do(it, tokens)
		})
	}
	under.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && ctx.Err() != nil {
		r.err = context.Cause(ctx)
	}
	return r.sum, r.err
}

// fail ends the run.
func (r *run) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err == nil && r.ctx.Err() == nil {
		r.err = err
	}
	r.cancel(err)
}

// due reports whether a line is to be done, and counts it when it is not.
func (r *run) due(it Item) bool {
	done, changed := r.Out.Has(it)
	failed, _ := r.Failed.Has(it)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case done:
		r.sum.Before++
	case failed && !r.Retry:
		r.sum.Left++
	case changed:
		r.sum.Changed++
		return true
	default:
		return true
	}
	r.tell()
	return false
}

// admit waits for a free slot and for the limits, and returns how many tokens it took.
func (r *run) admit(it Item) (int, error) {
	select {
	case r.slots <- struct{}{}:
	case <-r.ctx.Done():
		return 0, context.Cause(r.ctx)
	}
	tokens := 0
	if r.Estimate != nil {
		tokens = r.Estimate(it)
	}
	if err := r.Limits.take(r.ctx, tokens); err != nil {
		<-r.slots
		return 0, err
	}
	return tokens, nil
}

func (r *run) do(it Item, tokens int) {
	res, err := r.Do(r.ctx, it)
	r.Limits.settle(tokens, res)
	if err != nil {
		r.fail(err)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case !res.Failed:
		err = r.Out.Add(it, res.Record)
	case r.Failed != nil:
		err = r.Failed.Add(it, res.Record)
	}
	switch {
	case err != nil:
		if r.err == nil {
			r.err = err
		}
		r.cancel(err)
		return
	case res.Failed:
		r.sum.Failed++
	default:
		r.sum.Done++
	}
	r.tell()
}

// tell runs under mu.
func (r *run) tell() {
	if r.Progress != nil {
		r.Progress(r.sum)
	}
}
