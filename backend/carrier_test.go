package backend_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func TestCarrier(t *testing.T) {
	t.Parallel()
	got := map[string]string{}
	set := func(key, value string) { got[key] = value }
	backend.Inject(context.Background(), set)
	if len(got) != 0 {
		t.Errorf("got %v without a carrier, want nothing", got)
	}
	carrier := func(value string) func(func(key, value string)) {
		return func(set func(key, value string)) { set("traceparent", value) }
	}
	ctx := backend.WithCarrier(context.Background(), carrier("outer"))
	ctx = backend.WithCarrier(ctx, carrier("inner"))
	backend.Inject(ctx, set)
	if diff := cmp.Diff(got, map[string]string{"traceparent": "inner"}); diff != "" {
		t.Errorf("headers (-got +want):\n%s", diff)
	}
}

func TestInjectWithoutCarrierAllocatesNothing(t *testing.T) {
	ctx := context.Background()
	set := func(string, string) {}
	if got := testing.AllocsPerRun(100, func() { backend.Inject(ctx, set) }); got != 0 {
		t.Errorf("got %v allocations, want none", got)
	}
}
