// Package tool makes functions that a model may call.
//
//	weather := tool.New("get_weather", "Weather in a city, today or some days ahead.",
//	    func(ctx context.Context, in struct {
//	        City string `json:"city" jsonschema:"the city's name"`
//	        Days int    `json:"days,omitempty" jsonschema:"days ahead; 0 is today"`
//	    }) (Forecast, error) { … })
//
// The schema that the model is shown comes from the type of the argument. What a model asks for is hostile: arguments are
// bounded in size, mended where their meaning is plain (a number in quotes, one value where a list is wanted), held against
// the schema and decoded before the function sees them. What is wrong with them is an [*ArgumentError], whose words are for
// the model. A panic of the function is an error, its result is bounded in size, and it may be bounded in time.
//
// Tools are immutable values and safe for concurrent use, as far as their functions are: calls of one reply run at the
// same time. Only the engine calls tools of a program, under the hook point for them.
package tool
