package cli

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:         "version",
		Short:       "Show the version of the module, its commit and the version of Go",
		Example:     "  mellea version",
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(*cobra.Command, []string) error {
			info, _ := debug.ReadBuildInfo()
			_, err := fmt.Fprintln(a.Stdout, version(info))
			return err
		},
	}
}

// version describes a build: the module's version, the commit where the build knows it, and Go's version.
func version(info *debug.BuildInfo) string {
	var module, commit, modified string
	if info != nil {
		module = info.Main.Version
		for _, s := range info.Settings {
			switch s.Key {
			case "vcs.revision":
				commit = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					modified = ", modified"
				}
			}
		}
	}
	text := "mellea " + cmp.Or(module, "(devel)")
	if commit != "" {
		text += fmt.Sprintf(" (commit %.12s%s)", commit, modified)
	}
	return fmt.Sprintf("%s %s %s/%s", text, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
