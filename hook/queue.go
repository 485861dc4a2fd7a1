package hook

import (
	"context"
	"sync"
)

// A task is an outcome to deliver to the index-th Async of its operation.
type task struct {
	operation interface{ deliver(index int) }
	index     int
}

// A queue is the bounded FIFO of one installed Async. Its goroutine runs only while there is something to deliver, so a Set
// that is never closed leaks none.
type queue struct {
	limit int
	owner *ledger

	mu      sync.Mutex
	ring    []task // grows up to limit
	head, n int    // the oldest task and the number of tasks
	running bool
	closed  bool
}

// put reports whether the task was taken.
func (q *queue) put(t task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.n == q.limit {
		return false
	}
	if q.n == len(q.ring) {
		q.grow()
	}
	q.ring[(q.head+q.n)%len(q.ring)] = t
	q.n++
	if !q.running {
		q.running = true
		q.owner.add()
		go q.run()
	}
	return true
}

func (q *queue) grow() {
	ring := make([]task, min(max(8, 2*len(q.ring)), q.limit))
	for i := range q.n {
		ring[i] = q.ring[(q.head+i)%len(q.ring)]
	}
	q.ring, q.head = ring, 0
}

// next takes the oldest task. Once it reports false the caller is no longer the queue's goroutine.
func (q *queue) next() (task, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.n == 0 {
		q.running = false
		return task{}, false
	}
	t := q.ring[q.head]
	q.ring[q.head] = task{}
	q.head = (q.head + 1) % len(q.ring)
	q.n--
	return t, true
}

func (q *queue) run() {
	empty := false
	defer func() {
		if empty {
			q.owner.done()
		} else { // a subscriber exited the goroutine
			go q.run()
		}
	}()
	for {
		t, ok := q.next()
		if !ok {
			empty = true
			return
		}
		t.operation.deliver(t.index)
	}
}

func (q *queue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}

// A ledger counts the goroutines a Set has to wait for.
type ledger struct {
	parent *ledger // counts them too; immutable

	mu   sync.Mutex
	busy int
	idle chan struct{} // made by the first that waits; closed and forgotten when busy reaches 0
}

func (l *ledger) add() {
	for ; l != nil; l = l.parent {
		l.mu.Lock()
		l.busy++
		l.mu.Unlock()
	}
}

func (l *ledger) done() {
	for ; l != nil; l = l.parent {
		l.mu.Lock()
		if l.busy--; l.busy == 0 && l.idle != nil {
			close(l.idle)
			l.idle = nil
		}
		l.mu.Unlock()
	}
}

func (l *ledger) wait(ctx context.Context) error {
	l.mu.Lock()
	if l.busy == 0 {
		l.mu.Unlock()
		return nil
	}
	if l.idle == nil {
		l.idle = make(chan struct{})
	}
	idle := l.idle
	l.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
