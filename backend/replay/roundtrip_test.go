package replay_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"reflect"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// equal compares all but the times, which are those of the run.
var equal = cmp.Options{
	cmp.AllowUnexported(observed{}, content.List[string]{}, content.List[backend.Retry]{}, content.List[backend.Scores]{}),
	cmp.Comparer(func(a, b content.Message) bool { return a.Equal(b) }),
	cmp.Comparer(func(a, b backend.Options) bool { return fmt.Sprint(flatten(a)) == fmt.Sprint(flatten(b)) }),
	cmp.Comparer(func(a, b error) bool { return reflect.DeepEqual(stripCause(a), stripCause(b)) }),
	cmpopts.IgnoreFields(backend.Chunk{}, "At"),
	cmpopts.IgnoreFields(backend.Retry{}, "At", "Delay"),
	cmpopts.IgnoreFields(backend.Generation{}, "Started", "FirstChunk", "FirstToken", "Ended"),
}

// flatten lists the options that a recording keeps.
func flatten(o backend.Options) []any {
	list := []any{o.Model(), o.Stop(), o.Thinking(), o.Stream()}
	for _, get := range []func() (float64, bool){o.Temperature, o.TopP, o.FrequencyPenalty, o.PresencePenalty} {
		v, ok := get()
		list = append(list, v, ok)
	}
	for _, get := range []func() (int, bool){o.TopK, o.MaxTokens, o.ContextWindow} {
		v, ok := get()
		list = append(list, v, ok)
	}
	seed, ok := o.Seed()
	list = append(list, seed, ok)
	for name, v := range o.Extras() {
		list = append(list, name, v)
	}
	return list
}

// stripCause leaves of the cause of a *backend.Error only what callers look for.
func stripCause(err error) error {
	var e *backend.Error
	if !errors.As(err, &e) {
		return err
	}
	c := *e
	for _, known := range []error{context.DeadlineExceeded, io.ErrUnexpectedEOF, syscall.ECONNREFUSED} {
		if errors.Is(c.Err, known) {
			c.Err = known
			return &c
		}
	}
	c.Err = nil
	return &c
}

// A recording gives back the chunks, the metadata and the error of the backend that was recorded.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	rich := backend.Generation{
		ResponseModel: "tiny-2", ResponseID: "r1", RequestID: "q1", FinishReasons: content.ListOf("stop"),
		Usage: content.Usage{InputTokens: 10, OutputTokens: 4, CacheReadTokens: 3, CacheWriteTokens: 2, ReasoningTokens: 1,
			Text: content.Modality{InputTokens: 9}, Image: content.Modality{InputTokens: 1}, Audio: content.Modality{OutputTokens: 1}},
		Retries: content.ListOf(backend.Retry{At: time.Now(), Delay: time.Millisecond, Status: 429, Reason: "rate_limit"}),
	}
	tests := map[string]script{
		"text": {steps: []step{{text: "Hel"}, {text: "lo"}}},
		"everything": {
			steps: []step{{}, {reasoning: "hm"}, {text: "He"}, {}, {tool: &backend.ToolDelta{ID: "c1", Name: "f", Arguments: `{"a"`}},
				{tool: &backend.ToolDelta{Arguments: `:1}`}}, {tool: &backend.ToolDelta{Index: 1, Name: "g"}}, {text: "llo"}, {}},
			finish: func(g *backend.Generation) {
				g.ResponseModel, g.ResponseID, g.RequestID = rich.ResponseModel, rich.ResponseID, rich.RequestID
				g.FinishReasons, g.Usage, g.Retries = rich.FinishReasons, rich.Usage, rich.Retries
				g.Sent = g.Sent.WithExtra("mode", "fast").WithTemperature(0.5)
			},
		},
		"tools of the provider": {steps: []step{{served: &backend.ServerToolDelta{ID: "s1", Name: "web_search", Type: "search", Arguments: `{"q"`}}, {served: &backend.ServerToolDelta{Arguments: `:1}`}},
			{served: &backend.ServerToolDelta{Index: 1, Name: "python"}}, {served: &backend.ServerToolDelta{ResultType: "found", Result: "[]"}}, {text: "a"}}},
		"a character in two pieces": {steps: []step{{text: "caf\xc3"}, {text: "\xa9"}, {reasoning: "\xff"}}},
		"nothing":                   {},
		"only signs of life":        {steps: []step{{}, {}}},
		"failure in the middle": {steps: []step{{text: "Hel"}}, err: &backend.Error{Provider: "test", Op: "chat", Status: 200,
			Code: "invalid_response", Message: "secret", RequestID: "q", Remedy: "try again", Err: io.ErrUnexpectedEOF}},
		"rate limit":                     {err: &backend.Error{Provider: "test", Op: "chat", Status: 429, Code: "slow", RetryAfter: 7 * time.Second}},
		"refused":                        {refuse: &backend.Error{Provider: "test", Op: "chat", Code: backend.CodeUnsupported, Remedy: "no audio"}},
		"unreachable":                    {err: &backend.Error{Provider: "test", Code: backend.CodeUnreachable, Err: fmt.Errorf("dial: %w", syscall.ECONNREFUSED)}},
		"cancelled":                      {steps: []step{{text: "He"}}, err: &backend.CancelledError{}},
		"abandoned":                      {steps: []step{{text: "He"}}, err: backend.ErrAbandoned},
		"a provider's tool out of range": {steps: []step{{served: &backend.ServerToolDelta{Index: backend.MaxToolCalls}}}},
		"a tool call out of range":       {steps: []step{{text: "He"}, {tool: &backend.ToolDelta{Index: -1}}}},
	}
	for name, s := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, stream := range []bool{false, true} {
				req := ask("hi")
				req.Options = req.Options.WithStream(stream)
				want, file := record(t, play(s), req)
				b := open(t, file)
				got := observe(t.Context(), b, req)
				if diff := cmp.Diff(want[0], got, equal); diff != "" {
					t.Errorf("replayed (-recorded +replayed):\n%s\n%s", diff, file)
				}
				if left := b.Unused(); len(left) > 0 {
					t.Errorf("Unused() = %v, want none", left)
				}
			}
		})
	}
}

// Random scripts and random requests, in sequence, replayed in another order.
func TestRoundTripProperty(t *testing.T) {
	t.Parallel()
	for seed := range uint64(100) {
		rng := rand.New(rand.NewPCG(seed, 0))
		var (
			scripts []script
			reqs    []backend.Request
		)
		for range 1 + rng.IntN(6) {
			scripts = append(scripts, randomScript(rng))
			reqs = append(reqs, randomRequest(rng))
		}
		want, file := record(t, play(scripts...), reqs...)
		b := open(t, file)
		queues := map[byte][]int{} // equal requests, which keep their order; others are made in any
		for i, r := range reqs {
			queues[key(r)] = append(queues[key(r)], i)
		}
		for _, i := range rng.Perm(len(reqs)) {
			k := queues[key(reqs[i])][0]
			queues[key(reqs[i])] = queues[key(reqs[i])][1:]
			if diff := cmp.Diff(want[k], observe(t.Context(), b, reqs[k]), equal); diff != "" {
				t.Fatalf("seed %d, request %d (-recorded +replayed):\n%s\n%s", seed, k, diff, file)
			}
		}
		if left := b.Unused(); len(left) > 0 {
			t.Fatalf("seed %d: Unused() = %v, want none", seed, left)
		}
	}
}

// key tells the requests of randomRequest apart.
func key(r backend.Request) byte { return r.Messages.At(0).Text()[0] }

func randomScript(rng *rand.Rand) script {
	var s script
	if rng.IntN(8) == 0 {
		return script{refuse: &backend.Error{Provider: "test", Code: "no"}}
	}
	for range rng.IntN(8) {
		text := randomText(rng)
		switch rng.IntN(5) {
		case 0:
			s.steps = append(s.steps, step{reasoning: text})
		case 1:
			s.steps = append(s.steps, step{tool: &backend.ToolDelta{Index: rng.IntN(3), Arguments: "{}", Name: "f"}})
		case 2:
			s.steps = append(s.steps, step{})
		case 3:
			s.steps = append(s.steps, step{served: &backend.ServerToolDelta{Index: rng.IntN(3), Name: "f", ResultType: "r", Result: "{}"}})
		default:
			s.steps = append(s.steps, step{text: text})
		}
	}
	if rng.IntN(3) == 0 {
		s.err = &backend.Error{Provider: "test", Status: 500 + rng.IntN(4)}
		return s
	}
	usage := content.Usage{InputTokens: rng.IntN(100), OutputTokens: rng.IntN(100)}
	s.finish = func(g *backend.Generation) { g.Usage = usage }
	return s
}

func randomText(rng *rand.Rand) string {
	b := make([]byte, rng.IntN(6))
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// randomRequest draws from few requests, so that some are equal.
func randomRequest(rng *rand.Rand) backend.Request {
	kind := rng.IntN(3)
	req := ask(string(rune('a'+kind)) + "\x00\"\n")
	switch kind {
	case 1:
		req.Options = req.Options.WithSeed(1<<62+1).WithStop("x").WithExtra("k", map[string]any{"b": 1, "a": []int{1}})
	case 2:
		req.Format, _ = schema.Parse("s", []byte(`{"type":"object"}`))
		req.Tools = content.ListOf(content.ToolSpec{Name: "f", Parameters: req.Format})
		req.Messages = req.Messages.Append(content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "r", Signature: "s"}, content.ToolCall{ID: "1"}),
			content.NewMessage(content.RoleTool, content.ToolResult{CallID: "1", Content: "c", IsError: true}))
	}
	return req
}

// A recording of a replay is the recording.
func TestReplayCanBeRecorded(t *testing.T) {
	t.Parallel()
	want, file := record(t, play(say("Hello")), ask("hi"))
	got, again := record(t, open(t, file), ask("hi"))
	if diff := cmp.Diff(want, got, equal); diff != "" {
		t.Errorf("replayed (-recorded +replayed):\n%s", diff)
	}
	if diff := cmp.Diff(want[0], observe(t.Context(), open(t, again), ask("hi")), equal); diff != "" {
		t.Errorf("replayed twice (-recorded +replayed):\n%s", diff)
	}
}

func TestInfoIsAsRecorded(t *testing.T) {
	t.Parallel()
	_, file := record(t, play(say("Hello")), ask("hi"))
	got, err := open(t, file).Info(t.Context())
	if diff := cmp.Diff(testInfo, got); diff != "" || err != nil {
		t.Errorf("Info (-want +got):\n%s, error %v", diff, err)
	}
}

var _ backend.Backend = (*replay.Backend)(nil)
