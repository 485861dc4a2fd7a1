package guard

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/tool"
)

// Codes of the rejections that guards of this package make.
const (
	CodeNotAllowed  = "tool_not_allowed"  // AllowTools, DenyTools
	CodeNotApproved = "tool_not_approved" // Approve: somebody said no
	CodeNoTerminal  = "no_terminal"       // Approve: there is nobody to ask
)

// AllowTools returns a guard that denies calls of all tools but those named. The model is told which are allowed. It is the
// same for tools that do not exist, so a model cannot find out which do.
func AllowTools(names ...string) hook.Plugin {
	allowed := slices.Clone(names)
	reason := "no tool is allowed here"
	if len(allowed) > 0 {
		reason = "only these tools are allowed here: " + strings.Join(allowed, ", ")
	}
	return tools("allow-tools", func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		if !slices.Contains(allowed, p.Call.Name) {
			return p, hook.Reject(CodeNotAllowed, reason)
		}
		return p, nil
	})
}

// DenyTools returns a guard that denies calls of the tools named, with a reason for the model; "" gives a plain one.
func DenyTools(reason string, names ...string) hook.Plugin {
	denied := slices.Clone(names)
	if reason == "" {
		reason = "this tool is not allowed here"
	}
	return tools("deny-tools", func(_ context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		if slices.Contains(denied, p.Call.Name) {
			return p, hook.Reject(CodeNotAllowed, reason)
		}
		return p, nil
	})
}

// RewriteArguments returns a guard that changes the arguments of the tool named: f is given them decoded, and returns those
// that the tool is called with. They are held against the tool's schema again. An error of f denies the call; one made by
// [hook.Reject] tells the model why. Arguments that do not fit In are left as they are, for the tool to refuse.
func RewriteArguments[In any](name string, f func(ctx context.Context, in In) (In, error)) hook.Plugin {
	return tools("rewrite-arguments", func(ctx context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
		if p.Call.Name != name {
			return p, nil
		}
		var in In
		if err := json.Unmarshal([]byte(p.Call.Arguments), &in); err != nil {
			return p, nil //nolint:nilerr // the tool says what is wrong with them
		}
		in, err := f(ctx, in)
		if err != nil {
			return p, err
		}
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(in); err != nil {
			return p, fmt.Errorf("guard: the arguments of %s cannot be written: %w", name, err)
		}
		p.Call.Arguments = strings.TrimSuffix(b.String(), "\n")
		return p, nil
	})
}

func tools(name string, f func(context.Context, hookpoint.ToolStart) (hookpoint.ToolStart, error)) hook.Plugin {
	return hook.Plugin{Name: name, Sources: []hook.Source{hookpoint.Tool.Guard(f)}}
}

// description is what a tool says of itself.
func description(p hookpoint.ToolStart) (tool.Tool, string) {
	t, _ := p.Tool()
	return t, t.Description()
}
