package requirement

import (
	"context"
	"slices"
	"strings"
)

// UsesTool returns a requirement of kind "uses_tool": on its way to the reply, or in it, the model calls each of the tools
// named. It is about what the model asks for: whether the call was allowed and did well is another matter.
func UsesTool(name string, more ...string) Requirement {
	names := append([]string{name}, more...)
	description := "Use the tool " + name + "."
	if len(names) > 1 {
		description = "Use the tools " + strings.Join(names, ", ") + "."
	}
	return New("uses_tool", func(_ context.Context, env Env) (Verdict, error) {
		missing := slices.Clone(names)
		for c := range env.ToolCalls() {
			missing = slices.DeleteFunc(missing, func(n string) bool { return n == c.Name })
		}
		if len(missing) > 0 {
			return Fail("does not use the tool " + strings.Join(missing, ", nor ")), nil
		}
		return Pass(), nil
	}).Describe(description).AsConcurrent()
}
