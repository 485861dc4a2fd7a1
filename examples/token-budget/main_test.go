package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// Paris: Paris is the capital city of France and Europe's largest metropolitan area. It's also the most visited destination globally, attracting millions of visitors each year.
	//   (70 tokens, 70 spent)
	// Rome: Rome is the capital of Italy and is known for its iconic landmarks like the Colosseum, Pantheon, and Roman Forum.
	//   (66 tokens, 136 spent)
	// Madrid: rejected, over_budget: 136 tokens are spent, the limit is 120
}
