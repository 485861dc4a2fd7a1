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

var _ backend.Backend = (*Backend)(nil)

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
// A reply that the provider's content filter cut off is an error with code "content_filter"; a refusal by the model is
// its reply, with the finish reason "refusal".
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	return b.client.Generate(ctx, req)
}

// GenerateBatch is not there yet.
func (b *Backend) GenerateBatch(context.Context, backend.BatchRequest) (backend.BatchReply, error) {
	info, _ := b.client.Info(context.Background())
	return backend.BatchReply{}, backend.NoBatch(info.Provider)
}
