package backendtest

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

func realChat(t *testing.T, r *realRun) Outcome {
	r.eachWay(t, func(t *testing.T, stream bool) {
		reply := r.reply(t, r.request("Name three colours.", stream))
		if strings.TrimSpace(reply.Message.Text()) == "" {
			t.Error("got an empty reply, want some text")
		}
	})
	return Pass
}

func realStream(t *testing.T, r *realRun) Outcome {
	out := start(t, r.ctx, r.backend, r.request("Count to five.", true))
	var got strings.Builder
	pieces := 0
	for c, err := range out.Chunks(r.ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == backend.ChunkText {
			got.WriteString(c.Text)
			pieces++
		}
	}
	if text, _ := out.Text(r.ctx); got.String() != text {
		t.Errorf("got chunks %q, want them to add up to %q", got.String(), text)
	}
	if pieces < 2 {
		t.Errorf("got the reply in %d pieces, want several", pieces)
	}
	return Pass
}

func realOptions(t *testing.T, r *realRun) Outcome {
	t.Run("are taken", func(t *testing.T) {
		req := r.request("Say hello.", false)
		if r.Temperature {
			req.Options = req.Options.WithTemperature(0)
		}
		if r.Seed {
			req.Options = req.Options.WithSeed(1)
		}
		first, second := r.reply(t, req), r.reply(t, req)
		if r.Temperature && r.Seed && !first.Message.Equal(second.Message) {
			t.Errorf("got %q and then %q with a temperature of 0 and one seed, want the same", first.Message.Text(), second.Message.Text())
		}
	})
	t.Run("a bound on the reply holds", func(t *testing.T) {
		req := r.request("Tell a very long story.", false)
		req.Options = req.Options.WithMaxTokens(4)
		g := r.reply(t, req).Generation
		if got := g.Usage.OutputTokens; got > 4 {
			t.Errorf("got %d output tokens, want at most 4", got)
		}
		if got := g.FinishReasons.Slice(); !slices.Equal(got, []string{"length"}) {
			t.Errorf("got finish reasons %q, want length", got)
		}
	})
	return Pass
}

func realCancel(t *testing.T, r *realRun) Outcome {
	req := r.request("Tell a very long story.", true)
	req.Options = req.Options.WithMaxTokens(2000)
	out := start(t, r.ctx, r.backend, req)
	for c, err := range out.Chunks(r.ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Kind == backend.ChunkText {
			break
		}
	}
	if err := out.Wait(r.ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want context.Canceled in it", err)
	}
	wantNoProducer(t)
	r.reply(t, r.request("Say hello.", false)) // the server is free for the next
	return Pass
}

func realErrors(t *testing.T, r *realRun) Outcome {
	if r.ModelUnknown == "" { // not a server of several models
		return ""
	}
	r.eachWay(t, func(t *testing.T, stream bool) {
		req := r.request("Hello.", stream)
		req.Options = req.Options.WithModel(r.ModelUnknown)
		_, err := start(t, r.ctx, r.backend, req).Reply(r.ctx)
		var e *backend.Error
		if !errors.As(err, &e) || e.Remedy == "" {
			t.Errorf("got error %v, want a *backend.Error with a remedy", err)
		}
	})
	return Pass
}

func realUsage(t *testing.T, r *realRun) Outcome {
	r.eachWay(t, func(t *testing.T, stream bool) {
		g := r.reply(t, r.request("Name three colours.", stream)).Generation
		if g.Usage.InputTokens == 0 || g.Usage.OutputTokens == 0 || g.Usage.OutputTokens > 32 {
			t.Errorf("got usage %+v, want tokens counted", g.Usage)
		}
	})
	return Pass
}

func realMetadata(t *testing.T, r *realRun) Outcome {
	r.eachWay(t, func(t *testing.T, stream bool) {
		g := r.reply(t, r.request("Name three colours.", stream)).Generation
		if g.Provider != r.info.Provider || g.Model != r.info.Model || g.ResponseModel == "" {
			t.Errorf("got provider %q, model %q, response model %q, want those of %+v", g.Provider, g.Model, g.ResponseModel, r.info)
		}
		if r.ResponseModel != "" && g.ResponseModel != r.ResponseModel {
			t.Errorf("got response model %q, want %q", g.ResponseModel, r.ResponseModel)
		}
		if g.ServerAddress != r.info.ServerAddress || g.ServerPort != r.info.ServerPort || g.InProcess != r.info.InProcess {
			t.Errorf("got server %s:%d, in process %t, want that of %+v", g.ServerAddress, g.ServerPort, g.InProcess, r.info)
		}
		if g.FinishReasons.Len() != 1 {
			t.Errorf("got finish reasons %v, want one", g.FinishReasons.Slice())
		}
		if g.Streaming != stream || g.Sent.Stream() != stream {
			t.Errorf("got streaming %t, want %t", g.Streaming, stream)
		}
		if r.RequestID && g.RequestID == "" {
			t.Error("got no request id, want one")
		}
		if n, ok := g.Sent.MaxTokens(); !ok || n != 32 {
			t.Errorf("got max-tokens %d among the options sent, want 32", n)
		}
		wantTimes(t, g)
	})
	return Pass
}

func realSchema(t *testing.T, r *realRun) Outcome {
	person := mustSchema("person", `{"type":"object","properties":{"name":{"type":"string","maxLength":20},
		"age":{"type":"integer","minimum":0,"maximum":120}},"required":["name","age"],"additionalProperties":false}`)
	req := r.request("Alice is 31 years old. Give her name and age as JSON.", false)
	req.Format, req.Options = person, req.Options.WithMaxTokens(100).WithTemperature(0)
	if r.info.Capabilities.Structured != backend.StructuredSchema {
		_, err := r.backend.Generate(r.ctx, req)
		wantUnsupportedReal(t, err)
		return Cannot
	}
	r.eachWay(t, func(t *testing.T, stream bool) {
		req.Options = req.Options.WithStream(stream)
		got := r.reply(t, req).Message.Text()
		if err := person.Validate([]byte(got)); err != nil {
			t.Errorf("reply %q: %v", got, err)
		}
	})
	return Pass
}

func realTools(t *testing.T, r *realRun) Outcome {
	tools := r.Tools
	if !r.info.Capabilities.Tools {
		req := r.request("What time is it?", false)
		req.Tools = content.ListOf(content.ToolSpec{Name: "now", Parameters: mustSchema("now", `{"type":"object"}`)})
		_, err := r.backend.Generate(r.ctx, req)
		wantUnsupportedReal(t, err)
		return Cannot
	}
	if tools == nil { // no model that calls tools
		return ""
	}
	r.eachWay(t, func(t *testing.T, stream bool) {
		req := r.request(tools.Prompt, stream)
		req.Tools = content.ListOf(tools.Spec)
		req.Options = req.Options.WithMaxTokens(200)
		if tools.Model != "" {
			req.Options = req.Options.WithModel(tools.Model)
		}
		if tools.Choice != nil {
			req.Options = req.Options.WithExtra("tool_choice", tools.Choice)
		}
		if r.Temperature {
			req.Options = req.Options.WithTemperature(0)
		}
		asking := r.reply(t, req)
		calls := slices.Collect(asking.Message.ToolCalls())
		if len(calls) == 0 || calls[0].Name != tools.Spec.Name || !json.Valid([]byte(calls[0].Arguments)) {
			t.Fatalf("got calls %+v and text %q, want one of %s", calls, asking.Message.Text(), tools.Spec.Name)
		}
		if calls[0].ID == "" {
			t.Error("got a call without an id, want one")
		}
		if err := tools.Spec.Parameters.Validate([]byte(calls[0].Arguments)); tools.Choice != nil && err != nil {
			t.Errorf("got arguments %s of a call that was demanded: %v", calls[0].Arguments, err)
		}
		if got := asking.Generation.FinishReasons.Slice(); !slices.Equal(got, []string{"tool_calls"}) {
			t.Errorf("got finish reasons %q, want tool_calls", got)
		}
		req.Messages = req.Messages.Append(asking.Message)
		if tools.Choice != nil {
			req.Options = req.Options.WithExtra("tool_choice", "auto")
		}
		for _, c := range calls {
			req.Messages = req.Messages.Append(content.NewMessage(content.RoleTool, content.ToolResult{CallID: c.ID, Name: c.Name, Content: tools.Result}))
		}
		if got := r.reply(t, req).Message.Text(); strings.TrimSpace(got) == "" {
			t.Error("got an empty reply to the result, want some text")
		}
	})
	return Pass
}

func realReasoning(t *testing.T, r *realRun) Outcome {
	think := r.Reasoning
	if think == nil { // no model that thinks
		return ""
	}
	r.eachWay(t, func(t *testing.T, stream bool) {
		req := r.request(think.Prompt, stream)
		req.Options = req.Options.WithMaxTokens(200).WithThinking(think.Level)
		if think.Model != "" {
			req.Options = req.Options.WithModel(think.Model)
		}
		reply := r.reply(t, req)
		if strings.TrimSpace(reply.Message.Reasoning()) == "" || strings.TrimSpace(reply.Message.Text()) == "" {
			t.Errorf("got reasoning %q and text %q, want some of both", reply.Message.Reasoning(), reply.Message.Text())
		}
		if got := reply.Generation.Sent.Thinking(); got != think.Level {
			t.Errorf("got level %q among the options sent, want %q", got, think.Level)
		}
	})
	return Pass
}

func realBatch(t *testing.T, r *realRun) Outcome {
	req := prompts("The capital of Italy is", "One, two, three,", "The sky is")
	req.Options = req.Options.WithMaxTokens(8).WithTemperature(0)
	reply, err := r.backend.GenerateBatch(r.ctx, req)
	if !r.info.Capabilities.Batch {
		wantUnsupportedReal(t, err)
		return Cannot
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := reply.Items.Len(); got != 3 {
		t.Fatalf("got %d items, want 3", got)
	}
	for i, it := range reply.Items.All() {
		if it.Err != nil || strings.TrimSpace(it.Text) == "" {
			t.Errorf("item %d: got %q, %v, want a completion", i, it.Text, it.Err)
		}
	}
	if u := reply.Generation.Usage; u.InputTokens == 0 || u.OutputTokens == 0 || u.OutputTokens > 3*8 {
		t.Errorf("got usage %+v, want the sum over three bounded completions", u)
	}
	return Pass
}

func realModels(t *testing.T, r *realRun) Outcome {
	lister, ok := r.backend.(backend.ModelLister)
	if !ok {
		return Cannot
	}
	models, err := lister.ListModels(r.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(models, func(m backend.ModelInfo) bool { return m.Name == r.info.Model }) {
		t.Errorf("got models %+v, want %q among them", models, r.info.Model)
	}
	return Pass
}

func wantUnsupportedReal(t *testing.T, err error) {
	t.Helper()
	var e *backend.Error
	if !errors.As(err, &e) || e.Code != backend.CodeUnsupported {
		t.Errorf("got %v for what the backend says it cannot do, want code %q", err, backend.CodeUnsupported)
	}
}

// wantNoProducer checks that no goroutine still produces an output.
func wantNoProducer(t *testing.T) {
	t.Helper()
	var stacks string
	for range 200 { // Done closes a moment before the goroutine ends
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "backend.(*Output).run") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("a generation still runs:\n%s", stacks)
}
