package tool_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/mellea-go/mellea/tool"
)

// A tool is an ordinary function. A model that writes a number in quotes is understood; one that leaves something out is
// told.
func Example() {
	type query struct {
		City string `json:"city" jsonschema:"the city's name"`
		Days int    `json:"days,omitempty" jsonschema:"days ahead; 0 is today"`
	}
	type forecast struct {
		Sky     string `json:"sky"`
		Celsius int    `json:"celsius"`
	}
	weather := tool.New("get_weather", "Weather in a city.", func(_ context.Context, q query) (forecast, error) {
		return forecast{Sky: "clear in " + q.City, Celsius: 20 + q.Days}, nil
	})

	out, err := weather.Run(context.Background(), `{"city": "Oslo", "days": "2"}`)
	fmt.Println(out.Text, err)

	_, err = weather.Run(context.Background(), `{"days": "soon"}`)
	fmt.Println(errors.As(err, new(*tool.ArgumentError)))
	fmt.Println(tool.Explain(err))
	// Output:
	// {"sky":"clear in Oslo","celsius":22} <nil>
	// true
	// Error: the arguments do not fit. "city" is missing: want a text. "days": want an integer, got the text "soon". Call the tool again with arguments that fit.
}
