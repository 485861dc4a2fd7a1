package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
)

var outputNames = []string{"text", "json"}

func checkOutput(name string) error {
	if slices.Contains(outputNames, name) {
		return nil
	}
	return &usageError{text: fmt.Sprintf("--output %s: it is text or json", name)}
}

// report is what --output json prints.
type jsonResult struct {
	Text string `json:"text"`
	// Value is the document that --schema asked for, absent when the reply is none.
	Value    json.RawMessage `json:"value,omitempty"`
	Success  bool            `json:"success"`
	Attempts []jsonAttempt   `json:"attempts"`
	Usage    jsonUsage       `json:"usage"`
	Model    string          `json:"model"`
	TraceID  string          `json:"trace_id"`
}

type jsonAttempt struct {
	Text         string            `json:"text"`
	Passed       bool              `json:"passed"`
	Requirements []jsonRequirement `json:"requirements"`
	Usage        jsonUsage         `json:"usage"`
}

type jsonRequirement struct {
	Name   string `json:"name"`
	Passed bool   `json:"passed"`
	Reason string `json:"reason"`
}

type jsonUsage struct {
	InputTokens  int `json:"input_tokens"`
	OutputTokens int `json:"output_tokens"`
}

func usage(u content.Usage) jsonUsage {
	return jsonUsage{InputTokens: u.InputTokens, OutputTokens: u.OutputTokens}
}

// print writes the result to standard output.
func (a *app) print(ctx context.Context, p plan, show *progress, model string, res *mellea.Result[string], success bool) error {
	if p.output == "json" {
		return a.printJSON(a.result(ctx, p, model, res, success))
	}
	if show.streamed && !show.watched {
		return nil // it is there already
	}
	text := res.Text()
	if doc := document(text); p.demands.schema != "" && doc != nil {
		text = string(doc)
	}
	if a.Stdout.Terminal {
		text = escape(text)
	}
	if !strings.HasSuffix(text, "\n") {
		text += "\n"
	}
	if _, err := io.WriteString(a.Stdout, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

func (a *app) result(ctx context.Context, p plan, model string, res *mellea.Result[string], success bool) jsonResult {
	out := jsonResult{Text: res.Text(), Success: success, Usage: usage(res.Usage), Model: model, TraceID: traceID(ctx)}
	if p.demands.schema != "" && success {
		out.Value = document(out.Text)
	}
	for _, at := range res.Attempts {
		reqs := make([]jsonRequirement, 0, at.Results.Len())
		for i, r := range at.Results.All() {
			reqs = append(reqs, jsonRequirement{Name: p.demands.name(i, r.Requirement), Passed: r.Verdict.Passed, Reason: r.Verdict.Reason})
		}
		out.Attempts = append(out.Attempts, jsonAttempt{Text: at.Text(), Passed: at.Passed(), Requirements: reqs,
			Usage: usage(at.Reply.Generation.Usage)})
	}
	if len(out.Attempts) == 0 { // without a strategy there is one generation, and nothing to fail
		out.Attempts = []jsonAttempt{{Text: out.Text, Passed: true, Requirements: []jsonRequirement{}, Usage: out.Usage}}
	}
	return out
}

// printJSON writes v to standard output as one line.
func (a *app) printJSON(v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return fmt.Errorf("--output json: %w", err)
	}
	doc := b.Bytes()
	if a.Stdout.Terminal {
		doc = escapeJSON(doc)
	}
	if _, err := a.Stdout.Write(doc); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// progress returns what shows how the call goes.
func (a *app) progress(p plan) *progress {
	show := &progress{out: a.Stderr, style: a.style(a.Stderr), live: a.Stderr.Terminal, transients: a.Stderr.Terminal,
		name: func(i int, r hookpoint.RequirementStart) string { return p.demands.name(i, r.Requirement) }}
	switch {
	case !p.stream:
	case !p.demanding && p.output == "text":
		show.deltas = shown(a.Stdout)
	case a.Stderr.Terminal:
		show.deltas, show.watched = shown(a.Stderr), true
	}
	return show
}

// shown returns a writer for text of a model: raw into a pipe, escaped on a terminal.
func shown(o Output) io.Writer {
	if o.Terminal {
		return &escaper{w: o.Writer}
	}
	return o.Writer
}
