package integration_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

// A model on a real server asks for tools by the server's own tool calls, they are run, and it answers. The trace shows
// each chat and each tool.
func TestTools(t *testing.T) {
	server := components.StartOllama(t)
	model := components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{
		{Text: "One moment.", Calls: []tinymodel.Call{
			{Name: "weather", Arguments: `{"city": "Paris", "days": "2"}`}, {Name: "weather", Arguments: `{"town": "Rome"}`},
		}},
		{Calls: []tinymodel.Call{{Name: "weather", Arguments: `{"city": "Rome"}`}, {Name: "umbrella", Arguments: `{}`}}},
		{Text: "It is 12 degrees in Paris and 10 in Rome."},
	}})
	type query struct {
		City string `json:"city"`
		Days int    `json:"days,omitempty"`
	}
	weather := tool.New("weather", "The weather in a city.", func(_ context.Context, q query) (map[string]any, error) {
		return map[string]any{"city": q.City, "celsius": 10 + q.Days}, nil
	})
	// Ollama drops calls of tools that it was not told of, so this one is offered, and nobody has it.
	offered := hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		g.Tools = g.Tools.Append(content.ToolSpec{Name: "umbrella", Description: "Opens an umbrella."})
		return g, nil
	})
	want := []string{
		`weather {"celsius":12,"city":"Paris"}`,
		`weather Error: the arguments do not fit. "town" is not known: the names are city, days. "city" is missing: want a text. Call the tool again with arguments that fit.`,
		`weather {"celsius":10,"city":"Rome"}`,
		`umbrella Error: there is no tool "umbrella". The tools are: weather.`,
	}
	backends := map[string]backend.Backend{
		"ollama": ollama.New(ollama.WithBaseURL(server.URL), ollama.WithModel(model)),
		"openai": openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithModel(model), openai.WithAPIKey("none")),
	}
	for name, b := range backends {
		for _, stream := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stream %v", name, stream), func(t *testing.T) {
				collector := otlptest.Start(t)
				tel, err := telemetry.Setup(t.Context(), telemetry.WithEnviron([]string{"MELLEA_TRACES_ENABLED=true",
					"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP}))
				if err != nil {
					t.Fatal(err)
				}
				s, err := mellea.Start(t.Context(), b, mellea.WithTools(weather), mellea.WithHistory(history.Chat()),
					mellea.WithToolParallel(1), mellea.WithHooks(tel, offered))
				if err != nil {
					t.Fatal(err)
				}
				var streamed strings.Builder
				var opts []mellea.CallOption
				if stream {
					opts = append(opts, mellea.Stream(func(_ int, c backend.Chunk) { streamed.WriteString(c.Text) }))
				}
				res, err := s.Chat(t.Context(), "How warm is it in Paris in two days, and in Rome?", opts...)
				if err != nil {
					t.Fatal(err)
				}
				if got, want := res.Text(), "It is 12 degrees in Paris and 10 in Rome."; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				if got, want := streamed.String(), "One moment.It is 12 degrees in Paris and 10 in Rome."; stream && got != want {
					t.Errorf("streamed %q, want %q", got, want)
				}
				var got []string
				ids := map[string]bool{}
				for _, r := range res.ToolRuns {
					got = append(got, r.Call.Name+" "+r.Output.Text)
					ids[r.Call.ID] = true
				}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("runs (-got +want):\n%s", diff)
				}
				if len(ids) != 4 || ids[""] {
					t.Errorf("got ids %v, want one for each call", ids)
				}
				if got := s.History().Len(); got != 8 {
					t.Errorf("the history has %d messages, want 8", got)
				}
				if res.Usage.InputTokens <= res.Generation.Usage.InputTokens {
					t.Errorf("got usage %+v in all, %+v in the last reply", res.Usage, res.Generation.Usage)
				}
				if err := s.Close(); err != nil {
					t.Error(err)
				}
				if err := tel.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				checkToolTrace(t, collector.Spans(t, 10), model)
			})
		}
	}
}

func checkToolTrace(t *testing.T, spans []otlptest.Span, model string) {
	t.Helper()
	spans = slices.DeleteFunc(spans, func(s otlptest.Span) bool { return s.Name == "start_session" })
	chat := "    chat " + model + "\n"
	want := "session\n  action\n" + chat + "    execute_tool weather\n    execute_tool weather\n" + chat +
		"    execute_tool weather\n    execute_tool _OTHER\n" + chat
	if diff := cmp.Diff(otlptest.Tree(spans), want); diff != "" {
		t.Errorf("tree (-got +want):\n%s", diff)
	}
	slices.SortFunc(spans, func(a, b otlptest.Span) int { return a.Start.Compare(b.Start) })
	asked := ""
	for _, s := range spans {
		switch {
		case strings.HasPrefix(s.Name, "chat "):
			asked = s.SpanID
		case strings.HasPrefix(s.Name, "execute_tool "):
			if len(s.Links) != 1 || s.Links[0].SpanID != asked {
				t.Errorf("%s links to %v, want the chat that asked, %s", s.Name, s.Links, asked)
			}
		}
	}
}

// toolScripts are what the models say that the examples with tools were recorded with.
var toolScripts = map[string]tinymodel.Script{
	"tools": {Replies: []tinymodel.Reply{
		{Calls: []tinymodel.Call{{Name: "get_weather", Arguments: `{"city": "Oslo", "days": "1"}`}, {Name: "get_weather", Arguments: `{"city": "Roma", "days": 1}`}}},
		{Text: "Let me try another spelling.", Calls: []tinymodel.Call{{Name: "get_weather", Arguments: `{"city": "Rome", "days": 1}`}}},
		{Text: "Take an umbrella to Oslo, where it rains, and sunglasses to Rome, where it is 27 degrees."},
	}},
	"tool-approval": {Replies: []tinymodel.Reply{
		{Calls: []tinymodel.Call{{Name: "list_files", Arguments: `{}`}}},
		{Calls: []tinymodel.Call{{Name: "remove_file", Arguments: `{"name": "old.log"}`}, {Name: "remove_file", Arguments: `{"name": "notes.txt"}`}}},
		{Text: "I have removed old.log. You want to keep notes.txt, so I left it."},
	}},
}

// The examples with tools say the same on a real server as on their recordings. With MELLEA_RECORD=1 the recordings are
// made anew.
func TestToolExamples(t *testing.T) {
	server := components.StartOllama(t)
	for name, script := range toolScripts {
		t.Run(name, func(t *testing.T) {
			model := components.Scripted(t, server, script)
			example := func(args ...string) string {
				cmd := exec.CommandContext(t.Context(), "go", append([]string{"run", "../examples/" + name}, args...)...)
				cmd.Env = append(os.Environ(), "OLLAMA_HOST="+server.URL, "MELLEA_MODEL="+model)
				var stderr bytes.Buffer
				cmd.Stderr = &stderr
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%s %v: %v\n%s", name, args, err, stderr.String())
				}
				return string(out)
			}
			live := []string{"-live"}
			if os.Getenv("MELLEA_RECORD") != "" {
				live = append(live, "-record", filepath.Join("..", "examples", name, "recording.jsonl"))
			}
			got := example(live...)
			if diff := cmp.Diff(sortKeys(t, got), sortKeys(t, example())); diff != "" {
				t.Errorf("live and recorded differ (-live +recorded):\n%s", diff)
			}
			t.Log(got)
		})
	}
}

// sortKeys writes the arguments of the calls in an example's output with their keys in order: Ollama reads what a model
// calls a tool with into a map, and says its keys in another order each time.
func sortKeys(t *testing.T, output string) string {
	t.Helper()
	lines := strings.Split(output, "\n")
	for i, line := range lines {
		name, arguments, found := strings.Cut(line, " {")
		var object map[string]any
		if !found || json.Unmarshal([]byte("{"+arguments), &object) != nil {
			continue // no call, or the beginning of an object on several lines, which is the example's own
		}
		sorted, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		lines[i] = name + " " + string(sorted)
	}
	return strings.Join(lines, "\n")
}
