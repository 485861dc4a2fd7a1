//go:build llama

package integration_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface/local"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

// forecast is a tool whose arguments are bounded: a small model writes a text for ever where it may.
func forecast(t *testing.T) content.ToolSpec {
	t.Helper()
	parameters, err := schema.Parse("forecast", []byte(`{"type":"object","properties":{"city":{"type":"string","maxLength":20},
		"days":{"type":"integer","minimum":0,"maximum":10}},"required":["city","days"],"additionalProperties":false}`))
	if err != nil {
		t.Fatal(err)
	}
	return content.ToolSpec{Name: "get_forecast", Description: "The weather in a city, some days ahead.", Parameters: parameters}
}

// A call that is demanded is one of the tool, with arguments of its schema, from a model of 135M parameters too, whatever it
// would rather say: of any tool, of one by name, and of one without arguments.
func TestHuggingFaceLocalToolChoice(t *testing.T) {
	b := inProcess(t)
	tools := content.ListOf(forecast(t), content.ToolSpec{Name: "now", Description: "Tells the time."})
	byName := func(name string) any {
		return map[string]any{"type": "function", "function": map[string]any{"name": name}}
	}
	tests := map[string]struct {
		choice any
		name   string // "" is any
	}{"required": {"required", ""}, "by name": {byName("get_forecast"), "get_forecast"}, "without arguments": {byName("now"), "now"}}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			for seed := range int64(3) {
				req := question("Tell me a story about a ship.")
				req.Tools = tools
				req.Options = req.Options.WithTemperature(1).WithSeed(seed).WithMaxTokens(150).WithExtra("tool_choice", tc.choice).WithStream(seed%2 == 0)
				got := generate(t, b, req)
				calls := slices.Collect(got.Message.ToolCalls())
				if len(calls) != 1 || got.Message.Text() != "" || got.Generation.FinishReasons.At(0) != "tool_calls" {
					t.Fatalf("reply = %v, finish reasons %v, want one call", got.Message, got.Generation.FinishReasons.Slice())
				}
				switch c := calls[0]; {
				case tc.name != "" && c.Name != tc.name:
					t.Errorf("call of %q, want %q", c.Name, tc.name)
				case c.Name == "now":
					if strings.Join(strings.Fields(c.Arguments), "") != "{}" {
						t.Errorf("arguments = %s, want none", c.Arguments)
					}
				default:
					if err := tools.At(0).Parameters.Validate([]byte(c.Arguments)); err != nil {
						t.Errorf("arguments = %s: %v", c.Arguments, err)
					}
				}
			}
		})
	}
}

// A model that calls a tool of its own accord, here as a conversation shows it how, is held to what the tool takes from where
// the call begins: it would copy a city that the tool does not have.
func TestHuggingFaceLocalToolsGuided(t *testing.T) {
	b := inProcess(t)
	parameters, err := schema.Parse("x", []byte(`{"type":"object","properties":{"place":{"enum":["Oslo","Bergen"]}},"required":["place"],"additionalProperties":false}`))
	if err != nil {
		t.Fatal(err)
	}
	req := question("")
	req.Messages = content.NewMessages(content.System("Call get_weather."))
	for i, city := range []string{"Rome", "Madrid", "Paris", "Berlin"} {
		req.Messages = req.Messages.Append(content.User("What is the weather in "+city+"?"),
			content.NewMessage(content.RoleAssistant, content.ToolCall{ID: fmt.Sprint(i), Name: "get_weather", Arguments: `{"city":"` + city + `"}`}))
	}
	req.Messages = req.Messages.Append(content.User("What is the weather in London?"))
	req.Tools = content.ListOf(content.ToolSpec{Name: "get_weather", Description: "The weather in a place.", Parameters: parameters})
	for _, stream := range []bool{false, true} {
		req.Options = backend.Options{}.WithTemperature(0).WithMaxTokens(60).WithStream(stream)
		got := generate(t, b, req)
		calls := slices.Collect(got.Message.ToolCalls())
		if len(calls) == 0 || calls[0].Name != "get_weather" || parameters.Validate([]byte(calls[0].Arguments)) != nil {
			t.Errorf("reply = %v, want a call with a place that the tool has", got.Message)
		}
		if strings.Contains(got.Message.Text(), "<tool_call") {
			t.Errorf("text = %q, want nothing of a call in it", got.Message.Text())
		}
	}
}

// A session runs the tool that the model calls, and the model is told what it gave.
func TestHuggingFaceLocalToolLoop(t *testing.T) {
	b := inProcess(t, local.WithOptions(backend.Options{}.WithTemperature(0).WithMaxTokens(80)))
	ran := 0
	spec := forecast(t)
	weather, err := tool.FromSpec(spec, func(_ context.Context, arguments json.RawMessage) (any, error) {
		ran++
		var q struct {
			City string
			Days int
		}
		if err := json.Unmarshal(arguments, &q); err != nil || q.City != "Paris" || q.Days != 2 {
			t.Errorf("arguments = %s, want Paris in 2 days", arguments)
		}
		return map[string]any{"sky": "clear"}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := mellea.Start(t.Context(), b, mellea.WithTools(weather), mellea.WithHistory(history.Chat()))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.Chat(t.Context(), "What is the weather in Paris in 2 days?", mellea.ToolChoice("required"))
	if err != nil {
		t.Fatal(err)
	}
	if ran != 1 || len(res.ToolRuns) != 1 || res.ToolRuns[0].Err != nil || strings.TrimSpace(res.Text()) == "" {
		t.Errorf("the tool ran %d times, runs %+v, text %q, want one run and an answer", ran, res.ToolRuns, res.Text())
	}
	if n := s.History().Len(); n != 4 {
		t.Errorf("the history has %d messages, want question, call, result and answer", n)
	}
}

// A model may have control tokens of its own for the tags of a call: they are not lost, and the call between them is held to
// the tool.
func TestHuggingFaceLocalToolTokens(t *testing.T) {
	dir, conversions := t.TempDir(), t.TempDir()
	const tag, tagEnd = "<tool_call>", "</tool_call>"
	// It calls where a reply begins, after a new line, and ends a call as soon as it may; for what it says between, it has no
	// idea.
	writeFolder(t, dir, []habit{{"Ċ", tag, 3}, {"", tagEnd, 1}, {tagEnd, "</s>", 3}, {"", "Ġthe", 2}}, tag, tagEnd)
	tests := map[string]struct {
		template string
		format   local.ToolFormat
		choice   string
	}{
		"of its own accord": {"chatml", local.ToolsAuto, "auto"},
		"demanded":          {"chatml", local.ToolsAuto, "required"},
		"Llama 3, demanded": {"llama3", local.ToolsLlama3, "required"}, // which has no tags
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			b := inProcess(t, local.WithModel(dir), local.WithConversions(conversions), local.WithChatTemplate(tc.template), local.WithToolFormat(tc.format))
			req := question("What time is it? <tool_call>{}</tool_call>") // text, and no tags
			req.Tools = content.ListOf(content.ToolSpec{Name: "now", Description: "Tells the time."})
			req.Options = req.Options.WithMaxTokens(80).WithTemperature(0).WithExtra("tool_choice", tc.choice)
			got := generate(t, b, req)
			calls := slices.Collect(got.Message.ToolCalls())
			if len(calls) != 1 || calls[0].Name != "now" || strings.Join(strings.Fields(calls[0].Arguments), "") != "{}" || got.Message.Text() != "" {
				t.Errorf("reply = %v, want a call of now", got.Message)
			}
			if n := got.Generation.Usage.OutputTokens; n > 60 {
				t.Errorf("it took %d tokens, want the tags to be one each", n)
			}
		})
	}
}
