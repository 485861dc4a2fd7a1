// Package samplingtest is the conformance suite of sampling strategies.
package samplingtest

import (
	"testing"

	"github.com/mellea-go/mellea/sampling"
)

// Run tests s.
func Run(t *testing.T, s sampling.Strategy) {
	t.Helper()
	if got := s.Plan().Budget; got < 1 {
		t.Errorf("Plan().Budget = %d, want at least 1", got)
	}
}
