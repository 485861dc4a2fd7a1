package redact

import (
	"regexp"
	"strings"
)

// A Rule takes one kind of secret out of a text. The zero Rule takes out nothing. Rules may be used by several goroutines
// at once.
type Rule struct{ apply func(string) string }

// Redact returns text without what the rule looks for.
func (r Rule) Redact(text string) string {
	if r.apply == nil {
		return text
	}
	return r.apply(text)
}

// All returns a function that applies the rules in order. Its attribute is not looked at.
func All(rules ...Rule) func(attribute, text string) string {
	own := make([]Rule, 0, len(rules))
	for _, r := range rules {
		if r.apply != nil {
			own = append(own, r)
		}
	}
	return func(_, text string) string {
		for _, r := range own {
			text = r.apply(text)
		}
		return text
	}
}

// Default returns a function that applies all rules of this package: [Secrets], [IBANs], [Phones], [Cards] and [Emails].
func Default() func(attribute, text string) string {
	return All(Secrets(), IBANs(), Phones(), Cards(), Emails())
}

// Pattern returns a rule that replaces what re matches. In replacement, $1 stands for the text of the first group, as in
// [regexp.Regexp.ReplaceAllString].
func Pattern(re *regexp.Regexp, replacement string) Rule {
	return Rule{func(text string) string { return re.ReplaceAllString(text, replacement) }}
}

// Emails returns a rule for e-mail addresses in their usual form; quoted local parts and addresses in other scripts are
// not found.
func Emails() Rule { return emails }

var emails = shapes{{kind: "email", hint: "@",
	re: regexp.MustCompile(`[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}`)}}.rule()

// A shape is a pattern of a secret. Group 1, where there is one, is what is replaced; otherwise it is all of it.
type shape struct {
	kind string // of the label
	// hint is in every text that can match, letters in any case; "" for a pattern that any text may match. It saves
	// the search.
	hint string
	re   *regexp.Regexp
	// part returns how much of a find is to be replaced, from its beginning; nil is all of it.
	part func(string) int
}

type shapes []shape

func (all shapes) rule() Rule {
	return Rule{func(text string) string {
		for i := range all {
			text = all[i].redact(text)
		}
		return text
	}}
}

func label(kind string) string { return "[redacted:" + kind + "]" }

func (s *shape) redact(text string) string {
	if s.hint != "" && !holds(text, s.hint) {
		return text
	}
	var b strings.Builder
	done := 0
	for _, m := range s.re.FindAllStringSubmatchIndex(text, -1) {
		from, to := m[0], m[1]
		for g := 2; g+1 < len(m); g += 2 { // the first group that took part
			if m[g] >= 0 {
				from, to = m[g], m[g+1]
				break
			}
		}
		if s.part != nil {
			to = from + s.part(text[from:to])
		}
		if from == to {
			continue
		}
		b.WriteString(text[done:from])
		b.WriteString(label(s.kind))
		done = to
	}
	if done == 0 {
		return text
	}
	b.WriteString(text[done:])
	return b.String()
}

// holds reports whether text holds hint, which is in lower case, whatever the case of text.
func holds(text, hint string) bool {
	first := hint[0]
	upper := first
	if 'a' <= first && first <= 'z' {
		upper -= 'a' - 'A'
	}
	for at := 0; at+len(hint) <= len(text); at++ {
		if c := text[at]; c != first && c != upper {
			continue
		}
		if strings.EqualFold(text[at:at+len(hint)], hint) {
			return true
		}
	}
	return false
}

// withDigit tells a key from words that are joined by dashes.
func withDigit(s string) int {
	if strings.ContainsAny(s, "0123456789") {
		return len(s)
	}
	return 0
}
