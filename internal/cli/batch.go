package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/batch"
	"github.com/mellea-go/mellea/schema"
)

// batchFlags are those of mellea batch.
type batchFlags struct {
	server      server
	out         string
	failed      string
	retry       bool
	concurrency int
	rpm, tpm    int
	system      string
	defaults    []string // of variables
	demands     demands
	strategy    string
	budget      int
	budgetGiven bool
	options     []string
	timeout     time.Duration
	output      string
}

func (a *app) batchCommand() *cobra.Command {
	var f batchFlags
	cmd := &cobra.Command{
		Use:   "batch FILE --out FILE",
		Short: "Ask a model line by line: many at once, resumable",
		Long: `Batch reads a file of JSON lines, asks the model for each and appends what came of it to the file
that --out names, in order of completion; "line" says which line of the input it is.

A line is {"prompt": "…"} or {"messages": [{"role": "user", "content": "…"}]}, with any of "id" (comes
back with the result), "vars" (makes the prompt a template), "schema" (a JSON Schema) and "options"
(as --option, and "model"). Other fields are an error of the line.

A run that is cut off, however that happens, is resumed by the same command: lines whose result is in
the output are not done again, unless they have changed. A line that fails is tried again by the next
run; with --failed it is written there with its reason instead, and tried again with --retry-failed.

Exit code 1 says that lines failed. An error that all lines share, such as a wrong key or a server that
cannot be reached, ends the run.`,
		Example: `  mellea batch prompts.jsonl --out replies.jsonl
  mellea batch prompts.jsonl --out replies.jsonl --failed failed.jsonl --concurrency 8
  mellea batch prompts.jsonl --out replies.jsonl --failed failed.jsonl --retry-failed
  mellea batch prompts.jsonl --out replies.jsonl --rpm 500 --tpm 200000 --backend openai --model gpt-5-mini
  mellea batch prompts.jsonl --out replies.jsonl --schema answer.json --check max-words:100`,
		Args:        oneFile,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.budgetGiven = cmd.Flags().Changed("budget")
			return a.batch(cmd.Context(), f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	fs.StringVar(&f.out, "out", "", "append results to `file`; what it holds already is not done again")
	fs.StringVar(&f.failed, "failed", "", "append lines that failed to `file`, with their reasons")
	fs.BoolVar(&f.retry, "retry-failed", false, "try lines again that are in the file of --failed")
	fs.IntVar(&f.concurrency, "concurrency", 4, "lines under way at once, at most `N`")
	fs.IntVar(&f.rpm, "rpm", 0, "requests a minute, at most `N`; 0 is no bound")
	fs.IntVar(&f.tpm, "tpm", 0, "tokens a minute, input and output, at most `N`; 0 is no bound")
	f.server.flags(fs)
	fs.StringVar(&f.system, "system", "", "system message: `text` that stands above each prompt")
	fs.StringArrayVar(&f.defaults, "var", nil, "`name=value` of a template variable, for lines that do not set it (repeat)")
	fs.Var(demandFlag{list: &f.demands}, "require", "requirement that is shown to the model and judged by it (repeat)")
	fs.Var(demandFlag{list: &f.demands, code: true}, "check", "check by code, such as max-words:50 (repeat)")
	fs.StringVar(&f.demands.schema, "schema", "", "JSON Schema of the replies, in `file`, for lines without their own")
	fs.StringVar(&f.strategy, "strategy", "", "`name`: none, reject, repair or multi-turn; by default repair when there are requirements")
	fs.IntVar(&f.budget, "budget", mellea.DefaultBudget, "generations of a line in total, at most `N`")
	fs.StringArrayVar(&f.options, "option", nil, "`name=value` of a generation parameter (repeat)")
	fs.DurationVar(&f.timeout, "timeout", 0, "give a line up after `duration`, such as 90s")
	fs.StringVar(&f.output, "output", "text", "`format` of the summary: text or json")
	fs.StringVar(&f.server.replay, "replay", "", "answer from the recording in `file`")
	fs.StringVar(&f.server.record, "record", "", "record all exchanges to `file`")
	traceFlag(fs)
	a.complete(cmd, "backend", backendNames)
	a.complete(cmd, "strategy", strategyNames)
	a.complete(cmd, "output", outputNames)
	return cmd
}

// oneFile wants one argument, in words that say what it is.
func oneFile(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return &usageError{text: "batch needs the file of its lines"}
	case 1:
		return nil
	default:
		return &usageError{text: fmt.Sprintf("batch takes one file and was given %d arguments", len(args))}
	}
}

// failedLines says that lines failed while the run did not.
type failedLines struct {
	failed int
	file   string // that has them, "" for none
}

func (e *failedLines) Error() string {
	lines := "1 line failed"
	if e.failed != 1 {
		lines = fmt.Sprintf("%d lines failed", e.failed)
	}
	if e.file == "" {
		return lines + ": run the same command to try again, or with --failed FILE to see why"
	}
	return fmt.Sprintf("%s: %s says why, --retry-failed tries again", lines, e.file)
}

// batchPlan is what the flags come to, checked before anything starts.
type batchPlan struct {
	batchFlags

	block   []mellea.BlockOption
	call    []mellea.CallOption
	vars    mellea.Vars
	format  schema.Schema
	options backend.Options
}

func (a *app) planBatch(f batchFlags) (batchPlan, error) {
	p := batchPlan{batchFlags: f}
	err := f.check()
	if err != nil {
		return p, err
	}
	if p.options, err = parseOptions(f.options); err != nil {
		return p, err
	}
	p.server.model = a.model(f.server)
	if p.server.model != "" {
		p.block = append(p.block, mellea.WithModel(p.server.model))
	}
	if f.system != "" {
		p.block = append(p.block, mellea.WithSystem(f.system))
	}
	if p.call, err = p.demands.options(); err != nil {
		return p, err
	}
	if f.demands.schema != "" {
		if p.format, err = readSchema(f.demands.schema); err != nil {
			return p, err
		}
	}
	// Checked as if there were requirements, as lines may bring their own.
	if _, err = strategy(f.strategy, f.budget, f.budgetGiven, true); err != nil {
		return p, err
	}
	p.vars, err = parseVars(f.defaults)
	return p, err
}

func (f *batchFlags) check() error {
	if err := checkOutput(f.output); err != nil {
		return err
	}
	switch {
	case f.out == "":
		return &usageError{text: "batch needs a file for its results: name it with --out"}
	case f.retry && f.failed == "":
		return &usageError{text: "--retry-failed tries the lines in the file of --failed again: name it"}
	case f.concurrency < 1:
		return &usageError{text: fmt.Sprintf("--concurrency %d: it is at least 1", f.concurrency)}
	case f.rpm < 0 || f.tpm < 0:
		return &usageError{text: "--rpm and --tpm are bounds, or 0 for none"}
	case f.timeout < 0:
		return &usageError{text: "--timeout: it is a time to wait, such as 90s"}
	}
	return nil
}

// limits returns the rates to keep to.
func (f *batchFlags) limits() batch.Limits {
	var l batch.Limits
	if f.rpm > 0 {
		l.Requests = batch.NewBucket(f.rpm)
	}
	if f.tpm > 0 {
		l.Tokens = batch.NewBucket(f.tpm)
	}
	return l
}

func (a *app) batch(ctx context.Context, f batchFlags, path string) error {
	p, err := a.planBatch(f)
	if err != nil {
		return err
	}
	files, err := openBatch(p.batchFlags, path)
	if err != nil {
		return journalError(err)
	}
	b, closeBackend, err := a.open(ctx, p.server)
	if err != nil {
		return errors.Join(err, files.close())
	}
	err = a.runBatch(ctx, b, p, files)
	if closed := closeBackend(); closed != nil {
		err = errors.Join(err, fmt.Errorf("recording: %w", closed))
	}
	return errors.Join(err, files.close())
}

// batchFiles are the files of a batch.
type batchFiles struct {
	input       *os.File
	total       int
	out, failed *batch.Journal
}

func openBatch(f batchFlags, path string) (files batchFiles, err error) {
	if err := distinct(path, f.out, f.failed); err != nil {
		return files, err
	}
	if files.input, err = os.Open(path); err != nil {
		return files, err
	}
	defer func() {
		if err != nil {
			_ = files.close()
		}
	}()
	info, err := files.input.Stat()
	if err != nil {
		return files, err
	}
	if !info.Mode().IsRegular() {
		return files, &usageError{text: path + " is not a regular file: a batch is resumed from it, so it must be there twice"}
	}
	if files.total, err = batch.Count(files.input); err != nil {
		return files, err
	}
	if _, err = files.input.Seek(0, 0); err != nil {
		return files, err
	}
	if files.out, err = batch.Open(f.out); err != nil {
		return files, err
	}
	if f.failed != "" {
		files.failed, err = batch.Open(f.failed)
	}
	return files, err
}

// close completes the files. In the file of failures the lines stay that have not been done since.
func (f *batchFiles) close() error {
	kept := f.failed.Keep(func(it batch.Item) bool {
		done, _ := f.out.Has(it)
		return !done
	})
	return errors.Join(kept, f.failed.Close(), f.out.Close(), f.input.Close())
}

// distinct refuses to write to the file that is read, or twice to the same.
func distinct(input, out, failed string) error {
	same := func(a, b string) bool {
		x, err := os.Stat(a)
		if err != nil {
			return a == b
		}
		y, err := os.Stat(b)
		return err == nil && os.SameFile(x, y)
	}
	switch {
	case same(input, out):
		return &usageError{text: "--out is the file of the lines: name another"}
	case failed != "" && same(input, failed):
		return &usageError{text: "--failed is the file of the lines: name another"}
	case failed != "" && same(out, failed):
		return &usageError{text: "--failed is the file of --out: name another"}
	}
	return nil
}

// journalError takes a file that holds something else for wrong usage; one that cannot be read stays what it is.
func journalError(err error) error {
	if bad, ok := errors.AsType[*batch.JournalError](err); ok && !errors.As(err, new(*fs.PathError)) {
		return &usageError{text: bad.Error(), err: err}
	}
	return err
}

// runBatch does the lines.
func (a *app) runBatch(ctx context.Context, b backend.Backend, p batchPlan, files batchFiles) error {
	info, err := b.Info(ctx)
	if err != nil {
		return err
	}
	model := cmp.Or(p.server.model, info.Model)
	a.introduce(info, model)
	w := newBatchWorker(a, b, info, p)
	defer w.calls.Close() // its own errors are those of the calls it gave up
	show := a.batchProgress(files.total)
	sum, err := batch.Run(ctx, batch.Config{
		Input: files.input, MaxLine: maxLine, Out: files.out, Failed: files.failed, Retry: p.retry,
		Concurrency: p.concurrency, Limits: p.limits(), Estimate: w.estimate, Do: w.do, Progress: show.update,
	})
	show.finish(sum)
	if sum.Changed > 0 {
		a.warn("%d lines have changed since they were done: their old results are still in %s", sum.Changed, p.out)
	}
	if p.output == "json" {
		if err := a.printJSON(summary(sum, files.total)); err != nil {
			return err
		}
	}
	switch left := files.total - sum.All(); {
	case err != nil && left > 0:
		fmt.Fprintf(a.Stderr, "mellea: %d lines are left: run the same command to go on\n", left)
		return err
	case err != nil:
		return err
	case sum.Failed+sum.Left > 0:
		return &failedLines{failed: sum.Failed + sum.Left, file: p.failed}
	}
	return nil
}

// jsonSummary is what --output json prints.
type jsonSummary struct {
	Lines  int `json:"lines"`
	Done   int `json:"done"`
	Before int `json:"done_before"`
	Failed int `json:"failed"`
	Left   int `json:"left"`
}

func summary(s batch.Summary, total int) jsonSummary {
	return jsonSummary{Lines: total, Done: s.Done, Before: s.Before, Failed: s.Failed + s.Left, Left: total - s.All()}
}
