package requirement

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// yesNo is what a judge answered.
type yesNo struct {
	yes    bool
	reason string // "" when it gave none
}

// parseYesNo finds the first of the words yes and no. The reason is what follows it, or else the sentences before it.
func parseYesNo(answer string) (yesNo, bool) {
	answer = withoutThinking(answer)
	for start, end := range words(answer) {
		word := answer[start:end]
		yes := strings.EqualFold(word, "yes")
		if !yes && !strings.EqualFold(word, "no") {
			continue
		}
		reason := tidy(answer[end:])
		if reason == "" {
			before := answer[:start]
			reason = tidy(before[:strings.LastIndexAny(before, ".!?\n")+1])
		}
		return yesNo{yes: yes, reason: reason}, true
	}
	return yesNo{}, false
}

// words iterates over the runs of letters and digits.
func words(s string) func(yield func(start, end int) bool) {
	return func(yield func(start, end int) bool) {
		start := -1
		for i, r := range s {
			letter := unicode.IsLetter(r) || unicode.IsDigit(r)
			switch {
			case letter && start < 0:
				start = i
			case !letter && start >= 0:
				if !yield(start, i) {
					return
				}
				start = -1
			}
		}
		if start >= 0 {
			yield(start, len(s))
		}
	}
}

// withoutThinking drops what some models write into their reply before they answer.
func withoutThinking(s string) string {
	const end = "</think>"
	if i := strings.LastIndex(s, end); i >= 0 {
		return s[i+len(end):]
	}
	return s
}

// tidy takes the marks off a reason, and drops what is too short to be one.
func tidy(s string) string {
	s = strings.TrimLeftFunc(s, func(r rune) bool {
		return !strings.ContainsRune("\"'(“‘`", r) && (unicode.IsSpace(r) || unicode.IsPunct(r) || unicode.IsSymbol(r))
	})
	s = strings.TrimRight(s, " \t\r\n*_`<>/")
	if len(strings.Fields(s)) < 2 {
		return ""
	}
	return s
}

var (
	// scale is how a judge may repeat what it was asked for.
	scale = regexp.MustCompile(`\b0\s*(?:-|–|\bto\b)\s*10?\b`)
	label = regexp.MustCompile(`(?i)\b(?:score|grade|rating)\b`)
	// grade is a number, which may be a share of another: 7, 7.5, 7/10, 7 out of 10, 70%.
	grade = regexp.MustCompile(`[-+]?\d+(?:[.,]\d+)?(?:\s*(%)|\s*(?:/|\bout\s+of\b)\s*(\d+(?:\.\d+)?))?`)
)

// parseScore finds a judge's grade from 0 to most: the first number after a word such as "score", or else the first
// one. The reason is what follows it.
func parseScore(answer string, most float64) (score float64, reason string, ok bool) {
	answer = scale.ReplaceAllString(withoutThinking(answer), "")
	if at := label.FindStringIndex(answer); at != nil && grade.MatchString(answer[at[1]:]) {
		answer = answer[at[1]:]
	}
	m := grade.FindStringSubmatchIndex(answer)
	if m == nil {
		return 0, "", false
	}
	text, whole := answer[m[0]:m[1]], 0.0
	switch {
	case m[2] >= 0: // a percentage
		text, whole = answer[m[0]:m[2]], 100
	case m[4] >= 0: // a share
		whole = parseNumber(answer[m[4]:m[5]])
		text = text[:strings.IndexFunc(text, func(r rune) bool { return r == '/' || r == 'o' || r == 'O' })]
		if whole == 0 {
			return 0, "", false
		}
	}
	score = parseNumber(text)
	if whole != 0 {
		score = score / whole * most
	}
	if !(score >= 0 && score <= most) {
		return 0, "", false
	}
	return score, tidy(answer[m[1]:]), true
}

// parseNumber reads a number that a pattern has matched; one beyond all bounds is an infinity.
func parseNumber(s string) float64 {
	f, _ := strconv.ParseFloat(strings.TrimSpace(strings.ReplaceAll(s, ",", ".")), 64)
	return f
}
