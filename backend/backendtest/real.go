package backendtest

import (
	"context"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Real says what can be expected of a real model.
type Real struct {
	// Name and Against make a row of the scoreboard of the run, as in [Results]: the backend, and the components and
	// versions that served. Without a Name nothing is recorded.
	Name, Against string
	// Seed and Temperature say that the backend takes the option.
	Seed, Temperature bool
	// RequestID says that the server names its exchanges.
	RequestID bool
	// ModelUnknown names a model that the server does not have; "" skips the check.
	ModelUnknown string
	// Tools is a conversation with tools; nil skips the check.
	Tools *RealTools
	// Reasoning is a question that makes a model think; nil skips the check.
	Reasoning *RealReasoning
	// Images are pictures to ask about; nil skips the check.
	Images *RealImages
	// ResponseModel is what replies say made them; "" takes any.
	ResponseModel string
}

// RealTools is a conversation that makes a model call a tool and use its result.
type RealTools struct {
	// Model is one that calls tools; "" is that of the backend.
	Model string
	// Prompt makes it call Spec; Result is what the tool answers.
	Prompt, Result string
	Spec           content.ToolSpec
	// Choice is the extra tool_choice of the request that must call it, for a model that seldom does by itself; nil is none.
	// With the result the model is free.
	Choice any
}

// RealReasoning is a question that makes a model think before it answers.
type RealReasoning struct {
	// Model is one that thinks; "" is that of the backend. Level is the thinking option to ask with.
	Model, Level string
	Prompt       string
}

// realRun is one run of the suite against a real model.
type realRun struct {
	Real
	backend backend.Backend
	info    backend.Info
	ctx     context.Context //nolint:containedctx // that of the run
}

// RunReal checks what holds with any model, as subtests of t for each [Feature] that can be checked without a script.
// It runs one generation at a time: the model may be large. When all have run, what they found is compared with the
// recorded results; see [Results].
func RunReal(t *testing.T, b backend.Backend, real Real) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	info, err := b.Info(ctx)
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	if info.Provider == "" || info.Model == "" || (info.ServerAddress == "") != info.InProcess {
		t.Errorf("got info %+v, want a provider, a model and a server unless it is in process", info)
	}
	board := keepBoard(t, real.Name, Results{Backend: real.Name, Against: real.Against, Real: true, Features: map[string]Outcome{}},
		func(f Feature) bool { return f.real != nil })
	run := &realRun{Real: real, backend: b, info: info, ctx: ctx}
	for _, f := range features {
		if f.real == nil {
			continue
		}
		t.Run(f.test, func(t *testing.T) {
			outcome := Fail
			t.Cleanup(func() { board.add(t, f.ID, outcome) })
			outcome = f.real(t, run)
		})
	}
}

// request is one that any model answers in a moment.
func (r *realRun) request(prompt string, stream bool) backend.Request {
	return backend.Request{
		Messages: content.NewMessages(content.System("You are a helpful assistant."), content.User(prompt)),
		Options:  backend.Options{}.WithStream(stream).WithMaxTokens(32),
	}
}

// reply runs a generation to its end.
func (r *realRun) reply(t *testing.T, req backend.Request) backend.Reply {
	t.Helper()
	reply, err := start(t, r.ctx, r.backend, req).Reply(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	return reply
}

// eachWay runs f for a whole reply and for a streamed one.
func (r *realRun) eachWay(t *testing.T, f func(t *testing.T, stream bool)) {
	t.Run("whole", func(t *testing.T) { f(t, false) })
	t.Run("streamed", func(t *testing.T) { f(t, true) })
}
