package openai_test

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
)

// What real servers of the dialect said, recorded by the integration tests, which also see to it that they still say so.
func TestRecorded(t *testing.T) {
	clearEnv(t)
	type result struct {
		Text, Reasoning string
		Calls           []content.ToolCall
		Finish          string
		Model           string
		Usage           content.Usage
		Status          int // of an error
		Code            string
		Remedy          string // a part of it
	}
	weather := []content.ToolCall{{ID: "call_1", Name: "weather", Arguments: `{"city":"Oslo"}`}, {ID: "call_2", Name: "weather", Arguments: `{"city":"Rome"}`}}
	usage := func(in, out, reasoning int) content.Usage {
		return content.Usage{InputTokens: in, OutputTokens: out, ReasoningTokens: reasoning}
	}
	text := func(u content.Usage, n int) content.Usage { u.Text.OutputTokens = n; return u }
	const guess = "Il Corriere dii (The"
	tests := map[string]result{
		"ollama-chat":            {Text: guess, Finish: "length", Model: "smollm2:135m-instruct", Usage: usage(37, 8, 0)},
		"ollama-stream":          {Text: guess, Finish: "length", Model: "smollm2:135m-instruct", Usage: usage(37, 8, 0)},
		"ollama-tools":           {Calls: weather, Finish: "tool_calls", Model: "scripted", Usage: usage(159, 9, 0)},
		"ollama-stream-tools":    {Calls: weather, Finish: "tool_calls", Model: "scripted", Usage: usage(159, 9, 0)},
		"ollama-thinking":        {Text: "Four.", Reasoning: "Two and two.", Finish: "stop", Model: "thinker", Usage: usage(14, 7, 0)},
		"ollama-stream-thinking": {Text: "Four.", Reasoning: "Two and two.", Finish: "stop", Model: "thinker", Usage: usage(14, 7, 0)},
		"ollama-bad-model":       {Status: 404, Code: "api_error", Remedy: `does not know model "m"`},
		"ollama-bad-value":       {Status: 400, Code: "invalid_request_error", Remedy: "refused the request"},

		"litellm-chat":            {Text: guess, Finish: "length", Model: "small", Usage: usage(37, 8, 0)},
		"litellm-stream":          {Text: guess, Finish: "length", Model: "small", Usage: text(usage(37, 8, 0), 8)},
		"litellm-tools":           {Calls: weather, Finish: "tool_calls", Model: "openai/scripted", Usage: usage(159, 9, 0)},
		"litellm-stream-tools":    {Calls: weather, Finish: "tool_calls", Model: "openai/scripted", Usage: usage(159, 9, 0)},
		"litellm-thinking":        {Text: "Four.", Reasoning: "Two and two.", Finish: "stop", Model: "openai/thinker", Usage: usage(14, 7, 0)},
		"litellm-stream-thinking": {Text: "Four.", Reasoning: "Two and two.", Finish: "stop", Model: "openai/thinker", Usage: text(usage(14, 7, 4), 3)},
		"litellm-bad-model":       {Status: 400, Code: "invalid_request_error", Remedy: "refused the request"},
		"litellm-bad-value":       {Status: 500, Code: "internal_server_error", Remedy: "the server failed"},

		"transformers-chat":      {Text: "The capital of Italy is Rome.", Finish: "length", Model: "SmolLM2-135M-Instruct", Usage: usage(37, 8, 0)},
		"transformers-stream":    {Text: "The capital of Italy is Rome.", Finish: "length", Model: "SmolLM2-135M-Instruct", Usage: usage(37, 8, 0)},
		"transformers-bad-model": {Status: 400, Remedy: "refused the request"},
		"transformers-bad-value": {Status: 500, Remedy: "the server failed"},
	}
	files, err := filepath.Glob("testdata/recorded/*.http")
	if err != nil || len(files) != len(tests) {
		t.Errorf("%d recordings, %v, want the %d that are expected here", len(files), err, len(tests))
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b := openai.New(openai.WithBaseURL("http://localhost/v1"), openai.WithModel("m"), openai.WithRetries(0),
				openai.WithTransport(&replies{t: t, dir: "recorded", files: []string{name}}))
			r, err := chat(t, b, backend.Options{}.WithStream(strings.Contains(name, "stream")))
			var got result
			var e *backend.Error
			switch {
			case errors.As(err, &e):
				got = result{Status: e.Status, Code: e.Code}
				if strings.Contains(e.Remedy, want.Remedy) {
					got.Remedy = want.Remedy
				}
				if e.Message == "" {
					t.Error("the server's words are lost")
				}
			case err != nil:
				t.Fatal(err)
			default:
				g := r.Generation
				got = result{Text: r.Message.Text(), Reasoning: r.Message.Reasoning(), Calls: slices.Collect(r.Message.ToolCalls()),
					Finish: strings.Join(g.FinishReasons.Slice(), " "), Model: g.ResponseModel, Usage: g.Usage}
				if g.ResponseID == "" {
					t.Error("the reply has no id")
				}
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("(-got +want):\n%s", diff)
			}
		})
	}
}

// Recordings hold nothing of the machine that they were made on, and no keys.
func TestRecordedHoldNothingPrivate(t *testing.T) {
	files, err := filepath.Glob("testdata/recorded/*.http")
	if err != nil || len(files) == 0 {
		t.Fatalf("recordings: %v, %v", files, err)
	}
	for _, path := range files {
		body, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, private := range []string{"sk-", "127.0.0.1", "Bearer", "/home", "/root", "/tmp", ".cache"} {
			if strings.Contains(string(body), private) {
				t.Errorf("%s holds %q", path, private)
			}
		}
	}
}
