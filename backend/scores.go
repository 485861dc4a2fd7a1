package backend

import (
	"iter"
	"slices"
)

// Scores are what a model makes of every token of its vocabulary as the next one, by the token's id. They are an immutable
// value.
type Scores struct{ of []float32 }

// NewScores returns the scores of the tokens 0, 1 and so on. It takes over the slice, which must not be changed later.
func NewScores(of []float32) Scores { return Scores{of} }

// Len returns how many tokens the vocabulary has.
func (s Scores) Len() int { return len(s.of) }

// At returns the score of a token, negative infinity for one that could not be chosen. It panics unless the id is at least 0
// and below Len.
func (s Scores) At(token int) float32 { return s.of[token] }

// All iterates over the tokens and their scores.
func (s Scores) All() iter.Seq2[int, float32] { return slices.All(s.of) }

// WithLogits asks for the scores that each token of the reply was chosen by, after penalties, filters and the temperature: see
// [Generation]. Only a model in process has them, of whose vocabulary each takes 4 bytes a token: megabytes for a sentence.
func (o Options) WithLogits(on bool) Options {
	return o.with(setLogits, func(v *values) { v.logits = on })
}

// Logits reports whether the scores that tokens are chosen by are asked for.
func (o Options) Logits() bool {
	v := o.find(setLogits)
	return v != nil && v.logits
}

// WithRawLogits asks for the model's own scores, before anything is done to them, as [Options.WithLogits] does for those
// after.
func (o Options) WithRawLogits(on bool) Options {
	return o.with(setRawLogits, func(v *values) { v.rawLogits = on })
}

// RawLogits reports whether the model's own scores are asked for.
func (o Options) RawLogits() bool {
	v := o.find(setRawLogits)
	return v != nil && v.rawLogits
}
