package guard

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unicode"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
)

// MaxShown, 16 KiB, bounds the arguments that a person is asked to approve. A call with longer ones is denied: nobody can
// approve what is not shown.
const MaxShown = 16 << 10

// maxAnswer bounds what is read of an answer.
const maxAnswer = 1 << 10

// ApprovalOption configures [Approve].
type ApprovalOption func(*approval)

// OnlyFor asks about calls of the tools named, and lets all others pass.
func OnlyFor(names ...string) ApprovalOption {
	return func(a *approval) { a.only = append(a.only, names...) }
}

// WithTerminal asks on what open returns, in place of the terminal that the program runs in. It is called for each question
// and closed after it; Close has to end a Read that waits, as that of a file, a connection or a pipe does.
func WithTerminal(open func() (io.ReadWriteCloser, error)) ApprovalOption {
	return func(a *approval) { a.open = open }
}

// Approve returns a guard that asks a person before a tool is run, on the terminal that the program runs in, wherever its
// standard input and output go. The person may approve the call, approve all further calls of that tool by this guard, or
// deny it and tell the model why. One question is asked at a time.
//
// Arguments are shown with every character that is not printable escaped, so that what a model wrote cannot paint over the
// question. Where there is no terminal the call is denied, with a [*TerminalError] as its cause. When the context ends
// while somebody thinks, the call is denied and the question taken back.
func Approve(opts ...ApprovalOption) hook.Plugin {
	a := &approval{open: openTerminal, turn: make(chan struct{}, 1), always: map[string]bool{}}
	for _, o := range opts {
		o(a)
	}
	return tools("approve", a.guard)
}

// TerminalError says that nobody could be asked.
type TerminalError struct{ Err error }

func (e *TerminalError) Error() string {
	return "guard: no terminal to ask on: run the program in one, or pass guard.WithTerminal: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *TerminalError) Unwrap() error { return e.Err }

type approval struct {
	open func() (io.ReadWriteCloser, error)
	only []string
	turn chan struct{} // held by who asks

	mu     sync.Mutex
	always map[string]bool // by tool
}

func (a *approval) guard(ctx context.Context, p hookpoint.ToolStart) (hookpoint.ToolStart, error) {
	name := p.Call.Name
	if _, known := p.Tool(); !known || len(a.only) > 0 && !slices.Contains(a.only, name) {
		return p, nil // one that does not exist is not run
	}
	select {
	case a.turn <- struct{}{}:
		defer func() { <-a.turn }()
	case <-ctx.Done():
		return p, context.Cause(ctx)
	}
	if a.approved(name) { // by the answer to the question before
		return p, nil
	}
	text, ok := shown(p.Call.Arguments)
	if !ok {
		return p, hook.Reject(CodeNotApproved, fmt.Sprintf("the arguments have %d bytes, which is more than a person can approve", len(p.Call.Arguments)))
	}
	answer, err := a.ask(ctx, question(p, text))
	switch {
	case ctx.Err() != nil:
		return p, context.Cause(ctx)
	case err != nil:
		return p, fmt.Errorf("%w: %w", hook.Reject(CodeNoTerminal, "nobody can be asked to approve it"), &TerminalError{Err: err})
	}
	return p, a.decide(name, answer)
}

func (a *approval) approved(name string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.always[name]
}

// decide reads an answer. Whatever is not a clear yes is a no.
func (a *approval) decide(name, answer string) error {
	answer = strings.TrimSpace(answer)
	word, rest, _ := strings.Cut(answer, " ")
	switch strings.ToLower(strings.TrimRight(word, ",.:;!")) {
	case "y", "yes":
		if rest == "" {
			return nil
		}
	case "a", "always":
		if rest == "" {
			a.mu.Lock()
			defer a.mu.Unlock()
			a.always[name] = true
			return nil
		}
	case "n", "no":
		answer = strings.TrimSpace(rest)
	}
	if answer == "" {
		return hook.Reject(CodeNotApproved, "the user did not approve it")
	}
	return hook.Reject(CodeNotApproved, "the user did not approve it and says: "+answer)
}

// ask puts a question and returns the line that was answered. The reading goroutine has ended when it returns: closing the
// terminal ends its Read.
func (a *approval) ask(ctx context.Context, question string) (string, error) {
	t, err := a.open()
	if err != nil {
		return "", err
	}
	type line struct {
		text string
		err  error
	}
	lines := make(chan line, 1)
	go func() {
		if _, err := io.WriteString(t, question); err != nil {
			lines <- line{err: err}
			return
		}
		text, err := bufio.NewReader(io.LimitReader(t, maxAnswer)).ReadString('\n')
		if err != nil && text == "" {
			lines <- line{err: err}
			return
		}
		lines <- line{text: text}
	}()
	select {
	case l := <-lines:
		return l.text, errors.Join(l.err, t.Close())
	case <-ctx.Done():
		err := t.Close()
		<-lines
		return "", errors.Join(context.Cause(ctx), err)
	}
}

func question(p hookpoint.ToolStart, arguments string) string {
	var b strings.Builder
	t, about := description(p)
	fmt.Fprintf(&b, "\nThe model asks to run %s", t.Name())
	if about != "" {
		fmt.Fprintf(&b, " (%s)", printable(about))
	}
	fmt.Fprintf(&b, " with\n%s\nRun it? [y]es, [a]lways, [n]o and why: ", arguments)
	return b.String()
}

// shown returns arguments for a terminal, indented where they are JSON; false when they are too long.
func shown(arguments string) (string, bool) {
	if len(arguments) > MaxShown {
		return "", false
	}
	var b bytes.Buffer
	if json.Indent(&b, []byte(arguments), "  ", "  ") != nil {
		b.Reset()
		b.WriteString(strings.ReplaceAll(arguments, "\n", `\n`))
	}
	lines := strings.Split(b.String(), "\n")
	for i, l := range lines {
		lines[i] = printable(l)
	}
	text := "  " + strings.Join(lines, "\n")
	return text, len(text) <= 4*MaxShown
}

// printable escapes what a terminal could act on, or what could make text look like another.
func printable(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == unicode.ReplacementChar, !unicode.IsPrint(r):
			fmt.Fprintf(&b, `\u{%X}`, r)
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// openTerminal opens the terminal that the program runs in.
func openTerminal() (io.ReadWriteCloser, error) {
	if runtime.GOOS != "windows" {
		return os.OpenFile("/dev/tty", os.O_RDWR, 0)
	}
	in, err := os.OpenFile("CONIN$", os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	out, err := os.OpenFile("CONOUT$", os.O_RDWR, 0)
	if err != nil {
		return nil, errors.Join(err, in.Close())
	}
	return console{in, out}, nil
}

// console is the terminal of Windows, which has a name for each direction.
type console struct{ in, out *os.File }

func (c console) Read(p []byte) (int, error)  { return c.in.Read(p) }
func (c console) Write(p []byte) (int, error) { return c.out.Write(p) }
func (c console) Close() error                { return errors.Join(c.in.Close(), c.out.Close()) }
