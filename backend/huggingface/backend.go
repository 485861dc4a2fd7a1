package huggingface

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai/client"
	"github.com/mellea-go/mellea/schema"
)

// Backend generates text through a chat-completions API. It is immutable and safe for concurrent use. It prints
// masked.
type Backend struct {
	client *client.Client
	server Server
	batch  bool
}

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
)

// Format prints the backend without its secrets, whatever the verb.
func (b *Backend) Format(f fmt.State, verb rune) { b.client.Format(f, verb) }

// LogValue is the masked form for log/slog.
func (b *Backend) LogValue() slog.Value { return b.client.LogValue() }

// Info describes the backend. It asks nobody. The error is an *[backend.Error] with code [backend.CodeConfiguration]: an
// address that cannot work, no token for the router.
func (b *Backend) Info(ctx context.Context) (backend.Info, error) { return b.client.Info(ctx) }

// Generate starts one chat completion. Errors before it starts are an *[backend.Error]: a configuration that cannot
// work, an option of the wrong type, a format for a server that cannot hold a reply to one or, under strict options, an
// option that the server does not have.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if !req.Format.IsZero() {
		switch b.server {
		case Transformers:
			return nil, &backend.Error{Provider: provider, Op: "chat", Code: backend.CodeUnsupported,
				Remedy: "`transformers serve` cannot hold a reply to a schema: run the model in process, or by vLLM or TGI, or ask for the format in words"}
		case TGI:
			req.Options = req.Options.WithExtra("response_format", valueFormat(req.Format))
			req.Format = schema.Schema{}
		case Compatible:
		}
	}
	if b.server != Compatible && hasMore(req.Messages) {
		return nil, &backend.Error{Provider: provider, Op: "chat", Code: backend.CodeUnsupported,
			Remedy: "the server takes no recordings or files: leave them out, or send them to a model by another server"}
	}
	return b.client.Generate(ctx, req)
}

// hasMore reports whether there is more than text and images.
func hasMore(messages content.Messages) bool {
	for m := range messages.Values() {
		for p := range m.Parts() {
			switch p.(type) {
			case content.Audio, content.File:
				return true
			}
		}
	}
	return false
}

// valueFormat is TGI's way of a schema.
func valueFormat(f schema.Schema) map[string]any {
	return map[string]any{"type": "json_object", "value": json.RawMessage(f.JSON())}
}

// GenerateBatch makes raw completions through /completions. The router has none, and is [backend.CodeUnsupported].
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	if !b.batch {
		return backend.BatchReply{}, backend.NoBatch(provider)
	}
	return b.client.GenerateBatch(ctx, req)
}

// ListModels returns the models of the server, in its order: of the router all that some provider serves.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	return b.client.ListModels(ctx)
}

// remedy knows what the servers say that a user can do something about.
func remedy(e *backend.Error) string {
	says := func(words ...string) bool {
		for _, w := range words {
			if !strings.Contains(e.Message, w) {
				return false
			}
		}
		return true
	}
	switch {
	case e.Status == http.StatusPaymentRequired:
		return "the credits for Inference Providers are used up: see huggingface.co/settings/billing, or choose a provider whose key you have"
	case e.Status == http.StatusForbidden && says("permission"):
		return "the token may not call Inference Providers: make one that may on huggingface.co/settings/tokens"
	case e.Code == "model_not_supported":
		return "no provider that is enabled for the token serves this model: choose another, or enable providers on huggingface.co/settings/inference-providers"
	case e.Status == http.StatusUnprocessableEntity && (says("Unexpected keys in the request") || says("Unsupported fields in the request")):
		return "`transformers serve` does not know something in the request: say that it is one by WithServer(Transformers), and leave out extras that it does not have"
	case e.Status == http.StatusUnprocessableEntity && says("response_format"), says("missing field `value`"):
		return "the server takes schemas in another form: if it is TGI, say so by WithServer(TGI)"
	case says("`inputs`", "tokens") || says("`max_new_tokens`"):
		return "the conversation and the reply are longer than the server allows: shorten it or ask for fewer tokens"
	case e.Code == "overloaded":
		return "the server is busy: wait, or send fewer requests at a time"
	case e.Status == http.StatusServiceUnavailable && says("loading"):
		return "the server is still loading the model: try again in a while"
	}
	return ""
}
