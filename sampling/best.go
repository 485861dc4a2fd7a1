package sampling

import (
	"cmp"
	"math"
)

// Best returns the index of the best attempt, -1 when there is none. An attempt that passed goes before one that did
// not, and one that did not before one whose reply cannot be read, and that before one that broke off. Among equals
// the most requirements passed count, then the highest mean score, then the latest.
func Best(as Attempts) int {
	best := -1
	var most merit
	for i, a := range as.All() {
		if m := meritOf(a); best < 0 || m.compare(most) >= 0 {
			best, most = i, m
		}
	}
	return best
}

type merit struct {
	rank, passed int
	score        float64
}

func (m merit) compare(n merit) int {
	return cmp.Or(cmp.Compare(m.rank, n.rank), cmp.Compare(m.passed, n.passed), cmp.Compare(m.score, n.score))
}

func meritOf(a Attempt) merit {
	m := merit{score: math.Inf(-1)} // no score is worse than any
	switch {
	case a.Err != nil:
		m.rank = -2
	case a.ParseErr != nil:
		m.rank = -1
	case a.Passed():
		m.rank = 1
	}
	sum, n := 0.0, 0
	for r := range a.Results.Values() {
		if r.Verdict.Passed {
			m.passed++
		}
		if r.Verdict.HasScore && !math.IsNaN(r.Verdict.Score) {
			sum, n = sum+r.Verdict.Score, n+1
		}
	}
	if n > 0 {
		m.score = sum / float64(n)
	}
	return m
}
