package requirement

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The checks below look at the text of a reply only, in which a CRLF counts as a line feed. They are safe to run
// concurrently and marked so. Each has a description that a model understands, and gives reasons it can act on.

// textCheck returns a check of the text; a reason "" passes it.
func textCheck(kind, description string, check func(text string) (reason string)) Requirement {
	return New(kind, func(_ context.Context, env Env) (Verdict, error) {
		if reason := check(lineFeeds(env.Text())); reason != "" {
			return Fail(reason), nil
		}
		return Pass(), nil
	}).Describe(description).AsConcurrent()
}

func lineFeeds(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// Func returns a requirement of kind "func" that f decides: whether the text of the reply is good, and the reason. The
// text is the reply's own, unchanged. It is not marked as safe to run concurrently.
func Func(description string, f func(text string) (ok bool, reason string)) Requirement {
	return New("func", func(_ context.Context, env Env) (Verdict, error) {
		ok, reason := f(env.Text())
		return Verdict{Passed: ok, Reason: reason}, nil
	}).Describe(description)
}

// MaxWords returns a requirement of kind "max_words": at most n words. A word is a run of anything but Unicode white
// space, so a script without spaces counts few words.
func MaxWords(n int) Requirement {
	return textCheck("max_words", "Use at most "+wordCount(n)+".", func(text string) string {
		if got := len(strings.Fields(text)); got > n {
			return fmt.Sprintf("has %s, at most %d are allowed", wordCount(got), n)
		}
		return ""
	})
}

// MinWords returns a requirement of kind "min_words": at least n words, counted as [MaxWords] does.
func MinWords(n int) Requirement {
	return textCheck("min_words", "Use at least "+wordCount(n)+".", func(text string) string {
		if got := len(strings.Fields(text)); got < n {
			return fmt.Sprintf("has %s, at least %d are needed", wordCount(got), n)
		}
		return ""
	})
}

func wordCount(n int) string {
	if n == 1 {
		return "1 word"
	}
	return strconv.Itoa(n) + " words"
}

// MatchOption changes how [Contains] and [Excludes] compare.
type MatchOption func(*match)

type match struct{ ignoreCase bool }

// IgnoreCase compares without regard to upper and lower case.
func IgnoreCase() MatchOption { return func(m *match) { m.ignoreCase = true } }

func matcher(s string, opts []MatchOption) func(text string) bool {
	var m match
	for _, o := range opts {
		o(&m)
	}
	s = lineFeeds(s)
	if !m.ignoreCase {
		return func(text string) bool { return strings.Contains(text, s) }
	}
	s = strings.ToLower(s)
	return func(text string) bool { return strings.Contains(strings.ToLower(text), s) }
}

// Contains returns a requirement of kind "contains": s occurs in the text. Case counts unless [IgnoreCase] is given.
func Contains(s string, opts ...MatchOption) Requirement {
	found := matcher(s, opts)
	return textCheck("contains", fmt.Sprintf("Contain the text %q.", s), func(text string) string {
		if !found(text) {
			return fmt.Sprintf("does not contain the text %q", s)
		}
		return ""
	})
}

// Excludes returns a requirement of kind "excludes": s does not occur in the text. Case counts unless [IgnoreCase] is
// given.
func Excludes(s string, opts ...MatchOption) Requirement {
	found := matcher(s, opts)
	return textCheck("excludes", fmt.Sprintf("Do not contain the text %q.", s), func(text string) string {
		if found(text) {
			return fmt.Sprintf("contains the text %q, which is not allowed", s)
		}
		return ""
	})
}

// Regexp returns a requirement of kind "regexp": re matches somewhere in the text. It panics when re is nil.
func Regexp(re *regexp.Regexp) Requirement {
	pattern := re.String()
	return textCheck("regexp", fmt.Sprintf("Match the regular expression %s.", pattern), func(text string) string {
		if !re.MatchString(text) {
			return "does not match the regular expression " + pattern
		}
		return ""
	})
}

// MustRegexp is [Regexp] for a pattern of package regexp; it panics when the pattern does not compile.
func MustRegexp(pattern string) Requirement { return Regexp(regexp.MustCompile(pattern)) }

// OneOf returns a requirement of kind "one_of": the text, without the white space around it, is one of choices.
func OneOf(choices ...string) Requirement {
	var list strings.Builder
	trimmed := make([]string, len(choices))
	for i, c := range choices {
		if i > 0 {
			list.WriteString(", ")
		}
		trimmed[i] = strings.TrimSpace(lineFeeds(c))
		list.WriteString(strconv.Quote(trimmed[i]))
	}
	return textCheck("one_of", "Reply with nothing but one of these: "+list.String()+".", func(text string) string {
		if !slices.Contains(trimmed, strings.TrimSpace(text)) {
			return "is none of " + list.String()
		}
		return ""
	})
}
