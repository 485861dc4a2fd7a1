package hook_test

import (
	"context"
	"testing"

	"github.com/mellea-go/mellea/hook"
)

type spanKey struct{}

// tracer stands for a tracing bracket: a value in the context and a finisher, two allocations of its own.
func tracer() hook.Binding {
	return generate.Bracket(func(ctx context.Context, _ request) (context.Context, func(outcome)) {
		span := new(int)
		return context.WithValue(ctx, spanKey{}, span), func(outcome) { *span++ }
	})
}

func allow() hook.Binding {
	return generate.Guard(func(_ context.Context, r request) (request, error) { return r, nil })
}

func look() hook.Binding { return generate.Observe(func(context.Context, request) {}) }

func BenchmarkOperation(b *testing.B) {
	elsewhere := hook.NewPoint[int, int]("elsewhere").Observe(func(context.Context, int) {})
	for _, bb := range []struct {
		name string
		set  *hook.Set
	}{
		{"nobody", nil},
		{"elsewhere", install(elsewhere)},
		{"tracer", install(tracer())},
		{"3 subscribers", install(tracer(), allow(), look())},
		{"8 subscribers", install(tracer(), allow(), look(), allow(), look(), allow(), look(), look())},
		{"tracer and 2 checks", install(tracer(), passing(), passing())},
		{"async", install(generate.Async(func(context.Context, outcome) {})).Report(func(hook.Failure) {})},
	} {
		ctx := context.Background()
		b.Run(bb.name+"/Begin", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				ctx, op, err := generate.Begin(ctx, bb.set, request{"m", "p"})
				r, err := answerQuietly(ctx, op.Pre, err)
				_, _ = op.End(r, err)
			}
		})
		b.Run(bb.name+"/Do", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = generate.Do(ctx, bb.set, request{"m", "p"}, func(ctx context.Context, r request) (reply, error) { return answerQuietly(ctx, r, nil) })
			}
		})
		if err := bb.set.Close(ctx); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignal(b *testing.B) {
	for _, bb := range []struct {
		name string
		set  *hook.Set
	}{
		{"nobody", nil},
		{"elsewhere", install(tracer())},
		{"one", install(chunks.On(func(context.Context, reply) {}))},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.ReportAllocs()
			ctx := context.Background()
			for b.Loop() {
				chunks.Emit(ctx, bb.set, reply{"chunk"})
			}
		})
	}
}

// BenchmarkWith derives the Set of a block from that of a session with telemetry.
func BenchmarkWith(b *testing.B) {
	base := install(tracer(), allow(), look())
	guard := allow()
	b.ReportAllocs()
	for b.Loop() {
		_ = base.With(guard)
	}
}
