package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// maxInput bounds what is read from standard input, in bytes.
const maxInput = 16 << 20

// runFlags are those of mellea run.
type runFlags struct {
	server       server
	demands      demands
	system       string
	vars         []string
	conversation string
	strategy     string
	budget       int
	budgetGiven  bool
	stream       bool
	options      []string
	images       []string
	tools        []string
	timeout      time.Duration
	output       string
}

func (a *app) runCommand() *cobra.Command {
	var f runFlags
	cmd := &cobra.Command{
		Use:   "run [flags] PROMPT|-",
		Short: "Ask a model, check the reply, repair it, print the result",
		Long: `Run asks a model to do what PROMPT says, checks the reply against requirements and tries again
until they are met or the budget is spent. The result goes to standard output, everything else to
standard error.

With - the prompt is read from standard input. It is taken as it is, unless --var is given; a PROMPT
argument, and anything with --var, is a template: {{name}} stands for --var name=value.

Checks are judged by code: max-words:N, min-words:N, contains:TEXT, excludes:TEXT, regex:PATTERN,
one-of:A|B, json, schema:FILE. Requirements are shown to the model and judged by the model.

With --schema the reply is JSON that a JSON Schema describes: the model is held to it as far as the
provider can, and a reply that does not match is repaired like one that fails a check. --output json
then has the document as "value".

Options have names that work with every provider: temperature, max-tokens, seed, top-p, top-k, stop,
frequency-penalty, presence-penalty, context-window, thinking, stream-timeout. Any other name goes to
the provider as it is.`,
		Example: `  mellea run "Name three rivers of Italy" --check max-words:20
  mellea run "Write a mail to {{name}}" --var name=Alice --require "be formal" --check excludes:ASAP
  mellea run - --system "Summarise" --budget 5 --check max-words:50 < report.txt
  mellea run "Write a haiku" --stream --option temperature=0.2 --option seed=7
  mellea run "List two primes as JSON" --check json --output json
  mellea run "Who wrote Faust, and when?" --schema author.json
  mellea run "What is in this picture?" --image photo.jpg --model llava
  mellea run "What is 1234 * 5678?" --tool calculator --option tool_choice=required
  mellea run "Name a colour" --backend openai --base-url http://localhost:8000/v1 --model qwen3
  mellea run "Name a colour" --record colour.jsonl && mellea run "Name a colour" --replay colour.jsonl`,
		Args:        onePrompt,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, args []string) error {
			f.budgetGiven = cmd.Flags().Changed("budget")
			return a.run(cmd.Context(), f, args[0])
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.server.flags(fs)
	fs.StringVar(&f.system, "system", "", "system message: `text` that stands above the prompt")
	fs.StringArrayVar(&f.vars, "var", nil, "`name=value` of a template variable (repeat)")
	fs.StringVar(&f.conversation, "conversation", "", "`id` of the conversation, for traces")
	fs.Var(demandFlag{list: &f.demands}, "require", "requirement that is shown to the model and judged by it (repeat)")
	fs.Var(demandFlag{list: &f.demands, code: true}, "check", "check by code, such as max-words:50 (repeat)")
	fs.StringVar(&f.demands.schema, "schema", "", "JSON Schema of the reply, in `file`")
	fs.StringArrayVar(&f.images, "image", nil, "picture in `file`: PNG, JPEG, GIF or WebP (repeat)")
	fs.StringArrayVar(&f.tools, "tool", nil, toolUsage)
	fs.StringVar(&f.strategy, "strategy", "", "`name`: none, reject, repair or multi-turn; by default repair when there are requirements")
	fs.IntVar(&f.budget, "budget", mellea.DefaultBudget, "generations in total, at most `N`")
	fs.BoolVar(&f.stream, "stream", false, "print the reply as it arrives; with requirements, the attempts on a terminal")
	fs.StringArrayVar(&f.options, "option", nil, "`name=value` of a generation parameter (repeat)")
	fs.DurationVar(&f.timeout, "timeout", 0, "give up after `duration`, such as 90s")
	fs.StringVar(&f.output, "output", "text", "`format`: text or json")
	fs.StringVar(&f.server.replay, "replay", "", "answer from the recording in `file`")
	fs.StringVar(&f.server.record, "record", "", "record all exchanges to `file`")
	traceFlag(fs)
	a.complete(cmd, "backend", backendNames)
	a.complete(cmd, "tool", toolNames)
	a.complete(cmd, "strategy", strategyNames)
	a.complete(cmd, "output", outputNames)
	return cmd
}

// complete tells the shell which values a flag takes.
func (*app) complete(cmd *cobra.Command, flag string, values []string) {
	// It fails only for a flag that does not exist or was given values before: a test completes each.
	_ = cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp))
}

// onePrompt wants one argument, in words that say what it is.
func onePrompt(_ *cobra.Command, args []string) error {
	switch len(args) {
	case 0:
		return &usageError{text: "run needs a prompt: give it as one argument, or - to read it from standard input"}
	case 1:
		return nil
	default:
		return &usageError{text: fmt.Sprintf("run takes one prompt and was given %d arguments: put the prompt in quotes", len(args))}
	}
}

// plan is what the flags of mellea run come to, checked before anything starts.
type plan struct {
	runFlags

	prompt string
	start  []mellea.StartOption
	call   []mellea.CallOption
	media  []content.Part
	format schema.Schema // of the reply; zero for none
	// demanding says that there is something that the reply must meet.
	demanding bool
}

// plan checks the flags. It asks no server; it reads standard input last.
func (a *app) plan(ctx context.Context, f runFlags, prompt string) (plan, error) {
	p := plan{runFlags: f, prompt: prompt}
	if err := checkOutput(f.output); err != nil {
		return p, err
	}
	if f.timeout < 0 {
		return p, &usageError{text: "--timeout: it is a time to wait, such as 90s"}
	}
	options, err := parseOptions(f.options)
	if err != nil {
		return p, err
	}
	tools, err := parseTools(f.tools)
	if err != nil {
		return p, err
	}
	p.start = append(p.start, mellea.WithTools(tools...))
	p.server.model = a.model(f.server)
	if p.server.model != "" {
		p.start = append(p.start, mellea.WithModel(p.server.model))
	}
	if f.system != "" {
		p.start = append(p.start, mellea.WithSystem(f.system))
	}
	if f.conversation != "" {
		p.start = append(p.start, mellea.WithConversationID(f.conversation))
	}
	if p.call, err = p.demands.options(); err != nil {
		return p, err
	}
	p.call = append(p.call, mellea.Options(options)) // the reply's own: a judge is not to be cut short by them
	p.demanding = len(f.demands.all) > 0 || f.demands.schema != ""
	if f.demands.schema != "" {
		if p.format, err = readSchema(f.demands.schema); err != nil {
			return p, err
		}
	}
	s, err := strategy(f.strategy, f.budget, f.budgetGiven, p.demanding)
	if err != nil {
		return p, err
	}
	if s != nil {
		p.call = append(p.call, mellea.Strategy(s))
	}
	if p.media, err = readImages(f.images); err != nil {
		return p, err
	}
	if len(p.media) > 0 {
		p.call = append(p.call, mellea.Media(p.media...))
	}
	vars, err := parseVars(f.vars)
	if err != nil {
		return p, err
	}
	if vars != nil || prompt != "-" {
		p.call = append(p.call, vars)
	}
	switch prompt {
	case "-":
		p.prompt, err = readAll(ctx, a.Stdin)
	case "":
		err = &usageError{text: "the prompt is empty"}
	}
	return p, err
}

// parseVars returns the variables of --var flags, nil when there are none.
func parseVars(pairs []string) (mellea.Vars, error) {
	var vars mellea.Vars
	for _, pair := range pairs {
		name, value, err := cutPair("--var", pair)
		if err != nil {
			return nil, err
		}
		if vars == nil {
			vars = mellea.Vars{}
		}
		vars[name] = value
	}
	return vars, nil
}

// readAll reads standard input to its end, or until ctx ends.
func readAll(ctx context.Context, r io.Reader) (string, error) {
	type input struct {
		text []byte
		err  error
	}
	read := make(chan input, 1)
	// Nothing can end a read from a terminal, so this goroutine may outlive the interrupt that ends the process.
	go func() {
		text, err := io.ReadAll(io.LimitReader(r, maxInput+1))
		read <- input{text, err}
	}()
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case in := <-read:
		switch {
		case in.err != nil:
			return "", fmt.Errorf("standard input: %w", in.err)
		case len(in.text) > maxInput:
			return "", &usageError{text: fmt.Sprintf("standard input holds more than %d MiB", maxInput>>20)}
		case len(in.text) == 0:
			return "", &usageError{text: "standard input is empty: there is no prompt"}
		}
		return string(in.text), nil
	}
}

func (a *app) run(ctx context.Context, f runFlags, prompt string) error {
	p, err := a.plan(ctx, f, prompt)
	if err != nil {
		return err
	}
	if p.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, p.timeout)
		defer cancel()
	}
	b, closeBackend, err := a.open(ctx, p.server)
	if err != nil {
		return timedOut(ctx, err, p.timeout)
	}
	err = a.execute(ctx, b, p)
	if closed := closeBackend(); closed != nil {
		err = errors.Join(err, fmt.Errorf("recording: %w", closed))
	}
	return timedOut(ctx, err, p.timeout)
}

// execute runs the program: one session, one instruction.
func (a *app) execute(ctx context.Context, b backend.Backend, p plan) error {
	info, err := b.Info(ctx)
	if err != nil {
		return err
	}
	model := cmp.Or(p.server.model, info.Model)
	if err := seesImages(p.media, info, model); err != nil {
		return err
	}
	a.introduce(info, model)

	p.call = append(p.call, formatted(p.format, info)...)
	show := a.progress(p)
	p.start = append(p.start, mellea.WithHooks(append(a.hooks(), show)...))
	s, err := mellea.Start(ctx, b, p.start...)
	if err != nil {
		return err
	}
	defer s.Close() // its own errors are those of the calls it gave up
	if p.stream {
		p.call = append(p.call, mellea.Stream(show.chunk))
	}
	res, err := s.Instruct(ctx, p.prompt, p.call...)
	show.finish()
	var unmet *mellea.UnmetError
	if err != nil && !errors.As(err, &unmet) {
		return err
	}
	if printed := a.print(ctx, p, show, model, res, err == nil); printed != nil {
		return printed
	}
	return err
}

// introduce prints the line that names backend and model.
func (a *app) introduce(info backend.Info, model string) {
	where := ""
	if info.ServerAddress != "" {
		where = fmt.Sprintf(" at %s:%d", info.ServerAddress, info.ServerPort)
	}
	st := a.style(a.Stderr)
	fmt.Fprintln(a.Stderr, st.faint(oneLine(fmt.Sprintf("mellea: %s, model %s%s", info.Provider, model, where))))
}

// timeoutError says that --timeout ended the command.
type timeoutError struct {
	after time.Duration
	err   error
}

func (e *timeoutError) Error() string {
	return fmt.Sprintf("not done after %s: raise --timeout, or ask for less, for example with --option max-tokens=100", e.after)
}

func (e *timeoutError) Unwrap() error { return e.err }

// timedOut names the flag that ended the command, where one did.
func timedOut(ctx context.Context, err error, after time.Duration) error {
	if err == nil || after == 0 || !errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
		return err
	}
	return &timeoutError{after: after, err: err}
}
