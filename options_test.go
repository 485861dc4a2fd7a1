package mellea_test

import (
	"context"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/schema"
)

// What each option of a call puts into the request, over what the session says.
func TestCallOptions(t *testing.T) {
	t.Parallel()
	picture, err := content.NewImage([]byte("\x89PNG\r\n\x1a\n"))
	if err != nil {
		t.Fatal(err)
	}
	object, err := schema.Parse("user", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	var told hookpoint.GenerationStart
	look := hookpoint.Generation.Observe(func(_ context.Context, p hookpoint.GenerationStart) { told = p })
	b := melleatest.NewBackend(melleatest.Say("x"))
	s, _ := start(t, b, mellea.WithHooks(look), mellea.WithSystem("session's"), mellea.WithConversationID("c-1"), mellea.WithModel("m-1"),
		mellea.WithOptions(backend.Options{}.WithTemperature(1).WithMaxTokens(9)))
	_, err = s.Instruct(t.Context(), "Describe.", mellea.System("call's"), mellea.ConversationID("c-2"), mellea.PromptName("p", "2"),
		mellea.Prefix("PREFIX"), mellea.OutputPrefix("It shows"), mellea.Examples("EXAMPLE"), mellea.Ground("doc", "GROUND"),
		mellea.Media(picture), mellea.Format(object), mellea.Temperature(0), mellea.Strict())
	if err != nil {
		t.Fatal(err)
	}
	req := b.Requests()[0]
	got := req.Messages.At(1).Text()
	for _, want := range []string{"PREFIX", "Describe.", "EXAMPLE", "GROUND", "It shows"} {
		if !strings.Contains(got, want) {
			t.Errorf("the prompt lacks %q:\n%s", want, got)
		}
	}
	if !strings.HasSuffix(got, "It shows") {
		t.Errorf("the prompt does not end with the output's prefix:\n%s", got)
	}
	if system := b.Prompt(0)[0]; system != "system: call's" {
		t.Errorf("first message %q, want the call's system message", system)
	}
	if req.Messages.At(1).PlainText() {
		t.Error("the image is not part of the message")
	}
	temperature, _ := req.Options.Temperature()
	limit, _ := req.Options.MaxTokens()
	if temperature != 0 || limit != 9 || !req.Options.Strict() || req.Options.Model() != "m-1" {
		t.Errorf("temperature %v, limit %d, strict %v, model %q", temperature, limit, req.Options.Strict(), req.Options.Model())
	}
	if req.Format.IsZero() {
		t.Error("the request has no format")
	}
	if told.Conversation != "c-2" || told.Prompt != (hookpoint.Prompt{Name: "p", Version: "2"}) {
		t.Errorf("hooks are told of conversation %q and prompt %v", told.Conversation, told.Prompt)
	}
	if _, err := s.Chat(t.Context(), "Hi.", mellea.Media(picture)); err != nil {
		t.Fatal(err)
	}
	if told.Conversation != "c-1" || b.Requests()[1].Messages.At(1).PlainText() {
		t.Errorf("conversation %q of the next call, want the session's, and its image", told.Conversation)
	}
}

// With several checks the text is shown once, and each is judged.
func TestRequireWithSeveralChecks(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("a b c"))
	s, _ := start(t, b)
	res, _ := s.Instruct(t.Context(), "Say.", mellea.Require("TEXT", requirement.MinWords(1), requirement.MaxWords(2)), mellea.Strategy(strategist{plan: planOf(1)}))
	if got := strings.Count(b.Prompt(0)[0], "TEXT"); got != 1 {
		t.Errorf("the text is shown %d times, want once", got)
	}
	var verdicts []bool
	for r := range res.Attempts[0].Results.Values() {
		verdicts = append(verdicts, r.Verdict.Passed)
	}
	if diff := cmp.Diff([]bool{true, false}, verdicts); diff != "" {
		t.Errorf("verdicts (-want +got):\n%s", diff)
	}
}
