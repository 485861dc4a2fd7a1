package telemetry_test

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// nameless does not say who it is.
type nameless struct{ *scripted }

func (nameless) Info(context.Context) (backend.Info, error) {
	return backend.Info{}, &backend.Error{Provider: "openai", Op: "info", Code: backend.CodeConfiguration}
}

// A session that does not start counts as what it is, once.
func TestSessionsThatDoNotStartAreCounted(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		backend backend.Backend
		guard   hook.Source
		want    map[string]float64
	}{
		"an error": {backend: nameless{says("hello")}, want: map[string]float64{
			"mellea.llm.errors error.type=configuration mellea.error.category=invalid_request": 1}},
		"rejected": {backend: says("hello"), guard: hook.Plugin{Name: "closed", Sources: []hook.Source{hookpoint.SessionStart.Check(
			func(context.Context, hookpoint.SessionStarting) error { return hook.Reject("closed", "") })}}, want: map[string]float64{
			"mellea.hook.rejections mellea.rejection.plugin=closed mellea.rejection.point=session_start": 1}},
	} {
		server := otlptest.Start(t)
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(slog.New(slog.DiscardHandler)),
			environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)))
		if _, err := mellea.Start(t.Context(), test.backend, mellea.WithHooks(test.guard, tel)); err == nil {
			t.Errorf("%s: the session did start", name)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := values(server.Series(), "mellea.")
		for _, none := range []string{semconv.MetricMelleaHookOpenOperations, semconv.MetricMelleaTracesSpansDropped} {
			if got[none] != 0 {
				t.Errorf("%s: %s is %v", name, none, got[none])
			}
			delete(got, none)
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: metrics (-want +got):\n%s", name, diff)
		}
	}
}

// A reply that came in one piece has no chunks, though the backend writes its parts one after the other.
func TestOnlyStreamsHaveChunks(t *testing.T) {
	t.Parallel()
	answer := func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		now := time.Now()
		w.Reasoning(now, []byte("hm"))
		w.Text(now, []byte("hello"))
		return nil
	}
	for name, test := range map[string]struct {
		own  bool // the backend streams by itself
		opts []mellea.CallOption
		want []uint64
	}{
		"in one piece":            {},
		"streamed by the backend": {own: true, want: []uint64{1}},
		"streamed":                {opts: []mellea.CallOption{mellea.Stream(func(int, backend.Chunk) {})}, want: []uint64{1}},
	} {
		announced := 0
		series, _ := measured(t, &scripted{answer: answer, stream: test.own}, func(s *mellea.Session) {
			s = s.With(mellea.WithHooks(hookpoint.GenerationEvent.On(func(context.Context, hookpoint.ChunkArrived) { announced++ })))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi", test.opts...))
		}, nil)
		var got []uint64
		for _, s := range series {
			if s.Name == semconv.MetricGenAIClientInferenceTimePerOutputChunk {
				got = append(got, s.Count)
			}
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: times of chunks %v, want %v", name, got, test.want)
		}
		if streamed := test.want != nil; announced > 0 != streamed {
			t.Errorf("%s: %d chunks announced", name, announced)
		}
	}
}
