package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// Ada: Hello! I'm here to help with your creative projects. What brings you to my office today?
}
