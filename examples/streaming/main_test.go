package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// The Moon is a celestial body that orbits Earth and plays a crucial role in our understanding of astronomy and human culture.
	//
	// attempt 1: The Celestial Orb: A Cosmic Conundrum
	//
	// 1 attempt(s), the last in 11 chunks; a first chunk was seen: true
}
