package integration_test

import (
	"cmp"
	"context"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// liveModel is asked unless WATSONX_MODEL names another: it chats, calls tools and is in every region.
const liveModel = "ibm/granite-4-h-small"

// TestWatsonxLive runs the backend against IBM's own service. That takes an account, so it needs the settings of one in
// the environment, MELLEA_REQUIRE_COMPONENTS or not: nobody can install the service. It costs some thousand tokens.
func TestWatsonxLive(t *testing.T) {
	key := cmp.Or(os.Getenv("WATSONX_API_KEY"), os.Getenv("WATSONX_APIKEY"))
	scope := cmp.Or(os.Getenv("WATSONX_PROJECT_ID"), os.Getenv("WATSONX_SPACE_ID"))
	if key == "" || scope == "" || os.Getenv("WATSONX_URL") == "" {
		t.Skip("not run against IBM watsonx.ai: set WATSONX_URL, WATSONX_API_KEY, and WATSONX_PROJECT_ID or WATSONX_SPACE_ID")
	}
	model := cmp.Or(os.Getenv("WATSONX_MODEL"), liveModel)
	b := watsonx.New(watsonx.WithModel(model))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()

	adder, err := schema.Parse("add", []byte(`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"required":["a","b"]}`))
	if err != nil {
		t.Fatal(err)
	}
	backendtest.RunReal(t, b, backendtest.Real{
		Seed: true, Temperature: true, RequestID: true, ModelUnknown: "ibm/no-such-model",
		Tools: &backendtest.RealTools{
			Prompt: "What is 12345 plus 54321? Use the tool.", Result: "66666",
			Spec: content.ToolSpec{Name: "add", Description: "adds two whole numbers", Parameters: adder},
		},
	})
	t.Run("the model is on the list", func(t *testing.T) {
		models, err := b.ListModels(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range models {
			if m.Name == model {
				return
			}
		}
		t.Errorf("got %d models without %s among them", len(models), model)
	})
	t.Run("an API key that IAM does not know", func(t *testing.T) {
		out, err := watsonx.New(watsonx.WithModel(model), watsonx.WithAPIKey("no-such-key-0000000000000000000000000000000")).
			Generate(ctx, backend.Request{Messages: content.NewMessages(content.User("hello"))})
		if err != nil {
			t.Fatal(err)
		}
		err = out.Wait(ctx)
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeAuthentication || e.RequestID == "" {
			t.Errorf("got error %v, want code %s and a request id", err, backend.CodeAuthentication)
		}
	})
	t.Run("a token that the service does not take", func(t *testing.T) {
		out, err := watsonx.New(watsonx.WithModel(model), watsonx.WithToken("not-a-token")).
			Generate(ctx, backend.Request{Messages: content.NewMessages(content.User("hello"))})
		if err != nil {
			t.Fatal(err)
		}
		err = out.Wait(ctx)
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Status != 401 || e.RequestID == "" {
			t.Errorf("got error %v, want a 401 with its trace", err)
		}
	})
}
