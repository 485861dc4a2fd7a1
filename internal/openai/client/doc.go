// Package client talks to chat-completions servers: it is what the backends of that dialect share.
//
// A backend reads its options and its environment into a [Config], makes a [Client] of it in its constructor, keeps it
// in an unexported field and lets its methods call the Client's of the same name:
//
//	type Backend struct{ client *client.Client }
//
//	func New(opts ...Option) *Backend {
//		c := …                                        // options over environment
//		return &Backend{client.New(client.Config{
//			Provider: "example",
//			Server:   wire.Config{BaseURL: c.url, Header: http.Header{"Authorization": {"Bearer " + c.key}}, Transport: c.transport},
//			Problem:  problem,                        // a setting is missing: a *backend.Error, or nil
//			Options:  c.options,                      // the model among them
//			Names:    client.Names("top_k"),          // the dialect's names and those the server adds
//			Lacks:    []backend.Neutral{backend.NeutralContextWindow},
//			Style:    openai.Style{MaxTokensField: "max_tokens"},
//			Key:      "EXAMPLE_KEY or WithKey",       // what a 401 is about
//		})}
//	}
//
//	func (b *Backend) Generate(ctx context.Context, r backend.Request) (*backend.Output, error) { return b.client.Generate(ctx, r) }
//
// What differs between servers is data or a function of Config; what does not is here once: resolving options, the
// exchange, streams in all their variants, errors as *[backend.Error], metadata, the list of models, batches.
package client
