package check_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

func TestFinding(t *testing.T) {
	t.Parallel()
	f := check.Finding{ID: check.TypeMismatch, Level: check.Violation, Signal: check.Span, Name: "chat m1", SpanID: "01", Event: "retry",
		Attribute: "error.type", Message: "is of type int, want string"}
	if got, want := f.String(), `violation type_mismatch: span "chat m1" (01), event "retry", error.type: is of type int, want string`; got != want {
		t.Errorf("String() = %s, want %s", got, want)
	}
	got, err := json.Marshal(check.Finding{ID: check.NotStable, Level: check.Improvement, Signal: check.Span, Name: "x", Message: "m"})
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"id":"not_stable","level":"improvement","signal_type":"span","signal_name":"x","message":"m"}`; string(got) != want {
		t.Errorf("JSON is %s, want %s", got, want)
	}
}

func TestFindings(t *testing.T) {
	t.Parallel()
	all := check.Findings{{ID: "a", Level: check.Information}, {ID: "b", Level: check.Improvement}, {ID: "c", Level: check.Violation}}
	if diff := cmp.Diff(all[1:], all.AtLeast(check.Improvement)); diff != "" {
		t.Errorf("AtLeast (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(all[1:2], all.Without("a", "c")); diff != "" {
		t.Errorf("Without (-want +got):\n%s", diff)
	}
	if got := all.Without("a", "b", "c"); got != nil {
		t.Errorf("Without all = %v, want nil", got)
	}
}

func TestGroups(t *testing.T) {
	t.Parallel()
	f := func(id check.ID, l check.Level, span string) check.Finding {
		return check.Finding{ID: id, Level: l, Signal: check.Span, Name: "chat", SpanID: span}
	}
	got := check.Findings{f("a", check.Information, "1"), f("b", check.Violation, "2"), f("a", check.Information, "3"), f("b", check.Violation, "4"),
		f("c", check.Violation, "5"), f("a", check.Improvement, "6")}.Groups()
	want := []check.Group{{f("b", check.Violation, "2"), 2}, {f("c", check.Violation, "5"), 1}, {f("a", check.Improvement, "6"), 1}, {f("a", check.Information, "1"), 2}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("groups (-want +got):\n%s", diff)
	}
}

func TestLevels(t *testing.T) {
	t.Parallel()
	for _, l := range []check.Level{check.Information, check.Improvement, check.Violation} {
		if got, err := check.ParseLevel(l.String()); got != l || err != nil {
			t.Errorf("ParseLevel(%s) = %s, %v", l, got, err)
		}
		d := check.Data{Traces: []check.Traces{traces(right(t, chat), right(t, "mcp.client"))}, Least: l}
		if got, want := check.All(d).String(), check.Spans(d.Traces...).AtLeast(l).String(); got != want {
			t.Errorf("at least %s: got\n%s\nwant\n%s", l, got, want)
		}
	}
	for _, name := range []string{"", "unknown", "Violation"} {
		if _, err := check.ParseLevel(name); err == nil {
			t.Errorf("%q is a level, want an error", name)
		}
	}
}

// What may be a prompt or a reply is in no finding, wherever in the document the mistake is.
func TestFindingsHoldNoContent(t *testing.T) {
	t.Parallel()
	const secret = "xyzzy-plugh"
	for key, text := range contents {
		for _, broken := range []string{
			`"` + secret + `"`, secret, `[` + secret, `[1,"` + secret + `"]`, `{"role":"` + secret + `"}`, `[{"role":"` + secret + `"}]`,
			`[{"role":1,"parts":[{"type":"text","content":["` + secret + `"]}]}]`, `[{"type":"text","` + secret + `":1}]`,
			`[{"type":"function","name":1,"description":"` + secret + `"}]`, `[{"score":"` + secret + `","id":7}]`,
			`[{"role":"user","parts":[{"type":{"` + secret + `":1}}]}]`, `[{"role":"user","parts":"` + secret + `"}]`,
			strings.ReplaceAll(text, `"content"`, `"`+secret+`"`),
		} {
			d := right(t, chat)
			d.set(key, broken)
			structured := right(t, chat)
			var v any
			if json.Unmarshal([]byte(broken), &v) == nil {
				structured.set(key, v)
			}
			for _, d := range []document{d, structured} {
				if got := check.Spans(traces(d)).String(); strings.Contains(got, secret) {
					t.Errorf("%s = %s: a finding quotes it:\n%s", key, broken, got)
				}
			}
		}
	}
}

// Random attributes of all registries with random values on random spans do not trouble the checker.
func TestRandomSpans(t *testing.T) {
	t.Parallel()
	var names []string
	for a := range semconv.Attributes() {
		names = append(names, a.Name)
	}
	tables := slices.Collect(semconv.Spans())
	r := rand.New(rand.NewPCG(1, 2))
	var value func(depth int) any
	value = func(depth int) any {
		kind := r.IntN(8)
		if depth > 3 {
			kind = r.IntN(6)
		}
		switch kind {
		case 0:
			return r.IntN(5) - 2
		case 1:
			return r.Float64()
		case 2:
			return r.IntN(2) == 0
		case 3, 4:
			return []string{"", "text", "chat", "error", "rejected", "[]", `[{"type":"text"}]`, "tools/call"}[r.IntN(8)]
		case 5:
			return nil
		case 6:
			return []any{value(depth + 1), value(depth + 1)}
		default:
			return map[string]any{"type": value(depth + 1), "parts": value(depth + 1), "role": value(depth + 1)}
		}
	}
	for range 500 {
		table := tables[r.IntN(len(tables))]
		d := right(t, table.ID)
		for range r.IntN(20) {
			d.set(names[r.IntN(len(names))], value(0))
		}
		for range r.IntN(4) {
			d.remove(names[r.IntN(len(names))])
		}
		for _, f := range check.Spans(traces(d)) {
			if f.ID == "" || f.Level == 0 || f.Message == "" || f.Signal != check.Span {
				t.Fatalf("finding %#v does not say enough", f)
			}
		}
	}
}

func FuzzSpans(f *testing.F) {
	for table := range semconv.Spans() {
		b, err := proto.Marshal(traces(right(f, table.ID)))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, w := range wrong {
		d := right(f, w.span)
		w.edit(&d)
		b, err := proto.Marshal(traces(d))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(nil))
	f.Fuzz(func(t *testing.T, data []byte) {
		var file tracepb.TracesData
		var export coltrace.ExportTraceServiceRequest
		if proto.Unmarshal(data, &file) != nil || proto.Unmarshal(data, &export) != nil {
			return
		}
		before := proto.Clone(&file)
		got := check.Spans(&file)
		if !proto.Equal(before, &file) && proto.Equal(before, before) { // NaN is not equal to itself
			t.Error("the data has been changed")
		}
		if diff := cmp.Diff(got, check.Spans(&export)); diff != "" {
			t.Errorf("a file and an export have different findings (-file +export):\n%s", diff)
		}
		if _, err := json.Marshal(got); err != nil {
			t.Errorf("findings have no JSON: %v", err)
		}
	})
}
