package telemetry

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"slices"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/hook"
)

// A journal is what the log lines and the log events of one [Telemetry] have in common. It is shared by the plugin types
// of all families, and its address is the key by which it finds its own entries in a context.
type journal struct {
	// Where events go, nil when there is nowhere: those of calls to models, and those of the program's steps.
	calls, program otellog.Logger
	capture        capture // of events
}

// events reports whether there is somewhere for events to go.
func (j *journal) events() bool { return j.calls != nil }

// An entry is a step of a program that is under way, and the context beneath it: being both saves an allocation for each.
type entry struct {
	context.Context

	journal   *journal
	parent    *entry // the nearest entry of the same journal, nil for none
	family    family
	session   string
	iteration int
	asked     *entry // of a call of a tool: the call to a model that asked for it

	mu      sync.Mutex
	model   string     // of a call to a model
	request string     // its id, made when somebody wants to know
	told    error      // what an event has told of, here or beneath
	replies []answered // of a component: what its attempts were answered
}

// answered is the reply that an attempt came to.
type answered struct {
	iteration  int
	span       trace.SpanContext
	responseID string
}

// Value returns the entry itself for its journal's key.
func (e *entry) Value(key any) any {
	if key == any(e.journal) {
		return e
	}
	return e.Context.Value(key)
}

// within returns the entry of this journal that ctx runs in, nil for none.
func (j *journal) within(ctx context.Context) *entry {
	e, _ := ctx.Value(j).(*entry)
	return e
}

// open makes the entry of a step. What the step does not say is as it is around it.
func (j *journal) open(ctx context.Context, f family, session string, iteration int) *entry {
	e := &entry{Context: ctx, journal: j, parent: j.within(ctx), family: f, session: session, iteration: iteration}
	if e.parent != nil {
		if e.session == "" {
			e.session = e.parent.session
		}
		if e.iteration == 0 {
			e.iteration = e.parent.iteration
		}
	}
	return e
}

// call returns the call to a model that the entry is, is beneath, or was asked for by; nil for none.
func (e *entry) call() *entry {
	for ; e != nil; e = e.parent {
		if e.family == familyGeneration {
			return e
		}
		if e.asked != nil {
			return e.asked
		}
	}
	return nil
}

// requestID names the call: 32 hexadecimal digits, made up and unknown to the model's server.
func (e *entry) requestID() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.request == "" {
		var id [16]byte
		_, _ = rand.Read(id[:]) // never fails
		e.request = hex.EncodeToString(id[:])
	}
	return e.request
}

func (e *entry) modelName() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.model
}

func (e *entry) setModel(model string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.model = model
}

// emit sends an event. ctx says which span it belongs to.
func emit(ctx context.Context, to otellog.Logger, name string, severity otellog.Severity, at time.Time, attrs []attribute.KeyValue) {
	var r otellog.Record
	r.SetEventName(name)
	r.SetTimestamp(at)
	if severity != otellog.SeverityUndefined {
		r.SetSeverity(severity)
		r.SetSeverityText(severity.String())
	}
	r.AddAttributes(attrs...)
	to.Emit(ctx, r)
}

// wanted reports whether somebody takes an event, so that it is worth making.
func wanted(ctx context.Context, by otellog.Logger, name string, severity otellog.Severity) bool {
	return by.Enabled(ctx, otellog.EnabledParameters{Severity: severity, EventName: name})
}

// first reports whether no event has told of err yet, and notes that one has, here and in all steps above.
func (e *entry) first(err error) bool {
	e.mu.Lock()
	known := e.told != nil && errors.Is(err, e.told)
	e.mu.Unlock()
	for p := e; p != nil; p = p.parent {
		p.mu.Lock()
		p.told = err
		p.mu.Unlock()
	}
	return !known
}

// answeredBy notes the reply of an attempt in the component that it was made for. Calls of judges and tools are of no
// attempt.
func (e *entry) answeredBy(a answered) {
	for p := e.parent; p != nil; p = p.parent {
		switch p.family {
		case familyValidation, familyRequirement, familyTool, familyGeneration:
			return
		case familyComponent:
			p.mu.Lock()
			p.replies = append(p.replies, a)
			p.mu.Unlock()
			return
		}
	}
}

// evaluated returns the reply that an attempt was answered last, with false when it is not known.
func (e *entry) evaluated(iteration int) (answered, bool) {
	for p := e; p != nil; p = p.parent {
		if p.family != familyComponent {
			continue
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		for _, a := range slices.Backward(p.replies) {
			if a.iteration == iteration {
				return a, true
			}
		}
		return answered{}, false
	}
	return answered{}, false
}

// failed reports whether an ending is that of an exception: rejections and cancellations are none.
func failed(ending hook.Ending) bool { return ending == hook.Failed }
