package cli

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// announces says what each point and signal of the catalogue announces.
var announces = map[string]string{
	"session_start":      "a session is being opened and its backend asked what it is",
	"session":            "a session, from its opening to its end",
	"session_reset":      "signal: a session forgets its history",
	"component":          "one call: rendered, generated, validated, repaired, parsed",
	"format":             "a component becomes messages, or a reply becomes a value",
	"generation":         "one request to a model, judges included",
	"generation_event":   "signal: a piece of a streamed reply has arrived",
	"generation_batch":   "one request for several raw completions",
	"sampling":           "a strategy makes attempts",
	"sampling_iteration": "signal: an attempt has ended",
	"sampling_repair":    "signal: the next attempt is told what was wrong",
	"sampling_select":    "signal: an attempt was chosen",
	"validation":         "the requirements of one result are checked",
	"requirement":        "one requirement is checked",
	"tool":               "one call of a tool: what it asks is checked, and it is run",
}

type jsonBinding struct {
	Point    string `json:"point"`
	Role     string `json:"role"`
	Plugin   string `json:"plugin"`
	Priority int    `json:"priority"`
	Scope    string `json:"scope"`
}

type jsonPoint struct {
	Name      string `json:"name"`
	Announces string `json:"announces"`
}

func (a *app) hooksCommand() *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "hooks",
		Short: "List the plugins that are installed, and the hook points",
		Long: `Hooks lists what every session of this command installs, in firing order: telemetry when it is
switched on, and the guards and audits of a command that brings its own. When nothing is installed it
lists the points that a plugin can bind to.`,
		Example: `  mellea hooks
  MELLEA_TRACES_ENABLED=true mellea hooks --output json`,
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(*cobra.Command, []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			installed := (*hook.Set)(nil).WithScope(hook.ScopeSession, a.hooks()...).Bindings()
			if output == "json" {
				return a.printJSON(hooksJSON(installed))
			}
			if len(installed) == 0 {
				return a.printPoints()
			}
			return a.printBindings(installed)
		},
	}
	cmd.Flags().StringVar(&output, "output", "text", "`format`: text or json")
	a.complete(cmd, "output", outputNames)
	return cmd
}

func hooksJSON(installed []hook.Binding) any {
	out := struct {
		Installed []jsonBinding `json:"installed"`
		Points    []jsonPoint   `json:"points"`
	}{Installed: []jsonBinding{}}
	for _, b := range installed {
		out.Installed = append(out.Installed, jsonBinding{Point: b.Point(), Role: b.Role().String(), Plugin: b.Plugin(),
			Priority: b.Priority(), Scope: b.Scope().String()})
	}
	for _, name := range hookpoint.All() {
		out.Points = append(out.Points, jsonPoint{Name: name, Announces: announces[name]})
	}
	return out
}

func (a *app) printBindings(installed []hook.Binding) error {
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "POINT\tROLE\tPLUGIN\tPRIORITY\tSCOPE")
	for _, b := range installed {
		fmt.Fprintf(w, "%s\t%s\t%s\t%d\t%s\n", b.Point(), b.Role(), oneLine(b.Plugin()), b.Priority(), b.Scope())
	}
	return w.Flush()
}

func (a *app) printPoints() error {
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "Nothing is installed. A program binds to these points (mellea.WithHooks); MELLEA_TRACES_ENABLED=true installs tracing.\n\nPOINT\tANNOUNCES")
	for _, name := range hookpoint.All() {
		fmt.Fprintf(w, "%s\t%s\n", name, announces[name])
	}
	return w.Flush()
}
