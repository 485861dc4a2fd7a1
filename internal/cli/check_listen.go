package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/mellea-go/mellea/internal/otlpserve"
)

// receive takes what arrives until the user, or a limit, ends it. What ended it is no error, but a signal that ends the
// command is.
func (a *app) receive(ctx context.Context, in *intake, f checkFlags) error {
	in.wake = make(chan struct{}, 1)
	server, err := otlpserve.Listen(ctx, f.listen, otlpserve.Sink{Traces: in.traces, Metrics: in.metrics, Logs: in.logs})
	if err != nil {
		return &usageError{text: fmt.Sprintf("--listen %s: %v", f.listen, err), err: err}
	}
	stop := make(chan struct{}, 1)
	defer a.Interrupts.taken(func() bool {
		select {
		case stop <- struct{}{}:
			return true
		default:
			return false // the second one ends the command
		}
	})()
	fmt.Fprintf(a.Stderr, "mellea: listening at %s for OTLP over HTTP and gRPC\n", server.Address())
	err = wait(ctx, in.wake, stop, f)
	// Once the waiting is over, what is half here has a moment to arrive.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	server.Close(closing)
	in.mu.Lock()
	defer in.mu.Unlock()
	if err == nil && in.full {
		err = errIntakeFull
	}
	return err
}

// wait returns when there was an interrupt, when the time is over, or when nothing has arrived for long enough.
func wait(ctx context.Context, wake, stop <-chan struct{}, f checkFlags) error {
	var end, idle <-chan time.Time
	if f.length > 0 {
		t := time.NewTimer(f.length)
		defer t.Stop()
		end = t.C
	}
	var quiet *time.Timer
	if f.idle > 0 {
		quiet = time.NewTimer(f.idle)
		defer quiet.Stop()
		idle = quiet.C
	}
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-stop:
			return nil
		case <-end:
			return nil
		case <-idle:
			return nil
		case <-wake:
			if quiet != nil {
				quiet.Reset(f.idle)
			}
		}
	}
}
