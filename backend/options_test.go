package backend_test

import (
	"errors"
	"maps"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func none() backend.Options { return backend.Options{} }

// view is what an Options value tells, for comparing.
func view(o backend.Options) map[string]any {
	v := map[string]any{}
	put := func(name string, x any, set bool) {
		if set {
			v[name] = x
		}
	}
	put("model", o.Model(), o.Has(backend.NeutralModel))
	temperature, ok := o.Temperature()
	put("temperature", temperature, ok)
	topP, ok := o.TopP()
	put("top-p", topP, ok)
	frequency, ok := o.FrequencyPenalty()
	put("frequency-penalty", frequency, ok)
	presence, ok := o.PresencePenalty()
	put("presence-penalty", presence, ok)
	topK, ok := o.TopK()
	put("top-k", topK, ok)
	tokens, ok := o.MaxTokens()
	put("max-tokens", tokens, ok)
	window, ok := o.ContextWindow()
	put("context-window", window, ok)
	seed, ok := o.Seed()
	put("seed", seed, ok)
	put("stop", o.Stop(), o.Has(backend.NeutralStop))
	put("thinking", o.Thinking(), o.Has(backend.NeutralThinking))
	put("stream", true, o.Stream())
	put("strict", true, o.Strict())
	idle, ok := o.StreamTimeout()
	put("idle", idle, ok)
	for name, x := range o.Extras() {
		v["extra "+name] = x
	}
	return v
}

func TestOptionsHoldWhatIsSet(t *testing.T) {
	t.Parallel()
	o := none().WithModel("m").WithTemperature(0).WithTopP(0.5).WithFrequencyPenalty(1).WithPresencePenalty(-1).WithTopK(0).
		WithMaxTokens(9).WithContextWindow(2048).WithSeed(0).WithStop("a", "b").WithThinking("low").WithStream(true).WithStrict(true).
		WithStreamTimeout(-1).WithExtra("z", 1).WithExtra("a", nil)
	want := map[string]any{
		"model": "m", "temperature": 0.0, "top-p": 0.5, "frequency-penalty": 1.0, "presence-penalty": -1.0, "top-k": 0,
		"max-tokens": 9, "context-window": 2048, "seed": int64(0), "stop": []string{"a", "b"}, "thinking": "low", "stream": true,
		"strict": true, "idle": time.Duration(-1), "extra z": 1, "extra a": nil,
	}
	if diff := cmp.Diff(view(o), want); diff != "" {
		t.Errorf("options (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(view(none()), map[string]any{}); diff != "" || !none().IsZero() || o.IsZero() {
		t.Errorf("zero options (-got +want):\n%s", diff)
	}
}

func TestOptionsAreImmutable(t *testing.T) {
	t.Parallel()
	stop := []string{"a"}
	base := none().WithStop(stop...).WithExtra("x", 1).WithTemperature(0.5)
	layered := none().WithSeed(1).Merge(base)
	before, layeredBefore := view(base), view(layered)
	stop[0] = "changed"
	base.Stop()[0] = "changed"
	_ = base.WithExtra("x", 2).WithExtra("y", 3).WithTemperature(0).WithStop("b").Merge(none().WithModel("m"))
	_ = layered.WithSeed(2).Without(backend.NeutralStop)
	if _, err := layered.Resolve(backend.Names{"x": backend.NeutralTopK}); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(view(base), before); diff != "" {
		t.Errorf("the options changed (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(view(layered), layeredBefore); diff != "" {
		t.Errorf("the layers changed (-got +want):\n%s", diff)
	}
}

func TestOptionsMerge(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		got  backend.Options
		want map[string]any
	}{
		{"nothing over something", none().WithSeed(1).Merge(none()), map[string]any{"seed": int64(1)}},
		{"something over nothing", none().Merge(none().WithSeed(1)), map[string]any{"seed": int64(1)}},
		{"what is over wins, what it leaves open stays", none().WithSeed(1).WithModel("m").Merge(none().WithSeed(2)), map[string]any{"seed": int64(2), "model": "m"}},
		{"off over on", none().WithStream(true).Merge(none().WithStream(false)), map[string]any{}},
		{"three layers, bracketed either way", none().WithSeed(1).WithTopK(1).WithModel("a").Merge(none().WithSeed(2).WithTopK(2).Merge(none().WithSeed(3))),
			map[string]any{"seed": int64(3), "top-k": 2, "model": "a"}},
		{"set after merging", none().WithSeed(1).Merge(none().WithTopK(1)).WithSeed(4), map[string]any{"seed": int64(4), "top-k": 1}},
		{"extras one by one", none().WithExtra("a", 1).WithExtra("b", 1).Merge(none().WithExtra("b", 2)), map[string]any{"extra a": 1, "extra b": 2}},
		{"objects member by member", none().WithExtra("a", map[string]any{"x": 1, "y": map[string]any{"z": 1}}).Merge(none().WithExtra("a", map[string]any{"y": map[string]any{"w": 2}})),
			map[string]any{"extra a": map[string]any{"x": 1, "y": map[string]any{"z": 1, "w": 2}}}},
		{"an object over a number", none().WithExtra("a", 1).Merge(none().WithExtra("a", map[string]any{"x": 1})), map[string]any{"extra a": map[string]any{"x": 1}}},
		{"a number over an object", none().WithExtra("a", map[string]any{"x": 1}).Merge(none().WithExtra("a", 1)), map[string]any{"extra a": 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(view(tt.got), tt.want); diff != "" {
				t.Errorf("layered (-got +want):\n%s", diff)
			}
			flat, err := tt.got.Resolve(nil)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(view(flat), tt.want); diff != "" {
				t.Errorf("resolved (-got +want):\n%s", diff)
			}
			for name, want := range tt.want {
				if name, ok := cutExtra(name); ok {
					if got, _ := tt.got.Extra(name); !cmp.Equal(got, want) {
						t.Errorf("got extra %q %v, want %v", name, got, want)
					}
				}
			}
		})
	}
}

func cutExtra(name string) (string, bool) {
	const prefix = "extra "
	if len(name) > len(prefix) && name[:len(prefix)] == prefix {
		return name[len(prefix):], true
	}
	return "", false
}

var dialect = backend.Names{
	"num_predict": backend.NeutralMaxTokens, "max_tokens": backend.NeutralMaxTokens, "temp": backend.NeutralTemperature,
	"stop": backend.NeutralStop, "think": backend.NeutralThinking, "seed": backend.NeutralSeed, "model": backend.NeutralModel,
	"top_p": backend.NeutralTopP, "top_k": backend.NeutralTopK, "num_ctx": backend.NeutralContextWindow,
	"fp": backend.NeutralFrequencyPenalty, "pp": backend.NeutralPresencePenalty,
}

func TestOptionsResolve(t *testing.T) {
	t.Parallel()
	call := func(name string, x any) backend.Options { return none().WithExtra(name, x) }
	tests := []struct {
		name string
		in   backend.Options
		want map[string]any
	}{
		{"nothing", none(), map[string]any{}},
		{"an own name stands for the option", call("num_predict", 9), map[string]any{"max-tokens": 9}},
		{"the option wins in its own layer", call("num_predict", 9).WithMaxTokens(5), map[string]any{"max-tokens": 5}},
		{"whatever the order", none().WithMaxTokens(5).WithExtra("num_predict", 9), map[string]any{"max-tokens": 5}},
		{"an own name wins over the option below", none().WithMaxTokens(5).Merge(call("num_predict", 9)), map[string]any{"max-tokens": 9}},
		{"the option wins over an own name below", call("num_predict", 9).Merge(none().WithMaxTokens(5)), map[string]any{"max-tokens": 5}},
		{"between two layers of others", none().WithMaxTokens(1).Merge(call("num_predict", 9)).Merge(none().WithSeed(1)), map[string]any{"max-tokens": 9, "seed": int64(1)}},
		{"of two own names the first in order", call("num_predict", 9).WithExtra("max_tokens", 5), map[string]any{"max-tokens": 5}},
		{"what is no name stays an extra", call("mirostat", 1).WithExtra("num_predict", 2), map[string]any{"max-tokens": 2, "extra mirostat": 1}},
		{"numbers convert as in JSON", call("num_predict", 9.0).WithExtra("temp", 1).WithExtra("seed", uint8(3)), map[string]any{"max-tokens": 9, "temperature": 1.0, "seed": int64(3)}},
		{"every kind", call("model", "m").WithExtra("top_p", 0.5).WithExtra("top_k", 4).WithExtra("num_ctx", 8).WithExtra("fp", 1).WithExtra("pp", 2), map[string]any{
			"model": "m", "top-p": 0.5, "top-k": 4, "context-window": 8, "frequency-penalty": 1.0, "presence-penalty": 2.0}},
		{"one stop", call("stop", "a"), map[string]any{"stop": []string{"a"}}},
		{"a list of any", call("stop", []any{"a", "b"}), map[string]any{"stop": []string{"a", "b"}}},
		{"thinking as a switch", call("think", false), map[string]any{"thinking": "off"}},
		{"thinking as a level", call("think", "high"), map[string]any{"thinking": "high"}},
		{"what is no parameter is layered too", none().WithStream(true).WithStrict(true).WithStreamTimeout(7).Merge(none().WithSeed(1)),
			map[string]any{"stream": true, "strict": true, "idle": time.Duration(7), "seed": int64(1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			for range 20 { // maps are in the way
				got, err := tt.in.Resolve(dialect)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(view(got), tt.want); diff != "" {
					t.Fatalf("resolved (-got +want):\n%s", diff)
				}
			}
		})
	}
}

func TestOptionsResolveRefuses(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]any{
		"num_predict": "SECRET", "temp": []int{1}, "stop": 7, "think": 3, "seed": 1.5, "model": 1, "top_k": 0.5, "top_p": "SECRET",
		"num_ctx": true, "fp": "SECRET", "pp": func() {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := none().WithExtra(name, x).Merge(none().WithSeed(1)).Resolve(dialect)
			var bad *backend.OptionError
			if !errors.As(err, &bad) || bad.Name != name || bad.Want == "" {
				t.Fatalf("got error %v, want a *OptionError that names %q and what it wants", err, name)
			}
			if want := "option " + name + ": want " + bad.Want; err.Error() != want {
				t.Errorf("got text %q, want %q", err, want)
			}
		})
	}
	// A wrong value does no harm where an upper layer does not let it through.
	if _, err := none().WithExtra("num_predict", "SECRET").WithMaxTokens(1).Resolve(dialect); err != nil {
		t.Errorf("got error %v, want the value not to be looked at", err)
	}
}

func TestOptionsWithout(t *testing.T) {
	t.Parallel()
	o := none().WithTopK(1).WithSeed(1).Merge(none().WithTopK(2).WithModel("m"))
	if diff := cmp.Diff(view(o.Without(backend.NeutralTopK, backend.NeutralModel)), map[string]any{"seed": int64(1)}); diff != "" {
		t.Errorf("options (-got +want):\n%s", diff)
	}
	if got := none().Without(backend.NeutralSeed); !got.IsZero() {
		t.Errorf("got %v, want nothing", view(got))
	}
}

// Merging is associative, and resolving does not change what the getters say.
func TestOptionsMergeIsAssociative(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(1, 2))
	random := func() backend.Options {
		o := none()
		for range rnd.IntN(4) {
			switch rnd.IntN(6) {
			case 0:
				o = o.WithSeed(rnd.Int64N(9))
			case 1:
				o = o.WithTemperature(rnd.Float64())
			case 2:
				o = o.WithStop("s")
			case 3:
				o = o.WithStream(rnd.IntN(2) == 0)
			case 4:
				o = o.WithExtra("e", map[string]any{string(rune('a' + rnd.IntN(3))): rnd.IntN(9)})
			case 5:
				o = o.WithMaxTokens(rnd.IntN(9))
			}
		}
		return o
	}
	for range 500 {
		a, b, c := random(), random(), random()
		left, right := a.Merge(b).Merge(c), a.Merge(b.Merge(c))
		if diff := cmp.Diff(view(left), view(right)); diff != "" {
			t.Fatalf("(a+b)+c and a+(b+c) (-left +right):\n%s", diff)
		}
		flat, err := left.Resolve(dialect)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(view(flat), view(left)); diff != "" {
			t.Fatalf("resolved (-got +want):\n%s", diff)
		}
		if again, _ := flat.Resolve(dialect); !maps.EqualFunc(view(again), view(flat), func(x, y any) bool { return cmp.Equal(x, y) }) {
			t.Fatal("resolving twice changes something")
		}
	}
}

func TestNeutralNames(t *testing.T) {
	t.Parallel()
	for n, want := range map[backend.Neutral]string{
		backend.NeutralModel: "model", backend.NeutralTopK: "top-k", backend.NeutralMaxTokens: "max-tokens", backend.NeutralContextWindow: "context-window",
	} {
		if got := n.String(); got != want {
			t.Errorf("got name %q, want %q", got, want)
		}
	}
}
