package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// The model asks to run remove_file (Removes a file for good.) with
	//   {
	//     "name": "old.log"
	//   }
	// Run it? [y]es, [a]lways, [n]o and why: yes
	//
	// The model asks to run remove_file (Removes a file for good.) with
	//   {
	//     "name": "notes.txt"
	//   }
	// Run it? [y]es, [a]lways, [n]o and why: no, the notes stay
	//
	// list_files {}: ["notes.txt","old.log"]
	// remove_file {"name":"old.log"}: removed
	// remove_file {"name":"notes.txt"}: Error: the call was denied: the user did not approve it and says: the notes stay
	// I have removed old.log. You want to keep notes.txt, so I left it.
}
