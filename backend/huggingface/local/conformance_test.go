package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, backendtest.Suite{
		Name: "huggingface-local",
		New: func(t testing.TB, cfg backendtest.Config) backend.Backend {
			own := touch(t, t.TempDir(), cfg.Model+".gguf")
			b := New(func(c *config) { c.engine = relay{url: cfg.URL, client: &http.Client{Transport: cfg.Transport}} },
				WithModel(own), WithContexts(cfg.Calls), WithLogger(cfg.Logger))
			b.cache = cache{t.TempDir()}
			called := filepath.Join("models--maker--called-model", "refs", "main")
			touch(t, b.cache.dir, called)
			if err := os.WriteFile(filepath.Join(b.cache.dir, called), []byte("c1"), 0o600); err != nil {
				t.Fatal(err)
			}
			touch(t, b.cache.dir, filepath.Join("models--maker--called-model", "snapshots", "c1", "x.gguf"))
			t.Cleanup(func() { _ = b.Close() })
			return semconvtest.Traced(t, b, melleatest.Allow(check.RecommendedAttributeNotPresent, "gen_ai.response.id", "a model in process gives its replies no id"))
		},
		Dialect:   scripted{},
		Provider:  "huggingface",
		InProcess: true,
		Options: map[backend.Neutral]string{
			backend.NeutralModel:            "model",
			backend.NeutralTemperature:      "temperature",
			backend.NeutralTopP:             "top_p",
			backend.NeutralTopK:             "top_k",
			backend.NeutralFrequencyPenalty: "frequency_penalty",
			backend.NeutralPresencePenalty:  "presence_penalty",
			backend.NeutralContextWindow:    "n_ctx",
			backend.NeutralMaxTokens:        "max_new_tokens",
			backend.NeutralSeed:             "seed",
			backend.NeutralStop:             "stop_strings",
			backend.NeutralLogits:           "output_scores",
			backend.NeutralRawLogits:        "output_logits",
		},
		// The bound, the stop sequences and the scores are the backend's own matter, and of a seed the engine gets what fits.
		Kept: []backend.Neutral{backend.NeutralMaxTokens, backend.NeutralSeed, backend.NeutralStop, backend.NeutralLogits, backend.NeutralRawLogits},
		Lacks: map[string]string{
			"cached_usage":    "a prompt is computed anew for each call",
			"reasoning_usage": "tokens are counted, whatever they say",
		},
		NativeMaxTokens: "max_new_tokens",
		Extra:           "grammar", ExtraPath: "grammar",
		SchemaPath: "grammar", BatchSchemaPath: "grammar",
		Usage:        content.Usage{InputTokens: 47, OutputTokens: 4}, // the prompt of the suite in letters, its reply in pieces
		NoResponseID: true, NoCallIDs: true, Tools: true, Reasoning: true,
	})
}

// scripted is the script's side of a [relay].
type scripted struct{}

var _ backendtest.Completer = scripted{}

func (scripted) ContentType(bool) string { return "application/x-ndjson" }

// Decode reads a prompt back into the conversation that it was made of.
func (scripted) Decode(path string, body []byte) (got backendtest.Received, err error) {
	var in asked
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&in); err != nil || path != "/generate" {
		return got, fmt.Errorf("%s: %w", path, err)
	}
	got.Model, got.Stream = in.Model, true
	prompt, found := strings.CutPrefix(in.Prompt, "«begin»«begin»")
	if !found {
		return got, fmt.Errorf("the prompt %q does not begin", in.Prompt)
	}
	chat, found := strings.CutPrefix(prompt, "«start»")
	if !found {
		got.Prompts = []string{prompt}
		return got, nil
	}
	chat, found = strings.CutSuffix(chat, "«start»assistant\n")
	if !found {
		return got, fmt.Errorf("the prompt %q does not ask for a reply", in.Prompt)
	}
	for turn := range strings.SplitSeq(chat, "«start»") {
		role, text, _ := strings.Cut(turn, "\n")
		text, whole := strings.CutSuffix(text, "«end»\n")
		if !whole {
			return got, fmt.Errorf("the turn %q has no end", turn)
		}
		if role == "system" {
			if text, got.Tools, err = offered(text); err != nil {
				return got, err
			}
			if text == "" {
				continue
			}
		}
		m, err := message(role, text)
		if err != nil {
			return got, err
		}
		got.Messages = got.Messages.Append(m)
	}
	return got, nil
}

// offered takes the tools out of a system message.
func offered(text string) (rest string, tools content.List[content.ToolSpec], err error) {
	rest, list, found := strings.Cut(text, "# Tools\n")
	if !found {
		return text, tools, nil
	}
	_, list, _ = strings.Cut(list, "\n<tools>\n")
	list, _, _ = strings.Cut(list, "\n</tools>")
	for line := range strings.SplitSeq(list, "\n") {
		var t struct {
			Function struct {
				Name, Description string
				Parameters        json.RawMessage
			}
		}
		if err := json.Unmarshal([]byte(line), &t); err != nil {
			return rest, tools, fmt.Errorf("the tool %q: %w", line, err)
		}
		s, err := schema.Parse(t.Function.Name, t.Function.Parameters)
		if err != nil {
			return rest, tools, err
		}
		tools = tools.Append(content.ToolSpec{Name: t.Function.Name, Description: t.Function.Description, Parameters: s})
	}
	return strings.TrimSuffix(rest, "\n\n"), tools, nil
}

// message reads a turn.
func message(role, text string) (content.Message, error) {
	var parts []content.Part
	tag := map[string]string{"assistant": "tool_call", "user": "tool_response"}[role]
	first, blocks, found := strings.Cut(text, "<"+tag+">\n")
	if tag == "" || !found {
		return content.NewMessage(content.Role(role), content.Text(text)), nil
	}
	if first = strings.TrimSuffix(first, "\n"); first != "" {
		parts = append(parts, content.Text(first))
	}
	for block := range strings.SplitSeq(blocks, "\n<"+tag+">\n") {
		var b struct {
			Name               string
			Arguments, Content json.RawMessage
		}
		text, whole := strings.CutSuffix(block, "\n</"+tag+">")
		if err := json.Unmarshal([]byte(text), &b); err != nil || !whole {
			return content.Message{}, fmt.Errorf("the block %q: %w", block, err)
		}
		if role == "assistant" {
			parts = append(parts, content.ToolCall{Name: b.Name, Arguments: tight(b.Arguments)})
			continue
		}
		result := tight(b.Content)
		if text := ""; json.Unmarshal(b.Content, &text) == nil {
			result = text
		}
		parts = append(parts, content.ToolResult{Name: b.Name, Content: result})
	}
	if role == "user" {
		role = string(content.RoleTool)
	}
	return content.NewMessage(content.Role(role), parts...), nil
}

func tight(raw json.RawMessage) string {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil {
		return string(raw)
	}
	return b.String()
}

func line(s said) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // it is the suite's own
	}
	return append(b, '\n')
}

func (scripted) Frames(r backendtest.Reply) (frames [][]byte) {
	if len(r.Reasoning) > 0 {
		frames = append(frames, line(said{Text: "<think>\n"}))
		for _, piece := range r.Reasoning {
			frames = append(frames, line(said{Text: piece}))
		}
		frames = append(frames, line(said{Text: "\n</think>\n\n"}))
	}
	for _, piece := range r.Text {
		frames = append(frames, line(said{Text: piece}))
	}
	for _, c := range r.ToolCalls {
		call := fmt.Sprintf("<tool_call>\n{\"name\": %q, \"arguments\": %s}\n</tool_call>\n", c.Name, c.Arguments)
		for _, piece := range []string{call[:5], call[5:20], call[20:]} {
			frames = append(frames, line(said{Text: piece}))
		}
	}
	return append(frames, line(said{End: r.Finish}))
}

func (d scripted) Reply(r backendtest.Reply) []byte { return bytes.Join(d.Frames(r), nil) }

// Completions answers a prompt, in as many tokens as the suite counts.
func (d scripted) Completions(all []backendtest.Completion) []byte {
	c := all[0]
	half := strings.Index(c.Text, " ")
	return d.Reply(backendtest.Reply{Text: []string{c.Text[:half], c.Text[half:]}, Finish: c.Finish})
}

func (scripted) Failure(int, string, string) []byte { return nil }
func (scripted) Missing(bool) []byte                { return nil }
