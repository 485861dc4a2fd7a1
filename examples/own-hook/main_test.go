package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// component
	//   sampling
	//     generation
	//     generation: ok
	//     validation
	//     validation: ok
	//     repair of attempt 1: 1 requirement(s) failed
	//     generation
	//     generation: ok
	//     validation
	//     validation: ok
	//   sampling: ok
	// component: ok
	// The otter is a majestic creature with the body of a mammal but the tail of a fish.
}
