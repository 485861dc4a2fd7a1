package main

import (
	"bytes"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/examples/recorded"
)

// The span of the action stands below the application's own, and the session has a trace of its own.
func TestSpansStandBelowTheApplicationsOwn(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	recorded.Run(&out, recording, run)
	var got []string
	name := regexp.MustCompile(`^([ │├└─]*)(GET /thanks|[a-z_]+)`)
	for line := range strings.Lines(out.String()) {
		if m := name.FindString(line); m != "" && !strings.HasPrefix(m, "trace") {
			got = append(got, m)
		} else if strings.HasPrefix(line, "trace") {
			got = append(got, "trace")
		}
	}
	want := []string{
		"trace", "start_session",
		"trace", "GET /thanks", "└─ action", "   └─ sampling", "      ├─ chat", "      ├─ validation", "      │  └─ requirement",
		"trace", "session",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("tree (-want +got):\n%s\n%s", diff, out.String())
	}
}
