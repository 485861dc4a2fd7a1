package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/tool"
)

type city struct {
	City string `json:"city"`
}

func TestRun(t *testing.T) {
	t.Parallel()
	cause := errors.New("the station is down")
	run := func(f func(context.Context, city) (any, error), opts ...tool.Option) tool.Tool {
		return tool.New("weather", "Weather.", f, opts...)
	}
	tests := map[string]struct {
		tool    tool.Tool
		args    string
		text    string
		cut     bool
		err     any // pointer to the type
		explain string
	}{
		"text": {
			tool: run(func(_ context.Context, in city) (any, error) { return "sun in " + in.City, nil }),
			args: `{"city":"Oslo"}`, text: "sun in Oslo",
		},
		"JSON without HTML escapes": {
			tool: run(func(context.Context, city) (any, error) { return map[string]any{"b": "<&>", "a": 1}, nil }),
			args: `{"city":"Oslo"}`, text: `{"a":1,"b":"<&>"}`,
		},
		"nothing": {
			tool: run(func(context.Context, city) (any, error) { return nil, nil }),
			args: `{"city":"Oslo"}`, text: "null",
		},
		"cut on a rune boundary": {
			tool: run(func(context.Context, city) (any, error) { return "12345€", nil }, tool.MaxResult(6)),
			args: `{"city":"Oslo"}`, text: "12345\n[The result has 8 bytes. Only the first 5 are shown.]", cut: true,
		},
		"no bound": {
			tool: run(func(context.Context, city) (any, error) { return strings.Repeat("x", tool.DefaultMaxResult+1), nil }, tool.MaxResult(0)),
			args: `{"city":"Oslo"}`, text: strings.Repeat("x", tool.DefaultMaxResult+1),
		},
		"not UTF-8": {
			tool: run(func(context.Context, city) (any, error) { return "a\xffb", nil }),
			args: `{"city":"Oslo"}`, text: "a\uFFFDb",
		},
		"error": {
			tool: run(func(context.Context, city) (any, error) { return nil, cause }),
			args: `{"city":"Oslo"}`, err: new(*tool.Error), explain: "Error: the station is down",
		},
		"panic": {
			tool: run(func(context.Context, city) (any, error) { panic("secret") }),
			args: `{"city":"Oslo"}`, err: new(*tool.PanicError), explain: "Error: the tool broke down.",
		},
		"panic of the result": {
			tool: run(func(context.Context, city) (any, error) { return explosive{}, nil }),
			args: `{"city":"Oslo"}`, err: new(*tool.PanicError), explain: "Error: the tool broke down.",
		},
		"a result that is no JSON": {
			tool: run(func(context.Context, city) (any, error) { return math.NaN(), nil }),
			args: `{"city":"Oslo"}`, err: new(*tool.Error),
			explain: "Error: its result cannot be shown as JSON: json: unsupported value: NaN",
		},
		"arguments": {
			tool: run(func(context.Context, city) (any, error) { panic("not to be called") }),
			args: `{}`, err: new(*tool.ArgumentError),
			explain: `Error: the arguments do not fit. "city" is missing: want a text. Call the tool again with arguments that fit.`,
		},
		"an argument that the type refuses": {
			tool: tool.New("at", "", func(_ context.Context, in struct{ T time.Time }) (any, error) { return in.T.Year(), nil }),
			args: `{"T":"tomorrow"}`, err: new(*tool.ArgumentError),
			explain: `Error: the arguments do not fit. They cannot be read: parsing time "tomorrow" as "2006-01-02T15:04:05Z07:00": cannot parse "tomorrow" as "2006". Call the tool again with arguments that fit.`,
		},
		"no tool": {err: new(*tool.UnknownError), explain: `Error: there is no tool "". No tools are available: answer without them.`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, err := tc.tool.Run(t.Context(), tc.args)
			if out.Text != tc.text || out.Truncated != tc.cut {
				t.Errorf("got %.100q, truncated %v, want %.100q, %v", out.Text, out.Truncated, tc.text, tc.cut)
			}
			if (err != nil) != (tc.err != nil) || err != nil && !errors.As(err, tc.err) {
				t.Fatalf("got error %v, want a %T", err, tc.err)
			}
			if got := tool.Explain(err); got != tc.explain {
				t.Errorf("got explanation\n%s\nwant\n%s", got, tc.explain)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error %q quotes the panic", err)
			}
		})
	}
}

type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("boom") }

func TestErrorsWrap(t *testing.T) {
	t.Parallel()
	cause := errors.New("cause")
	_, err := tool.New("t", "", func(context.Context, struct{}) (int, error) { return 0, tool.Fatal(cause) }).Run(t.Context(), "")
	if !errors.Is(err, cause) || !errors.As(err, new(*tool.FatalError)) || tool.Fatal(nil) != nil {
		t.Errorf("got %v, want a FatalError around the cause, and nil for nil", err)
	}
	_, err = tool.New("t", "", func(context.Context, struct{}) (int, error) { panic(cause) }).Run(t.Context(), "")
	if !errors.Is(err, cause) {
		t.Errorf("got %v, want the value of the panic in the chain", err)
	}
	if got := tool.Explain(fmt.Errorf("wrapped: %w", &tool.Error{Tool: "t", Err: cause})); got != "Error: cause" {
		t.Errorf("got %q of a wrapped error", got)
	}
	if got := len(tool.Explain(&tool.Error{Err: errors.New(strings.Repeat("x", 1<<20))})); got > 2*tool.MaxExplanation {
		t.Errorf("got an explanation of %d bytes, want it bounded", got)
	}
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := tool.New("slow", "", func(ctx context.Context, _ struct{}) (int, error) {
			<-ctx.Done()
			return 0, ctx.Err()
		}, tool.Timeout(time.Minute))
		start := time.Now()
		_, err := slow.Run(t.Context(), "")
		var timeout *tool.TimeoutError
		if !errors.As(err, &timeout) || !errors.Is(err, context.DeadlineExceeded) || !timeout.Timeout() || time.Since(start) != time.Minute {
			t.Errorf("got %v after %v, want a TimeoutError after a minute", err, time.Since(start))
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err = slow.Run(ctx, ""); errors.As(err, new(*tool.TimeoutError)) || !errors.Is(err, context.Canceled) {
			t.Errorf("got %v of a cancelled call, want its cancellation", err)
		}
		if slow.Timeout() != time.Minute || (tool.Tool{}).Timeout() != 0 {
			t.Error("the bound is not told")
		}
	})
}

func TestDefinition(t *testing.T) {
	t.Parallel()
	try := func(_ tool.Tool, err error) error { return err }
	tests := map[string]struct {
		err  error
		want any
	}{
		"no function": {try(tool.TryNew[struct{}, int]("t", "", nil)), new(*tool.DefinitionError)},
		"a text as argument": {try(tool.TryNew("t", "", func(context.Context, string) (int, error) { return 0, nil })),
			new(*tool.DefinitionError)},
		"a channel in it": {try(tool.TryNew("t", "", func(context.Context, struct{ C chan int }) (int, error) { return 0, nil })),
			new(*tool.DefinitionError)},
		"name":             {try(tool.TryNew("a b", "", func(context.Context, struct{}) (int, error) { return 0, nil })), new(*tool.NameError)},
		"spec, no call":    {try(tool.FromSpec(content.ToolSpec{Name: "t"}, nil)), new(*tool.DefinitionError)},
		"spec, empty name": {try(tool.FromSpec(content.ToolSpec{}, raw)), new(*tool.NameError)},
		"spec":             {try(tool.FromSpec(content.ToolSpec{Name: "t"}, raw)), nil},
		"pointer":          {try(tool.TryNew("t", "", func(context.Context, *city) (int, error) { return 0, nil })), nil},
		"map":              {try(tool.TryNew("t", "", func(context.Context, map[string]int) (int, error) { return 0, nil })), nil},
	}
	for name, tc := range tests {
		if (tc.err != nil) != (tc.want != nil) || tc.err != nil && !errors.As(tc.err, tc.want) {
			t.Errorf("%s: got %v, want a %T", name, tc.err, tc.want)
		}
	}
	defer func() {
		if p := recover(); p == nil {
			t.Error("New returned, want a panic")
		}
	}()
	tool.New("t", "", func(context.Context, []int) (int, error) { return 0, nil })
}

func raw(_ context.Context, arguments json.RawMessage) (any, error) { return string(arguments), nil }

func TestNames(t *testing.T) {
	t.Parallel()
	tests := map[string]bool{
		"get_weather": true, "_x": true, "A-1": true, strings.Repeat("a", tool.MaxName): true,
		"": false, "1a": false, "-a": false, "a b": false, "a.b": false, "é": false, strings.Repeat("a", tool.MaxName+1): false,
	}
	for name, want := range tests {
		err := tool.CheckName(name)
		if (err == nil) != want || err != nil && !errors.As(err, new(*tool.NameError)) {
			t.Errorf("%q: got %v, want usable %v", name, err, want)
		}
	}
}

func TestSet(t *testing.T) {
	t.Parallel()
	named := func(name, description string) tool.Tool {
		return tool.New(name, description, func(context.Context, struct{}) (int, error) { return 0, nil })
	}
	set := func(all ...tool.Tool) tool.Set {
		s, err := tool.NewSet(all...)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	a, b, b2, c := named("a", ""), named("b", ""), named("b", "another"), named("c", "")
	tests := map[string]struct {
		set  tool.Set
		want []string
	}{
		"zero":    {tool.Set{}, nil},
		"empty":   {set(), nil},
		"two":     {set(b, a), []string{"b:", "a:"}},
		"merged":  {set(a, b).Merge(set(b2, c)), []string{"a:", "b:another", "c:"}},
		"on none": {tool.Set{}.Merge(set(a)), []string{"a:"}},
		"none on": {set(a).Merge(tool.Set{}), []string{"a:"}},
	}
	for name, tc := range tests {
		var got, specs []string
		for t := range tc.set.All() {
			got = append(got, t.Name()+":"+t.Description())
		}
		for s := range tc.set.Specs().Values() {
			specs = append(specs, s.Name+":"+s.Description)
		}
		if diff := cmp.Diff(got, tc.want); diff != "" || !slices.Equal(got, specs) || tc.set.Len() != len(got) {
			t.Errorf("%s: tools (-got +want):\n%s and specs %v, length %d", name, diff, specs, tc.set.Len())
		}
		for range tc.set.All() {
			break
		}
	}
	for name, all := range map[string][]tool.Tool{"twice": {a, b, b2}, "zero": {a, {}}} {
		if _, err := tool.NewSet(all...); !errors.As(err, new(*tool.NameError)) {
			t.Errorf("%s: got %v, want a NameError", name, err)
		}
	}
	if got, ok := set(a, b).Lookup("b"); !ok || got.Name() != "b" {
		t.Error("b is not found")
	}
	for _, s := range []tool.Set{{}, set(a)} {
		if got, ok := s.Lookup("A"); ok || !got.IsZero() {
			t.Error("A is found")
		}
	}
}

func TestSpec(t *testing.T) {
	t.Parallel()
	type in struct {
		City string   `json:"city" jsonschema:"the city's name"`
		Tags []string `json:"tags,omitempty"`
	}
	got := tool.New("weather", "Weather.", func(context.Context, in) (int, error) { return 0, nil }, tool.ControlFlow())
	want := `{"type":"object","properties":{"city":{"type":"string","description":"the city's name"},` +
		`"tags":{"type":"array","items":{"type":"string"}}},"required":["city"],"additionalProperties":false}`
	if diff := cmp.Diff(canonical(t, got.Spec().Parameters.JSON()), canonical(t, want)); diff != "" {
		t.Errorf("schema (-got +want):\n%s", diff)
	}
	if !got.IsControlFlow() || (tool.Tool{}).IsControlFlow() {
		t.Error("control flow is mixed up")
	}
}

func canonical(t *testing.T, text string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func parse(text string) (schema.Schema, bool) {
	s, err := schema.Parse("arguments", []byte(text))
	return s, err == nil
}

func mustParse(tb testing.TB, text string) schema.Schema {
	tb.Helper()
	s, err := schema.Parse("arguments", []byte(text))
	if err != nil {
		tb.Fatal(err)
	}
	return s
}
