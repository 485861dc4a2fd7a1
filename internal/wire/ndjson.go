package wire

import (
	"bytes"
	"io"
)

// NDJSON reads newline-delimited JSON: one value a line. It does not look into the values. One goroutine
// uses it.
type NDJSON struct {
	in    window
	begun bool
}

// NewNDJSON returns a reader of r. maxLine bounds a line in bytes; 0 is [DefaultMaxLine].
func NewNDJSON(r io.Reader, maxLine int) *NDJSON {
	return &NDJSON{in: window{r: r, max: orDefault(maxLine, DefaultMaxLine)}}
}

// Next returns the next line that is not blank, without surrounding white space. The slice is valid until
// the next call, or until the Response is closed. A last line without a line feed is returned before
// io.EOF; when the reader fails otherwise it is dropped with the error. A line over the limit is a
// [*ProtocolError].
func (d *NDJSON) Next() ([]byte, error) {
	w := &d.in
	for {
		var line []byte
		if i := bytes.IndexByte(w.buf[w.scan:w.end], '\n'); i >= 0 {
			line = w.take(w.scan+i, w.scan+i+1)
		} else {
			w.scan = w.end
			err := w.fill()
			if err == nil {
				continue
			}
			if w.pos == w.end || err != io.EOF {
				return nil, err
			}
			line = w.take(w.end, w.end)
		}
		if len(line) > w.max {
			return nil, w.fail("a line")
		}
		if !d.begun {
			d.begun = true
			line = bytes.TrimPrefix(line, byteOrderMark)
		}
		if line = bytes.Trim(line, " \t\r"); len(line) > 0 {
			return line, nil
		}
	}
}
