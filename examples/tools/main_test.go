package main

import (
	"os"

	"github.com/mellea-go/mellea/examples/recorded"
)

func Example() {
	recorded.Run(os.Stdout, recording, run)
	// Output:
	// get_weather {"city":"Oslo","days":"1"}
	//   {"sky":"rain","celsius":9}
	// get_weather {"city":"Roma","days":1}
	//   Error: there is no forecast for Roma
	// get_weather {"city":"Rome","days":1}
	//   {"sky":"sun","celsius":27}
	// Take an umbrella to Oslo, where it rains, and sunglasses to Rome, where it is 27 degrees.
}
