package requirement

import (
	"context"
	"regexp"

	"github.com/mellea-go/mellea/schema"
)

type MatchOption func(*match)

type match struct{ ignoreCase bool }

func IgnoreCase() MatchOption { return func(m *match) { m.ignoreCase = true } }

func todo(kind string) Requirement {
	return New(kind, func(context.Context, Env) (Verdict, error) { return Verdict{}, errNoChecker })
}

func MaxWords(n int) Requirement                         { return todo("max_words") }
func MinWords(n int) Requirement                         { return todo("min_words") }
func Contains(s string, opts ...MatchOption) Requirement { return todo("contains") }
func Excludes(s string, opts ...MatchOption) Requirement { return todo("excludes") }
func Regexp(re *regexp.Regexp) Requirement               { return todo("regexp") }
func MustRegexp(pattern string) Requirement              { return Regexp(regexp.MustCompile(pattern)) }
func OneOf(choices ...string) Requirement                { return todo("one_of") }
func ValidJSON() Requirement                             { return todo("valid_json") }
func JSONSchema(s schema.Schema) Requirement             { return todo("json_schema") }

func Func(description string, f func(text string) (bool, string)) Requirement {
	return New("func", func(_ context.Context, env Env) (Verdict, error) {
		ok, reason := f(env.Text())
		return Verdict{Passed: ok, Reason: reason}, nil
	}).Describe(description)
}

func Parse(spec string, readFile func(name string) ([]byte, error)) (Requirement, error) {
	return Requirement{}, errNoChecker
}
