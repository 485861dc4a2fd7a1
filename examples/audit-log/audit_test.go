package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// entries reads the lines of an audit.
func entries(t *testing.T, log string) []Entry {
	t.Helper()
	var all []Entry
	for d := json.NewDecoder(strings.NewReader(log)); ; {
		var e Entry
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%v in %q", err, log)
		}
		if e.Time.IsZero() || e.Seconds < 0 || e.Session == "" {
			t.Errorf("entry without time, duration or session: %+v", e)
		}
		all = append(all, e)
	}
}

// changing are the fields that differ from one run to the next.
var changing = cmpopts.IgnoreFields(Entry{}, "Time", "Seconds", "Session")

func TestProgram(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	recorded.Run(&log, recording, run)
	const model = "smollm2:135m-instruct"
	want := []Entry{
		{Step: "generation", Ending: "ok", Provider: "ollama", Model: model, InputTokens: 34, OutputTokens: 20},
		{Step: "generation", Ending: "rejected", Provider: "ollama", Model: model, RejectedBy: "no-recipes", Code: "off_topic"},
	}
	if diff := cmp.Diff(want, entries(t, log.String()), changing); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
}

// Whatever happens is one line, in order for each kind of step, without a word of content.
func TestAudit(t *testing.T) {
	t.Parallel()
	const secret = "SECRET"
	deny := func(when string) hook.Binding {
		return hookpoint.Component.Guard(func(_ context.Context, c hookpoint.ComponentStart) (hookpoint.ComponentStart, error) {
			if c.Kind == when {
				return c, hook.Reject("no_chat", secret)
			}
			return c, nil
		}, hook.Name("policy"))
	}
	b := melleatest.NewBackend(
		melleatest.Reply{Pieces: []string{secret}, Usage: content.Usage{InputTokens: 3, OutputTokens: 1}},
		melleatest.Reply{Pieces: []string{"no, " + secret}, Usage: content.Usage{InputTokens: 5, OutputTokens: 2}},
		melleatest.Fail(errors.New("down: "+secret)),
	)
	var log bytes.Buffer
	audit := NewAudit(&log)
	s, err := mellea.Start(t.Context(), b, mellea.WithHooks(audit, deny("message")))
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Instruct(t.Context(), secret, mellea.Require(secret)) // attempt, judge, then the server is down
	if err == nil {
		t.Error("no error")
	}
	if _, err := s.Chat(t.Context(), secret); err == nil {
		t.Error("no rejection")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := errors.Join(s.CloseContext(ctx), audit.Err()); err != nil {
		t.Fatal(err)
	}
	generation := Entry{Step: "generation", Ending: "ok", Provider: "scripted", Model: "script-1"}
	attempt, judge, broken := generation, generation, generation
	attempt.InputTokens, attempt.OutputTokens = 3, 1
	judge.InputTokens, judge.OutputTokens = 5, 2
	broken.Ending = "error"
	want := []Entry{{Step: "component", Ending: "rejected", RejectedBy: "policy", Code: "no_chat"}, attempt, judge, broken}
	got := entries(t, log.String())
	slices.SortStableFunc(got, func(a, b Entry) int { return strings.Compare(a.Step, b.Step) })
	if diff := cmp.Diff(want, got, changing); diff != "" {
		t.Errorf("audit (-want +got):\n%s", diff)
	}
	if strings.Contains(log.String(), secret) {
		t.Errorf("content in the audit: %s", log.String())
	}
}

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestAFullDiskFailsNoCall(t *testing.T) {
	t.Parallel()
	audit := NewAudit(full{})
	s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Say("a")), mellea.WithHooks(audit))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Instruct(t.Context(), "Say a."); err != nil {
		t.Errorf("the call failed: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if audit.Err() == nil {
		t.Error("the audit does not report that it could not write")
	}
}
