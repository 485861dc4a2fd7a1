package wire

import (
	"bytes"
	"io"
)

// Event is one event of a stream. Its slices belong to the reader and are valid until the next call of
// Next, or until the Response is closed.
type Event struct {
	Name []byte // the event field; empty means "message"
	Data []byte // the data lines, joined by line feeds; UTF-8 is not checked
	ID   []byte // the last id field of the stream so far
}

// SSE reads an event stream as the WHATWG HTML standard defines it (section 9.2.6, "Interpreting an event
// stream"). Comments and retry fields are skipped. Nothing is allocated for an event once the buffers have
// grown to the size of the largest. One goroutine uses it.
type SSE struct {
	in     window
	begun  bool
	skipLF bool // the last line ended with CR: a LF that follows belongs to it

	name, id []byte
	data     []byte // of the event being read: a slice of in.buf, or of joined
	hasData  bool
	inPlace  bool // data points into in.buf
	joined   []byte

	rest      Event
	truncated bool
}

// NewSSE returns a reader of r. maxLine bounds one line, and all the data of one event, in bytes; 0 is
// [DefaultMaxLine].
func NewSSE(r io.Reader, maxLine int) *SSE {
	return &SSE{in: window{r: r, max: orDefault(maxLine, DefaultMaxLine)}}
}

// Next returns the next event with data. The error is that of the reader, io.EOF at its end, or a
// [*ProtocolError] for a line or event over the limit. An event that the end cuts off is not returned, as
// the standard demands; see Truncated.
func (s *SSE) Next() (Event, error) {
	s.reset()
	for {
		line, ok := s.line()
		if !ok {
			s.spill()
			if err := s.in.fill(); err != nil {
				return Event{}, s.finish(err)
			}
			continue
		}
		switch {
		case len(line) > s.in.max:
			return Event{}, s.in.fail("a line")
		case len(line) > 0:
			if !s.field(line) {
				return Event{}, s.in.fail("an event")
			}
		case s.hasData:
			return Event{Name: s.name, Data: s.data, ID: s.id}, nil
		default:
			s.reset()
		}
	}
}

// Truncated reports, after Next returned an error, that the stream ended within an event: not after a blank
// line.
func (s *SSE) Truncated() bool { return s.truncated }

// Rest returns what had arrived of the event the end cut off. Some servers forget the blank line after
// their last event; what is here may as well be half a line.
func (s *SSE) Rest() Event { return s.rest }

func (s *SSE) reset() {
	s.name, s.data = s.name[:0], nil
	s.hasData, s.inPlace = false, false
}

const scanBlock = 1 << 10

// line takes the next complete line, without its end.
func (s *SSE) line() ([]byte, bool) {
	w := &s.in
	if s.skipLF && w.pos < w.end {
		s.skipLF = false
		if w.buf[w.pos] == '\n' {
			w.pos++
			w.scan = max(w.scan, w.pos)
		}
	}
	for w.scan < w.end {
		// In blocks: a stream that uses only one of CR and LF must not be searched to its end for the other.
		block := w.buf[w.scan:min(w.end, w.scan+scanBlock)]
		end := bytes.IndexByte(block, '\n')
		if end < 0 {
			end = len(block)
		}
		if cr := bytes.IndexByte(block[:end], '\r'); cr >= 0 {
			end, s.skipLF = cr, true
		}
		if end == len(block) {
			w.scan += end
			continue
		}
		end += w.scan
		line := w.take(end, end+1)
		if !s.begun {
			s.begun = true
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		return line, true
	}
	return nil, false
}

// field takes one line that is not blank. It reports whether the event is within the limit.
func (s *SSE) field(line []byte) bool {
	name, value, found := bytes.Cut(line, []byte{':'})
	if found && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	switch string(name) {
	case "data":
		if !s.hasData {
			s.data, s.hasData, s.inPlace = value, true, true
			return true
		}
		if len(s.data)+1+len(value) > s.in.max {
			return false
		}
		s.spill()
		s.joined = append(append(s.joined, '\n'), value...)
		s.data = s.joined
	case "event":
		s.name = append(s.name[:0], value...)
	case "id":
		if bytes.IndexByte(value, 0) < 0 {
			s.id = append(s.id[:0], value...)
		}
	}
	return true
}

// spill copies data out of the window, which is about to move or to be joined to.
func (s *SSE) spill() {
	if s.inPlace {
		s.joined = append(s.joined[:0], s.data...)
		s.data, s.inPlace = s.joined, false
	}
}

// finish looks at what is left when the stream ends.
func (s *SSE) finish(err error) error {
	if s.truncated {
		return err
	}
	last := s.in.take(s.in.end, s.in.end)
	if !s.begun {
		last = bytes.TrimPrefix(last, byteOrderMark)
	}
	if len(last) > 0 {
		s.field(last)
	}
	comment := len(last) == 0 || last[0] == ':'
	s.truncated = s.hasData || len(s.name) > 0 || !comment
	if s.truncated {
		s.rest = Event{Name: bytes.Clone(s.name), Data: bytes.Clone(s.data), ID: bytes.Clone(s.id)}
	}
	return err
}
