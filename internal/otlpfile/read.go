package otlpfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
)

// MaxRecord is the most bytes one record may have in the file: one element of resourceSpans, resourceMetrics or
// resourceLogs.
const MaxRecord = 64 << 20

// A Record is what one resource exported at once. Exactly one of Spans, Metrics and Logs is set.
type Record struct {
	Spans   *tracepb.ResourceSpans
	Metrics *metricspb.ResourceMetrics
	Logs    *logspb.ResourceLogs
	// Place is where the record begins.
	Place Place
}

// A Place is a position in a file.
type Place struct {
	Line   int   // of JSON, from 1 on; 0 in protobuf
	Offset int64 // of protobuf, in bytes
}

func (p Place) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("line %d", p.Line)
	}
	return fmt.Sprintf("byte %d", p.Offset)
}

// An Error says what is wrong with a part of a file. It never quotes it.
type Error struct {
	Place  Place
	Reason string
}

func (e *Error) Error() string { return e.Place.String() + ": " + e.Reason }

// Read iterates over the records of r, in order. An *[Error] tells of a part that cannot be read: reading goes on behind
// it where that is possible. Any other error is the reader's own, and the last.
//
// JSON is told from protobuf by its first byte. Where every export stands on a line of its own, a broken one costs that
// line; in a document over several lines it costs the rest of it.
func Read(r io.Reader) iter.Seq2[Record, error] {
	return read(r, MaxRecord)
}

func read(r io.Reader, most int) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		in := bufio.NewReaderSize(r, 64<<10)
		head, err := in.Peek(in.Size())
		if err != nil && err != io.EOF && err != bufio.ErrBufferFull {
			yield(Record{}, err)
			return
		}
		switch layoutOf(head) {
		case empty:
		case message, frames:
			readProtobuf(in, layoutOf(head), most, yield)
		case lines:
			readLines(in, most, yield)
		case document:
			d := newDecoder(in, 1, most)
			d.documents(yield)
		}
	}
}

// A layout is how a file is made up.
type layout int

const (
	empty    layout = iota
	lines           // of JSON, each one value
	document        // JSON over several lines
	message         // one of protobuf
	frames          // messages of protobuf, each behind its length
)

func layoutOf(head []byte) layout {
	text := bytes.TrimLeft(bytes.TrimPrefix(head, byteOrderMark), " \t\r\n")
	if len(text) == 0 {
		return empty
	}
	if !startsJSON(text) && isBinary(head) {
		if head[0] == fieldResource {
			return message
		}
		return frames
	}
	first, rest, found := bytes.Cut(text, []byte("\n"))
	if !found || jsontext.Value(first).IsValid() {
		return lines
	}
	if rest = bytes.TrimLeft(rest, "\r\n"); text[0] == '[' || len(rest) > 0 && text[0] == '{' && rest[0] != '{' {
		return document
	}
	return lines
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// startsJSON reports whether text begins as an object or an array of objects does.
func startsJSON(text []byte) bool {
	inside := bytes.TrimLeft(text[1:], " \t\r\n")
	switch text[0] {
	case '{':
		return len(inside) == 0 || inside[0] == '"' || inside[0] == '}'
	case '[':
		return len(inside) == 0 || inside[0] == '{' || inside[0] == ']'
	}
	return false
}

// isBinary reports whether head cannot be text. A character that its end cuts in two is none.
func isBinary(head []byte) bool {
	for i := 0; i < len(head); {
		r, n := utf8.DecodeRune(head[i:])
		if r == utf8.RuneError && n == 1 && len(head)-i >= utf8.UTFMax || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return true
		}
		i += n
	}
	return false
}

// readLines reads a file in which every line is a JSON value, within the line piece by piece.
func readLines(in *bufio.Reader, most int, yield func(Record, error) bool) {
	_, _ = in.Discard(marked(in))
	for number := 1; ; number++ {
		line := &lineReader{in: in}
		d := newDecoder(line, number, most)
		d.single = true
		more := d.value(yield)
		err := line.skip()
		if !more {
			return
		}
		if err != nil {
			if err != io.EOF {
				yield(Record{}, err)
			}
			return
		}
	}
}

// marked returns the length of the byte order mark that in begins with.
func marked(in *bufio.Reader) int {
	if head, _ := in.Peek(len(byteOrderMark)); bytes.Equal(head, byteOrderMark) {
		return len(byteOrderMark)
	}
	return 0
}

// A lineReader reads up to the end of a line.
type lineReader struct {
	in   *bufio.Reader
	done bool
	err  error // of the reader beneath
}

func (l *lineReader) Read(p []byte) (int, error) {
	if l.err != nil {
		return 0, l.err
	}
	if l.done {
		return 0, io.EOF
	}
	if len(p) == 0 {
		return 0, nil
	}
	if l.in.Buffered() == 0 {
		if _, l.err = l.in.Peek(1); l.err != nil {
			return 0, l.err
		}
	}
	waiting, _ := l.in.Peek(min(l.in.Buffered(), len(p)))
	n := len(waiting)
	if i := bytes.IndexByte(waiting, '\n'); i >= 0 {
		l.done = true
		n = i
		copy(p, waiting[:n])
		_, _ = l.in.Discard(n + 1)
		return n, io.EOF
	}
	copy(p, waiting)
	_, _ = l.in.Discard(n)
	return n, nil
}

// skip goes to the start of the next line. Its error is io.EOF behind the last.
func (l *lineReader) skip() error {
	buf := make([]byte, 4096)
	for !l.done && l.err == nil {
		_, _ = l.Read(buf)
	}
	return l.err
}

var errTooLarge = errors.New("a record is too large")
