package hookpoint_test

import (
	"context"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/mellea-go/mellea/hookpoint"
)

// payloads are the payload types of the whole catalogue.
var payloads = []any{
	hookpoint.SessionStarting{}, hookpoint.SessionStarted{}, hookpoint.SessionOpen{}, hookpoint.SessionEnd{},
	hookpoint.SessionResetting{}, hookpoint.ComponentStart{}, hookpoint.ComponentEnd{}, hookpoint.FormatStart{},
	hookpoint.FormatEnd{}, hookpoint.SamplingStart{}, hookpoint.SamplingEnd{}, hookpoint.Iteration{}, hookpoint.Repair{},
	hookpoint.Selection{}, hookpoint.ValidationStart{}, hookpoint.ValidationEnd{}, hookpoint.RequirementStart{},
	hookpoint.RequirementEnd{}, hookpoint.GenerationStart{}, hookpoint.GenerationEnd{}, hookpoint.ChunkArrived{},
	hookpoint.ToolStart{}, hookpoint.ToolEnd{},
}

// A subscriber must not be able to change what another sees: no exported field reaches a slice, a map or a pointer.
func TestPayloadsAreImmutable(t *testing.T) {
	t.Parallel()
	for _, p := range payloads {
		walk(t, reflect.TypeOf(p), reflect.TypeOf(p).Name(), nil)
	}
}

func walk(t *testing.T, typ reflect.Type, path string, seen []reflect.Type) {
	if slices.Contains(seen, typ) || typ == reflect.TypeFor[time.Time]() {
		return
	}
	switch typ.Kind() {
	case reflect.Slice, reflect.Map, reflect.Pointer, reflect.Chan, reflect.Func, reflect.UnsafePointer:
		t.Errorf("%s is a %s, which subscribers would share", path, typ.Kind())
	case reflect.Array:
		walk(t, typ.Elem(), path+"[]", append(seen, typ))
	case reflect.Struct:
		for f := range typ.Fields() {
			if f.IsExported() {
				walk(t, f.Type, path+"."+f.Name, append(seen, typ))
			}
		}
	}
}

// The catalogue lists every payload-carrying point once.
func TestAllNamesAreDistinct(t *testing.T) {
	t.Parallel()
	names := hookpoint.All()
	sorted := slices.Sorted(slices.Values(names))
	if got, want := len(slices.Compact(sorted)), len(names); got != want {
		t.Errorf("%d distinct names of %d", got, want)
	}
}

func TestSessionRefOfNoSession(t *testing.T) {
	t.Parallel()
	var none hookpoint.SessionRef
	if none.ID != "" || none.Scope() == nil || none.Start() == nil {
		t.Error("the zero SessionRef has no contexts")
	}
	type key struct{}
	ref := hookpoint.NewSessionRef("s", context.WithValue(t.Context(), key{}, 1), t.Context())
	if ref.Scope().Value(key{}) != 1 || ref.Start().Value(key{}) != nil {
		t.Error("scope and start contexts are mixed up")
	}
}
