package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/mellea-go/mellea/tool"
)

// builtinTools are the tools that --tool names. None of them reads or changes anything but the clock.
func builtinTools() map[string]tool.Tool {
	return map[string]tool.Tool{
		"calculator": tool.New("calculator", "Works out an arithmetic expression of numbers, + - * / % ^ and parentheses.",
			func(_ context.Context, in calculation) (float64, error) { return calculate(in.Expression) }),
		"clock": tool.New("clock", "Tells the date and the time now.",
			func(_ context.Context, in place) (string, error) { return in.now(time.Now()) }),
	}
}

// toolNames are the names of [builtinTools].
var toolNames = []string{"calculator", "clock"}

// toolUsage is the usage of --tool.
var toolUsage = "offer the tool of this `name` to the model: " + strings.Join(toolNames, ", ") + " (repeat)"

// parseTools returns the tools that --tool flags name.
func parseTools(names []string) ([]tool.Tool, error) {
	known := builtinTools()
	var all []tool.Tool
	for _, name := range slices.Compact(slices.Sorted(slices.Values(names))) {
		t, ok := known[name]
		if !ok {
			text := fmt.Sprintf("--tool: there is no tool %q", name)
			if near := nearest(name, toolNames); near != "" {
				text += fmt.Sprintf(", did you mean %q?", near)
			}
			return nil, &usageError{text: text + " Known are " + strings.Join(slices.Sorted(maps.Keys(known)), " and ")}
		}
		all = append(all, t)
	}
	return all, nil
}

// calculation is what the calculator is asked.
type calculation struct {
	Expression string `json:"expression" jsonschema:"the expression, for example (2 + 3) * 4"`
}

// place is what the clock is asked.
type place struct {
	Zone string `json:"zone,omitempty" jsonschema:"a time zone such as Europe/Rome; by default that of this machine"`
}

// now tells the time there.
func (p place) now(t time.Time) (string, error) {
	if p.Zone != "" {
		zone, err := time.LoadLocation(p.Zone)
		if err != nil {
			return "", fmt.Errorf("there is no time zone of this name: it looks like Europe/Rome")
		}
		t = t.In(zone)
	}
	return t.Format("Monday, 2 January 2006, 15:04:05 MST (-07:00)"), nil
}
