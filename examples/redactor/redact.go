package main

import (
	"context"
	"regexp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// Redactor is a plugin that takes e-mail addresses and keys out of what is sent to a model, and out of what it replies.
// The model, and every plugin that looks at an outcome (telemetry too), see the redacted text only. The session's history
// keeps the program's own words; they are redacted again each time they are sent.
//
// Patterns find what looks like a secret, not what is one. Images, audio and tool specifications pass through as they
// are. Telemetry records no variable of a template whose value a guard took out.
type Redactor struct{}

var patterns = []struct {
	find    *regexp.Regexp
	replace string
}{
	{regexp.MustCompile(`[\w.+-]+@[\w-]+(\.[\w-]+)+`), "<e-mail>"},
	{regexp.MustCompile(`\b(sk|pk|rk)-[\w-]{16,}`), "<key>"},            // OpenAI and others
	{regexp.MustCompile(`\b(ghp|gho|ghs|github_pat)_\w{20,}`), "<key>"}, // GitHub
	{regexp.MustCompile(`\bAKIA[0-9A-Z]{16}\b`), "<key>"},               // AWS
	{regexp.MustCompile(`\beyJ[\w-]+\.[\w-]+\.[\w-]+`), "<token>"},      // JSON Web Token
	{regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY-----`), "<key>"}, // PEM
}

// Bindings makes a Redactor a [hook.Source].
func (Redactor) Bindings() []hook.Binding {
	return hook.Plugin{Name: "redactor", Sources: []hook.Source{
		hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			messages := g.Messages.Slice()
			for i, m := range messages {
				messages[i] = redactMessage(m)
			}
			g.Messages = content.NewMessages(messages...)
			return g, nil
		}),
		// With a review bound, readers get no chunk before it has run: see backend.Output.Held.
		hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, end hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			end.Reply = redactMessage(end.Reply)
			return end, nil
		}),
	}}.Bindings()
}

// redactMessage returns m with all its texts redacted.
func redactMessage(m content.Message) content.Message {
	var parts []content.Part
	for part := range m.Parts() {
		switch p := part.(type) {
		case content.Text:
			part = content.Text(redact(string(p)))
		case content.Reasoning:
			p.Text = redact(p.Text)
			part = p
		case content.ToolCall:
			p.Arguments = redact(p.Arguments)
			part = p
		case content.ToolResult:
			p.Content = redact(p.Content)
			part = p
		case content.ServerToolCall:
			p.Arguments = redact(p.Arguments)
			part = p
		case content.ServerToolResult:
			p.Content = redact(p.Content)
			part = p
		}
		parts = append(parts, part)
	}
	return content.NewMessage(m.Role(), parts...)
}

func redact(text string) string {
	for _, p := range patterns {
		text = p.find.ReplaceAllLiteralString(text, p.replace)
	}
	return text
}
