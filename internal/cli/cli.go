// Package cli is the mellea command.
//
// [Run] runs one command line in a [System], which is everything it knows of the process: nothing here reads or writes
// the process's own streams, environment or signals but [Main].
package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry"
)

// System is what a command knows of the process that runs it.
type System struct {
	Stdin          io.Reader
	Stdout, Stderr Output
	// Environ is the environment, as [os.Environ] returns it.
	Environ []string
	// Interrupts lets a command take an interrupt for something less than its end; nil is for a process without any.
	Interrupts *Interrupts
	// Hooks are installed in every session beside telemetry: guards and audits of a program that brings its own mellea
	// command.
	Hooks []hook.Source

	logs *logSinks // where log lines go as well; nil is nowhere
}

// Interrupts passes an interrupt from whoever is told of it to the command that wants it.
type Interrupts struct {
	mu   sync.Mutex
	take func() bool
}

// Deliver reports whether the command took the interrupt. Otherwise it is to end.
func (i *Interrupts) Deliver() bool {
	if i == nil {
		return false
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.take != nil && i.take()
}

// taken hands interrupts to f until the function returned is called.
func (i *Interrupts) taken(f func() bool) (restore func()) {
	if i == nil {
		return func() {}
	}
	set := func(f func() bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		i.take = f
	}
	set(f)
	return func() { set(nil) }
}

// Output is a stream the command writes to.
type Output struct {
	io.Writer
	// Terminal says that a person reads it, and that it understands escape sequences.
	Terminal bool
}

// A serialWriter may be used by several goroutines.
type serialWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *serialWriter) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(p)
}

// app is one run of the command.
type app struct {
	System

	env       map[string]string
	telemetry *telemetry.Telemetry // nil for commands that are not traced
	traceFile string               // that spans are appended to; "" is none
	spans     spanList             // of the demonstration
}

// Run runs the command with the arguments behind its name and returns its exit code. It returns when everything it
// started has ended and telemetry is flushed. To interrupt it, cancel ctx with an *[Interrupted] as the cause.
func Run(ctx context.Context, sys System, args ...string) int {
	sys.Stderr.Writer = &serialWriter{w: sys.Stderr.Writer} // warnings come from goroutines of libraries
	if sys.logs == nil {
		sys.logs = &logSinks{}
	}
	a := &app{System: sys, env: environment(sys.Environ)}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(sys.Stdin)
	root.SetOut(sys.Stdout)
	root.SetErr(sys.Stderr)

	name := ""
	sub := ""
	if cmd, _, err := root.Find(args); err == nil && cmd.RunE != nil && cmd.Annotations[traced] != "" {
		name = cmd.Name()
		if above := cmd.Parent(); above != nil && above.HasParent() {
			name, sub = above.Name(), name
		}
		if cmd.Flags().Lookup(traceFileFlag) != nil {
			a.traceFile = traceFile(args)
		}
	}
	return a.withTelemetry(ctx, name, sub, args, func(ctx context.Context) int {
		err := root.ExecuteContext(ctx)
		code := exitCode(ctx, err)
		a.report(code, err)
		return code
	})
}

// report tells the user of the error that ended the command.
func (a *app) report(code int, err error) {
	switch {
	case err == nil:
	case code > 128:
		fmt.Fprintln(a.Stderr, "mellea: interrupted")
	default:
		fmt.Fprintln(a.Stderr, "mellea: "+describe(err, a.secrets()...))
	}
}

// secrets are what no line may show.
func (a *app) secrets() []string {
	var all []string
	for _, v := range variables {
		if v.kind == isSecret {
			all = append(all, a.env[v.name])
		}
	}
	return all
}

// traced is the annotation of commands that have a span of their own.
const traced = "traced"

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "mellea",
		Short: "Run generative programs: prompts with requirements, checked, repaired and traced",
		Long: `mellea runs generative programs: it asks a language model, checks the reply against
requirements, repairs what does not meet them, and leaves a complete trace.

  0  done                                  3  backend, time-out or I/O
  1  requirements not met, lines failed,   4  rejected by a guard
     violations found
  2  wrong usage or a missing setting      130, 143  interrupted
`,
		Example: `  mellea demo
  mellea run "Name three rivers" --check max-words:10
  git diff | mellea run - --system "Summarise this change" --require "one sentence"`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          unknownCommand,
		// With Args and without this, cobra would show its help for an unknown command.
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },

		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(flagError)
	root.CompletionOptions.HiddenDefaultCmd = false
	root.AddCommand(a.runCommand(), a.chatCommand(), a.batchCommand(), a.modelsCommand(), a.demoCommand(), a.checkCommand(), a.costCommand(), a.hooksCommand(), a.envCommand(), a.versionCommand())
	return root
}

// unknownCommand takes an argument of the root for the name of a command that does not exist.
func unknownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	text := fmt.Sprintf("there is no command %q", args[0])
	if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
		text += fmt.Sprintf(", did you mean %q?", near[0])
	}
	return &usageError{text: text + " ('mellea --help' lists them)"}
}

// flagError completes what the flag package says with the flag that was probably meant.
func flagError(cmd *cobra.Command, err error) error {
	text := err.Error()
	if unknown, ok := errors.AsType[*pflag.NotExistError](err); ok {
		name := unknown.GetSpecifiedName()
		text = "there is no flag --" + name
		if len(name) == 1 {
			text = "there is no flag -" + name
		}
		if near := nearest(name, flagNames(cmd)); near != "" {
			text += fmt.Sprintf(", did you mean --%s?", near)
		}
	}
	return &usageError{text: fmt.Sprintf("%s ('%s --help' lists them)", text, cmd.CommandPath()), err: err}
}

func flagNames(cmd *cobra.Command) []string {
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}

// noArguments refuses arguments, in words that name them.
func noArguments(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return &usageError{text: fmt.Sprintf("%q takes no argument, it was given %q", cmd.CommandPath(), args[0])}
}

// nearest returns the candidate that differs from name by the fewest letters, "" when none is near.
func nearest(name string, candidates []string) string {
	best, found := 3, ""
	for _, c := range candidates {
		if d := distance(name, c); d < best {
			best, found = d, c
		}
	}
	return found
}

// distance returns how many letters must be added, removed or changed to make b of a (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

func environment(environ []string) map[string]string {
	env := make(map[string]string, len(environ))
	for _, e := range environ {
		if name, value, ok := strings.Cut(e, "="); ok {
			env[name] = value
		}
	}
	return env
}

// style returns the colours for an output: none unless it is a terminal that wants them (https://no-color.org).
func (a *app) style(o Output) style {
	return style{on: o.Terminal && a.env["NO_COLOR"] == "" && a.env["TERM"] != "dumb"}
}
