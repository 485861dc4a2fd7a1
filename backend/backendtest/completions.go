package backendtest

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/mellea-go/mellea/content"
)

var (
	_ Completer = ChatCompletions{}
	_ Lister    = ChatCompletions{}
)

// completionMembers are those of a request for raw completions that the API reference has, and top_k, which compatible
// servers add.
var completionMembers = []string{"model", "prompt", "best_of", "echo", "frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n",
	"presence_penalty", "seed", "stop", "stream", "stream_options", "suffix", "temperature", "top_p", "top_k", "user"}

// decodeBatch reads a request for raw completions: of one prompt, or of a list of them.
func (d ChatCompletions) decodeBatch(body []byte) (Received, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return Received{}, fmt.Errorf("completions: %w", err)
	}
	for name := range members {
		if !slices.Contains(completionMembers, name) && !slices.Contains(d.Known, name) {
			return Received{}, fmt.Errorf("completions: unknown member %q", name)
		}
	}
	var got Received
	if err := json.Unmarshal(members["model"], &got.Model); err != nil || got.Model == "" {
		return Received{}, fmt.Errorf("completions: no model")
	}
	if stream, ok := members["stream"]; ok && string(stream) != "false" {
		return Received{}, fmt.Errorf("completions: a batch that is streamed")
	}
	var one string
	if err := json.Unmarshal(members["prompt"], &one); err == nil {
		got.Prompts = []string{one}
	} else if err := json.Unmarshal(members["prompt"], &got.Prompts); err != nil || len(got.Prompts) == 0 {
		return Received{}, fmt.Errorf("completions: prompt is neither a string nor a list of them")
	}
	return got, nil
}

// Completions implements [Completer]. Choices come in any order: here the last one first.
func (ChatCompletions) Completions(all []Completion) []byte {
	type choice struct {
		Index  int    `json:"index"`
		Text   string `json:"text"`
		Finish string `json:"finish_reason"`
		Logs   any    `json:"logprobs"`
	}
	var choices []choice
	var usage content.Usage
	model := ""
	for i, c := range all {
		choices = append(choices, choice{Index: i, Text: c.Text, Finish: c.Finish})
		usage, model = usage.Add(c.Usage), c.Model
	}
	slices.Reverse(choices)
	return encoded(map[string]any{
		"id": "cmpl-1", "object": "text_completion", "created": 1700000000, "model": model, "choices": choices, "system_fingerprint": "fp_1",
		"usage": map[string]int{"prompt_tokens": usage.InputTokens, "completion_tokens": usage.OutputTokens, "total_tokens": usage.Total()},
	})
}

// Models implements [Lister].
func (d ChatCompletions) Models(path string, names []string) ([]byte, bool) {
	if path != d.beside("models") {
		return nil, false
	}
	var list []map[string]any
	for _, n := range names {
		list = append(list, map[string]any{"id": n, "object": "model", "created": 1700000000, "owned_by": "the-owner"})
	}
	return encoded(map[string]any{"object": "list", "data": list}), true
}

// encoded returns v as JSON.
func encoded(v any) []byte {
	text, err := json.Marshal(v)
	if err != nil { // v is the suite's own
		panic(err)
	}
	return text
}
