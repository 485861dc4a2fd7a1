package telemetry

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A ContentStore keeps content that is not to be part of a trace: messages, tool definitions, arguments and results, as the
// JSON documents that spans would have. See [WithContentStore].
type ContentStore interface {
	// Ref returns where the content of that name will be, as spans have it: a URI, as a rule. It is called for every
	// document while a call ends, so it does no I/O. It is called by several goroutines at once.
	Ref(name string) string
	// Put keeps data, a JSON document, under name, which is made of its SHA-256 digest: the same content has the same
	// name, so it may be put again, and what is there may be taken as it is. It is called by one goroutine. ctx ends
	// when Shutdown may wait no longer.
	Put(ctx context.Context, name string, data []byte) error
}

// Bounds of what waits to be stored, and of one document. A document over its bound is shortened as those on spans are.
const (
	storedMaxBytes  = 8 << 20
	storeMaxWaiting = 256
	storeMaxBytes   = 64 << 20
)

// references are the attributes that have references, by those that have the content.
var references = map[attribute.Key]attribute.Key{
	semconv.GenAIInputMessagesKey:      semconv.MelleaContentInputMessagesRefKey,
	semconv.GenAIOutputMessagesKey:     semconv.MelleaContentOutputMessagesRefKey,
	semconv.GenAISystemInstructionsKey: semconv.MelleaContentSystemInstructionsRefKey,
	semconv.GenAIToolDefinitionsKey:    semconv.MelleaContentToolDefinitionsRefKey,
	semconv.GenAIToolCallArgumentsKey:  semconv.MelleaContentToolCallArgumentsRefKey,
	semconv.GenAIToolCallResultKey:     semconv.MelleaContentToolCallResultRefKey,
}

// A contentQueue hands documents to a store by a goroutine of its own, so that the store never slows or fails a call: the
// queue is bounded, errors and panics end here, what is lost is counted and reported once.
type contentQueue struct {
	store  ContentStore
	logger *slog.Logger

	mu      sync.Mutex // guards closed, bytes and idle, and waiting against being closed
	closed  bool
	bytes   int           // of what is not yet stored
	idle    chan struct{} // closed while that is nothing
	waiting chan stored

	lost     atomic.Int64
	reported atomic.Bool

	ctx  context.Context // of the store; ends when Shutdown may wait no longer
	stop context.CancelFunc
	done chan struct{} // closes when the goroutine has ended
}

type stored struct{ name, document string }

func newContentQueue(store ContentStore, l *slog.Logger) *contentQueue {
	q := &contentQueue{store: store, logger: l, waiting: make(chan stored, storeMaxWaiting), done: make(chan struct{})}
	q.idle = make(chan struct{})
	close(q.idle)
	q.ctx, q.stop = context.WithCancel(context.Background())
	go q.run()
	return q
}

// add queues a document and returns the reference to it; false when it is lost.
func (q *contentQueue) add(document string) (ref string, ok bool) {
	digest := sha256.Sum256([]byte(document))
	s := stored{name: hex.EncodeToString(digest[:]) + ".json", document: document}
	if err := q.enqueue(s); err != nil {
		q.lose(err)
		return "", false
	}
	return q.store.Ref(s.name), true
}

func (q *contentQueue) enqueue(s stored) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	switch {
	case q.closed:
		return errStoreClosed
	case q.bytes+len(s.document) > storeMaxBytes:
		return errQueueFull
	}
	select {
	case q.waiting <- s:
	default:
		return errQueueFull
	}
	if q.bytes == 0 {
		q.idle = make(chan struct{})
	}
	q.bytes += len(s.document)
	return nil
}

var errStoreClosed = errors.New("telemetry was shut down")

func (q *contentQueue) lose(err error) {
	q.lost.Add(1)
	if q.reported.CompareAndSwap(false, true) {
		logger(q.logger).LogAttrs(context.Background(), slog.LevelWarn,
			"telemetry: content is lost that was to be stored; what is lost from here on is counted and not logged",
			slog.String("store", fmt.Sprintf("%T", q.store)), slog.String("error", storeError(err)))
	}
}

// storeError says what went wrong without what a store may say of its address or its credentials.
func storeError(err error) string {
	if pe, ok := errors.AsType[*fs.PathError](err); ok {
		return pe.Error()
	}
	for _, known := range []error{errQueueFull, errStoreClosed, errStorePanicked, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return known.Error()
		}
	}
	return ErrorType(err)
}

func (q *contentQueue) run() {
	defer close(q.done)
	for s := range q.waiting {
		err := q.ctx.Err()
		if err == nil {
			err = q.put(s)
		}
		if err != nil {
			q.lose(err)
		}
		q.mu.Lock()
		if q.bytes -= len(s.document); q.bytes == 0 {
			close(q.idle)
		}
		q.mu.Unlock()
	}
}

func (q *contentQueue) put(s stored) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = errStorePanicked
		}
	}()
	return q.store.Put(q.ctx, s.name, []byte(s.document))
}

var errStorePanicked = errors.New("telemetry: the content store panicked")

// shutdown stores what waits, within ctx. It returns when the store is left alone, unless the store ignores its context.
func (q *contentQueue) shutdown(ctx context.Context) {
	q.mu.Lock()
	if !q.closed {
		q.closed = true
		close(q.waiting)
	}
	q.mu.Unlock()
	defer q.stop()
	select {
	case <-q.done:
		return
	case <-ctx.Done():
	}
	q.stop()
	grace := time.NewTimer(time.Second)
	defer grace.Stop()
	select {
	case <-q.done:
	case <-grace.C:
	}
}

// flush waits until what has been added is stored, or ctx ends.
func (q *contentQueue) flush(ctx context.Context) {
	q.mu.Lock()
	idle := q.idle
	q.mu.Unlock()
	select {
	case <-idle:
	case <-q.done:
	case <-ctx.Done():
	}
}

// ContentLostError says that content was lost that was to be stored.
type ContentLostError struct{ Documents int64 }

func (e *ContentLostError) Error() string {
	return fmt.Sprintf("telemetry: %d documents of content were not stored: see the warning in the log", e.Documents)
}

// DroppedContent returns how many documents were not stored: they found the queue full, or the store failed.
func (t *Telemetry) DroppedContent() int64 {
	if t == nil || t.content == nil {
		return 0
	}
	return t.content.lost.Load()
}
