package backendtest

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

// settings give each neutral option a value and say how a request shows it.
var settings = []struct {
	option backend.Neutral
	set    func(backend.Options) backend.Options
	want   any
}{
	{backend.NeutralModel, func(o backend.Options) backend.Options { return o.WithModel(calledModel) }, calledModel},
	{backend.NeutralTemperature, func(o backend.Options) backend.Options { return o.WithTemperature(0) }, 0.0},
	{backend.NeutralTopP, func(o backend.Options) backend.Options { return o.WithTopP(0.5) }, 0.5},
	{backend.NeutralTopK, func(o backend.Options) backend.Options { return o.WithTopK(7) }, 7.0},
	{backend.NeutralFrequencyPenalty, func(o backend.Options) backend.Options { return o.WithFrequencyPenalty(-0.5) }, -0.5},
	{backend.NeutralPresencePenalty, func(o backend.Options) backend.Options { return o.WithPresencePenalty(0.25) }, 0.25},
	{backend.NeutralMaxTokens, func(o backend.Options) backend.Options { return o.WithMaxTokens(33) }, 33.0},
	{backend.NeutralContextWindow, func(o backend.Options) backend.Options { return o.WithContextWindow(2048) }, 2048.0},
	{backend.NeutralSeed, func(o backend.Options) backend.Options { return o.WithSeed(-42) }, -42.0},
	{backend.NeutralStop, func(o backend.Options) backend.Options { return o.WithStop("END", "\n") }, []any{"END", "\n"}},
	{backend.NeutralThinking, func(o backend.Options) backend.Options { return o.WithThinking("high") }, "high"},
	{backend.NeutralLogits, func(o backend.Options) backend.Options { return o.WithLogits(true) }, true},
	{backend.NeutralRawLogits, func(o backend.Options) backend.Options { return o.WithRawLogits(true) }, true},
}

func runOptions(t *testing.T, s Suite) {
	for _, tt := range settings {
		path, supported := s.Options[tt.option]
		if !supported {
			t.Run(tt.option.String()+" is not supported", func(t *testing.T) {
				t.Parallel()
				req := ask(false)
				req.Options = tt.set(req.Options)
				wantUnsupported(t, s, tt.option.String(), req)
			})
			continue
		}
		t.Run(tt.option.String(), func(t *testing.T) {
			t.Parallel()
			srv, b := s.serve(t, always(script{reply: s.reply()}))
			req := ask(false)
			req.Options = tt.set(req.Options).WithStrict(true)
			r, err := generate(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			s.wantOption(t, srv.recorded()[0].body, tt.option, path, tt.want)
			if !r.Generation.Sent.Has(tt.option) {
				t.Error("the option is not among those sent, want it there")
			}
		})
	}
	if !s.InProcess { // a model in process has no choice of its own
		t.Run("an option left open is not sent", func(t *testing.T) { t.Parallel(); s.leftOpen(t) })
	}
	t.Run("a provider's own parameter passes through", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(script{reply: s.reply()}))
		req := ask(false)
		req.Options = req.Options.WithExtra(s.Extra, "value")
		if _, err := generate(t, b, req); err != nil {
			t.Fatal(err)
		}
		wantMember(t, srv.recorded()[0].body, s.ExtraPath, "value")
	})
	runNative(t, s)
	runPlaces(t, s)
}

func (s Suite) leftOpen(t *testing.T) {
	srv, b := s.serve(t, always(script{reply: s.reply()}))
	if _, err := generate(t, b, ask(false)); err != nil {
		t.Fatal(err)
	}
	for option, path := range s.Options {
		if option == backend.NeutralModel {
			continue
		}
		if v, ok := member(t, srv.recorded()[0].body, path); ok {
			t.Errorf("got %s = %v, want the choice left to the server", path, v)
		}
	}
}

func runNative(t *testing.T, s Suite) {
	o := func() backend.Options { return backend.Options{} }
	tests := []struct {
		name    string
		options backend.Options
		want    float64
	}{
		{"stands for the neutral one", o().WithExtra(s.NativeMaxTokens, 9), 9},
		{"wins over a neutral one of a layer below", o().WithMaxTokens(1).Merge(o().WithExtra(s.NativeMaxTokens, 9)), 9},
		{"loses to a neutral one of a layer above", o().WithExtra(s.NativeMaxTokens, 9).Merge(o().WithMaxTokens(1)), 1},
		{"loses to a neutral one of its own layer", o().WithExtra(s.NativeMaxTokens, 9).WithMaxTokens(1), 1},
	}
	for _, tt := range tests {
		t.Run("a provider's own name "+tt.name, func(t *testing.T) {
			t.Parallel()
			srv, b := s.serve(t, always(script{reply: s.reply()}))
			req := ask(false)
			req.Options = tt.options
			r, err := generate(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			s.wantOption(t, srv.recorded()[0].body, backend.NeutralMaxTokens, s.Options[backend.NeutralMaxTokens], tt.want)
			if got, _ := r.Generation.Sent.MaxTokens(); float64(got) != tt.want {
				t.Errorf("got max-tokens %d among the options sent, want %v", got, tt.want)
			}
		})
	}
	t.Run("a value of the wrong type is refused before anything is sent", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(script{reply: s.reply()}))
		req := ask(false)
		req.Options = o().WithExtra(s.NativeMaxTokens, "many")
		_, err := b.Generate(patient(t), req)
		if got := wantError(t, s, err).Code; got != backend.CodeConfiguration {
			t.Errorf("got code %q, want %q", got, backend.CodeConfiguration)
		}
		if n := len(srv.recorded()); n != 0 {
			t.Errorf("got %d requests, want none", n)
		}
	})
}

// wantUnsupported checks that an option of a request is reported once, left out and, under strict options, refused.
func wantUnsupported(t *testing.T, s Suite, option string, req backend.Request) {
	var log buffer
	srv, b := s.serve(t, always(script{reply: s.reply()}), func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	for range 3 {
		r, err := generate(t, b, req)
		if err != nil {
			t.Fatal(err)
		}
		if has(r.Generation.Sent, option) {
			t.Error("the option is among those sent, want it left out")
		}
	}
	if got := strings.Count(log.String(), "level=WARN"); got != 1 || !strings.Contains(log.String(), option) {
		t.Errorf("got %d warnings, want one that names %q:\n%s", got, option, log.String())
	}
	req.Options = req.Options.WithStrict(true)
	_, err := b.Generate(patient(t), req)
	if got := wantError(t, s, err).Code; got != backend.CodeUnsupported {
		t.Errorf("got code %q, want %q", got, backend.CodeUnsupported)
	}
	if n := len(srv.recorded()); n != 3 {
		t.Errorf("got %d requests, want none for the strict one", n-3)
	}
}

// has reports whether an option is set, by its neutral name or the provider's.
func has(o backend.Options, option string) bool {
	for _, s := range settings {
		if s.option.String() == option {
			return o.Has(s.option)
		}
	}
	_, ok := o.Extra(option)
	return ok
}

// wantOption checks where a request has an option, unless the backend keeps that to itself.
func (s Suite) wantOption(tb testing.TB, body []byte, option backend.Neutral, path string, want any) {
	tb.Helper()
	if !slices.Contains(s.Kept, option) {
		wantMember(tb, body, path, want)
	}
}

// wantMember checks the member of a request at a path of names joined by dots.
func wantMember(tb testing.TB, body []byte, path string, want any) {
	tb.Helper()
	got, ok := member(tb, body, path)
	if !ok {
		tb.Errorf("the request has no %s, want %v:\n%s", path, want, body)
		return
	}
	if diff := cmp.Diff(got, want); diff != "" {
		tb.Errorf("%s (-got +want):\n%s", path, diff)
	}
}

func member(tb testing.TB, body []byte, path string) (any, bool) {
	tb.Helper()
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		tb.Fatal(err)
	}
	for name := range strings.SplitSeq(path, ".") {
		object, _ := v.(map[string]any)
		var ok bool
		if v, ok = object[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// buffer is a bytes.Buffer for several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}
