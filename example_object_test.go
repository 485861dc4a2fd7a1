package mellea_test

import (
	"context"
	"fmt"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/tool"
)

// stock is data that a model is asked about and may change. The key is never shown to it.
type stock struct {
	Item  string `json:"item"  jsonschema:"what is sold"`
	Count int    `json:"count"`
	Key   string `json:"-"`
}

type order struct {
	N int `json:"n" jsonschema:"how many"`
}

// Price says what some of the item cost.
func (s stock) Price(o order) (string, error) {
	return fmt.Sprintf("%d %s cost %d", o.N, s.Item, 3*o.N), nil
}

// A question about a value; a method of it is a tool of the model.
func ExampleQuery() {
	b := melleatest.NewBackend(melleatest.Use("Price", `{"n": 2}`), melleatest.Say("Two lamps cost 6."))
	res, err := mellea.Query(context.Background(), mellea.On(b), stock{Item: "lamps", Count: 4, Key: "k-1"}, "What do two cost?",
		mellea.Methods(map[string]string{"Price": "What some of the item cost."}))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(res.Text())
	for _, run := range res.ToolRuns {
		fmt.Println(run.Call.Name, run.Output.Text)
	}
	// Output:
	// Two lamps cost 6.
	// Price 2 lamps cost 6
}

// The value is a new one, with what the model was not shown taken over.
func ExampleTransform() {
	b := melleatest.NewBackend(melleatest.Say(`{"item": "Lampen", "count": 4}`))
	old := stock{Item: "lamps", Count: 4, Key: "k-1"}
	res, err := mellea.Transform(context.Background(), mellea.On(b), old, "Say the item in German.")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%+v, and still %+v\n", res.Value, old)
	// Output:
	// {Item:Lampen Count:4 Key:k-1}, and still {Item:lamps Count:4 Key:k-1}
}

// Calls of tools can be made by hand: the model's wishes are looked at first.
func ExampleCallTools() {
	type city struct {
		Name string `json:"name"`
	}
	weather := tool.New("weather", "The weather in a city.", func(_ context.Context, c city) (string, error) { return "rain in " + c.Name, nil })
	b := melleatest.NewBackend(melleatest.Use("weather", `{"name": "Oslo"}`))
	ctx, r := context.Background(), mellea.On(b, mellea.WithTools(weather))
	res, err := mellea.Chat(ctx, r, "How is it in Oslo?", mellea.MaxToolTurns(0))
	if err != nil {
		fmt.Println(err)
		return
	}
	runs, err := mellea.CallTools(ctx, r, res.ToolCalls())
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, run := range runs {
		fmt.Println(run.Call.Name, run.Call.Arguments, run.Output.Text)
	}
	// Output:
	// weather {"name": "Oslo"} rain in Oslo
}
