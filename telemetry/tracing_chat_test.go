package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.opentelemetry.io/otel/baggage"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry"
)

// generate fires one Generation operation, of n chunks when it streams.
func generate(t *testing.T, tel *telemetry.Telemetry, start hookpoint.GenerationStart, end hookpoint.GenerationEnd, err error) {
	t.Helper()
	set := (*hook.Set)(nil).With(tel)
	_, _ = hookpoint.Generation.Do(t.Context(), set, start, func(ctx context.Context, _ hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
		g := end.Generation
		for i := range g.Chunks {
			at := g.FirstChunk.Add(time.Duration(i) * time.Millisecond)
			c := hookpoint.ChunkArrived{Kind: backend.ChunkText, Index: i, Length: 4, At: at}
			if i > 0 {
				c.SincePrevious = time.Millisecond
			}
			hookpoint.GenerationEvent.Emit(ctx, set, c)
		}
		return end, err
	})
}

func TestChatAttributes(t *testing.T) {
	t.Parallel()
	began := time.Now()
	format, err := schema.Parse("User", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	usage := content.Usage{InputTokens: 100, OutputTokens: 20, CacheReadTokens: 60, CacheWriteTokens: 5, ReasoningTokens: 8,
		Text: content.Modality{InputTokens: 70, OutputTokens: 20, CacheReadTokens: 60}, Image: content.Modality{InputTokens: 30}}
	full := hookpoint.GenerationStart{
		Info: backend.Info{Provider: "openai", Model: "gpt-4o-mini", ServerAddress: "api.example.com", ServerPort: 443},
		Kind: "instruction", Conversation: "c1", Prompt: hookpoint.Prompt{Name: "mail", Version: "2"}, Format: format,
		ContextSize: 4, Iteration: 2, Messages: content.NewMessages(content.User("planted")),
	}
	sent := backend.Options{}.WithTemperature(0.5).WithTopP(0.9).WithTopK(40).WithMaxTokens(64).WithSeed(7).
		WithFrequencyPenalty(0.1).WithPresencePenalty(0.2).WithStop("END").WithThinking("low").WithStream(true).WithExtra("n", 2)
	tests := map[string]struct {
		start hookpoint.GenerationStart
		end   hookpoint.GenerationEnd
		err   error
		kind  string
		want  map[string]any
	}{
		"everything": {
			start: full,
			end: hookpoint.GenerationEnd{Reply: content.Assistant("planted"), Generation: backend.Generation{
				Provider: "openai", Model: "gpt-4o-mini", ResponseModel: "gpt-4o-mini-2024-07-18", ResponseID: "chatcmpl-9", RequestID: "req_7",
				FinishReasons: content.ListOf("stop", "length"), Usage: usage, Sent: sent, Streaming: true,
				ServerAddress: "api.example.com", ServerPort: 443,
				Retries: content.ListOf(backend.Retry{At: began, Status: 429, Delay: time.Second}),
				Started: began, FirstChunk: began.Add(250 * time.Millisecond), FirstToken: began.Add(250 * time.Millisecond), Ended: began.Add(time.Second),
			}},
			kind: "client",
			want: map[string]any{
				"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "gpt-4o-mini",
				"server.address": "api.example.com", "server.port": int64(443), "gen_ai.conversation.id": "c1",
				"gen_ai.prompt.name": "mail", "gen_ai.prompt.version": "2", "gen_ai.output.type": "json", "mellea.request.format_type": "User",
				"gen_ai.request.stream": true, "gen_ai.request.temperature": 0.5, "gen_ai.request.top_p": 0.9, "gen_ai.request.top_k": int64(40),
				"gen_ai.request.max_tokens": int64(64), "gen_ai.request.seed": int64(7), "gen_ai.request.frequency_penalty": 0.1,
				"gen_ai.request.presence_penalty": 0.2, "gen_ai.request.stop_sequences": []any{"END"}, "gen_ai.request.reasoning.level": "low",
				"gen_ai.request.choice.count": int64(2), "gen_ai.response.model": "gpt-4o-mini-2024-07-18", "gen_ai.response.id": "chatcmpl-9",
				"gen_ai.response.finish_reasons": []any{"stop", "length"}, "gen_ai.response.time_to_first_chunk": 0.25,
				"gen_ai.usage.input_tokens": int64(100), "gen_ai.usage.output_tokens": int64(20), "mellea.usage.total_tokens": int64(120),
				"gen_ai.usage.cache_read.input_tokens": int64(60), "gen_ai.usage.cache_write.input_tokens": int64(5),
				"gen_ai.usage.reasoning.output_tokens": int64(8), "gen_ai.usage.text.input_tokens": int64(70),
				"gen_ai.usage.text.output_tokens": int64(20), "gen_ai.usage.text.cache_read.input_tokens": int64(60),
				"gen_ai.usage.image.input_tokens": int64(30), "openai.api.type": "chat_completions",
				"mellea.component.type": "instruction", "mellea.request.context_size": int64(4), "mellea.request.retries": int64(1),
				"mellea.response.request_id": "req_7", "mellea.sampling.iteration": int64(2),
			},
		},
		"the least, in process": {
			start: hookpoint.GenerationStart{Info: backend.Info{Provider: "huggingface", InProcess: true}},
			end:   hookpoint.GenerationEnd{Reply: content.Assistant("planted")},
			kind:  "internal",
			want: map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "huggingface",
				"mellea.request.context_size": int64(0)},
		},
		"a stream that broke off": {
			start: hookpoint.GenerationStart{Info: backend.Info{Provider: "ollama", Model: "m"}, Options: backend.Options{}.WithMaxTokens(9)},
			end:   hookpoint.GenerationEnd{Generation: backend.Generation{Provider: "ollama", Model: "m", Streaming: true, Chunks: 1, Started: began, FirstChunk: began}},
			err:   &backend.Error{Provider: "ollama", Op: "chat", Code: backend.CodeInvalidResponse},
			kind:  "client",
			want: map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "ollama", "gen_ai.request.model": "m",
				"gen_ai.request.stream": true, "gen_ai.request.max_tokens": int64(9), "gen_ai.response.finish_reasons": []any{"error"},
				"gen_ai.response.time_to_first_chunk": 0.0, "mellea.request.context_size": int64(0),
				"mellea.outcome": "error", "error.type": "invalid_response", "mellea.error.category": "server_error"},
		},
		"what a provider sends need not be UTF-8": {
			start: hookpoint.GenerationStart{Info: backend.Info{Provider: "openai", Model: "m\xff"}},
			end:   hookpoint.GenerationEnd{Generation: backend.Generation{ResponseID: "id\xff", FinishReasons: content.ListOf("st\xffop")}},
			kind:  "client",
			want: map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m\uFFFD",
				"gen_ai.response.id": "id\uFFFD", "gen_ai.response.finish_reasons": []any{"st\uFFFDop"}, "openai.api.type": "chat_completions",
				"mellea.request.context_size": int64(0)},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server)
			generate(t, tel, test.start, test.end, test.err)
			flush(t, tel)
			got := server.Spans(t, 1)[0]
			if diff := cmp.Diff(test.want, got.Attributes); diff != "" {
				t.Errorf("attributes (-want +got):\n%s", diff)
			}
			if got.Kind != test.kind {
				t.Errorf("kind is %s, want %s", got.Kind, test.kind)
			}
			if indexOf(server.Raw(), "planted") >= 0 {
				t.Error("the exported bytes hold content")
			}
		})
	}
}

// A span starts and ends when the operation does, so it is as long as a duration metric of it.
func TestSpanTimesAreTheOutcomes(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	var out hookpoint.GenerationOutcome
	set := (*hook.Set)(nil).With(tel, hookpoint.Generation.Bracket(
		func(ctx context.Context, _ hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
			return ctx, func(o hookpoint.GenerationOutcome) { out = o }
		}))
	_, _ = hookpoint.Generation.Do(t.Context(), set, hookpoint.GenerationStart{},
		func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
			return hookpoint.GenerationEnd{}, nil
		})
	flush(t, tel)
	got := server.Spans(t, 1)[0]
	if !got.Start.Equal(out.Start) || got.End.Sub(got.Start) != out.End.Sub(out.Start) {
		t.Errorf("span from %v for %v, want %v for %v", got.Start, got.End.Sub(got.Start), out.Start, out.End.Sub(out.Start))
	}
}

// A guard may choose another model: the span is named after the one that answered (7.3 no. 33).
func TestChatModelChangedByGuard(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	set := (*hook.Set)(nil).With(tel, hookpoint.Generation.Guard(func(_ context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		g.Options = g.Options.WithModel("small")
		return g, nil
	}))
	_, err := hookpoint.Generation.Do(t.Context(), set, hookpoint.GenerationStart{Info: backend.Info{Provider: "openai", Model: "large"}},
		func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
			return hookpoint.GenerationEnd{}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	flush(t, tel)
	got := server.Spans(t, 1)[0]
	if got.Name != "chat small" || got.Attributes["gen_ai.request.model"] != "small" {
		t.Errorf("got span %s for model %v, want small", got.Name, got.Attributes["gen_ai.request.model"])
	}
}

// Milestones stand on the span at the times they happened, whoever reads and however slowly (7.3 no. 34).
func TestMilestones(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	began := time.Now().Add(-time.Minute)
	g := backend.Generation{Provider: "openai", Model: "m", Streaming: true, Chunks: 3, Started: began,
		FirstChunk: began.Add(100 * time.Millisecond), FirstToken: began.Add(300 * time.Millisecond), Ended: began.Add(time.Second),
		Retries: content.ListOf(
			backend.Retry{At: began.Add(10 * time.Millisecond), Delay: 500 * time.Millisecond, Status: 503},
			backend.Retry{At: began.Add(20 * time.Millisecond), Reason: "connection_reset"})}
	generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: g}, nil)
	generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: backend.Generation{Started: began, FirstChunk: began}}, nil)
	generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: g}, context.Canceled)
	flush(t, tel)
	spans := server.Spans(t, 3)
	want := []otlptest.Event{
		{Name: "retry", Time: began.Add(10 * time.Millisecond), Attributes: map[string]any{"mellea.retry.attempt": int64(1), "error.type": "503", "mellea.retry.delay": 0.5}},
		{Name: "retry", Time: began.Add(20 * time.Millisecond), Attributes: map[string]any{"mellea.retry.attempt": int64(2), "error.type": "connection_reset", "mellea.retry.delay": 0.0}},
		{Name: "first_chunk", Time: g.FirstChunk, Attributes: map[string]any{"gen_ai.response.time_to_first_chunk": 0.1}},
		{Name: "first_token", Time: g.FirstToken, Attributes: map[string]any{"mellea.generation.time_to_first_token": 0.3}},
		{Name: "stream_complete", Time: g.Ended, Attributes: map[string]any{"mellea.generation.chunks": int64(3)}},
	}
	same := cmpopts.EquateApproxTime(0)
	if diff := cmp.Diff(want, spans[0].Events, same); diff != "" {
		t.Errorf("events of a stream (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]otlptest.Event(nil), spans[1].Events); diff != "" {
		t.Errorf("events of a reply in one piece (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(want[:4], spans[2].Events, same); diff != "" {
		t.Errorf("events of a cancelled stream (-want +got):\n%s", diff)
	}
}

// Chunk events are thinned to an even sample of at most 100, and the milestones stay.
func TestChunkEvents(t *testing.T) {
	t.Parallel()
	began := time.Now()
	tests := []struct {
		every, chunks        int
		kept, step, suppress int
	}{
		{every: 1, chunks: 100, kept: 100, step: 1, suppress: 0},
		{every: 1, chunks: 101, kept: 51, step: 2, suppress: 50},
		{every: 1, chunks: 200, kept: 100, step: 2, suppress: 100},
		{every: 1, chunks: 5000, kept: 79, step: 64, suppress: 4921},
		{every: 10, chunks: 95, kept: 10, step: 10, suppress: 85},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%d of %d", test.every, test.chunks), func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server, telemetry.WithChunkEvents(test.every))
			g := backend.Generation{Streaming: true, Chunks: test.chunks, Started: began, FirstChunk: began, FirstToken: began, Ended: began}
			generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: g}, nil)
			flush(t, tel)
			got := server.Spans(t, 1)[0]
			var indexes []int64
			for _, e := range got.Events {
				if e.Name == "chunk_processed" {
					indexes = append(indexes, e.Attributes["mellea.generation.chunk_index"].(int64))
				}
			}
			if len(indexes) != test.kept {
				t.Errorf("%d events, want %d", len(indexes), test.kept)
			}
			for i, index := range indexes {
				if want := int64(i * test.step); index != want {
					t.Fatalf("event %d is of chunk %d, want %d", i, index, want)
				}
			}
			done, ok := got.Event("stream_complete")
			want := map[string]any{"mellea.generation.chunks": int64(test.chunks)}
			if test.suppress > 0 {
				want["mellea.generation.events_suppressed"] = int64(test.suppress)
			}
			if diff := cmp.Diff(want, done.Attributes); !ok || diff != "" {
				t.Errorf("stream_complete (-want +got):\n%s", diff)
			}
			if got.DroppedEvs != 0 {
				t.Errorf("%d events were evicted", got.DroppedEvs)
			}
		})
	}
}

// One chunk event tells place, length and the time since the chunk before. A reply that came whole has none.
func TestChunkEventAttributes(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithChunkEvents(1))
	began := time.Now()
	g := backend.Generation{Streaming: true, Chunks: 2, FirstChunk: began}
	generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: g}, nil)
	g.Streaming = false
	generate(t, tel, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{Generation: g}, nil)
	flush(t, tel)
	spans := server.Spans(t, 2)
	want := []otlptest.Event{
		{Name: "chunk_processed", Time: began, Attributes: map[string]any{"mellea.generation.chunk_index": int64(0), "mellea.generation.chunk_text_length": int64(4)}},
		{Name: "chunk_processed", Time: began.Add(time.Millisecond), Attributes: map[string]any{"mellea.generation.chunk_index": int64(1),
			"mellea.generation.chunk_text_length": int64(4), "mellea.generation.time_since_last_chunk_ms": 1.0}},
	}
	if diff := cmp.Diff(want, spans[0].Events[:2], cmpopts.EquateApproxTime(0)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	if got := spans[1].Events; got != nil {
		t.Errorf("a reply that came whole has events %v", got)
	}
}

func TestBaggageGoesOnlyWhereItMay(t *testing.T) {
	t.Parallel()
	member, err := baggage.NewMember("tenant", "planted")
	if err != nil {
		t.Fatal(err)
	}
	bag, err := baggage.New(member)
	if err != nil {
		t.Fatal(err)
	}
	ctx := baggage.ContextWithBaggage(t.Context(), bag)
	tests := map[string]struct {
		env  string
		opts []telemetry.Option
		host string
		want []string
	}{
		"by default":            {host: "models.example.com", want: []string{"traceparent"}},
		"to a named host":       {opts: []telemetry.Option{telemetry.WithBaggageTo("Models.example.com")}, host: "models.example.com", want: []string{"baggage", "traceparent"}},
		"to another":            {opts: []telemetry.Option{telemetry.WithBaggageTo("models.example.com")}, host: "example.com", want: []string{"traceparent"}},
		"no propagators":        {env: "OTEL_PROPAGATORS=none", host: "models.example.com"},
		"baggage not a choice":  {env: "OTEL_PROPAGATORS=tracecontext", opts: []telemetry.Option{telemetry.WithBaggageTo("models.example.com")}, host: "models.example.com", want: []string{"traceparent"}},
		"nothing in a process":  {host: ""},
		"both, named in either": {env: "OTEL_PROPAGATORS=tracecontext, baggage", host: "models.example.com", want: []string{"traceparent"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := append([]telemetry.Option{environ(test.env), telemetry.WithSpanExporter(discard{})}, test.opts...)
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), opts...))
			defer func() { _ = tel.Shutdown(context.Background()) }()
			var sent []string
			_, err := hookpoint.Generation.Do(ctx, (*hook.Set)(nil).With(tel), hookpoint.GenerationStart{Info: backend.Info{ServerAddress: test.host, InProcess: test.host == ""}},
				func(ctx context.Context, _ hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
					backend.Inject(ctx, func(k, _ string) { sent = append(sent, k) })
					return hookpoint.GenerationEnd{}, nil
				})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, sent, cmpopts.SortSlices(func(a, b string) bool { return a < b })); diff != "" {
				t.Errorf("headers (-want +got):\n%s", diff)
			}
		})
	}
}

// seen is a sampler that keeps what it was asked.
type seen struct{ asked []sdktrace.SamplingParameters }

func (s *seen) ShouldSample(p sdktrace.SamplingParameters) sdktrace.SamplingResult {
	s.asked = append(s.asked, p)
	return sdktrace.SamplingResult{Decision: sdktrace.Drop}
}

func (*seen) Description() string { return "seen" }

// What a sampler decides by is there when the span starts.
func TestSamplerSeesTheCall(t *testing.T) {
	t.Parallel()
	sampler := &seen{}
	provider := sdktrace.NewTracerProvider(sdktrace.WithSampler(sampler))
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithTracerProvider(provider)))
	generate(t, tel, hookpoint.GenerationStart{Info: backend.Info{Provider: "openai", Model: "m", ServerAddress: "h", ServerPort: 1}},
		hookpoint.GenerationEnd{}, errors.New("failed"))
	if len(sampler.asked) != 1 {
		t.Fatalf("the sampler was asked %d times, want once", len(sampler.asked))
	}
	got := map[string]any{}
	for _, kv := range sampler.asked[0].Attributes {
		got[string(kv.Key)] = kv.Value.AsInterface()
	}
	want := map[string]any{"gen_ai.operation.name": "chat", "gen_ai.provider.name": "openai", "gen_ai.request.model": "m",
		"server.address": "h", "server.port": int64(1)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if got := sampler.asked[0].Name; got != "chat m" {
		t.Errorf("name is %q, want chat m", got)
	}
}

// Where the sampler drops everything, nothing is exported and calls still carry a trace context.
func TestNothingSampled(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP, "OTEL_TRACES_SAMPLER=always_off")))
	b := says("hello")
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := server.Paths(); len(got) != 0 {
		t.Errorf("exports %v, want none", got)
	}
	if got := b.headers[0]["traceparent"]; !strings.HasSuffix(got, "-00") {
		t.Errorf("traceparent is %q, want one that is not sampled", got)
	}
}
