package component

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// Bounds on one template: it may come from a user's input, and text/template itself bounds neither.
const (
	maxRendered = 16 << 20 // bytes it may render
	maxSteps    = 1 << 18  // pieces it may write, rounds of its loops and templates it may call
)

var errTooMuch = errors.New("renders more than 16 MiB or takes more than 262144 steps")

// limited collects what a template renders and stops it at the bounds.
type limited struct {
	strings.Builder

	steps int
}

func (w *limited) Write(p []byte) (int, error) {
	w.steps++
	if w.steps > maxSteps || w.Len()+len(p) > maxRendered {
		return 0, errTooMuch
	}
	return w.Builder.Write(p)
}

// execute renders t with data, within the bounds.
func execute(t *template.Template, data any) (string, error) {
	var w limited
	if err := t.Execute(&w, data); err != nil {
		return "", err
	}
	return w.String(), nil
}

// parseTemplate returns the template that text describes, made so that it cannot run without end.
func parseTemplate(name, text string) (*template.Template, error) {
	t, err := template.New(name).Option("missingkey=error").Funcs(boundedFuncs).Parse(text)
	if err != nil {
		return nil, err
	}
	for _, each := range t.Templates() {
		if each.Tree != nil {
			pace(each.Root)
		}
	}
	return t, nil
}

// pace makes every list of nodes write when it runs, if only nothing, so that [limited] gets to count it: a loop with an
// empty body would run unseen.
func pace(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		switch n := n.(type) {
		case *parse.IfNode:
			pace(n.List)
			pace(n.ElseList)
		case *parse.WithNode:
			pace(n.List)
			pace(n.ElseList)
		case *parse.RangeNode:
			pace(n.List)
			pace(n.ElseList)
		}
	}
	l.Nodes = slices.Insert(l.Nodes, 0, parse.Node(&parse.TextNode{NodeType: parse.NodeText, Pos: l.Pos}))
}

// boundedFuncs take the place of the functions of text/template that make a text of texts: a variable that is set to
// twice itself in a loop would outgrow memory long before anything is written.
var boundedFuncs = template.FuncMap{
	"print":    bounded(fmt.Sprint),
	"println":  bounded(fmt.Sprintln),
	"html":     bounded(template.HTMLEscaper),
	"js":       bounded(template.JSEscaper),
	"urlquery": bounded(template.URLQueryEscaper),
	"printf":   boundedPrintf,
}

func bounded(f func(...any) string) func(...any) (string, error) {
	return func(args ...any) (string, error) {
		total := 0
		for _, a := range args {
			total += textLen(a)
		}
		if total > maxRendered {
			return "", errTooMuch
		}
		return checked(f(args...))
	}
}

// wide matches a verb whose width or precision is an argument or has more than three digits.
var wide = regexp.MustCompile(`%[^%a-zA-Z]*?(?:\*|\d{4})`)

func boundedPrintf(format string, args ...any) (string, error) {
	longest := 1000 // the widest padding
	for _, a := range args {
		longest = max(longest, textLen(a))
	}
	if strings.Count(format, "%")*longest > maxRendered || wide.MatchString(format) {
		return "", errTooMuch
	}
	return checked(fmt.Sprintf(format, args...))
}

func checked(s string) (string, error) {
	if len(s) > maxRendered {
		return "", errTooMuch
	}
	return s, nil
}

func textLen(a any) int {
	if v := reflect.ValueOf(a); v.Kind() == reflect.String {
		return v.Len()
	}
	return 0
}
