package hookpoint_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/sampling"
)

// fired fires a point on which a guard makes an edit and returns what the body was given, and the error.
func fired[Pre, Post any](t *testing.T, p *hook.Point[Pre, Post], pre Pre, edit func(*Pre)) (got Pre, err error) {
	t.Helper()
	set := (*hook.Set)(nil).With(p.Guard(func(_ context.Context, pre Pre) (Pre, error) {
		edit(&pre)
		return pre, nil
	})).Report(func(hook.Failure) {})
	_, err = p.Do(t.Context(), set, pre, func(_ context.Context, pre Pre) (Post, error) {
		got = pre
		var post Post
		return post, nil
	})
	return got, err
}

// refused checks that an edit is an error that names the field, and changes nothing.
func refused[Pre, Post any](t *testing.T, p *hook.Point[Pre, Post], field string, edit func(*Pre)) {
	t.Helper()
	var pre Pre
	_, err := fired(t, p, pre, edit)
	rejected, ok := errors.AsType[*hook.Rejection](err)
	if !ok || rejected.Code != hook.CodeForbiddenEdit {
		t.Errorf("%s: %s: error %v, want a forbidden edit", p.Name(), field, err)
	}
	e, ok := errors.AsType[*hookpoint.EditError](err)
	if !ok || e.Point != p.Name() || !strings.Contains(e.Error(), field) {
		t.Errorf("%s: error %v, want *hookpoint.EditError of %s", p.Name(), e, field)
	}
}

func TestReadOnlyFields(t *testing.T) {
	t.Parallel()
	ref := hookpoint.NewSessionRef("other", context.Background(), context.Background())
	refused(t, hookpoint.SessionStart, "ID", func(p *hookpoint.SessionStarting) { p.ID = "x" })
	refused(t, hookpoint.SessionStart, "History", func(p *hookpoint.SessionStarting) { p.History = "x" })
	refused(t, hookpoint.SessionStart, "Conversation", func(p *hookpoint.SessionStarting) { p.Conversation = "x" })
	refused(t, hookpoint.Session, "payload", func(p *hookpoint.SessionOpen) { p.Model = "x" })
	refused(t, hookpoint.Component, "Tools", func(p *hookpoint.ComponentStart) { p.Tools = true })
	refused(t, hookpoint.Component, "Session", func(p *hookpoint.ComponentStart) { p.Session = ref })
	refused(t, hookpoint.Component, "Kind", func(p *hookpoint.ComponentStart) { p.Kind = "x" })
	refused(t, hookpoint.Component, "Prompt", func(p *hookpoint.ComponentStart) { p.Prompt.Name = "x" })
	refused(t, hookpoint.Component, "Lazy", func(p *hookpoint.ComponentStart) { p.Lazy = true })
	refused(t, hookpoint.Format, "payload", func(p *hookpoint.FormatStart) { p.Model = "x" })
	refused(t, hookpoint.Generation, "Session", func(p *hookpoint.GenerationStart) { p.Session = ref })
	refused(t, hookpoint.Generation, "Info", func(p *hookpoint.GenerationStart) { p.Info.Model = "x" })
	refused(t, hookpoint.Generation, "description", func(p *hookpoint.GenerationStart) { p.Conversation = "x" })
	refused(t, hookpoint.Generation, "place", func(p *hookpoint.GenerationStart) { p.Iteration = 1 })
	refused(t, hookpoint.Generation, "Variables", func(p *hookpoint.GenerationStart) { p.Variables = content.ListOf(hookpoint.Variable{}) })
	refused(t, hookpoint.Sampling, "Budget", func(p *hookpoint.SamplingStart) { p.Budget, p.Strategy = 1, "x" })
	refused(t, hookpoint.Validation, "Session", func(p *hookpoint.ValidationStart) { p.Session = ref })
	refused(t, hookpoint.Validation, "Iteration", func(p *hookpoint.ValidationStart) { p.Iteration = 1 })
	refused(t, hookpoint.Validation, "Target", func(p *hookpoint.ValidationStart) { p.Target = content.User("x") })
	refused(t, hookpoint.Requirement, "payload", func(p *hookpoint.RequirementStart) { p.Index = 1 })
}

func TestWritableFields(t *testing.T) {
	t.Parallel()
	start, err := fired(t, hookpoint.SessionStart, hookpoint.SessionStarting{}, func(p *hookpoint.SessionStarting) {
		p.Model, p.Options = "m", p.Options.WithSeed(1)
	})
	if err != nil || start.Model != "m" || !start.Options.Has(backend.NeutralSeed) {
		t.Errorf("session start: %+v, error %v", start, err)
	}
	comp, err := fired(t, hookpoint.Component, hookpoint.ComponentStart{}, func(p *hookpoint.ComponentStart) {
		p.Options, p.Strategy = p.Options.WithSeed(1), sampling.None()
	})
	if err != nil || comp.Strategy == nil || !comp.Options.Has(backend.NeutralSeed) {
		t.Errorf("component: %+v, error %v", comp, err)
	}
	gen, err := fired(t, hookpoint.Generation, hookpoint.GenerationStart{}, func(p *hookpoint.GenerationStart) {
		p.Messages, p.Options, p.Tools = content.NewMessages(content.User("x")), p.Options.WithModel("m"), content.ListOf(content.ToolSpec{})
	})
	if err != nil || gen.Messages.Len() != 1 || gen.Model() != "m" || gen.Tools.Len() != 1 {
		t.Errorf("generation: %+v, error %v", gen, err)
	}
	loop, err := fired(t, hookpoint.Sampling, hookpoint.SamplingStart{}, func(p *hookpoint.SamplingStart) { p.Budget = 2 })
	if err != nil || loop.Budget != 2 {
		t.Errorf("sampling: %+v, error %v", loop, err)
	}
	if _, err = fired(t, hookpoint.Sampling, hookpoint.SamplingStart{}, func(p *hookpoint.SamplingStart) { p.Budget = 0 }); err == nil {
		t.Error("sampling: a budget of nothing is accepted")
	}
}

// What a session's brackets and start tell cannot be changed afterwards.
func TestReadOnlyResults(t *testing.T) {
	t.Parallel()
	set := (*hook.Set)(nil).With(
		hookpoint.SessionStart.Review(func(_ context.Context, _ hookpoint.SessionStarting, p hookpoint.SessionStarted) (hookpoint.SessionStarted, error) {
			p.Model = "x"
			return p, nil
		}),
		hookpoint.Session.Review(func(_ context.Context, _ hookpoint.SessionOpen, p hookpoint.SessionEnd) (hookpoint.SessionEnd, error) {
			p.Interactions++
			return p, nil
		}),
		hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, p hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			p.Reply = content.User("x")
			return p, nil
		}),
	).Report(func(hook.Failure) {})
	_, started := hookpoint.SessionStart.Do(t.Context(), set, hookpoint.SessionStarting{}, func(context.Context, hookpoint.SessionStarting) (hookpoint.SessionStarted, error) {
		return hookpoint.SessionStarted{}, nil
	})
	_, ended := hookpoint.Session.Do(t.Context(), set, hookpoint.SessionOpen{}, func(context.Context, hookpoint.SessionOpen) (hookpoint.SessionEnd, error) {
		return hookpoint.SessionEnd{}, nil
	})
	_, said := hookpoint.Generation.Do(t.Context(), set, hookpoint.GenerationStart{}, func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
		return hookpoint.GenerationEnd{Reply: content.Assistant("x")}, nil
	})
	for name, err := range map[string]error{"session_start": started, "session": ended, "generation": said} {
		if e, ok := errors.AsType[*hookpoint.EditError](err); !ok || e.Point != name {
			t.Errorf("%s: error %v, want *hookpoint.EditError", name, err)
		}
	}
}
