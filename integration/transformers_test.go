package integration_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// TestTransformersDialect runs the OpenAI backend against Hugging Face's own server, `transformers serve`. That server
// ignores response_format, so there is no test of schemas.
func TestTransformersDialect(t *testing.T) {
	server := components.TransformersServe(t)
	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey(""), openai.WithModel(server.Model))

	t.Run("counts and says why it ended", func(t *testing.T) {
		var texts []string
		for _, req := range []backend.Request{question(essay), streamed(question(essay))} {
			got := generate(t, b, req)
			texts = append(texts, got.Message.Text())
			if u := got.Generation.Usage; u.OutputTokens != 24 || u.InputTokens < 10 {
				t.Errorf("usage = %+v, want 24 tokens out", u)
			}
			if diff := cmp.Diff([]string{"length"}, got.Generation.FinishReasons.Slice()); diff != "" {
				t.Errorf("finish reasons (-want +got):\n%s", diff)
			}
			if got.Generation.ResponseID == "" || got.Generation.ResponseModel != server.Model {
				t.Errorf("response %q of model %q, want an id and %q", got.Generation.ResponseID, got.Generation.ResponseModel, server.Model)
			}
		}
		if texts[0] == "" || texts[0] != texts[1] {
			t.Errorf("whole %q, streamed %q, want the same", texts[0], texts[1])
		}
	})

	testStream(t, b)
	testCancel(t, b)

	t.Run("unknown model", func(t *testing.T) {
		out, err := b.Generate(t.Context(), backend.Request{
			Messages: content.NewMessages(content.User("hi")),
			Options:  backend.Options{}.WithModel("no-such-model"),
		})
		if err == nil {
			err = out.Wait(t.Context())
		}
		var e *backend.Error
		if !errors.As(err, &e) || e.Status/100 != 4 || !strings.Contains(e.Message, "no-such-model") {
			t.Errorf("error = %v (%+v), want a refusal that names the model", err, e)
		}
	})
}

// TestTransformersScript holds several turns on `transformers serve` against what the model is scripted to say.
func TestTransformersScript(t *testing.T) {
	replies := []string{"It is 18 degrees in Paris.\nÇa va ? — Oui.", "You are welcome."}
	server := components.TransformersScripted(t, tinymodel.Say(replies...))
	b := openai.New(openai.WithBaseURL(server.URL+"/v1"), openai.WithAPIKey(""), openai.WithModel(server.Model))
	for _, stream := range []bool{false, true} {
		messages := content.NewMessages(content.System("Be brief."), content.User("What is the weather?"))
		for _, want := range replies {
			got := generate(t, b, backend.Request{Messages: messages, Options: backend.Options{}.WithStream(stream).WithMaxTokens(100)})
			if got.Message.Text() != want {
				t.Errorf("stream %v: reply %q, want %q", stream, got.Message.Text(), want)
			}
			if diff := cmp.Diff([]string{"stop"}, got.Generation.FinishReasons.Slice()); diff != "" {
				t.Errorf("finish reasons (-want +got):\n%s", diff)
			}
			messages = messages.Append(got.Message, content.User("Thanks."))
		}
	}
}
