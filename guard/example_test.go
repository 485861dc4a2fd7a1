package guard_test

import (
	"context"
	"fmt"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/guard"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/tool"
)

// The model is told why its call was denied, and goes on.
func ExampleAllowTools() {
	remove := tool.New("remove", "Removes a file.", func(context.Context, struct {
		Path string `json:"path"`
	}) (string, error) {
		return "removed", nil
	})
	b := melleatest.NewBackend(melleatest.Use("remove", `{"path":"notes"}`), melleatest.Say("I may not remove files."))
	r := mellea.On(b, mellea.WithTools(remove), mellea.WithHooks(guard.AllowTools("read", "list")))
	defer r.Close()

	res, err := mellea.Instruct(context.Background(), r, "Tidy up.")
	fmt.Println(res.ToolRuns[0].Output.Text)
	fmt.Println(res.Text(), err)
	// Output:
	// Error: the call was denied: only these tools are allowed here: read, list
	// I may not remove files. <nil>
}
