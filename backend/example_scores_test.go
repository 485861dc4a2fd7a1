package backend_test

import (
	"fmt"

	"github.com/mellea-go/mellea/backend"
)

// Scores are by the id of the token; a model in process gives them for each token of a reply.
func ExampleScores() {
	s := backend.NewScores([]float32{0.5, 2, -1})
	best := 0
	for token, score := range s.All() {
		if score > s.At(best) {
			best = token
		}
	}
	fmt.Println(best, "of", s.Len())
	// Output: 1 of 3
}
