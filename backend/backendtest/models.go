package backendtest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func runModels(t *testing.T, s Suite) Outcome {
	_, b := s.serve(t, always(script{}))
	lister, can := b.(backend.ModelLister)
	if !can {
		return s.cannot(t, "models")
	}
	models, err := lister.ListModels(patient(t))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range models {
		names = append(names, m.Name)
	}
	if diff := cmp.Diff(names, []string{ownModel, calledModel}); diff != "" {
		t.Errorf("models (-got +want):\n%s", diff)
	}
	if s.InProcess {
		return Pass
	}
	t.Run("of a server that is not there", func(t *testing.T) {
		t.Parallel()
		_, err := s.backendAt(t, unusedAddress(t)).(backend.ModelLister).ListModels(patient(t))
		if got := wantError(t, s, err).Code; got != backend.CodeUnreachable {
			t.Errorf("got code %q, want %q", got, backend.CodeUnreachable)
		}
	})
	return Pass
}
