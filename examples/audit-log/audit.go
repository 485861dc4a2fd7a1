package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Audit is a plugin that writes one line of JSON for each generation and each rejection: who, when, with which model,
// how many tokens, how it ended. It writes no prompt, no reply and no reason.
//
// It is bound as Async: it sees the final outcome, in the background and for each point in order, and never delays a
// call. What its queue cannot hold is dropped and counted; closing the session waits for the rest. Its methods are safe
// for concurrent use.
type Audit struct {
	mu  sync.Mutex
	out *json.Encoder
	err error
}

// Entry is one line of an Audit.
type Entry struct {
	Time         time.Time `json:"time"` // when the step began
	Session      string    `json:"session,omitempty"`
	Step         string    `json:"step"`
	Ending       string    `json:"ending"`
	Seconds      float64   `json:"seconds"`
	Provider     string    `json:"provider,omitempty"`
	Model        string    `json:"model,omitempty"`
	RequestID    string    `json:"request_id,omitempty"`
	InputTokens  int       `json:"input_tokens,omitempty"`
	OutputTokens int       `json:"output_tokens,omitempty"`
	// RejectedBy and Code say which plugin denied the step, and why. Both are fixed words of the program's.
	RejectedBy string `json:"rejected_by,omitempty"`
	Code       string `json:"code,omitempty"`
}

// NewAudit returns an audit that writes to w, each line with one call of Write.
func NewAudit(w io.Writer) *Audit { return &Audit{out: json.NewEncoder(w)} }

// Err returns the first error of writing. Ask after the sessions are closed.
func (a *Audit) Err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.err
}

// Bindings makes an Audit a [hook.Source].
func (a *Audit) Bindings() []hook.Binding {
	return hook.Plugin{Name: "audit-log", Sources: []hook.Source{
		hookpoint.Generation.Async(func(_ context.Context, o hookpoint.GenerationOutcome) {
			e := entry(hookpoint.Generation.Name(), o.Pre.Session, o)
			g := o.Post.Generation
			e.Provider, e.Model, e.RequestID = o.Pre.Info.Provider, o.Pre.Model(), g.RequestID
			e.InputTokens, e.OutputTokens = g.Usage.InputTokens, g.Usage.OutputTokens
			a.write(e)
		}),
		// A rejection ends each operation around it as well: only the one where it arose is a line.
		hookpoint.Component.Async(func(_ context.Context, o hookpoint.ComponentOutcome) {
			if e := entry(hookpoint.Component.Name(), o.Pre.Session, o); e.RejectedBy != "" {
				a.write(e)
			}
		}),
		hookpoint.Validation.Async(func(_ context.Context, o hookpoint.ValidationOutcome) {
			if e := entry(hookpoint.Validation.Name(), o.Pre.Session, o); e.RejectedBy != "" {
				a.write(e)
			}
		}),
	}}.Bindings()
}

func entry[Pre, Post any](step string, session hookpoint.SessionRef, o hook.Outcome[Pre, Post]) Entry {
	e := Entry{Time: o.Start, Session: session.ID, Step: step, Ending: o.Ending.String(), Seconds: o.End.Sub(o.Start).Seconds()}
	var r *hook.Rejection
	if errors.As(o.Err, &r) && r.Point == step {
		e.RejectedBy, e.Code = r.Plugin, r.Code
	}
	return e
}

func (a *Audit) write(e Entry) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.out.Encode(e); a.err == nil {
		a.err = err
	}
}
