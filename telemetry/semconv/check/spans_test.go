package check_test

import (
	"slices"
	"testing"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// A span of any type that has all its table asks for has no findings but that the conventions are not stable.
func TestRightSpans(t *testing.T) {
	t.Parallel()
	for table := range semconv.Spans() {
		t.Run(table.ID, func(t *testing.T) {
			t.Parallel()
			d := right(t, table.ID)
			if got := check.Spans(traces(d)).Without(check.NotStable); got != nil {
				t.Errorf("everything is there, found:\n%s", got)
			}

			bare := right(t, table.ID)
			bare.Events = nil
			bare.Attributes = slices.DeleteFunc(bare.Attributes, func(kv *commonpb.KeyValue) bool {
				u, _ := table.Attribute(kv.Key)
				return u.Level == semconv.OptIn
			})
			if got := check.Spans(traces(bare)).Without(check.NotStable); got != nil {
				t.Errorf("without what is opt-in and without events, found:\n%s", got)
			}

			failed := right(t, table.ID)
			failed.fail()
			if got := check.Spans(traces(failed)).Without(check.NotStable); got != nil {
				t.Errorf("failed, found:\n%s", got)
			}
		})
	}
}

// Content may be a JSON string where structure is not supported.
func TestContentAsString(t *testing.T) {
	t.Parallel()
	for key, text := range contents {
		d := right(t, "gen_ai.client.inference")
		d.set(key, text)
		if got := check.Spans(traces(d)).AtLeast(check.Improvement).Without(check.NotStable); got != nil {
			t.Errorf("%s: found:\n%s", key, got)
		}
	}
}

// Spans of other fields are none of this checker's business, whatever their status says.
func TestOtherSpans(t *testing.T) {
	t.Parallel()
	d := document{scope: "net/http", Span: &tracepb.Span{Name: "GET", Status: &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK}}}
	d.set("http.request.method", "GET")
	d.set("error.type", 500)
	d.event("exception")
	if got := check.Spans(traces(d)); got != nil {
		t.Errorf("found:\n%s", got)
	}
	if got := check.Spans(nil, &tracepb.TracesData{}); got != nil {
		t.Errorf("in nothing, found:\n%s", got)
	}
}

// A model in the program's process has no server, and its spans are internal.
func TestModelInProcess(t *testing.T) {
	t.Parallel()
	d := right(t, chat)
	d.Kind = tracepb.Span_SPAN_KIND_INTERNAL
	d.remove("server.address", "server.port")
	if got := check.Spans(traces(d)).Without(check.NotStable); got != nil {
		t.Errorf("found:\n%s", got)
	}
}

// A program may call its own spans as this module does, and put the session's id on them.
func TestProgramsOwnSpan(t *testing.T) {
	t.Parallel()
	d := document{scope: "my.program", Span: &tracepb.Span{Name: "session", Kind: tracepb.Span_SPAN_KIND_SERVER}}
	d.set("mellea.session.id", "0b9c1e52")
	if got := check.Spans(traces(d)); got != nil {
		t.Errorf("found:\n%s", got)
	}
}

// Parents are found in other exports, and a parent that is in none is no finding.
func TestParentsAcrossExports(t *testing.T) {
	t.Parallel()
	parent, child := right(t, "mellea.sampling"), right(t, "mellea.validation")
	child.SpanId, child.ParentSpanId = []byte("childchi"), parent.SpanId
	child.remove("mellea.sampling.iteration")
	got := check.Spans(traces(child), traces(parent)).AtLeast(check.Violation)
	if len(got) != 1 || got[0].ID != check.ConditionallyRequiredAttributeNotPresent || got[0].Attribute != "mellea.sampling.iteration" {
		t.Errorf("the parent is a sampling loop, found:\n%s", got)
	}
	if got := check.Spans(traces(child)).AtLeast(check.Improvement).Without(check.NotStable); got != nil {
		t.Errorf("the parent is not there, found:\n%s", got)
	}
}
