package cli

import (
	"encoding/xml"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// A verdict is what a check came to.
type verdict struct {
	groups  []check.Group // what is shown
	byLevel map[check.Level]int
	checked checked
	least   check.Level
}

// reportFindings checks what has arrived, prints what is to be shown and returns how many violations there are.
func (a *app) reportFindings(in *intake, f checkFlags) (violations int, err error) {
	in.mu.Lock()
	in.ended = true // a request that is still being read is not part of the report
	data := in.data
	in.mu.Unlock()
	data.Least = f.least
	v := verdict{checked: in.count(), least: f.least, byLevel: map[check.Level]int{}}
	var kept check.Findings
	for _, found := range check.All(data) {
		if f.ignores(found) {
			continue
		}
		v.byLevel[found.Level]++
		kept = append(kept, bounded(found))
	}
	v.groups = kept.Groups()
	switch f.format {
	case "json":
		err = a.printJSON(v.json())
	case "junit":
		err = a.printXML(v.junit())
	default:
		err = a.printText(v)
	}
	return v.byLevel[check.Violation], err
}

// mostRunes bounds what is shown of a name or a message, both of which may have come with the telemetry.
const mostRunes = 200

func bounded(f check.Finding) check.Finding {
	for _, text := range []*string{&f.Name, &f.Scope, &f.Event, &f.Attribute, &f.Message} {
		*text = shorten(*text, mostRunes)
	}
	return f
}

func (a *app) printText(v verdict) error {
	st := a.style(a.Stdout)
	var b strings.Builder
	unstable := 0
	for _, g := range v.groups {
		if g.ID == check.NotStable {
			unstable++ // all of the conventions are: one line is enough
			continue
		}
		level := g.Level.String()
		switch g.Level {
		case check.Violation:
			level = st.red(level)
		case check.Improvement:
			level = st.bold(level)
		default:
			level = st.faint(level)
		}
		fmt.Fprintf(&b, "%s %s: %s\n", level, g.ID, oneLine(about(g)))
	}
	if unstable > 0 {
		fmt.Fprintf(&b, "%s %s: %s may still change, as all of the conventions for generative AI may\n", st.bold("improvement"), check.NotStable, number(unstable, "name"))
	}
	fmt.Fprintf(&b, "%s\n", v.summary(st))
	if _, err := fmt.Fprint(a.Stdout, b.String()); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}

// about says what a group is about, in one line.
func about(g check.Group) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %q", g.Signal, g.Name)
	if g.Event != "" {
		fmt.Fprintf(&b, ", event %q", g.Event)
	}
	if g.Attribute != "" {
		fmt.Fprintf(&b, ", %s", g.Attribute)
	}
	fmt.Fprintf(&b, ": %s", g.Message)
	switch {
	case g.SpanID != "" && g.Count > 1:
		fmt.Fprintf(&b, " (%d times, first in span %s)", g.Count, g.SpanID)
	case g.SpanID != "":
		fmt.Fprintf(&b, " (span %s)", g.SpanID)
	case g.Count > 1:
		fmt.Fprintf(&b, " (%d times)", g.Count)
	}
	return b.String()
}

func (v verdict) summary(st style) string {
	var found []string
	for _, l := range []check.Level{check.Violation, check.Improvement, check.Information} {
		if l < v.least {
			continue
		}
		text := number(v.byLevel[l], l.String())
		if l == check.Information {
			text = fmt.Sprintf("%d of information", v.byLevel[l])
		}
		if l == check.Violation && v.byLevel[l] > 0 {
			text = st.red(text)
		}
		found = append(found, text)
	}
	return fmt.Sprintf("%s in %s, %s, %s; conventions of %s", strings.Join(found, ", "), number(v.checked.Spans, "span"),
		number(v.checked.Metrics, "metric"), number(v.checked.Records, "log record"), semconv.RegistryDate)
}

func number(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// jsonVerdict is what --format json prints.
type jsonVerdict struct {
	Findings   []check.Group  `json:"findings"`
	Counts     map[string]int `json:"counts"`
	Checked    checked        `json:"checked"`
	Convention jsonConvention `json:"convention"`
}

type jsonConvention struct {
	SchemaURL string `json:"schema_url"`
	Date      string `json:"date"`
}

func (v verdict) json() jsonVerdict {
	out := jsonVerdict{Findings: v.groups, Counts: map[string]int{}, Checked: v.checked,
		Convention: jsonConvention{SchemaURL: semconv.SchemaURL, Date: semconv.RegistryDate}}
	if out.Findings == nil {
		out.Findings = []check.Group{}
	}
	for _, l := range []check.Level{check.Violation, check.Improvement, check.Information} {
		if l >= v.least {
			out.Counts[l.String()] = v.byLevel[l]
		}
	}
	return out
}

// The form of reports that continuous integration reads. A violation is a test that fails; what is less is one that
// passes and says so.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Class   string        `xml:"classname,attr"`
		Name    string        `xml:"name,attr"`
		Failure *junitFailure `xml:"failure,omitempty"`
		Out     string        `xml:"system-out,omitempty"`
	}
	junitFailure struct {
		Type    string `xml:"type,attr"`
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

func (v verdict) junit() junitSuites {
	suite := func(signal check.Signal, n int) junitSuite {
		s := junitSuite{Name: "semconv." + string(signal)}
		for _, g := range v.groups {
			if g.Signal != signal {
				continue
			}
			c := junitCase{Class: s.Name + "." + plain(g.Name), Name: plain(strings.TrimSpace(string(g.ID) + " " + g.Attribute))}
			if g.Level == check.Violation {
				c.Failure = &junitFailure{Type: string(g.ID), Message: plain(g.Message), Text: plain(about(g))}
				s.Failures++
			} else {
				c.Out = plain(g.Level.String() + ": " + about(g))
			}
			s.Cases = append(s.Cases, c)
		}
		if s.Failures == 0 { // a suite of nothing would look as if nothing had run
			s.Cases = append(s.Cases, junitCase{Class: s.Name, Name: "no violation", Out: fmt.Sprintf("%d checked", n)})
		}
		s.Tests = len(s.Cases)
		return s
	}
	all := junitSuites{Suites: []junitSuite{suite(check.Span, v.checked.Spans), suite(check.Metric, v.checked.Metrics),
		suite(check.Log, v.checked.Records), suite(check.Resource, 0)}}
	for _, s := range all.Suites {
		all.Tests += s.Tests
		all.Failures += s.Failures
	}
	return all
}

// plain is text without what XML cannot hold or a terminal would act on.
func plain(text string) string {
	if !utf8.ValidString(text) {
		text = strings.ToValidUTF8(text, "\ufffd")
	}
	return oneLine(text)
}

func (a *app) printXML(v junitSuites) error {
	text, err := xml.MarshalIndent(v, "", "  ")
	if err != nil {
		return fmt.Errorf("--format junit: %w", err)
	}
	if _, err := fmt.Fprintf(a.Stdout, "%s%s\n", xml.Header, text); err != nil {
		return fmt.Errorf("standard output: %w", err)
	}
	return nil
}
