package wire

import (
	"context"
	"sync"
	"time"
)

// watchdog cancels a call's context when the server stays silent. It is armed around each blocking wait
// and costs one timer per call, no goroutine and no allocation per wait. Only the goroutine that reads the
// reply uses it; the timer's own goroutine touches nothing but cancel and running.
type watchdog struct {
	cancel  context.CancelCauseFunc
	timer   *time.Timer
	idle    time.Duration // what the error says
	running sync.WaitGroup
	armed   bool
}

// arm starts the clock; d <= 0 is no limit.
func (w *watchdog) arm(d time.Duration) {
	if d <= 0 {
		return
	}
	w.idle = d
	w.armed = true
	w.running.Add(1)
	if w.timer == nil {
		w.timer = time.AfterFunc(d, w.fire)
	} else {
		w.timer.Reset(d)
	}
}

// disarm stops the clock. When it is too late the context is, or is about to be, cancelled.
func (w *watchdog) disarm() {
	if !w.armed {
		return
	}
	w.armed = false
	if w.timer.Stop() {
		w.running.Done()
	} else {
		w.running.Wait() // the context is cancelled when this returns: what follows sees it
	}
}

func (w *watchdog) fire() {
	defer w.running.Done()
	w.cancel(&IdleTimeoutError{Idle: w.idle})
}
