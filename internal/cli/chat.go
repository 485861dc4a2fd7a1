package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/tool"
)

// chatFlags are those of mellea chat.
type chatFlags struct {
	server       server
	system       string
	load         string
	conversation string
	tools        []string
	options      []string
}

func (a *app) chatCommand() *cobra.Command {
	var f chatFlags
	cmd := &cobra.Command{
		Use:   "chat",
		Short: "Talk with a model; it remembers what was said",
		Long: `Chat reads what you say line by line and prints what the model replies, as it arrives.

On a terminal, a line that ends with \ goes on in the next, and """ begins and ends a text of several
lines. Ctrl-C gives a reply up; twice at the prompt, or Ctrl-D, leaves. Commands begin with /:

  /undo            take back the last turn
  /retry           say the last thing again, for another reply
  /save FILE       write the chat to a file: JSON, or Markdown when it ends with .md
  /system [TEXT]   show or set the system message; - takes it away
  /model [NAME]    show or set the model
  /clear           forget all of it
  /help            list the commands
  /quit            leave

In a pipe each line is a turn, nothing but replies is printed, and an error ends the command. A line
that is to begin with / begins with //.`,
		Example: `  mellea chat
  mellea chat --system "You are a pirate" --model llama3.2
  mellea chat --tool clock --tool calculator
  mellea chat --load talk.json
  printf 'Hello\nWhat did I just say?\n' | mellea chat`,
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.chat(cmd.Context(), f)
		},
	}
	fs := cmd.Flags()
	fs.SortFlags = false
	f.server.flags(fs)
	fs.StringVar(&f.system, "system", "", "system message: `text` that stands above the chat")
	fs.StringVar(&f.load, "load", "", "go on with the chat that /save wrote to `file` as JSON")
	fs.StringVar(&f.conversation, "conversation", "", "`id` of the conversation, for traces")
	fs.StringArrayVar(&f.tools, "tool", nil, toolUsage)
	fs.StringArrayVar(&f.options, "option", nil, "`name=value` of a generation parameter (repeat)")
	fs.StringVar(&f.server.replay, "replay", "", "answer from the recording in `file`")
	fs.StringVar(&f.server.record, "record", "", "record all exchanges to `file`")
	traceFlag(fs)
	a.complete(cmd, "backend", backendNames)
	a.complete(cmd, "tool", toolNames)
	return cmd
}

// chat is a chat under way.
type chat struct {
	app     *app
	backend backend.Backend
	info    backend.Info
	start   []mellea.StartOption
	options backend.Options
	model   string // that was named, "" for the backend's
	system  string

	session *mellea.Session
	in      input
	view    *replyView // of the turn under way
	person  bool       // somebody sits at a terminal
	last    string     // what was said last, whether or not there was a reply
	owned   string     // the file that /save may write to again
}

// errLeave ends a chat that has come to its end.
var errLeave = errors.New("the chat has ended")

func (a *app) chat(ctx context.Context, f chatFlags) error {
	options, err := parseOptions(f.options)
	if err != nil {
		return err
	}
	tools, err := parseTools(f.tools)
	if err != nil {
		return err
	}
	var loaded savedChat
	if f.load != "" {
		if loaded, err = loadChat(f.load); err != nil {
			return err
		}
	}
	if f.server.model == "" {
		f.server.model = cmp.Or(loaded.Model, a.model(f.server))
	}
	b, closeBackend, err := a.open(ctx, f.server)
	if err != nil {
		return err
	}
	c := &chat{app: a, backend: b, options: options, model: f.server.model, system: cmp.Or(f.system, loaded.System), owned: f.load}
	if f.conversation != "" {
		c.start = append(c.start, mellea.WithConversationID(f.conversation))
	}
	c.start = append(c.start, mellea.WithTools(tools...), mellea.WithHooks(append(a.hooks(), c.showTools())...))
	err = c.run(ctx, loaded.messages())
	if closed := closeBackend(); closed != nil {
		err = errors.Join(err, fmt.Errorf("recording: %w", closed))
	}
	return err
}

// run talks until there is nothing more to say.
func (c *chat) run(ctx context.Context, past []content.Message) (err error) {
	if c.info, err = c.backend.Info(ctx); err != nil {
		return err
	}
	if err := c.begin(ctx, past); err != nil {
		return err
	}
	defer func() { _ = c.session.Close() }() // its own errors are those of the calls it gave up
	c.in, c.person = c.app.input()
	defer c.in.close()
	c.app.introduce(c.info, c.modelName())
	if c.person {
		c.note("/help lists the commands")
	}
	for {
		text, err := c.in.next(ctx)
		switch {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		err = c.take(ctx, text)
		switch {
		case errors.Is(err, errLeave):
			return nil
		case err == nil:
		case ctx.Err() != nil || !c.person:
			return err
		default:
			c.complain(err)
		}
	}
}

// begin opens the session that goes on from these messages, in the place of any before.
func (c *chat) begin(ctx context.Context, past []content.Message) error {
	s, err := mellea.Start(ctx, c.backend, append(slices.Clip(c.start), mellea.WithHistory(history.Chat(past...)))...)
	if err != nil {
		return err
	}
	if c.session != nil {
		_ = c.session.Close()
	}
	c.session = s
	return nil
}

// take does what a line says: a command, or a turn.
func (c *chat) take(ctx context.Context, text string) error {
	if rest, ok := strings.CutPrefix(text, "/"); ok && !strings.HasPrefix(rest, "/") {
		return c.command(ctx, rest)
	} else if ok {
		text = rest
	}
	return c.say(ctx, text)
}

// say makes a turn.
func (c *chat) say(ctx context.Context, text string) error {
	c.last = text
	ctx, end := c.app.turn(ctx, c.person)
	defer end()
	show := newReplyView(c.app, c.person)
	c.view = show
	call := []mellea.CallOption{mellea.Options(c.options), mellea.Stream(show.chunk)}
	if c.model != "" {
		call = append(call, mellea.Model(c.model))
	}
	if c.system != "" {
		call = append(call, mellea.System(c.system))
	}
	res, err := c.session.Chat(ctx, text, call...)
	shown := show.end(res.Message)
	switch {
	case errors.Is(context.Cause(ctx), errStopped):
		c.note("given up: the turn is not remembered")
		return nil
	case err != nil:
		return err
	}
	return shown
}

func (c *chat) modelName() string { return cmp.Or(c.model, c.info.Model) }

// showTools shows each call of a tool, and what the model is told of it.
func (c *chat) showTools() hook.Source {
	return hook.Plugin{Name: "cli.chat", Sources: []hook.Source{
		hookpoint.Tool.Bracket(func(_ context.Context, start hookpoint.ToolStart) (context.Context, func(hookpoint.ToolOutcome)) {
			call := start.Call.Name + " " + start.Call.Arguments
			c.view.note("→ " + call)
			return nil, func(o hookpoint.ToolOutcome) {
				if o.Err != nil {
					c.view.note("← " + start.Call.Name + " failed: " + tool.Explain(o.Err))
					return
				}
				c.view.note("← " + o.Post.Output.Text)
			}
		}),
	}}
}

// messages returns what was said so far.
func (c *chat) messages() []content.Message { return c.session.History().View().Slice() }

// note tells the person at the terminal something; in a pipe nobody wants to know.
func (c *chat) note(format string, args ...any) {
	if c.person {
		st := c.app.style(c.app.Stderr)
		fmt.Fprintln(c.app.Stderr, st.faint(escape(fmt.Sprintf(format, args...))))
	}
}

// complain tells of an error that does not end the chat.
func (c *chat) complain(err error) {
	st := c.app.style(c.app.Stderr)
	fmt.Fprintln(c.app.Stderr, st.red("error: ")+describe(err, c.app.secrets()...))
}
