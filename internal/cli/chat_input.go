package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// input is where a chat reads what is said.
type input interface {
	// next returns the next thing that is said. It returns io.EOF when there is none.
	next(ctx context.Context) (string, error)
	close()
}

// quotes begin and end a text of several lines.
const quotes = `"""`

// input returns what a chat reads from, and whether a person sits there.
func (a *app) input() (input, bool) {
	if f, ok := a.Stdin.(*os.File); ok && a.Stdout.Terminal && term.IsTerminal(int(f.Fd())) {
		return newTerminalInput(a, f), true
	}
	return newPipeInput(a.Stdin), false
}

// A lineSource returns lines. With more, the line goes on what was begun before.
type lineSource interface {
	line(ctx context.Context, more bool) (string, error)
}

// compose reads lines until they make something that is said: one line, or all between quotes.
func compose(ctx context.Context, from lineSource) (string, error) {
	for {
		line, err := from.line(ctx, false)
		if err != nil {
			return "", err
		}
		trimmed := strings.TrimSpace(line)
		if trimmed == "" {
			continue
		}
		rest, quoted := strings.CutPrefix(trimmed, quotes)
		if !quoted {
			return line, nil
		}
		text, ended := strings.CutSuffix(rest, quotes)
		for !ended {
			if line, err = from.line(ctx, true); err != nil {
				return "", unended(err)
			}
			line, ended = strings.CutSuffix(strings.TrimRight(line, " \t"), quotes)
			text += "\n" + line
		}
		if text = strings.Trim(text, "\n"); strings.TrimSpace(text) != "" {
			return text, nil
		}
	}
}

// unended says that the input ended inside quotes.
func unended(err error) error {
	if errors.Is(err, io.EOF) {
		return &usageError{text: `the input ends inside """`}
	}
	return err
}

// pipeInput reads lines that nobody waits to type.
type pipeInput struct {
	lines chan pipeLine
	done  chan struct{}
}

type pipeLine struct {
	text string
	err  error
}

func newPipeInput(r io.Reader) *pipeInput {
	p := &pipeInput{lines: make(chan pipeLine), done: make(chan struct{})}
	// Nothing can end a read, so this goroutine may outlive the interrupt that ends the process.
	go p.read(r)
	return p
}

func (p *pipeInput) read(r io.Reader) {
	in := bufio.NewReader(r)
	for {
		text, err := readLine(in)
		if err == nil || text != "" && errors.Is(err, io.EOF) {
			if !p.send(pipeLine{text: text}) {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				err = fmt.Errorf("standard input: %w", err)
			}
			p.send(pipeLine{err: err})
			return
		}
	}
}

func (p *pipeInput) send(l pipeLine) bool {
	select {
	case p.lines <- l:
		return true
	case <-p.done:
		return false
	}
}

// readLine reads a line without its end, of at most maxInput bytes.
func readLine(in *bufio.Reader) (string, error) {
	var b bytes.Buffer
	for {
		piece, err := in.ReadSlice('\n')
		if b.Len()+len(piece) > maxInput {
			return "", fmt.Errorf("a line has more than %d MiB", maxInput>>20)
		}
		b.Write(piece)
		if !errors.Is(err, bufio.ErrBufferFull) {
			return strings.TrimRight(b.String(), "\r\n"), err
		}
	}
}

func (p *pipeInput) line(ctx context.Context, _ bool) (string, error) {
	select {
	case l := <-p.lines:
		return l.text, l.err
	case <-ctx.Done():
		return "", context.Cause(ctx)
	}
}

func (p *pipeInput) next(ctx context.Context) (string, error) { return compose(ctx, p) }
func (p *pipeInput) close()                                   { close(p.done) }
