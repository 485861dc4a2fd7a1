package local

import (
	"bytes"
	"strings"
)

// What models that think before they answer put around it: Qwen3, SmolLM3, DeepSeek-R1 and others.
const think, thinkEnd = "<think>", "</think>"

// thinks says that a chat template is that of such a model.
func thinks(template string) bool {
	return strings.Contains(template, think) || strings.Contains(template, thinkEnd)
}

// thinker takes apart a reply that may begin with what the model thought. White space at the edges of that is left out.
// However the reply is cut into pieces, the same comes out.
type thinker struct {
	reasoning, text func([]byte)

	state thinkState
	held  []byte
	some  bool // reasoning came out
}

type thinkState uint8

const (
	thinkBefore thinkState = iota // the reply may begin with it
	thinking
	thinkAfter // white space before the answer
	thinkOver
)

const blank = " \t\r\n"

// feed takes the next piece of the reply.
func (k *thinker) feed(piece []byte) {
	k.held = append(k.held, piece...)
	for k.step() {
	}
}

// end says that the reply is complete.
func (k *thinker) end() {
	switch rest := k.held; {
	case len(rest) == 0 || k.state == thinkAfter:
	case k.state == thinking:
		k.think(bytes.TrimRight(rest, blank))
	default:
		k.text(rest)
	}
	k.held = nil
}

func (k *thinker) step() bool {
	switch k.state {
	case thinkBefore:
		rest := bytes.TrimLeft(k.held, blank)
		switch {
		case bytes.HasPrefix(rest, []byte(think)):
			k.held = bytes.Clone(rest[len(think):])
			k.state = thinking
			return true
		case !strings.HasPrefix(think, string(rest)):
			k.state = thinkOver
			return true
		}
	case thinking:
		if i := bytes.Index(k.held, []byte(thinkEnd)); i >= 0 {
			k.think(bytes.TrimRight(k.held[:i], blank))
			k.held = bytes.Clone(k.held[i+len(thinkEnd):])
			k.state = thinkAfter
			return true
		}
		o := outlet{stops: []string{thinkEnd}, held: k.held}
		n := len(bytes.TrimRight(k.held[:len(k.held)-o.begun()], blank))
		k.think(k.held[:n])
		k.held = append(k.held[:0], k.held[n:]...)
	case thinkAfter:
		if k.held = bytes.TrimLeft(k.held, blank); len(k.held) > 0 {
			k.state = thinkOver
			return true
		}
	case thinkOver:
		if len(k.held) > 0 {
			k.text(k.held)
			k.held = k.held[:0]
		}
	}
	return false
}

func (k *thinker) think(b []byte) {
	if !k.some {
		b = bytes.TrimLeft(b, blank)
	}
	if len(b) > 0 {
		k.some = true
		k.reasoning(b)
	}
}
