package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// Prompts of a chat: for something new, and for the rest of what was begun.
const (
	promptNew  = ">>> "
	promptMore = "... "
)

// errInterruptedLine says that Ctrl-C was pressed at the prompt.
var errInterruptedLine = errors.New("interrupted at the prompt")

// terminalInput reads what a person types, with a line to edit and those before to go back to. The terminal is in raw
// mode only while a line is read: in between Ctrl-C is a signal, as ever.
type terminalInput struct {
	app   *app
	tty   *os.File
	keys  *keys
	lines *term.Terminal
}

func newTerminalInput(a *app, tty *os.File) *terminalInput {
	t := &terminalInput{app: a, tty: tty, keys: &keys{r: tty}}
	t.lines = term.NewTerminal(t.screen(), promptNew)
	return t
}

// screen is where keys come from and lines are shown.
func (t *terminalInput) screen() io.ReadWriter {
	return struct {
		io.Reader
		io.Writer
	}{t.keys, t.app.Stdout}
}

// next returns the next thing that is said. Ctrl-C begins anew; twice, it ends the chat.
func (t *terminalInput) next(ctx context.Context) (string, error) {
	for again := false; ; again = true {
		text, err := compose(ctx, t)
		switch {
		case !errors.Is(err, errInterruptedLine):
			return text, err
		case again && t.keys.alone:
			return "", io.EOF
		}
		fmt.Fprintln(t.app.Stderr, t.app.style(t.app.Stderr).faint("Ctrl-C again, Ctrl-D or /quit leaves"))
	}
}

// line reads a line, and those that it goes on in: behind a \, and those that were pasted with it.
func (t *terminalInput) line(ctx context.Context, more bool) (string, error) {
	var text strings.Builder
	for {
		line, err := t.read(ctx, more)
		pasted := errors.Is(err, term.ErrPasteIndicator)
		if err != nil && !pasted {
			return "", err
		}
		before, goesOn := strings.CutSuffix(line, `\`)
		switch {
		case pasted:
			text.WriteString(line + "\n")
		case goesOn:
			text.WriteString(before + "\n")
		default:
			text.WriteString(line)
			return text.String(), nil
		}
		more = true
	}
}

// read reads one line in raw mode.
func (t *terminalInput) read(ctx context.Context, more bool) (string, error) {
	type read struct {
		line string
		err  error
	}
	fd := int(t.tty.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return "", fmt.Errorf("terminal: %w", err)
	}
	defer func() { _ = term.Restore(fd, before) }()
	t.lines.SetPrompt(promptNew)
	if more {
		t.lines.SetPrompt(promptMore)
	}
	if w, h, err := term.GetSize(fd); err == nil && w > 0 {
		_ = t.lines.SetSize(w, h)
	}
	t.lines.SetBracketedPasteMode(true)
	defer t.lines.SetBracketedPasteMode(false)
	t.keys.begin()
	done := make(chan read, 1)
	// Nothing can end a read from a terminal, so this goroutine may outlive the signal that ends the process.
	go func() {
		line, err := t.lines.ReadLine()
		done <- read{line, err}
	}()
	select {
	case r := <-done:
		if errors.Is(r.err, io.EOF) && t.keys.interrupted {
			t.restart()
			return "", errInterruptedLine
		}
		return r.line, r.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

// restart forgets the line that was begun, and keeps those before it.
func (t *terminalInput) restart() {
	past := t.lines.History
	t.lines = term.NewTerminal(t.screen(), promptNew)
	t.lines.History = past
	fmt.Fprint(t.app.Stdout, "\r\n")
}

func (t *terminalInput) close() {}

// keys are what is typed, in pieces that end with a line or a Ctrl-C: what is behind stays for whoever reads next.
type keys struct {
	r    io.Reader
	rest []byte

	interrupted bool // the last piece was a Ctrl-C
	alone       bool // and nothing was typed before it
	typed       bool
}

const ctrlC = 3

// begin forgets what was typed before.
func (k *keys) begin() { k.interrupted, k.alone, k.typed = false, false, false }

func (k *keys) Read(p []byte) (int, error) {
	if len(k.rest) == 0 {
		piece := make([]byte, 256)
		n, err := k.r.Read(piece)
		if n == 0 {
			return 0, err
		}
		k.rest = piece[:n]
	}
	end := len(k.rest)
	if at := bytes.IndexAny(k.rest, "\r\n\x03"); at >= 0 {
		end = at + 1
		if k.rest[at] == ctrlC && at > 0 {
			end = at // it comes alone
		}
	}
	n := copy(p, k.rest[:end])
	if k.interrupted = n == 1 && k.rest[0] == ctrlC; k.interrupted {
		k.alone = !k.typed
	}
	k.typed = true
	k.rest = k.rest[n:]
	return n, nil
}
