package telemetry

import (
	"cmp"
	"context"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Limits of a [TreePrinter]: what waits longer, or is more, is printed before its root has ended.
const (
	treeMaxSpans = 1000
	treeMaxWait  = 10 * time.Second
)

// A TreePrinter is a span exporter that prints each trace as a tree, for people to read: spans with their durations, the
// attributes that tell most, and their events. A tree is printed when its root has ended, at the latest after 1000 spans
// or 10 s. Colours are used when the writer is a terminal and NO_COLOR is not set, and control characters are escaped.
//
// It may be used by several goroutines at once. Errors of the writer are ignored.
type TreePrinter struct {
	w      io.Writer
	colour bool

	mu      sync.Mutex
	waiting map[trace.TraceID]*pendingTree
	stopped bool
}

// pendingTree is a trace whose root has not ended.
type pendingTree struct {
	spans []sdktrace.ReadOnlySpan
	timer *time.Timer
}

// NewTreePrinter returns a printer to w.
func NewTreePrinter(w io.Writer) *TreePrinter {
	return &TreePrinter{w: w, colour: isTerminal(w), waiting: map[trace.TraceID]*pendingTree{}}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("NO_COLOR") != "" || os.Getenv("TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// ExportSpans takes in spans and prints the trees that are complete.
func (p *TreePrinter) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return nil
	}
	var complete []trace.TraceID
	for _, s := range spans {
		id := s.SpanContext().TraceID()
		t := p.waiting[id]
		if t == nil {
			t = &pendingTree{timer: time.AfterFunc(treeMaxWait, func() { p.overdue(id) })}
			p.waiting[id] = t
		}
		t.spans = append(t.spans, s)
		if root := !s.Parent().IsValid() || s.Parent().IsRemote(); root || len(t.spans) >= treeMaxSpans {
			complete = append(complete, id)
		}
	}
	for _, id := range complete {
		p.print(id)
	}
	return nil
}

func (p *TreePrinter) overdue(id trace.TraceID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.print(id)
}

// Shutdown prints what waits. The printer prints nothing after it.
func (p *TreePrinter) Shutdown(context.Context) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	for id := range p.waiting {
		p.print(id)
	}
	return nil
}

// print writes what there is of a trace. It needs mu.
func (p *TreePrinter) print(id trace.TraceID) {
	t := p.waiting[id]
	if t == nil {
		return
	}
	t.timer.Stop()
	delete(p.waiting, id)
	slices.SortStableFunc(t.spans, func(a, b sdktrace.ReadOnlySpan) int { return a.StartTime().Compare(b.StartTime()) })
	here := map[trace.SpanID]bool{}
	children := map[trace.SpanID][]sdktrace.ReadOnlySpan{}
	for _, s := range t.spans {
		here[s.SpanContext().SpanID()] = true
	}
	var roots []sdktrace.ReadOnlySpan
	for _, s := range t.spans {
		if parent := s.Parent().SpanID(); here[parent] {
			children[parent] = append(children[parent], s)
		} else {
			roots = append(roots, s)
		}
	}
	out := treeText{colour: p.colour, children: children}
	out.header(id)
	for _, root := range roots {
		out.span(root, "", "")
	}
	_, _ = io.WriteString(p.w, out.b.String())
}

// line is one thing beneath a span: an event or a child.
type line struct {
	at    time.Time
	event *sdktrace.Event
	child sdktrace.ReadOnlySpan
}

func lines(s sdktrace.ReadOnlySpan, children []sdktrace.ReadOnlySpan) []line {
	var all []line
	for i := range s.Events() {
		e := &s.Events()[i]
		all = append(all, line{at: e.Time, event: e})
	}
	for _, c := range children {
		all = append(all, line{at: c.StartTime(), child: c})
	}
	slices.SortStableFunc(all, func(a, b line) int { return cmp.Compare(a.at.UnixNano(), b.at.UnixNano()) })
	return all
}
