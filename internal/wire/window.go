package wire

import (
	"io"
	"strconv"
)

// window is the part of a stream that has been read and not yet consumed. Unlike bufio.Reader it tells
// what is there apart from reading more, so a reader can keep slices into it until it must read.
type window struct {
	r    io.Reader
	buf  []byte
	pos  int // start of what is not consumed
	scan int // up to here no end of line was found
	end  int
	max  int // longest line
	err  error
}

// fill reads more, and may move what is there. An error comes only after all bytes that arrived before it
// have been offered.
func (w *window) fill() error {
	if w.err != nil {
		return w.err
	}
	if w.end-w.pos > w.max {
		return w.fail("a line")
	}
	w.makeRoom()
	for range 100 {
		n, err := w.r.Read(w.buf[w.end:])
		w.end += n
		w.err = err
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	w.err = io.ErrNoProgress
	return w.err
}

func (w *window) makeRoom() {
	if w.pos == w.end {
		w.pos, w.scan, w.end = 0, 0, 0
	}
	switch {
	case w.buf == nil:
		w.buf = make([]byte, min(windowSize, w.max+2))
	case w.end < len(w.buf):
	case w.pos > 0:
		copy(w.buf, w.buf[w.pos:w.end])
		w.scan -= w.pos
		w.end -= w.pos
		w.pos = 0
	default:
		w.buf = append(w.buf, make([]byte, len(w.buf))...)
	}
}

// take consumes up to next and returns what lies before end.
func (w *window) take(end, next int) []byte {
	line := w.buf[w.pos:end]
	w.pos, w.scan = next, next
	return line
}

// fail ends the stream because something in it is over the limit.
func (w *window) fail(what string) error {
	w.pos, w.scan = w.end, w.end
	e := &ProtocolError{Reason: "the stream has " + what + " longer than the limit of " + strconv.Itoa(w.max) + " bytes"}
	if t, ok := w.r.(interface{ Target() string }); ok {
		e.Target = t.Target()
	}
	w.err = e
	return e
}

var byteOrderMark = []byte("\xEF\xBB\xBF")
