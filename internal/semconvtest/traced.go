// Package semconvtest puts telemetry around a backend in a test, as the engine would, and fails the test where what it
// says of a call is not what the OpenTelemetry conventions ask for. The conformance suites of the backends run with it. It
// also holds the metrics of a whole program against its spans.
package semconvtest

import (
	"context"
	"errors"
	"log/slog"
	"runtime/pprof"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// Allowed are the findings that no backend can help, in a suite whose requests ask for little and whose servers answer
// with little.
var allowed = []struct {
	id        check.ID
	attribute string
	reason    string
}{
	{check.NotStable, "", "all of the conventions is in development"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.frequency_penalty", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.max_tokens", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.presence_penalty", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.stop_sequences", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.temperature", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "gen_ai.request.top_p", "most requests set none, and the provider's default is not known"},
	{check.RecommendedAttributeNotPresent, "exception.stacktrace", "errors of Go have no stack, and that of a panic may show what it was about"},
	{check.RecommendedAttributeNotPresent, "mellea.component.type", "the suite has requests, not components"},
	{check.RecommendedAttributeNotPresent, "gen_ai.usage.input_tokens", "some servers of the suite report no usage, or are cut off before"},
	{check.RecommendedAttributeNotPresent, "gen_ai.usage.output_tokens", "some servers of the suite report no usage, or are cut off before"},
	{check.RecommendedAttributeNotPresent, "openai.response.service_tier", "the servers of the suite have no tiers"},
	{check.RecommendedAttributeNotPresent, "openai.response.system_fingerprint", "servers that fail give none, and a batch is many requests"},
	{check.RecommendedAttributeNotPresent, "gen_ai.response.model", "servers that fail do not tell which model failed"},
	{check.RecommendedAttributeNotPresent, "server.address", "an address that is none is not told"},
	{check.RecommendedAttributeNotPresent, "openai.api.type", "a batch goes to the API for completions, which is none of the values there are"},
}

// Traced returns a backend that calls b under telemetry, with content captured. When the test ends, it fails for what
// telemetry says wrong of the calls, and for generations that have not ended. A test in which nothing is called has
// nothing to check. Exceptions are for what the backend's own server does not tell.
func Traced(tb testing.TB, b backend.Backend, exceptions ...melleatest.SemconvOption) backend.Backend {
	tb.Helper()
	t := &traced{Backend: b, tb: tb, exceptions: exceptions}
	tb.Cleanup(func() { t.calls.Wait() })
	if l, ok := b.(backend.ModelLister); ok {
		return struct {
			*traced
			backend.ModelLister
		}{t, l}
	}
	return t
}

// A traced backend stands in for the engine, which is the only one to fire hook points otherwise.
type traced struct {
	backend.Backend

	tb         testing.TB
	exceptions []melleatest.SemconvOption

	once  sync.Once
	set   *hook.Set
	calls sync.WaitGroup
}

// hooks sets telemetry up for the first call. The suites look for goroutines that a backend leaves behind, by a label that
// goroutines pass on: those of telemetry have to begin without it.
func (t *traced) hooks() *hook.Set {
	t.once.Do(func() {
		opts := append([]melleatest.SemconvOption{melleatest.FailFrom(check.Improvement)}, t.exceptions...)
		for _, a := range allowed {
			opts = append(opts, melleatest.Allow(a.id, a.attribute, a.reason))
		}
		unlabelled(func() {
			tel := melleatest.CheckSemconv(t.tb, opts...).Setup(context.Background(), telemetry.WithContent(true),
				telemetry.WithLogger(slog.New(slog.DiscardHandler)))
			t.set = (*hook.Set)(nil).With(tel)
		})
		t.tb.Cleanup(t.calls.Wait) // before telemetry is shut down
	})
	return t.set
}

func unlabelled(f func()) {
	var done sync.WaitGroup
	done.Go(func() {
		pprof.SetGoroutineLabels(context.Background())
		f()
	})
	done.Wait()
}

// info is what the backend says of itself, whether or not the call has been given up.
func (t *traced) info(ctx context.Context) backend.Info {
	info, _ := t.Info(context.WithoutCancel(ctx))
	return info
}

// carrying returns ctx with the trace context that its parent brings, if that brings any: the suite looks for its own.
func carrying(ctx, parent context.Context) context.Context {
	return backend.WithCarrier(ctx, func(set func(key, value string)) {
		brought := false
		backend.Inject(parent, func(key, value string) {
			brought = true
			set(key, value)
		})
		if !brought {
			backend.Inject(ctx, set)
		}
	})
}

// ending is the error that ends an operation, as the engine tells it: whose doing it was goes before what came of it.
func ending(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, backend.ErrAbandoned):
		return errors.Join(hook.ErrAbandoned, err)
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		return ctx.Err()
	}
	return err
}

// Generate implements [backend.Backend].
func (t *traced) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	info := t.info(ctx)
	traced, op, err := hookpoint.Generation.Begin(ctx, t.hooks(), hookpoint.GenerationStart{Info: info, Messages: req.Messages,
		Options: req.Options, Format: req.Format, Tools: req.Tools})
	if err != nil {
		return nil, err
	}
	out, err := t.Backend.Generate(carrying(traced, ctx), req)
	if err != nil {
		g := backend.Generation{Provider: info.Provider, Model: op.Pre.Model(), ServerAddress: info.ServerAddress, ServerPort: info.ServerPort, InProcess: info.InProcess}
		_, _ = op.End(hookpoint.GenerationEnd{Generation: g}, ending(ctx, err))
		return nil, err
	}
	t.calls.Go(func() {
		pprof.SetGoroutineLabels(context.Background())
		<-out.Done()
		r, err := out.Reply(context.Background())
		_, _ = op.EndAt(r.Generation.Ended, hookpoint.GenerationEnd{Reply: r.Message, Generation: r.Generation}, ending(ctx, err))
	})
	return out, nil
}

// GenerateBatch implements [backend.Backend].
func (t *traced) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	info := t.info(ctx)
	traced, op, err := hookpoint.GenerationBatch.Begin(ctx, t.hooks(), hookpoint.BatchStart{Info: info, Prompts: req.Prompts, Options: req.Options, Format: req.Format})
	if err != nil {
		return backend.BatchReply{}, err
	}
	reply, err := t.Backend.GenerateBatch(carrying(traced, ctx), req)
	failed := err
	if n := reply.Items.Len(); failed == nil && n > 0 && reply.Failed() == n { // all of them
		failed = reply.Items.At(0).Err
	}
	known := reply.Generation
	if known.Provider == "" {
		known.Provider = info.Provider
	}
	if known.Model == "" {
		known.Model = op.Pre.Model()
	}
	_, _ = op.EndAt(known.Ended, hookpoint.BatchEnd{Items: reply.Items, Generation: known}, ending(ctx, failed))
	return reply, err
}
