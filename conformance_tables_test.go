package mellea_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	common "go.opentelemetry.io/proto/otlp/common/v1"
)

const referencePage = "docs/telemetry/reference.md"

// A reference is the page of that name, as its tables have it.
type reference struct {
	everySpan  table
	tables     map[string]table    // by place
	bases      map[string]string   // the convention that a span's table goes on with, by place
	upstream   map[string]table    // by convention, and convention and provider
	metrics    map[string][]string // the rows of the table of metrics, by place
	buckets    map[string]string   // by place, as they stand there
	attributes table               // of all, whatever they are on
}

// A table has the columns of an attribute.
type table map[string]columns

type columns struct {
	typ, level, condition, example string
	content                        bool
	when                           string // of the table of all attributes
}

// names returns what the page says that there is: spans, events and metrics, and the attributes of all.
func (r *reference) names() map[string]bool {
	names := map[string]bool{}
	for place := range r.tables {
		names[place] = true
	}
	for name := range r.attributes {
		names["attribute "+name] = true
	}
	return names
}

var (
	heading  = regexp.MustCompile("^### `(.*)`$")
	applies  = regexp.MustCompile("^What applies of the OpenTelemetry span `([^`]*)`")
	provided = regexp.MustCompile("^With provider `(.*)`:$")
	leveled  = regexp.MustCompile(`^([a-z ]+?)(?: \((.*)\))?(?:, provider .*)?$`)
	bar      = regexp.MustCompile(`(?:^|[^\\])\|`)
)

// readReference reads the page.
func readReference(t *testing.T) *reference {
	t.Helper()
	src, err := os.ReadFile(referencePage)
	if err != nil {
		t.Fatal(err)
	}
	r := &reference{everySpan: table{}, tables: map[string]table{}, bases: map[string]string{}, upstream: map[string]table{},
		metrics: map[string][]string{}, buckets: map[string]string{}, attributes: table{}}
	kinds := map[string]string{"Spans": "span ", "Events on spans": "span event ", "Log events": "log event ", "Metrics": "metric "}
	var section, place, base string
	into := r.everySpan
	for line := range strings.Lines(string(src)) {
		line = strings.TrimSpace(line)
		cells := cellsOf(line)
		switch {
		case strings.HasPrefix(line, "## "):
			section, place = strings.TrimPrefix(line, "## "), ""
		case strings.HasPrefix(line, "### Values of"):
			section = "" // the rows of its tables are values
		case heading.MatchString(line) && kinds[section] != "":
			place = kinds[section] + heading.FindStringSubmatch(line)[1]
			if r.tables[place] == nil { // client and server of MCP have one name
				r.tables[place] = table{}
			}
			into = r.tables[place]
		case applies.MatchString(line):
			base = applies.FindStringSubmatch(line)[1]
			r.bases[place] = base
			if strings.HasSuffix(line, ":") {
				into = table{}
				r.upstream[base] = into
			}
		case provided.MatchString(line):
			into = table{}
			r.upstream[base+" "+provided.FindStringSubmatch(line)[1]] = into
		case strings.Contains(line, "Buckets: "):
			_, r.buckets[place], _ = strings.Cut(strings.TrimSuffix(line, "."), "Buckets: ")
		case !strings.HasPrefix(line, "| `"):
		case section == "Metrics" && place == "":
			r.metrics["metric "+cells[0]] = cells
		case section == "Attributes" && len(cells) == 6: // of this module
			r.attributes[cells[0]] = columns{typ: typeOf(cells[1]), when: cells[3], content: cells[4] == "yes", example: cells[5]}
		case section == "Attributes":
			r.attributes[cells[0]] = columns{typ: typeOf(cells[1]), content: cells[3] == "yes", example: cells[4]}
		case kinds[section] != "":
			level := leveled.FindStringSubmatch(cells[2])
			if level == nil {
				t.Fatalf("%s has a level that is none: %s", place, line)
			}
			into[cells[0]] = columns{typ: typeOf(cells[1]), level: level[1], condition: level[2], content: cells[3] == "yes", example: cells[4]}
		}
	}
	if n := len(r.names()); n < 150 {
		t.Fatalf("the reference has %d names, want those of spans, events, metrics and attributes", n)
	}
	return r
}

// cellsOf returns the cells of a row, without the marks of code.
func cellsOf(line string) []string {
	if !strings.HasPrefix(line, "|") {
		return nil
	}
	var cells []string
	rest := strings.TrimPrefix(line, "|")
	for {
		at := bar.FindStringIndex(rest)
		if at == nil {
			return cells
		}
		cell := strings.TrimSpace(rest[:at[1]-1])
		if strings.HasPrefix(cell, "`") && strings.Count(cell, "`") == 2 && strings.HasSuffix(cell, "`") {
			cell = strings.Trim(cell, "`")
		}
		cells = append(cells, strings.ReplaceAll(cell, `\|`, "|"))
		rest = rest[at[1]:]
	}
}

// typeOf leaves the unit out.
func typeOf(cell string) string {
	typ, _, _ := strings.Cut(cell, ",")
	return typ
}

// tablesOf returns the tables that a place has, the most specific first.
func (r *reference) tablesOf(e emission) []table {
	all := []table{r.tables[e.place]}
	if base := r.bases[e.place]; base != "" {
		all = append(all, r.upstream[base+" "+e.text("gen_ai.provider.name")], r.upstream[base])
	}
	if strings.HasPrefix(e.place, "span ") && !strings.HasPrefix(e.place, "span event ") {
		all = append(all, r.everySpan)
	}
	return all
}

// hold reports where one emission is not what the tables say.
func (r *reference) hold(e emission, report func(format string, args ...any)) {
	tables := r.tablesOf(e)
	for name, value := range e.attrs {
		c, ok := lookUp(tables, name)
		if !ok {
			report("%s has %s, which its table has not", e.place, name)
			continue
		}
		if !hasType(value, c.typ) {
			report("%s of %s is a %T, and the table says %s", name, e.place, value.GetValue(), c.typ)
		}
		if all := r.attributes[name]; all.typ != c.typ || all.content != c.content {
			report("%s is %q at %s, content %v, and among all attributes %q, content %v", name, c.typ, e.place, c.content, all.typ, all.content)
		}
		if e.metric == nil && !e.content && (c.content || c.level == "opt in") {
			report("%s has %s, which is %s (content: %v), without having been asked for content", e.place, name, c.level, c.content)
		}
		if e.metric != nil && (c.content || c.level == "opt in") {
			report("%s has the label %s, which is %s (content: %v)", e.place, name, c.level, c.content)
		}
	}
	seen := map[string]bool{}
	for _, of := range tables {
		for name, c := range of {
			if seen[name] {
				continue
			}
			seen[name] = true
			r.holdLevel(e, name, c, report)
		}
	}
	if e.metric != nil {
		r.holdMetric(e, report)
	}
}

func (r *reference) holdLevel(e emission, name string, c columns, report func(format string, args ...any)) {
	if c.example == "–" {
		return // this module does not emit it
	}
	must, may := c.level == "required" || r.alwaysOn(e.place, name), true
	if decide, ok := decisions[c.condition]; ok && c.condition != "" {
		must, may = decide(e, name)
		must = must && c.level == "conditionally required"
	} else if c.level == "conditionally required" && !slices.Contains(undecided, c.condition) {
		report("whether %s of %s is required cannot be decided: %s", name, e.place, c.condition)
	}
	switch {
	case must && !e.has(name):
		report("%s has no %s, which is %s (%s), always on: %v", e.place, name, c.level, c.condition, r.alwaysOn(e.place, name))
	case !may && e.has(name):
		report("%s has %s, which is there only (%s)", e.place, name, c.condition)
	}
}

// alwaysOn reports whether the table of all attributes says that an attribute is always at a place.
func (r *reference) alwaysOn(place, name string) bool {
	on, ok := strings.CutPrefix(r.attributes[name].when, "Always on ")
	if !ok {
		return false
	}
	on = strings.TrimSuffix(on, ".")
	switch on {
	case "session spans":
		on = "start_session and session"
	case "the command line's root span":
		on = "mellea"
	}
	where := strings.TrimPrefix(strings.TrimPrefix(place, "span "), "event ")
	return strings.HasPrefix(place, "span ") && slices.Contains(strings.Split(on, " and "), firstWord(where))
}

func (r *reference) holdMetric(e emission, report func(format string, args ...any)) {
	m, row := e.metric, r.metrics[e.place]
	if len(row) != 7 {
		report("%s is not in the table of metrics", e.place)
		return
	}
	instrument, buckets := "updowncounter", ""
	switch {
	case m.GetHistogram() != nil:
		instrument = "histogram"
		var bounds []string
		for _, b := range m.GetHistogram().GetDataPoints()[0].GetExplicitBounds() {
			bounds = append(bounds, fmt.Sprint(int64(b)))
			if b != float64(int64(b)) {
				bounds[len(bounds)-1] = fmt.Sprint(b)
			}
		}
		buckets = strings.Join(bounds, ", ")
	case m.GetSum().GetIsMonotonic():
		instrument = "counter"
	}
	if want := r.buckets[e.place]; buckets != want {
		report("%s has the buckets %q, and the reference says %q", e.place, buckets, want)
	}
	for _, p := range m.GetSum().GetDataPoints() { // histograms of both types arrive alike
		typ := "int"
		if strings.HasSuffix(fmt.Sprintf("%T", p.GetValue()), "AsDouble") {
			typ = "double"
		}
		if got := instrument + ", " + typ; got != row[1] {
			report("%s is a %s, and the table says %s", e.place, got, row[1])
		}
	}
	if got, _, _ := strings.Cut(row[1], ","); got != instrument {
		report("%s is a %s, and the table says %s", e.place, instrument, row[1])
	}
	if m.GetUnit() != row[2] {
		report("%s has the unit %q, and the table says %q", e.place, m.GetUnit(), row[2])
	}
	for name := range e.attrs {
		if !strings.Contains(row[5], "`"+name+"`") && row[5] != name {
			report("%s has the label %s, and the table says %s", e.place, name, row[5])
		}
	}
}

// exampled are the attributes whose values are this module's own words, few enough that programs of the tests say them all:
// the example has to be one that was emitted.
var exampled = []string{
	"mellea.component.type", "mellea.error.category", "mellea.formatter.template", "mellea.outcome", "mellea.rejection.point",
	"mellea.requirement.type", "mellea.sampling.repair_type", "mellea.sampling.strategy_type", "mellea.session.context_type", "mellea.tool.status",
}

// holdWhole reports what only shows in all emissions together: examples of another type, or that nothing has.
func (r *reference) holdWhole(all []emission, report func(format string, args ...any)) {
	values := map[string]map[string]bool{}
	for _, e := range all {
		for name, v := range e.attrs {
			if values[name] == nil {
				values[name] = map[string]bool{}
			}
			values[name][v.GetStringValue()] = true
		}
	}
	for name, c := range r.attributes {
		var example any
		if err := json.Unmarshal([]byte(c.example), &example); err != nil {
			report("the example of %s is no JSON: %s", name, c.example)
			continue
		}
		if !isExampleOf(example, c.typ) {
			report("the example of %s, %s, is no %s", name, c.example, c.typ)
		}
		if slices.Contains(exampled, name) && !values[name][fmt.Sprint(example)] {
			report("the example of %s, %s, is never emitted", name, c.example)
		}
	}
}

func isExampleOf(v any, typ string) bool {
	switch typ {
	case "string", "template[string]":
		_, ok := v.(string)
		return ok
	case "int":
		n, ok := v.(float64)
		return ok && n == float64(int64(n))
	case "double":
		_, ok := v.(float64)
		return ok
	case "boolean":
		_, ok := v.(bool)
		return ok
	case "string[]":
		list, ok := v.([]any)
		return ok && !slices.ContainsFunc(list, func(e any) bool { _, ok := e.(string); return !ok })
	}
	return typ == "any"
}

func hasType(v *common.AnyValue, typ string) bool {
	switch v := v.GetValue().(type) {
	case *common.AnyValue_StringValue:
		return typ == "string" || typ == "template[string]"
	case *common.AnyValue_IntValue:
		return typ == "int"
	case *common.AnyValue_DoubleValue:
		return typ == "double"
	case *common.AnyValue_BoolValue:
		return typ == "boolean"
	case *common.AnyValue_ArrayValue:
		strs := !slices.ContainsFunc(v.ArrayValue.GetValues(), func(e *common.AnyValue) bool {
			_, ok := e.GetValue().(*common.AnyValue_StringValue)
			return !ok
		})
		return typ == "any" || typ == "string[]" && strs
	case *common.AnyValue_KvlistValue:
		return typ == "any"
	}
	return false
}

func lookUp(tables []table, name string) (columns, bool) {
	for _, of := range tables {
		if c, ok := of[name]; ok {
			return c, true
		}
	}
	return columns{}, false
}
