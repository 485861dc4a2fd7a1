package tooltext

import "bytes"

// Call is what a model asks for. Arguments are JSON where the model wrote JSON, and otherwise what it wrote; the name is
// "" when it wrote none that can be read.
type Call struct{ Name, Arguments string }

// Reader takes a reply apart as it arrives: what is text comes out as soon as it is certain, a call when it is complete.
// However the reply is cut into pieces, the same comes out. White space at the edges of a call is left out, but where text
// is on both sides. A call that is not ended, or is no JSON, is one all the same: whoever runs it tells the model.
//
// The functions are called by Feed and End; the bytes are theirs until they return.
type Reader struct {
	text func([]byte)
	call func(Call)

	format Format
	state  state
	buf    []byte // not yet dealt with
	space  []byte // white space that may stand before a call
	calls  int
	spoken bool // some text came out
	parted bool // and then a call
	json   scanner
	from   int // where in buf a call begins
	at     int // how far json has read buf
}

type state uint8

const (
	inText  state = iota
	inStart       // of a reply in Llama3, or after a call of it: one may begin here
	inCall
)

// NewReader returns a reader of one reply.
func (f Format) NewReader(text func([]byte), call func(Call)) *Reader {
	r := &Reader{format: f, text: text, call: call}
	if f == Llama3 {
		r.state = inStart
	}
	return r
}

// Feed takes the next piece of the reply.
func (r *Reader) Feed(piece []byte) {
	r.buf = append(r.buf, piece...)
	for r.step() {
	}
}

// End says that the reply is complete.
func (r *Reader) End() {
	for r.step() {
	}
	switch {
	case r.state == inCall && r.format == Hermes:
		r.close(r.at, len(r.buf)-r.at, true) // what json has not read is half of a tag
	case r.state == inCall && isBroken(r.buf[r.from:]):
		r.emit(broken(r.buf[r.from:]))
	case r.state == inStart && r.calls > 0: // separators
	default:
		r.pass(r.buf)
	}
	if r.calls == 0 && len(r.space) > 0 {
		r.text(r.space)
	}
	r.buf, r.space = nil, nil
}

// Opening returns what has been written of a call since the tag that begins it, and whether a call is being written.
func (r *Reader) Opening() ([]byte, bool) {
	if r.state != inCall || r.format != Hermes {
		return nil, false
	}
	return r.buf, true
}

// Calls is how many calls have come out.
func (r *Reader) Calls() int { return r.calls }

// Held is how many bytes have been taken in and have not come out.
func (r *Reader) Held() int { return len(r.buf) + len(r.space) }

// step deals with some of buf, and reports whether there may be more to deal with.
func (r *Reader) step() bool {
	switch {
	case r.state == inText && r.format == Llama3:
		r.pass(r.buf)
		r.buf = r.buf[:0]
		return false
	case r.state == inText:
		return r.untilTag()
	case r.state == inStart:
		return r.start()
	case r.format == Llama3:
		return r.object()
	}
	return r.untilEnd()
}

// untilTag passes text up to the tag of a call, as far as it cannot be part of one.
func (r *Reader) untilTag() bool {
	if i := bytes.Index(r.buf, []byte(tagCall)); i >= 0 {
		r.pass(r.buf[:i])
		r.drop(i + len(tagCall))
		r.open(0)
		return true
	}
	n := len(r.buf) - begun(r.buf, tagCall)
	r.pass(r.buf[:n])
	r.drop(n)
	return false
}

// open begins a call at an index of buf.
func (r *Reader) open(at int) { r.state, r.json, r.from, r.at = inCall, scanner{}, at, at }

// untilEnd looks for the end of a call: its end tag, or the tag of the next, outside of a string.
func (r *Reader) untilEnd() bool {
	for ; r.at < len(r.buf); r.at++ {
		rest := r.buf[r.at:]
		if rest[0] == '<' && !r.json.inString() {
			switch {
			case bytes.HasPrefix(rest, []byte(tagCallEnd)):
				r.close(r.at, len(tagCallEnd), true)
				r.state = inText
				return true
			case bytes.HasPrefix(rest, []byte(tagCall)):
				r.close(r.at, len(tagCall), false)
				r.open(0)
				return true
			case begins(rest, tagCallEnd), begins(rest, tagCall):
				return false
			}
		}
		r.json.read(rest[0])
	}
	return false
}

// close ends a call in whose place n bytes of buf are, and drops them and the tag behind them, which is its own or not.
func (r *Reader) close(n, tag int, own bool) {
	written := bytes.TrimSpace(r.buf[:n])
	if len(written) == 0 { // nothing is asked for: the tags are talk
		r.pass([]byte(tagCall))
		r.pass(r.buf[:n])
		if own {
			r.pass(r.buf[n : n+tag])
		}
	}
	for _, c := range parse(written) {
		r.emit(c)
	}
	r.drop(n + tag)
}

// start looks whether a call of Llama3 begins here.
func (r *Reader) start() bool {
	rest := bytes.TrimLeft(r.buf, separators(r.calls))
	switch {
	case len(rest) == 0:
		return false
	case rest[0] == '{':
		r.open(len(r.buf) - len(rest))
	default:
		r.state = inText
	}
	return true
}

// separators are what may stand before a call of Llama3.
func separators(calls int) string {
	if calls > 0 {
		return space + ";,"
	}
	return space
}

// object looks for the end of an object that may be a call of Llama3.
func (r *Reader) object() bool {
	for r.at < len(r.buf) {
		r.json.read(r.buf[r.at])
		r.at++
		if !r.json.complete() {
			continue
		}
		if c, whole := object(r.buf[r.from:r.at]); whole {
			r.emit(c)
			r.drop(r.at)
			r.state = inStart
		} else {
			r.state = inText
		}
		return true
	}
	return false
}

func (r *Reader) emit(c Call) {
	r.calls++
	r.parted = r.spoken
	r.call(c)
}

func (r *Reader) drop(n int) { r.buf = append(r.buf[:0], r.buf[n:]...) }

const space = " \t\r\n"

// pass lets text out, but for white space at its end. What is on both sides of a call stays apart.
func (r *Reader) pass(b []byte) {
	head := bytes.TrimRight(b, space)
	if len(head) == 0 {
		r.space = append(r.space, b...)
		return
	}
	out := append(r.space, head...) //nolint:gocritic // space begins anew
	switch {
	case !r.spoken && r.calls > 0:
		out = bytes.TrimLeft(out, space)
	case r.parted && len(bytes.TrimLeft(out, space)) == len(out):
		out = append([]byte("\n"), out...)
	}
	r.text(out)
	r.spoken, r.parted = true, false
	r.space = append(r.space[:0], b[len(head):]...)
}

// begun is the length of the longest end of b that begins a tag.
func begun(b []byte, tag string) int {
	for n := min(len(tag)-1, len(b)); n > 0; n-- {
		if bytes.HasSuffix(b, []byte(tag[:n])) {
			return n
		}
	}
	return 0
}

// begins reports whether all of b may be the beginning of a tag.
func begins(b []byte, tag string) bool { return len(b) < len(tag) && tag[:len(b)] == string(b) }
