package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// 1. { "name": "Alice", "age": 31 }
	// Alice is 31
	// mellea: precondition "not empty" not met: there is nothing in it
}
