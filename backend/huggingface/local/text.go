package local

import (
	"bytes"
	"unicode/utf8"
)

// outlet passes on the text of tokens as soon as it is certain: whole characters, and nothing that may turn out to be
// the beginning of a stop sequence.
type outlet struct {
	stops   []string
	emit    func([]byte)
	held    []byte
	stopped bool // a stop sequence came: the text before it is out, and nothing follows
}

var replacement = []byte("\uFFFD")

func (o *outlet) feed(piece []byte) {
	if o.stopped {
		return
	}
	o.held = append(o.held, piece...)
	at := -1
	for _, stop := range o.stops {
		if i := bytes.Index(o.held, []byte(stop)); i >= 0 && (at < 0 || i < at) {
			at = i
		}
	}
	if at >= 0 {
		o.stopped = true
		o.pass(at)
		o.held = nil
		return
	}
	o.pass(min(len(o.held)-o.begun(), whole(o.held)))
}

// end passes on what is left when no more comes, but for half a character.
func (o *outlet) end() {
	if !o.stopped {
		o.pass(whole(o.held))
		o.stopped, o.held = true, nil
	}
}

func (o *outlet) pass(n int) {
	if n <= 0 {
		return
	}
	o.emit(bytes.ToValidUTF8(o.held[:n], replacement))
	o.held = append(o.held[:0], o.held[n:]...)
}

// begun returns the length of the longest end of held that begins a stop sequence.
func (o *outlet) begun() int {
	longest := 0
	for _, stop := range o.stops {
		for n := min(len(stop)-1, len(o.held)); n > longest; n-- {
			if bytes.HasSuffix(o.held, []byte(stop[:n])) {
				longest = n
			}
		}
	}
	return longest
}

// whole returns how much of b does not belong to a character whose end is missing.
func whole(b []byte) int {
	for n := 1; n <= min(len(b), utf8.UTFMax-1); n++ {
		if tail := b[len(b)-n:]; utf8.RuneStart(tail[0]) {
			if utf8.FullRune(tail) {
				break
			}
			return len(b) - n
		}
	}
	return len(b)
}
