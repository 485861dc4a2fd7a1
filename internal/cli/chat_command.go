package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mellea-go/mellea/content"
)

// chatCommands are the commands of a chat, with what /help says of each.
var chatCommands = []struct{ name, argument, help string }{
	{"undo", "", "take back the last turn"},
	{"retry", "", "say the last thing again, for another reply"},
	{"save", "FILE", "write the chat to a file: JSON, or Markdown when it ends with .md"},
	{"system", "[TEXT]", "show or set the system message; - takes it away"},
	{"model", "[NAME]", "show or set the model"},
	{"clear", "", "forget all of it"},
	{"help", "", "list the commands"},
	{"quit", "", "leave, as Ctrl-D does"},
}

// command does what a line behind the / says.
func (c *chat) command(ctx context.Context, line string) error {
	name, argument, _ := strings.Cut(line, " ")
	argument = strings.TrimSpace(argument)
	switch name {
	case "undo":
		return c.undo(ctx)
	case "retry":
		return c.retry(ctx)
	case "save":
		return c.save(argument)
	case "system":
		c.setSystem(argument)
	case "model":
		if argument != "" {
			c.model = argument
		}
		c.note("the model is %s", c.modelName())
	case "clear":
		c.session.Reset(ctx)
		c.last = ""
		c.note("forgotten")
	case "help":
		c.help()
	case "quit", "exit", "bye":
		return errLeave
	default:
		return unknownChatCommand(name)
	}
	return nil
}

func unknownChatCommand(name string) error {
	names := make([]string, len(chatCommands))
	for i, k := range chatCommands {
		names[i] = k.name
	}
	text := fmt.Sprintf("there is no command /%s", name)
	if near := nearest(name, names); near != "" {
		text += fmt.Sprintf(", did you mean /%s?", near)
	}
	return &usageError{text: text + " (/help lists them; a line that is to begin with / begins with //)"}
}

func (c *chat) help() {
	for _, k := range chatCommands {
		c.note("  %-17s%s", strings.TrimSpace("/"+k.name+" "+k.argument), k.help)
	}
}

func (c *chat) setSystem(text string) {
	switch text {
	case "":
	case "-":
		c.system = ""
	default:
		c.system = text
	}
	if c.system == "" {
		c.note("there is no system message")
		return
	}
	c.note("the system message is: %s", c.system)
}

// errNothing says that a chat has no turn yet.
var errNothing = errors.New("nothing was said yet")

// undo takes back the last turn: what the user said last, and all that came after.
func (c *chat) undo(ctx context.Context) error {
	all := c.messages()
	at := len(all) - 1
	for at >= 0 && all[at].Role() != content.RoleUser {
		at--
	}
	if at < 0 {
		return &usageError{text: errNothing.Error(), err: errNothing}
	}
	said := all[at].Text()
	if err := c.begin(ctx, all[:at]); err != nil {
		return err
	}
	c.last = said
	c.note("taken back: %s", shorten(oneLine(said), 60))
	return nil
}

// retry says the last thing again: that of the last turn, which is taken back, or one that got no reply.
func (c *chat) retry(ctx context.Context) error {
	all := c.messages()
	replied := false
	for _, m := range slices.Backward(all) {
		if m.Role() == content.RoleUser {
			replied = c.last == "" || m.Text() == c.last
			break
		}
	}
	if replied {
		if err := c.undo(ctx); err != nil {
			return err
		}
	}
	if c.last == "" {
		return &usageError{text: errNothing.Error(), err: errNothing}
	}
	return c.say(ctx, c.last)
}
