package backend

import "context"

type carrierKey struct{}

// WithCarrier returns a context under which [Inject] calls carrier. It is how trace context reaches model servers
// without the backends knowing of tracing: the plugin that opens the span puts the carrier there.
func WithCarrier(ctx context.Context, carrier func(set func(key, value string))) context.Context {
	return context.WithValue(ctx, carrierKey{}, carrier)
}

// Inject passes the headers that the context carries to set. Every transport calls it for each request it sends, a
// user's own too. It does nothing when there is no carrier.
func Inject(ctx context.Context, set func(key, value string)) {
	if carrier, ok := ctx.Value(carrierKey{}).(func(func(key, value string))); ok {
		carrier(set)
	}
}
