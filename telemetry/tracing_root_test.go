package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// Beneath NewTrace each call is a trace of its own, with a link to the span it was made under and its steps below it.
func TestNewTrace(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	ctx, end := tel.StartCommand(t.Context(), "batch", "", nil)
	calls := mellea.On(says("hello"), mellea.WithHooks(tel))
	line := telemetry.NewTrace(ctx)
	must[*mellea.Result[string]](t)(mellea.Instruct(line, calls, "one"))
	must[*mellea.Result[string]](t)(mellea.Instruct(line, calls, "two"))
	s := start(t, ctx, says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(telemetry.NewTrace(ctx), "three"))
	_ = s.Close()
	_ = calls.Close()
	end(0)
	flush(t, tel)

	spans := server.Spans(t, 9)
	want := "mellea batch\n  start_session\n  session\naction\n  chat m1\naction\n  chat m1\naction\n  chat m1\n"
	if diff := cmp.Diff(want, otlptest.Tree(spans)); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
	traces := map[string]bool{}
	var command, session otlptest.Span
	for _, span := range spans {
		switch span.Name {
		case "mellea batch":
			command = span
		case "session":
			session = span
		}
	}
	for _, span := range spans {
		traces[span.TraceID] = true
		if span.Name != "action" {
			continue
		}
		links := map[string]bool{}
		for _, l := range span.Links {
			links[l.SpanID] = true
		}
		if !links[command.SpanID] {
			t.Errorf("an action has the links %v, want one to the command", span.Links)
		}
		if span.Attributes["mellea.session.id"] != nil && !links[session.SpanID] {
			t.Errorf("the action of the session has the links %v, want one to it", span.Links)
		}
	}
	if len(traces) != 4 {
		t.Errorf("%d traces, want the command's and one for each call", len(traces))
	}
}

// The exit of a command is told by what failed beneath, in whatever trace.
func TestNewTraceFails(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	ctx, end := tel.StartCommand(t.Context(), "batch", "", nil)
	calls := mellea.On(fails(errors.New("down")), mellea.WithHooks(tel))
	if _, err := mellea.Instruct(telemetry.NewTrace(ctx), calls, "one"); err == nil {
		t.Error("no error")
	}
	end(3)
	flush(t, tel)
	for _, span := range server.Spans(t, 3) {
		if span.Attributes["error.type"] != "*errors.errorString" {
			t.Errorf("error.type of %s = %v", span.Name, span.Attributes["error.type"])
		}
	}
}

// Where there is no span there is nothing to part from.
func TestNewTraceWithoutSpan(t *testing.T) {
	t.Parallel()
	if ctx := context.Background(); telemetry.NewTrace(ctx) != ctx {
		t.Error("NewTrace changed a context without a span")
	}
}
