package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// sent:  My key is <key>. Write an example user record as JSON with name and email.
	// reply: {"id":1,"name":"John Smith","email":"<e-mail>"}
	// held back until it was reviewed: true
}
