package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// 1. A majestic otter with a coat of vibrant brown and a slender tail that can be easily distinguished from the blackness of their own skin.
	//    not accepted: has 25 words, at most 20 are allowed
	// 2. The otter is a majestic creature with the body of a mammal but the tail of a fish.
	// accepted after 202 tokens
}
