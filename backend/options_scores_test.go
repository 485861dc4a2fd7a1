package backend_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func TestDrop(t *testing.T) {
	t.Parallel()
	o := backend.Options{}
	refused := errors.New("refused")
	lacks := []backend.Neutral{backend.NeutralLogits, backend.NeutralRawLogits, backend.NeutralSeed}
	tests := map[string]struct {
		options  backend.Options
		reported []string
		err      error
	}{
		"none is set":               {o.WithTemperature(1), nil, nil},
		"some are":                  {o.WithSeed(1).WithTemperature(1).Merge(o.WithLogits(true)), []string{"logits", "seed"}, nil},
		"what is off is not set":    {o.WithLogits(true).Merge(o.WithLogits(false)), nil, nil},
		"switched on again":         {o.WithRawLogits(false).Merge(o.WithRawLogits(true)), []string{"raw-logits"}, nil},
		"the first, when strict":    {o.WithRawLogits(true).WithSeed(1).WithStrict(true), nil, refused},
		"none is set and is strict": {o.WithStrict(true), nil, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var reported []string
			got, err := tt.options.Drop(lacks, func(backend.Neutral) error { return refused }, func(n backend.Neutral) { reported = append(reported, n.String()) })
			if !errors.Is(err, tt.err) {
				t.Fatalf("got %v, want %v", err, tt.err)
			}
			if diff := cmp.Diff(reported, tt.reported); diff != "" {
				t.Errorf("reported (-got +want):\n%s", diff)
			}
			for _, n := range lacks {
				if err == nil && got.Has(n) {
					t.Errorf("%v is set, want it dropped", n)
				}
			}
			if got.Has(backend.NeutralTemperature) != tt.options.Has(backend.NeutralTemperature) {
				t.Error("the temperature is dropped, want it kept")
			}
		})
	}
}

func TestDropToolChoice(t *testing.T) {
	t.Parallel()
	refused := errors.New("refused")
	chosen := func(x any) backend.Options {
		return backend.Options{}.WithExtra(backend.ToolChoice, x).WithExtra("other", 1)
	}
	tests := map[string]struct {
		options  backend.Options
		offer    bool
		reported int
		err      error
	}{
		"no choice":           {backend.Options{}.WithExtra("other", 1), true, 0, nil},
		"auto":                {chosen("auto").WithStrict(true), true, 0, nil},
		"none":                {chosen("none").WithStrict(true), false, 0, nil},
		"required":            {chosen("required"), true, 1, nil},
		"a name":              {chosen(map[string]any{"type": "function"}), true, 1, nil},
		"required and strict": {chosen("required").WithStrict(true), true, 0, refused},
		"of a layer below":    {chosen("required").Merge(backend.Options{}.WithSeed(1)), true, 1, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reported := 0
			got, offer, err := tt.options.DropToolChoice(func() error { return refused }, func() { reported++ })
			if offer != tt.offer || reported != tt.reported || !errors.Is(err, tt.err) {
				t.Errorf("got offer %t, %d reports and %v, want %t, %d and %v", offer, reported, err, tt.offer, tt.reported, tt.err)
			}
			if _, there := got.Extra(backend.ToolChoice); there && err == nil {
				t.Error("the choice is still there, want it dropped")
			}
			if _, there := got.Extra("other"); !there {
				t.Error("another extra is dropped, want it kept")
			}
		})
	}
}
