package tinymodel

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Script is what a scripted model says: Replies[n] to a conversation in which
// the model has already spoken n times (a message with tool calls counts), the
// last one also later. A prompt without the model's chat template, as in a raw
// completion, is answered by the first.
type Script struct {
	Replies []Reply
}

// Reply is one reply of a scripted model, in this order. The zero Reply is
// empty: the model ends at once.
type Reply struct {
	Thinking string
	Text     string
	Calls    []Call
}

// Call is a call of a tool. Arguments is a JSON object.
type Call struct {
	Name, Arguments string
}

// Say returns a script of replies that are plain text.
func Say(texts ...string) Script {
	var s Script
	for _, text := range texts {
		s.Replies = append(s.Replies, Reply{Text: text})
	}
	return s
}

// The marks around thoughts and calls, which the chat template tells engines of.
const (
	openThought, closeThought = "<think>", "</think>"
	openCall, closeCall       = "<tool_call>", "</tool_call>"
)

// output is what the model puts out, marks and all.
func (r Reply) output() (string, error) {
	var b strings.Builder
	if r.Thinking != "" {
		b.WriteString(openThought + r.Thinking + closeThought)
	}
	b.WriteString(r.Text)
	for _, c := range r.Calls {
		var object map[string]any
		if err := json.Unmarshal([]byte(c.Arguments), &object); err != nil {
			return "", fmt.Errorf("arguments of %q: %w", c.Name, err)
		}
		fmt.Fprintf(&b, `%s{"name": %q, "arguments": %s}%s`, openCall, c.Name, c.Arguments, closeCall)
	}
	if s := b.String(); utf8.ValidString(s) && !strings.Contains(s, space) {
		return s, nil
	}
	return "", fmt.Errorf("%q: want UTF-8 without %q, which stands for a space", b.String(), space)
}

func (s Script) thinks() bool {
	for _, r := range s.Replies {
		if r.Thinking != "" {
			return true
		}
	}
	return false
}

// chain is a script as the model has it: which token follows on which.
type chain struct {
	*vocabulary
	next  map[int]int
	marks []int // the token that ends the prompt of each reply
}

// mark is the token that ends the prompt of reply n.
func mark(n int) string { return fmt.Sprintf("<|reply %d|>", n) }

// compile makes a chain of a script. A token says by itself which is the next,
// so each has one follower: where two replies share a word, the words around it
// make a longer token of their own.
func (s Script) compile() (*chain, error) {
	if len(s.Replies) == 0 {
		return nil, errors.New("tinymodel: the script has no reply: give it one, which may be empty")
	}
	c := &chain{vocabulary: newVocabulary(), next: map[int]int{}}
	for n := range s.Replies { // before any piece can have their names
		c.marks = append(c.marks, c.add(mark(n), 0, tokenControl))
	}
	for n, r := range s.Replies {
		text, err := r.output()
		if err == nil {
			err = c.say(c.marks[n], text)
		}
		if err != nil {
			return nil, fmt.Errorf("tinymodel: reply %d: %w", n, err)
		}
	}
	return c, nil
}

// say has the text follow on the token from.
func (c *chain) say(from int, text string) error {
	first := endID
	pieces := split(text)
	for i := len(pieces) - 1; i >= 0; {
		piece := strings.ReplaceAll(pieces[i], " ", space)
		if c.free(piece, first) {
			id := c.add(piece, -1e6, tokenNormal)
			c.next[id] = first
			first = id
			i--
			continue
		}
		switch {
		case i < len(pieces)-1: // longer by what follows
			pieces[i] += pieces[i+1]
			first = c.next[first]
			pieces = append(pieces[:i+1], pieces[i+2:]...)
		case i > 0: // longer by what is before
			pieces[i-1] += pieces[i]
			pieces = pieces[:i]
			i--
		default: // the whole text is taken: in parts it may not be
			parts := c.parts(text)
			if parts == nil {
				return fmt.Errorf("%q begins another reply: make them differ", text)
			}
			pieces = parts
			i = len(pieces) - 1
		}
	}
	c.next[from] = first
	return nil
}

// free says whether a token can have the follower.
func (c *chain) free(piece string, follower int) bool {
	id, ok := c.ids[piece]
	if !ok {
		return true
	}
	have, taken := c.next[id]
	return c.types[id] == tokenNormal && (!taken || have == follower)
}

// parts cuts a text in two that can still be said, nil when it cannot be done.
func (c *chain) parts(text string) []string {
	for i := range text {
		head, tail := text[:i], text[i:]
		if i == 0 || !c.free(strings.ReplaceAll(tail, " ", space), endID) {
			continue
		}
		if _, ok := c.ids[strings.ReplaceAll(head, " ", space)]; !ok {
			return []string{head, tail}
		}
	}
	return nil
}

// split cuts a text before each word and around each mark.
func split(text string) []string {
	var pieces []string
	start := 0
	cut := func(at int) {
		if at > start {
			pieces = append(pieces, text[start:at])
			start = at
		}
	}
	for i := range text {
		if text[i] == ' ' || text[i] == '\n' {
			cut(i)
		}
		for _, m := range []string{openThought, closeThought, openCall, closeCall} {
			if strings.HasPrefix(text[i:], m) {
				cut(i)
			}
			if strings.HasSuffix(text[:i], m) {
				cut(i)
			}
		}
	}
	cut(len(text))
	return pieces
}
