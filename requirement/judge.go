package requirement

import (
	"context"

	"github.com/mellea-go/mellea/backend"
)

type JudgeOption func(*judge)

type judge struct{}

func JudgeWith(b backend.Backend) JudgeOption    { return func(*judge) {} }
func JudgeScore(threshold float64) JudgeOption   { return func(*judge) {} }
func JudgeOptions(o backend.Options) JudgeOption { return func(*judge) {} }
func JudgeTemplate(name string) JudgeOption      { return func(*judge) {} }

func Judge(description string, opts ...JudgeOption) Requirement {
	r := New("llm_judge", func(ctx context.Context, env Env) (Verdict, error) {
		return Verdict{}, ErrNoModel
	}).Describe(description)
	r.judge = true
	return r
}
