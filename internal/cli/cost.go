package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/internal/tracecost"
	"github.com/mellea-go/mellea/telemetry"
)

type costFlags struct{ by, prices, format string }

func byNames() []string {
	var names []string
	for _, by := range tracecost.All {
		names = append(names, string(by))
	}
	return names
}

func (a *app) costCommand() *cobra.Command {
	var f costFlags
	cmd := &cobra.Command{
		Use:   "cost [flags] TRACE-FILE|-",
		Short: "Add up what the calls to models in a trace used and cost",
		Long: `Cost reads traces and adds up the tokens and the cost of all calls to models, of any program that
follows OpenTelemetry's GenAI conventions, today's or older ones, or those of OpenLLMetry or
OpenInference. Spans of agents and workflows, which repeat what is beneath them, do not count, and a
call that two instrumentations recorded counts once.

A trace file is what --trace-file and MELLEA_TRACES_FILE write and what the file exporter of the
OpenTelemetry Collector does: OTLP as JSON, an export a line, or as protobuf; a JSON document over
several lines works as well. It may be of any size. - is standard input. A part that cannot be read is
named by its line and passed over, and the exit code is 1.

The cost is what the server said, or what the tokens come to by the table of prices of this version,
beneath that of --prices or MELLEA_PRICING_FILE. A model that is not in it is named and costs nothing.`,
		Example: `  mellea demo --trace-file trace.jsonl && mellea cost trace.jsonl
  mellea cost --by day --format json traces.jsonl
  zcat traces.jsonl.gz | mellea cost --by session -`,
		Args: someTraces,
		RunE: func(cmd *cobra.Command, args []string) error { return a.cost(cmd.Context(), f, args) },
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.by, "by", "model", "`what` rows are of: "+strings.Join(byNames(), ", "))
	fs.StringVar(&f.prices, "prices", "", "table of prices in `file`, before that of this version")
	fs.StringVar(&f.format, "format", "text", "`format`: text or json")
	fs.StringVar(&f.format, "output", "text", "`format`: text or json")
	_ = fs.MarkHidden("output") // it fails only for a flag that does not exist
	a.complete(cmd, "by", byNames())
	a.complete(cmd, "format", outputNames)
	a.complete(cmd, "output", outputNames)
	return cmd
}

func someTraces(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return &usageError{text: "cost needs a trace file, or - to read one from standard input"}
	}
	return nil
}

// brokenTrace says that parts of a file could not be read while others could.
type brokenTrace struct{ parts int }

func (e *brokenTrace) Error() string {
	if e.parts == 1 {
		return "a part of the trace could not be read and is not part of the sum"
	}
	return fmt.Sprintf("%d parts of the trace could not be read and are not part of the sum", e.parts)
}

func (a *app) cost(ctx context.Context, f costFlags, files []string) error {
	if !slices.Contains(byNames(), f.by) {
		return &usageError{text: fmt.Sprintf("--by %s: it is one of %s", f.by, strings.Join(byNames(), ", "))}
	}
	if !slices.Contains(outputNames, f.format) {
		return &usageError{text: fmt.Sprintf("--format %s: it is text or json", f.format)}
	}
	prices, err := a.prices(f.prices)
	if err != nil {
		return err
	}
	ledger := tracecost.New(tracecost.By(f.by), prices)
	broken := 0
	for _, file := range files {
		n, err := a.addTrace(ctx, ledger, file)
		if err != nil {
			return err
		}
		broken += n
	}
	if f.format == "json" {
		err = a.printJSON(costReport(f.by, ledger))
	} else {
		err = a.printCost(tracecost.By(f.by), ledger)
	}
	if err == nil && broken > 0 {
		err = &brokenTrace{parts: broken}
	}
	return err
}

// maxPrices bounds a table of prices, in bytes.
const maxPrices = 16 << 20

// prices returns the table of this version beneath the user's, where there is one.
func (a *app) prices(file string) (*telemetry.Pricing, error) {
	name := "--prices"
	if file == "" {
		name, file = "MELLEA_PRICING_FILE", strings.TrimSpace(a.env["MELLEA_PRICING_FILE"])
	}
	if file == "" {
		return telemetry.DefaultPricing(), nil
	}
	table, err := readBounded(name, file, maxPrices)
	if err != nil {
		return nil, err
	}
	own, err := telemetry.ParsePricing(table)
	if err != nil {
		return nil, &usageError{text: fmt.Sprintf("%s %s: %s", name, file, strings.TrimPrefix(err.Error(), "telemetry: ")), err: err}
	}
	return own.Over(telemetry.DefaultPricing()), nil
}

// addTrace adds the calls in a file and returns how many parts of it could not be read.
func (a *app) addTrace(ctx context.Context, ledger *tracecost.Ledger, file string) (broken int, err error) {
	records := 0
	broken, err = a.readTelemetry(ctx, file, func(r otlpfile.Record) error {
		records++
		if r.Spans != nil {
			ledger.Add(r.Spans)
		}
		return nil
	})
	if err == nil && records+broken == 0 {
		a.warn("%s is empty", inputName(file))
	}
	return broken, err
}

// jsonCost is what mellea cost --format json prints.
type jsonCost struct {
	By       string         `json:"by"`
	Rows     []jsonCostRow  `json:"rows"`
	Total    jsonCostRow    `json:"total"`
	Unpriced []jsonUnpriced `json:"unpriced"`
}

type jsonCostRow struct {
	Key      string  `json:"key,omitempty"`
	Provider string  `json:"provider,omitempty"`
	Calls    int     `json:"calls"`
	Input    int     `json:"input_tokens"`
	Read     int     `json:"cache_read_tokens"`
	Written  int     `json:"cache_write_tokens"`
	Output   int     `json:"output_tokens"`
	Thought  int     `json:"reasoning_tokens"`
	USD      float64 `json:"usd"`
	Unpriced int     `json:"unpriced_calls"`
}

type jsonUnpriced struct {
	Model    string `json:"model"`
	Provider string `json:"provider,omitempty"`
	Calls    int    `json:"calls"`
	Input    int    `json:"input_tokens"`
	Output   int    `json:"output_tokens"`
}

func costRow(r tracecost.Row) jsonCostRow {
	u := r.Usage
	return jsonCostRow{Key: r.Key, Provider: r.Provider, Calls: r.Calls, Input: u.InputTokens, Read: u.CacheReadTokens,
		Written: u.CacheWriteTokens, Output: u.OutputTokens, Thought: u.ReasoningTokens, USD: r.USD, Unpriced: r.Unpriced}
}

func costReport(by string, ledger *tracecost.Ledger) jsonCost {
	rows := ledger.Rows()
	out := jsonCost{By: by, Rows: []jsonCostRow{}, Total: costRow(tracecost.Total(rows)), Unpriced: []jsonUnpriced{}}
	for _, r := range rows {
		out.Rows = append(out.Rows, costRow(r))
	}
	for _, r := range ledger.Unpriced() {
		out.Unpriced = append(out.Unpriced, jsonUnpriced{Model: r.Key, Provider: r.Provider, Calls: r.Calls,
			Input: r.Usage.InputTokens, Output: r.Usage.OutputTokens})
	}
	return out
}

// printCost prints the rows as a table: names to the left, numbers to the right.
func (a *app) printCost(by tracecost.By, ledger *tracecost.Ledger) error {
	rows := ledger.Rows()
	table := [][]string{{strings.ToUpper(string(by)), "CALLS", "INPUT", "CACHED", "WRITTEN", "OUTPUT", "REASONING", "USD"}}
	line := func(name string, r tracecost.Row) {
		u := r.Usage
		usd := strconv.FormatFloat(r.USD, 'f', 6, 64)
		if r.Unpriced == r.Calls && r.Calls > 0 {
			usd = "?"
		} else if r.Unpriced > 0 {
			usd += "+?"
		}
		cells := []string{name}
		for _, n := range []int{r.Calls, u.InputTokens, u.CacheReadTokens, u.CacheWriteTokens, u.OutputTokens, u.ReasoningTokens} {
			cells = append(cells, strconv.Itoa(n))
		}
		table = append(table, append(cells, usd))
	}
	for _, r := range rows {
		name := nameCell(r.Key)
		if r.Provider != "" {
			name += " (" + nameCell(r.Provider) + ")"
		}
		line(name, r)
	}
	line("total", tracecost.Total(rows))
	st := a.style(a.Stdout)
	var b strings.Builder
	for i, text := range columns(table) {
		if i == 0 || i == len(table)-1 {
			text = st.bold(text)
		}
		b.WriteString(text + "\n")
	}
	if missing := ledger.Unpriced(); len(missing) > 0 {
		b.WriteString("\nNo price is known of these models, so that what they cost is not in the sum; --prices can give one:\n")
		for _, r := range missing {
			calls := "calls"
			if r.Calls == 1 {
				calls = "call"
			}
			fmt.Fprintf(&b, "  %s: %d %s, %d tokens\n", nameCell(r.Key), r.Calls, calls, r.Usage.Total())
		}
	}
	_, err := io.WriteString(a.Stdout, b.String())
	return err
}

// nameCell is a name of a trace as a table shows it.
func nameCell(name string) string {
	if name == "" {
		return "(none)"
	}
	return shorten(oneLine(strings.ReplaceAll(name, "\t", " ")), 60)
}

// columns returns the rows of a table, with the first column to the left and the others to the right.
func columns(table [][]string) []string {
	width := make([]int, len(table[0]))
	for _, row := range table {
		for i, cell := range row {
			width[i] = max(width[i], len([]rune(cell)))
		}
	}
	lines := make([]string, len(table))
	for n, row := range table {
		var b strings.Builder
		for i, cell := range row {
			gap := strings.Repeat(" ", width[i]-len([]rune(cell)))
			if i == 0 {
				b.WriteString(cell + gap)
			} else {
				b.WriteString("  " + gap + cell)
			}
		}
		lines[n] = strings.TrimRight(b.String(), " ")
	}
	return lines
}
