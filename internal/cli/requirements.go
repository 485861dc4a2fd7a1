package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/pflag"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
)

// demand is what a --require or a --check asks for.
type demand struct {
	text string // as given on the command line
	code bool   // --check
}

// demands collects --require and --check flags in the order in which they are given.
type demands struct {
	all    []demand
	schema string // the file of --schema, whose requirement comes last
}

// demandFlag is one of the two flags that add to the same list.
type demandFlag struct {
	list *demands
	code bool
}

var _ pflag.Value = demandFlag{}

func (f demandFlag) Set(text string) error {
	f.list.all = append(f.list.all, demand{text: text, code: f.code})
	return nil
}

func (f demandFlag) String() string { return "" }

func (f demandFlag) Type() string {
	if f.code {
		return "SPEC"
	}
	return "TEXT"
}

// options returns the requirements of a call.
func (d *demands) options() ([]mellea.CallOption, error) {
	opts := make([]mellea.CallOption, 0, len(d.all))
	for _, x := range d.all {
		if !x.code {
			if x.text == "" {
				return nil, &usageError{text: "--require needs a text that says what the result must be"}
			}
			opts = append(opts, mellea.Require(x.text))
			continue
		}
		r, err := requirement.Parse(x.text, os.ReadFile)
		if err != nil {
			return nil, specError(err)
		}
		opts = append(opts, mellea.Check(r))
	}
	return opts, nil
}

// specError takes a bad specification for wrong usage; a file that cannot be read stays what it is.
func specError(err error) error {
	if spec, ok := errors.AsType[*requirement.SpecError](err); ok {
		return &usageError{text: fmt.Sprintf("--check %s: %s", spec.Spec, spec.Reason), err: err}
	}
	return err
}

// name returns what the user called the requirement at place i of a result.
func (d *demands) name(i int, r requirement.Requirement) string {
	if i < len(d.all) {
		return d.all[i].text
	}
	if i == len(d.all) && d.schema != "" {
		return "schema:" + d.schema
	}
	return label(r)
}

// label returns a requirement in words, for the user's eyes only: it is content.
func label(r requirement.Requirement) string {
	if text := r.Description(); text != "" {
		return text
	}
	return r.Label()
}

// The strategies that --strategy names.
var strategies = map[string]func(budget int) sampling.Strategy{
	"none":       func(int) sampling.Strategy { return sampling.None() },
	"reject":     func(n int) sampling.Strategy { return sampling.Reject(n) },
	"repair":     sampling.Repair,
	"multi-turn": sampling.MultiTurn,
}

var strategyNames = []string{"none", "reject", "repair", "multi-turn"}

// strategy returns the strategy that was named, nil when none was and there is nothing to meet.
func strategy(name string, budget int, budgetGiven, demanding bool) (sampling.Strategy, error) {
	switch {
	case budget < 1:
		return nil, &usageError{text: fmt.Sprintf("--budget %d: it counts all generations, the first included, and is at least 1", budget)}
	case name == "none" && budgetGiven && budget > 1:
		return nil, &usageError{text: "--strategy none makes one generation: leave out --budget, or choose reject, repair or multi-turn"}
	case name == "" && !demanding:
		return nil, nil
	case name == "":
		name = "repair"
	}
	if s, ok := strategies[name]; ok {
		return s(budget), nil
	}
	text := fmt.Sprintf("--strategy: there is no strategy %q", name)
	if near := nearest(name, strategyNames); near != "" {
		text += fmt.Sprintf(", did you mean %q?", near)
	}
	return nil, &usageError{text: text + " Known are none, reject, repair and multi-turn"}
}
