package requirement

import "github.com/mellea-go/mellea/content"

// Result is the verdict on one requirement.
type Result struct {
	Requirement Requirement
	Verdict     Verdict
}

// Results is an immutable list of results, in the order of the requirements.
type Results = content.List[Result]

// Passed reports whether every verdict is a pass. No results pass.
func Passed(rs Results) bool {
	for r := range rs.Values() {
		if !r.Verdict.Passed {
			return false
		}
	}
	return true
}

// Failed returns the results that are not a pass, in order.
func Failed(rs Results) Results {
	var failed []Result
	for r := range rs.Values() {
		if !r.Verdict.Passed {
			failed = append(failed, r)
		}
	}
	return content.ListOf(failed...)
}

// Reasons returns why the failed ones failed, in order. The texts are content.
func Reasons(rs Results) []string {
	var reasons []string
	for r := range rs.Values() {
		if !r.Verdict.Passed {
			reasons = append(reasons, r.Verdict.Reason)
		}
	}
	return reasons
}
