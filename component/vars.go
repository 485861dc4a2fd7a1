package component

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strconv"
	"strings"

	"github.com/mellea-go/mellea/backend"
)

// expansion fills variables into the texts of one component. After its first error texts come back as they are.
type expansion struct {
	values map[string]any
	err    error
}

// newExpansion returns the expansion with vars, in which outputs have become their texts.
func newExpansion(vars map[string]any) (*expansion, error) {
	values := maps.Clone(vars)
	for name, v := range vars {
		switch x := v.(type) {
		case nil:
			values[name] = "" // text/template would print "<no value>"
		case *backend.Output:
			text, err := outputText(x)
			if err != nil {
				return nil, outputError("variable {{."+name+"}}", name, err)
			}
			values[name] = text
		}
	}
	return &expansion{values: values}, nil
}

// one fills in one text. The name says which it is, in errors.
func (x *expansion) one(name, text string) string {
	if x.err != nil || !strings.Contains(text, "{{") {
		return text
	}
	t, err := parseTemplate(name, expandShorthand(text))
	if err != nil {
		x.err = badVariableText(name, err)
		return text
	}
	out, err := execute(t, x.values)
	if err != nil {
		x.err = badVariableText(name, err)
		return text
	}
	return out
}

// all fills in a list of texts and leaves the one given as it is.
func (x *expansion) all(name string, texts []string) []string {
	out := make([]string, len(texts))
	for i, text := range texts {
		out[i] = x.one(name+" "+strconv.Itoa(i+1), text)
	}
	return out
}

var (
	missingKey  = regexp.MustCompile(`(?:at <((?:\.[\pL_][\pL\pN_]*)+)>: )?map has no entry for key "((?:[^"\\]|\\.)*)"`)
	unknownFunc = regexp.MustCompile(`: function "([\pL_][\pL\pN_]*)" not defined`)
	atLine      = regexp.MustCompile(`:(\d+)(?::\d+)?: `)
)

// badVariableText says what is wrong with a text that variables go into. The errors of text/template are texts that
// quote the template, so what they say is told in other words.
func badVariableText(name string, err error) *TemplateError {
	e := badTemplate(name, err)
	if m := unknownFunc.FindStringSubmatch(err.Error()); m != nil {
		e.Variable = m[1]
		e.Reason = fmt.Sprintf("%q is not a function", m[1])
		e.Remedy = "if it is a variable, write {{." + m[1] + "}}"
	}
	if m := missingKey.FindStringSubmatch(err.Error()); m != nil {
		// Of a long path text/template shows the beginning only; then the last name has to do.
		path := "." + m[2]
		if strings.HasSuffix(m[1], path) {
			path = m[1]
		}
		e.Variable = path[1:]
		e.Reason = "variable {{" + path + "}} is not set"
		e.Remedy = "pass it in mellea.Vars"
	}
	return e
}

// badTemplate says that a template does not parse or does not run, and where.
func badTemplate(name string, err error) *TemplateError {
	e := &TemplateError{Template: name, Err: err, Reason: "is not a template that can be rendered",
		Remedy: "see the documentation of text/template"}
	if errors.Is(err, errTooMuch) {
		e.Reason, e.Remedy = errTooMuch.Error(), "make the template loop less or its values smaller"
		return e
	}
	if m := atLine.FindStringSubmatch(err.Error()); m != nil {
		e.Line, _ = strconv.Atoi(m[1])
		e.Reason = "line " + m[1] + " is not a template that can be rendered"
	}
	return e
}

var (
	errRunning  = errors.New("an output that still runs: wait for it first")
	errNoOutput = errors.New("a nil output")
)

// outputText returns the text of an output that is done.
func outputText(o *backend.Output) (string, error) {
	if o == nil {
		return "", errNoOutput
	}
	select {
	case <-o.Done():
		return o.Text(context.Background())
	default:
		return "", errRunning
	}
}

// outputError says that an output gave no text. The errors of outputs are summaries, so it may quote them.
func outputError(what, name string, err error) *TemplateError {
	return &TemplateError{Template: "instruction", Variable: name, Err: err, Reason: what + " has no text", Remedy: err.Error()}
}
