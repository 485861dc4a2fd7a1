package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/jsonschema-go/jsonschema"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// leaky is a program that puts a planted word into everything that is content.
func leaky(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	b := &scripted{answer: func(_ context.Context, n int, req backend.Request, w *backend.Writer) error {
		if last, _ := req.Messages.Last(); strings.Contains(last.Text(), "planted-fail") {
			return &backend.Error{Provider: "openai", Op: "chat", Status: 400, Code: "planted sentence", Message: "planted-message", Remedy: "shorten it"}
		}
		w.Reasoning(time.Now(), []byte("planted-reasoning"))
		w.Text(time.Now(), []byte("planted-reply"))
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel), mellea.WithSystem("planted-system"))
	_, err := s.Instruct(t.Context(), "planted-prompt {{.who}}", mellea.Vars{"who": "planted-variable"},
		mellea.Require("planted-requirement", requirement.Contains("planted-argument")),
		mellea.Check(requirement.Named("own_name", requirement.Func("planted-check", func(string) (bool, string) { return false, "planted-reason" }))),
		mellea.Strategy(sampling.Repair(2)))
	if unmet := new(mellea.UnmetError); !errors.As(err, &unmet) {
		t.Fatalf("got %v, want requirements that are not met", err)
	}
	for _, opt := range []mellea.CallOption{
		mellea.Check(requirement.New("broken", func(context.Context, requirement.Env) (requirement.Verdict, error) {
			return requirement.Verdict{}, errors.New("planted-error")
		})),
		mellea.Check(requirement.New("panics", func(context.Context, requirement.Env) (requirement.Verdict, error) { panic("planted-panic") })),
	} {
		if _, err := s.Instruct(t.Context(), "planted-prompt", opt); err == nil {
			t.Fatal("a broken check passed")
		}
	}
	if _, err := s.Instruct(t.Context(), "planted-fail"); err == nil {
		t.Fatal("a failing backend passed")
	}
	if _, err := mellea.Act(t.Context(), s, number{}); err == nil {
		t.Fatal("a reply that is no number was parsed")
	}
	guarded := s.With(mellea.WithHooks(hookpoint.Generation.Guard(
		func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			return g, hook.Reject("planted sentence", "planted-rejection")
		})))
	if _, err := guarded.Instruct(t.Context(), "planted-denied"); err == nil {
		t.Fatal("a guard let a call pass")
	}
	if _, err := s.GenerateBatch(t.Context(), []string{"planted-batch", "planted-fail"}, mellea.Temperature(0)); err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	_, end := tel.StartCommand(t.Context(), "run", "", []string{"--backend", "openai", "--system", "planted-flag", "planted-prompt", "--var", "k=planted-var"})
	end(3)
	flush(t, tel)
}

// Off means off: no byte that is exported is content (epic 3b.8, 7.3 no. 35).
func TestContentOffLeavesNothing(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	leaky(t, tel)
	spans := server.Spans(t, 20)
	raw := server.Raw()
	for i := 0; ; {
		at := indexOf(raw[i:], "planted")
		if at < 0 {
			break
		}
		i += at
		t.Errorf("the exported bytes hold %q", raw[max(0, i-30):min(len(raw), i+40)])
		i++
	}
	names := map[string]bool{}
	for _, s := range spans {
		if v, ok := s.Attributes["mellea.requirement.name"].(string); ok {
			names[v] = true
		}
		for key := range s.Attributes {
			if semconv.IsContent(key) && key != "mellea.requirement.name" {
				t.Errorf("span %s has %s", s.Name, key)
			}
		}
	}
	if diff := cmp.Diff(map[string]bool{"contains": true, "own_name": true, "broken": true, "panics": true}, names); diff != "" {
		t.Errorf("names of requirements (-want +got):\n%s", diff)
	}
}

// On, everything that was promised is there, but nothing of a call that was denied.
func TestContentOn(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true))
	leaky(t, tel)
	server.Spans(t, 20)
	raw := string(server.Raw())
	for _, want := range []string{"system", "prompt", "variable", "reply", "reasoning", "requirement", "reason", "error", "message"} {
		if !strings.Contains(raw, "planted-"+want) {
			t.Errorf("the exported bytes have no planted-%s", want)
		}
	}
	for _, never := range []string{"denied", "rejection", "panic", "flag", "var\""} {
		if strings.Contains(raw, "planted-"+never) {
			t.Errorf("the exported bytes have planted-%s", never)
		}
	}
}

// Messages are structured as the conventions' schemas say.
func TestContentDocuments(t *testing.T) {
	t.Parallel()
	image := must[content.Image](t)(content.NewImage([]byte("\x89PNG\r\n\x1a\nrest")))
	link := must[content.Image](t)(content.ImageURL("https://example.com/a.png"))
	audio := must[content.Audio](t)(content.NewAudio("audio/wav", []byte("sound")))
	params := must[schema.Schema](t)(schema.Parse("args", []byte(`{"type":"object","properties":{"city":{"type":"string"}}}`)))
	start := hookpoint.GenerationStart{
		Messages: content.NewMessages(
			content.System("Be brief."),
			content.NewMessage(content.RoleUser, content.Text("What is this?"), image, link, audio),
			content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.ToolCall{ID: "c1", Name: "weather", Arguments: `{"city":"Oslo","days":2,"f":0.5,"deep":[true,null]}`}),
			content.NewMessage(content.RoleTool, content.ToolResult{CallID: "c1", Name: "weather", Content: "rain"}),
			content.User("And now?")),
		Tools:     content.ListOf(content.ToolSpec{Name: "weather", Description: "Tells the weather", Parameters: params}),
		Variables: content.ListOf(hookpoint.Variable{Name: "when", Value: "now"}, hookpoint.Variable{Name: "secret", Value: "taken out by a guard"}),
	}
	end := hookpoint.GenerationEnd{Reply: content.Assistant("Dry.")}
	want := map[string]any{
		"gen_ai.system_instructions": `[{"content":"Be brief.","type":"text"}]`,
		"gen_ai.input.messages": `[{"parts":[{"content":"What is this?","type":"text"},` +
			`{"content":"iVBORw0KGgpyZXN0","mime_type":"image/png","modality":"image","type":"blob"},` +
			`{"modality":"image","type":"uri","uri":"https://example.com/a.png"},` +
			`{"content":"c291bmQ=","mime_type":"audio/wav","modality":"audio","type":"blob"}],"role":"user"},` +
			`{"parts":[{"content":"hm","type":"reasoning"},` +
			`{"arguments":{"city":"Oslo","days":2,"deep":[true,null],"f":0.5},"id":"c1","name":"weather","type":"tool_call"}],"role":"assistant"},` +
			`{"parts":[{"id":"c1","response":"rain","type":"tool_call_response"}],"role":"tool"},` +
			`{"parts":[{"content":"And now?","type":"text"}],"role":"user"}]`,
		"gen_ai.output.messages": `[{"parts":[{"content":"Dry.","type":"text"}],"role":"assistant"}]`,
		"gen_ai.tool.definitions": `[{"description":"Tells the weather","name":"weather",` +
			`"parameters":{"properties":{"city":{"type":"string"}},"type":"object"},"type":"function"}]`,
		"gen_ai.prompt.variable.when": "now",
	}
	for name, opts := range map[string][]telemetry.Option{
		"structured":   {telemetry.WithContent(true)},
		"JSON strings": {telemetry.WithContent(true), telemetry.WithContentStrings()},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, opts...)
			generate(t, tel, start, end, nil)
			flush(t, tel)
			got := map[string]any{}
			for key, v := range server.Spans(t, 1)[0].Attributes {
				if !semconv.IsContent(key) {
					continue
				}
				if s, ok := v.(string); ok {
					got[key] = s
				} else {
					b, err := json.Marshal(v)
					if err != nil {
						t.Fatal(err)
					}
					got[key] = string(b)
				}
				validate(t, key, got[key].(string))
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("content (-want +got):\n%s", diff)
			}
		})
	}
}

var wholes sync.Map // schemas, by attribute

// validate holds a document against the schema of its attribute, if it has one.
func validate(t testing.TB, key, document string) {
	t.Helper()
	def, ok := semconv.LookupAttribute(key)
	if !ok {
		t.Fatalf("attribute %s is in no registry", key)
	}
	if def.Schema == "" {
		return
	}
	build, _ := wholes.LoadOrStore(key, sync.OnceValues(func() (*jsonschema.Resolved, error) {
		var s jsonschema.Schema
		// The schema of schemas is not at hand, and that parameters are an object is all that can go wrong here.
		text := strings.ReplaceAll(def.Schema, `{"$ref":"http://json-schema.org/draft-07/schema#"}`, `{"type":"object"}`)
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			return nil, err
		}
		return s.Resolve(nil)
	}))
	resolved, err := build.(func() (*jsonschema.Resolved, error))()
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal([]byte(document), &v); err != nil {
		t.Fatalf("%s is not JSON: %v\n%s", key, err, document)
	}
	if err := resolved.Validate(v); err != nil {
		t.Errorf("%s: %v", key, err)
	}
}

// What a guard rewrote is what is recorded, in the prompt and in the reply.
func TestContentAfterRedactingGuards(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true))
	redact := hook.Plugin{Name: "redact", Sources: []hook.Source{
		hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
			var all []content.Message
			for m := range g.Messages.Values() {
				all = append(all, m.WithText(strings.ReplaceAll(m.Text(), "planted", "****")))
			}
			g.Messages = content.NewMessages(all...)
			return g, nil
		}),
		hookpoint.Generation.Review(func(_ context.Context, _ hookpoint.GenerationStart, g hookpoint.GenerationEnd) (hookpoint.GenerationEnd, error) {
			g.Reply = g.Reply.WithText("Dear ****")
			return g, nil
		}),
	}}
	s := start(t, t.Context(), says("Dear planted"), mellea.WithHooks(tel, redact))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "Greet {{.who}}", mellea.Vars{"who": "planted"}))
	_ = s.Close()
	flush(t, tel)
	spans := server.Spans(t, 4)
	if i := indexOf(server.Raw(), "planted"); i >= 0 {
		t.Errorf("the exported bytes hold what was redacted: %q", server.Raw()[i-40:i+10])
	}
	if got := named(t, spans, "action").Attributes["mellea.action.response"]; got != "Dear ****" {
		t.Errorf("response is %v", got)
	}
}

// One function sees all content, whatever it is of. If it panics, what it was given is not recorded, and the call goes on.
func TestRedactor(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	word := regexp.MustCompile(`planted[\w-]*`)
	tel := setup(t, server, telemetry.WithContent(true), telemetry.WithRedactor(func(_, text string) string {
		return word.ReplaceAllString(text, "****")
	}))
	leaky(t, tel)
	server.Spans(t, 20)
	if i := indexOf(server.Raw(), "planted"); i >= 0 {
		t.Errorf("the exported bytes hold what was redacted: %q", server.Raw()[max(0, i-40):i+20])
	}

	broken := otlptest.Start(t)
	tel = setup(t, broken, telemetry.WithContent(true), telemetry.WithRedactor(func(_, text string) string { panic("broken") }))
	set := (*hook.Set)(nil).With(tel).Report(func(hook.Failure) {})
	_, err := hookpoint.Generation.Do(t.Context(), set, hookpoint.GenerationStart{Messages: content.NewMessages(content.User("planted"))},
		func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
			return hookpoint.GenerationEnd{Generation: backend.Generation{Usage: content.Usage{InputTokens: 1}}}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, tel)
	if got := broken.Spans(t, 1)[0].Attributes["gen_ai.usage.input_tokens"]; got != int64(1) {
		t.Errorf("usage is %v, want 1", got)
	}
	if indexOf(broken.Raw(), "planted") >= 0 {
		t.Error("the exported bytes hold what the redactor did not let pass")
	}
}

// Over the cap the oldest messages go first; the last message and the system stay; usage is never lost.
func TestContentCap(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("wörd ", 100)
	turn := func(i int) content.Message { return content.User(fmt.Sprintf("turn %d %s", i, long)) }
	tests := map[string]struct {
		max      int
		messages []content.Message
		want     func(doc string) bool
		cut      bool
	}{
		"all fits":             {max: 16384, messages: []content.Message{content.System("s"), turn(1), turn(2)}, want: func(d string) bool { return strings.Contains(d, "turn 1") }},
		"the oldest goes":      {max: 800, messages: []content.Message{content.System("s"), turn(1), turn(2)}, want: func(d string) bool { return !strings.Contains(d, "turn 1") && strings.Contains(d, "turn 2") }, cut: true},
		"the last one is cut":  {max: 200, messages: []content.Message{content.System("s"), turn(1), turn(2)}, want: func(d string) bool { return strings.Contains(d, "turn 2 w") && len(d) > 190 }, cut: true},
		"not even a frame":     {max: 20, messages: []content.Message{content.User("u")}, want: func(d string) bool { return d == "" }, cut: true},
		"hardly more than one": {max: 32, messages: []content.Message{turn(1)}, want: func(d string) bool { return d == `[{"parts":[],"role":"user"}]` }, cut: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.WithContent(true), telemetry.WithContentMaxBytes(test.max), telemetry.WithContentStrings())
			generate(t, tel, hookpoint.GenerationStart{Messages: content.NewMessages(test.messages...)},
				hookpoint.GenerationEnd{Generation: backend.Generation{Usage: content.Usage{InputTokens: 1, OutputTokens: 1}}}, nil)
			flush(t, tel)
			got := server.Spans(t, 1)[0].Attributes
			doc, _ := got["gen_ai.input.messages"].(string)
			if !test.want(doc) || len(doc) > test.max {
				t.Errorf("document of %d bytes for a cap of %d:\n%s", len(doc), test.max, doc)
			}
			if truncated := got["mellea.content.truncated"] == true; truncated != test.cut {
				t.Errorf("mellea.content.truncated is %v, want %v", truncated, test.cut)
			}
			if test.messages[0].Role() == content.RoleSystem && got["gen_ai.system_instructions"] == nil {
				t.Error("the system instructions are lost")
			}
			if got["gen_ai.usage.input_tokens"] != int64(1) {
				t.Error("usage is lost")
			}
		})
	}
}
