package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

type checkFlags struct {
	listen    string
	length    time.Duration
	idle      time.Duration
	format    string
	level     string
	ignore    []string
	least     check.Level
	ignorance []ignored
}

// ignored are the findings of a rule, about an attribute or, for "", about anything.
type ignored struct {
	id        check.ID
	attribute string
}

var (
	checkFormats = []string{"text", "json", "junit"}
	checkLevels  = []string{"violation", "improvement", "information"}
)

func (a *app) checkCommand() *cobra.Command {
	var f checkFlags
	cmd := &cobra.Command{
		Use:   "check [FILE|-]...",
		Short: "Check telemetry against the OpenTelemetry conventions for generative AI and MCP",
		Long: `Check holds spans, metrics and log events of any program in any language against the conventions.

It reads OTLP from files or standard input: JSON lines as the Collector's file exporter writes them,
JSON documents, or protobuf. With --listen it receives OTLP instead, over HTTP and gRPC on one port,
until an interrupt, --for or --idle, and then reports.

  0  no violation          2  wrong usage
  1  violations            3  nothing to check, or a file that cannot be read
`,
		Example: `  mellea check telemetry.jsonl
  mellea check --format junit --level violation traces.pb > report.xml
  mellea check --listen :4318 --idle 30s`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error { return a.check(cmd.Context(), f, args) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.listen, "listen", "", "receive at `address`, host:port or :port, which is the loopback interface's")
	fs.DurationVar(&f.length, "for", 0, "with --listen, receive for that `time`; 0 is until an interrupt")
	fs.DurationVar(&f.idle, "idle", 0, "with --listen, end when nothing has arrived for that `time`")
	fs.StringVar(&f.format, "format", "text", "`format` of the report: "+strings.Join(checkFormats, ", "))
	fs.StringVar(&f.level, "level", "improvement", "least `level` that is shown: "+strings.Join(checkLevels, ", "))
	fs.StringArrayVar(&f.ignore, "ignore", nil, "leave out the findings of a rule, `ID` or ID=ATTRIBUTE; may be repeated")
	a.complete(cmd, "format", checkFormats)
	a.complete(cmd, "level", checkLevels)
	return cmd
}

// nonconforming is telemetry that violates the conventions.
type nonconforming struct{ violations int }

func (e *nonconforming) Error() string {
	if e.violations == 1 {
		return "1 violation of the conventions"
	}
	return fmt.Sprintf("%d violations of the conventions", e.violations)
}

func (f *checkFlags) parse(files []string) error {
	if !slices.Contains(checkFormats, f.format) {
		return &usageError{text: fmt.Sprintf("--format %s: it is text, json or junit", f.format)}
	}
	least, err := check.ParseLevel(f.level)
	if err != nil {
		return &usageError{text: fmt.Sprintf("--level %s: it is violation, improvement or information", f.level), err: err}
	}
	f.least = least
	switch {
	case f.listen == "" && len(files) == 0:
		return &usageError{text: "check needs telemetry: name a file, - for standard input, or --listen with an address"}
	case f.listen != "" && len(files) > 0:
		return &usageError{text: "--listen receives telemetry in place of files: leave one of them out"}
	case f.listen == "" && (f.length != 0 || f.idle != 0):
		return &usageError{text: "--for and --idle are for --listen"}
	case f.length < 0 || f.idle < 0:
		return &usageError{text: "--for and --idle are times to wait, such as 90s"}
	}
	for _, rule := range f.ignore {
		id, attribute, _ := strings.Cut(rule, "=")
		if !slices.Contains(check.Rules(), check.ID(id)) {
			text := fmt.Sprintf("--ignore %s: there is no such rule", rule)
			if near := nearest(id, ruleNames()); near != "" {
				text += fmt.Sprintf(", did you mean %s?", near)
			}
			return &usageError{text: text}
		}
		f.ignorance = append(f.ignorance, ignored{check.ID(id), attribute})
	}
	return nil
}

func ruleNames() []string {
	var all []string
	for _, id := range check.Rules() {
		all = append(all, string(id))
	}
	return all
}

func (f *checkFlags) ignores(found check.Finding) bool {
	return slices.ContainsFunc(f.ignorance, func(i ignored) bool {
		return i.id == found.ID && (i.attribute == "" || i.attribute == found.Attribute)
	})
}

func (a *app) check(ctx context.Context, f checkFlags, files []string) error {
	if err := f.parse(files); err != nil {
		return err
	}
	in := &intake{}
	var err error
	if f.listen != "" {
		err = a.receive(ctx, in, f)
	} else {
		err = a.readAll(ctx, in, files)
	}
	if in.empty() {
		if err != nil {
			return err
		}
		return errNothingToCheck
	}
	violations, reported := a.reportFindings(in, f)
	switch {
	case reported != nil:
		return reported
	case err != nil:
		return err // broken input, and what is not broken has been reported
	case violations > 0:
		return &nonconforming{violations}
	}
	return nil
}

var errNothingToCheck = errors.New("there is nothing to check: neither spans nor metrics nor log records have arrived")
