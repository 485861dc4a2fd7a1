package openai

import (
	"context"
	"fmt"
	"log/slog"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai/client"
)

// Backend generates text through a chat-completions API. It is immutable and safe for concurrent use. It prints
// masked.
type Backend struct{ client *client.Client }

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
)

// Format prints the backend without its secrets, whatever the verb.
func (b *Backend) Format(f fmt.State, verb rune) { b.client.Format(f, verb) }

// LogValue is the masked form for log/slog.
func (b *Backend) LogValue() slog.Value { return b.client.LogValue() }

// Info describes the backend. It asks nobody. The error is a *[backend.Error] with code [backend.CodeConfiguration]: a
// base URL that cannot work, no key for a public server.
func (b *Backend) Info(ctx context.Context) (backend.Info, error) { return b.client.Info(ctx) }

// Generate starts one chat completion. Errors before it starts are a *[backend.Error]: a configuration that cannot
// work, an option of the wrong type or, under strict options, one that the provider does not have.
//
// A format goes to the server as a strict JSON Schema. A server that says it has no such thing is asked for any JSON
// document, and one without that too in words; which it is is found out once for each model and reported at WARN. Under
// strict options the server's refusal is the error.
//
// A reply that the provider's content filter cut off is an error with code "content_filter"; a refusal by the model is
// its reply, with the finish reason "refusal".
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	return b.client.Generate(ctx, req)
}

// GenerateBatch makes raw completions through /completions: in one request where the server takes a list of prompts, and
// one by one, several at a time, where it does not. OpenAI has them for few models. A format is refused by OpenAI and
// Azure; other servers are sent it as in a chat.
func (b *Backend) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	return b.client.GenerateBatch(ctx, req)
}

// ListModels returns the models of the server, in its order. Of an Azure endpoint with a dated api-version they are the
// models of the resource, not its deployments.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	return b.client.ListModels(ctx)
}
