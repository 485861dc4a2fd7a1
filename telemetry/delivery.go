package telemetry

import (
	"context"
	"errors"
	"log/slog"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A delivery keeps the promise that export never slows or fails a program: what waits is bounded, errors and panics of
// an exporter end here, what is lost is counted and reported once. It is the part that spans, log records and the
// webhook have in common; the queue itself is that of whoever embeds it.
type delivery struct {
	name    string // of the exporter
	noun    string // what is delivered, such as "spans"
	logger  *slog.Logger
	release func()
	limit   int64
	local   bool // the report must not come back to be delivered

	waiting  atomic.Int64 // in the queue and in the batch under way
	dropped  atomic.Int64
	reported atomic.Bool
	failing  atomic.Pointer[string] // why the last try failed, nil when it did not

	base    context.Context // of exports; ends when Shutdown may wait no longer
	abort   context.CancelFunc
	closing chan struct{} // closes when Shutdown begins
	closed  chan struct{} // closes when the exporter has been shut down, after the last export
	stop    sync.Once
	stopErr error
}

// backoff is the wait before each new try of a batch.
var backoff = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second}

func newDelivery(name, noun string, l *slog.Logger, limit int, release func()) *delivery {
	d := &delivery{name: name, noun: noun, logger: l, release: release, limit: int64(limit),
		closing: make(chan struct{}), closed: make(chan struct{})}
	d.base, d.abort = context.WithCancel(context.Background())
	return d
}

// admit reports whether there is room for one more, which counts as waiting then.
func (d *delivery) admit() bool {
	if d.waiting.Add(1) > d.limit {
		d.waiting.Add(-1)
		return false
	}
	return true
}

var errQueueFull = errors.New("the queue is full")

func (d *delivery) lost(n int, err error) {
	d.dropped.Add(int64(n))
	d.report(n, err)
}

// report tells once that something is lost.
func (d *delivery) report(n int, err error) {
	// No lock is held while it is logged: whoever else loses something meanwhile goes on.
	if d.reported.CompareAndSwap(false, true) {
		reason := exportError(err)
		if cause := d.failing.Load(); err == errQueueFull && cause != nil {
			reason += ", as nothing gets through: " + *cause
		}
		ctx := context.Background()
		if d.local {
			ctx = locally(ctx)
		}
		logger(d.logger).LogAttrs(ctx, slog.LevelWarn,
			"telemetry: "+d.noun+" are lost; what is lost from here on is counted and not logged",
			slog.String("exporter", d.name), slog.Int("lost", n), slog.String("error", reason))
	}
}

// send exports a batch of n that were admitted, and again while that may help. What does not get through is lost.
func (d *delivery) send(ctx context.Context, n int, export func(context.Context) error, again func(error) bool) {
	defer d.waiting.Add(-int64(n))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(d.base, cancel)()
	err := d.try(ctx, export, again)
	if k, ok := refused(err); ok {
		n = min(k, n)
	}
	if err != nil && n > 0 {
		d.lost(n, err)
	}
}

// refused returns how many of a batch a collector refused that took the others: 0 where it only had something to say. The
// exporters' error for that has no type that can be told.
func refused(err error) (n int, ok bool) {
	if err == nil {
		return 0, false
	}
	found := partialSuccess.FindStringSubmatch(err.Error())
	if found == nil {
		return 0, false
	}
	n, conv := strconv.Atoi(found[1])
	return n, conv == nil
}

var partialSuccess = regexp.MustCompile(`(?s)OTLP partial success: .*\((\d+) [a-z ]+ rejected\)`)

func (d *delivery) try(ctx context.Context, export func(context.Context) error, again func(error) bool) error {
	for n := 0; ; n++ {
		err := guarded(ctx, export)
		d.note(err)
		if err == nil || n == len(backoff) || !again(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-d.closing: // what failed a moment ago is not worth the program's last seconds
			return err
		default:
		}
		timer := time.NewTimer(backoff[n])
		select {
		case <-timer.C:
		case <-d.closing: // one more, at once
			timer.Stop()
		case <-ctx.Done():
			timer.Stop()
			return err
		}
	}
}

// note keeps why a try failed, for when the queue overflows because of it.
func (d *delivery) note(err error) {
	if err == nil {
		d.failing.Store(nil)
		return
	}
	reason := exportError(err)
	d.failing.Store(&reason)
}

func guarded(ctx context.Context, export func(context.Context) error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errExporterPanicked
		}
	}()
	return export(ctx)
}

var errExporterPanicked = errors.New("telemetry: the exporter panicked")

// finish is called after the last export: it shuts the exporter down and lets go of what it held.
func (d *delivery) finish(ctx context.Context, shutdown func(context.Context) error) error {
	defer close(d.closed)
	if d.release != nil {
		defer d.release()
	}
	if shutdown == nil {
		return nil
	}
	return shutdown(ctx)
}

// end runs drain, which exports what waits and ends with finish. When ctx ends first, exports under way are cancelled and
// the rest is dropped. It returns when nothing of the exporter runs any more, unless the exporter ignores its context.
// Further calls return the result of the first.
func (d *delivery) end(ctx context.Context, drain func(context.Context) error) error {
	d.stop.Do(func() {
		close(d.closing)
		defer d.abort()
		d.stopErr = drain(ctx)
		if ctx.Err() == nil {
			return
		}
		d.abort()
		grace := time.NewTimer(time.Second)
		defer grace.Stop()
		select {
		case <-d.closed:
		case <-grace.C:
		}
	})
	return d.stopErr
}
