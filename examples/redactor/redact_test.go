package main

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
)

func TestRedact(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                       "",
		"nothing to hide":                        "nothing to hide",
		"ada@example.com":                        "<e-mail>",
		"to ada.l+x@mail.example.co.uk, please":  "to <e-mail>, please",
		"at noon @home":                          "at noon @home",
		"a sk-learn user":                        "a sk-learn user",
		"sk-proj_abcdefghijklmnop1234 is my key": "<key> is my key",
		"ghp_abcdefghijklmnopqrst":               "<key>",
		"AKIAABCDEFGHIJKLMNOP":                   "<key>",
		"eyJhbGciOi.eyJzdWIi.c2lnbmF0dXJl":       "<token>",
		"-----BEGIN RSA PRIVATE KEY-----":        "<key>",
		"a@b.example and c@d.example":            "<e-mail> and <e-mail>",
	} {
		if got := redact(text); got != want {
			t.Errorf("redact(%q) = %q, want %q", text, got, want)
		}
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("ada@example.com sk-abcdefghijklmnop1234")
	f.Add("-----BEGIN PRIVATE KEY-----eyJa.b.c@d.e")
	f.Fuzz(func(t *testing.T, text string) {
		once := redact(text)
		for _, p := range patterns {
			if p.find.MatchString(once) {
				t.Errorf("redact(%q) = %q, which still holds what %s finds", text, once, p.find)
			}
		}
	})
}

func TestAllPartsOfAMessageAreRedacted(t *testing.T) {
	t.Parallel()
	const mail = "ada@example.com"
	m := content.NewMessage(content.RoleAssistant,
		content.Reasoning{Text: "she wrote " + mail, Signature: "s"},
		content.Text("write to "+mail),
		content.ToolCall{ID: "1", Name: "send", Arguments: `{"to":"` + mail + `"}`},
		content.ToolResult{CallID: "1", Name: "send", Content: "sent to " + mail})
	got := redactMessage(m)
	want := content.NewMessage(content.RoleAssistant,
		content.Reasoning{Text: "she wrote <e-mail>", Signature: "s"},
		content.Text("write to <e-mail>"),
		content.ToolCall{ID: "1", Name: "send", Arguments: `{"to":"<e-mail>"}`},
		content.ToolResult{CallID: "1", Name: "send", Content: "sent to <e-mail>"})
	if !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Nothing secret reaches the model, in whatever part of the prompt it stands, nor anybody who looks at an outcome.
func TestNoSecretLeaves(t *testing.T) {
	t.Parallel()
	const mail = "ada@example.com"
	b := melleatest.NewBackend(melleatest.Say("I wrote to "+mail+", done."), melleatest.Say("yes"))
	var seen []string
	look := hookpoint.Generation.Bracket(func(ctx context.Context, _ hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
		return ctx, func(o hookpoint.GenerationOutcome) {
			seen = append(seen, fmt.Sprint(o.Pre.Messages.Slice()), o.Post.Reply.Text())
		}
	})
	s, err := mellea.Start(t.Context(), b, mellea.WithHistory(history.Chat()), mellea.WithSystem("You work for "+mail),
		mellea.WithHooks(Redactor{}, look))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	res, err := s.Instruct(t.Context(), "Write to {{who}}.", mellea.Vars{"who": mail}, mellea.Ground("card", "mail: "+mail),
		mellea.Examples("Dear "+mail), mellea.Require("mention "+mail))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := res.Text(), "I wrote to <e-mail>, done."; got != want {
		t.Errorf("reply = %q, want %q", got, want)
	}
	if _, err := s.Chat(t.Context(), "And now?"); err != nil {
		t.Fatal(err)
	}
	for n := range b.Requests() {
		for _, m := range b.Prompt(n) {
			if strings.Contains(m, mail) {
				t.Errorf("request %d holds the address: %q", n, m)
			}
		}
	}
	for _, text := range seen {
		if strings.Contains(text, mail) {
			t.Errorf("an outcome holds the address: %q", text)
		}
	}
	// The program's own words stay its own.
	first := s.History().View().At(0).Text()
	if !strings.Contains(first, mail) {
		t.Errorf("the history lost what the program said: %q", first)
	}
}

func TestStreamsAreHeldBack(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Reply{Pieces: []string{"ada@", "exam", "ple.com"}})
	s, err := mellea.Start(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	safe := s.With(mellea.WithHooks(Redactor{}))
	for _, test := range []struct {
		name string
		on   *mellea.Session
		held bool
		want []string
	}{
		{"reviewed", safe, true, []string{"<e-mail>"}},
		{"not reviewed", s, false, []string{"ada@", "exam", "ple.com"}},
	} {
		out, err := test.on.StartInstruct(t.Context(), "Say it.")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for c, err := range out.Chunks(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, c.Text)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: chunks (-want +got):\n%s", test.name, diff)
		}
		if got, want := out.Held(), test.held; got != want {
			t.Errorf("%s: held = %t, want %t", test.name, got, want)
		}
	}
}
