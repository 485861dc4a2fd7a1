package otlpfile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
)

// A decoder takes exports out of JSON.
type decoder struct {
	in     *counted
	json   *jsontext.Decoder
	single bool // one value is all there may be
}

func newDecoder(in io.Reader, line, most int) *decoder {
	c := &counted{in: in, line: line, most: most}
	c.left = most
	return &decoder{in: c, json: jsontext.NewDecoder(c, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))}
}

// documents reads values until the input ends. What is no JSON ends it.
func (d *decoder) documents(yield func(Record, error) bool) {
	for d.value(yield) {
		d.in.left = d.in.most
		if d.json.PeekKind() == 0 {
			_, err := d.json.ReadToken()
			switch {
			case d.in.err != nil:
				yield(Record{}, d.in.err)
			case errors.Is(err, errTooLarge):
				yield(Record{}, d.wrong(err))
			}
			return
		}
	}
}

// errStop says that the consumer wants no more.
var errStop = errors.New("stop")

// value reads one value: an object, or an array of objects. It returns false when no more is wanted or possible; of a
// line, only the first.
func (d *decoder) value(yield func(Record, error) bool) bool {
	err := d.exports(yield)
	if err == nil && d.single {
		if _, after := d.json.ReadToken(); after != io.EOF && d.in.err == nil {
			err = after
			if err == nil {
				err = errors.New("there is more behind the export")
			}
		}
	}
	switch {
	case err == errStop:
		return false
	case err == nil || err == io.EOF:
		return d.single || err == nil
	case d.in.err != nil: // the file's, which the caller of a line sees too
		if !d.single {
			yield(Record{}, d.in.err)
		}
		return d.single
	}
	return yield(Record{}, d.wrong(err)) && d.single
}

func (d *decoder) exports(yield func(Record, error) bool) error {
	switch kind := d.json.PeekKind(); kind {
	case '{':
		return d.export(yield)
	case '[':
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
		for d.json.PeekKind() != ']' {
			if d.json.PeekKind() != '{' {
				if _, err := d.json.ReadToken(); err != nil {
					return unfinished(err)
				}
				return errNoObject
			}
			if err := d.export(yield); err != nil {
				return unfinished(err)
			}
		}
		_, err := d.json.ReadToken()
		return unfinished(err)
	case 0:
		_, err := d.json.ReadToken()
		return err
	default:
		return errNoObject
	}
}

var errNoObject = errors.New("not an object such as {\"resourceSpans\": …}")

// unfinished is err within a value, where the end of the input is an error.
func unfinished(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// export reads the object of one export. A member that is none of OTLP's is passed over.
func (d *decoder) export(yield func(Record, error) bool) error {
	at := d.place()
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	known := false
	for d.json.PeekKind() != '}' {
		d.in.left = d.in.most
		name, err := d.json.ReadToken()
		if err != nil {
			return unfinished(err)
		}
		parse := parsers[name.String()]
		if parse == nil || d.json.PeekKind() != '[' {
			known = known || parse != nil
			if err := d.pass(); err != nil {
				return unfinished(err)
			}
			continue
		}
		known = true
		if err := d.records(parse, yield); err != nil {
			return unfinished(err)
		}
	}
	if _, err := d.json.ReadToken(); err != nil {
		return unfinished(err)
	}
	if !known && !yield(Record{}, &Error{Place: at, Reason: "neither resourceSpans nor resourceMetrics nor resourceLogs"}) {
		return errStop
	}
	return nil
}

func (d *decoder) records(parse func([]byte) (Record, error), yield func(Record, error) bool) error {
	if _, err := d.json.ReadToken(); err != nil {
		return err
	}
	for d.json.PeekKind() != ']' {
		d.in.left = d.in.most
		at := d.place()
		v, err := d.json.ReadValue()
		if err != nil {
			return unfinished(err)
		}
		r, err := parse(v)
		r.Place = at
		if err != nil {
			r, err = Record{}, &Error{Place: at, Reason: "not OTLP: " + protojsonReason(err)}
		}
		if !yield(r, err) {
			return errStop
		}
	}
	_, err := d.json.ReadToken()
	return unfinished(err)
}

// pass passes over one value without keeping it.
func (d *decoder) pass() error {
	for depth := d.json.StackDepth(); ; {
		d.in.left = d.in.most
		if _, err := d.json.ReadToken(); err != nil {
			return err
		}
		if d.json.StackDepth() <= depth {
			return nil
		}
	}
}

// place is where the next value begins.
func (d *decoder) place() Place {
	_ = d.json.PeekKind()
	gap := bytes.IndexFunc(d.json.UnreadBuffer(), func(r rune) bool { return !strings.ContainsRune(" \t\r\n,:", r) })
	return Place{Line: d.in.lineAt(d.json.InputOffset() + int64(max(gap, 0)))}
}

func (d *decoder) wrong(err error) *Error {
	at := d.json.InputOffset()
	var reason string
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		at = max(at, e.ByteOffset)
		reason = "not JSON: " + e.Err.Error()
		if errors.Is(err, io.ErrUnexpectedEOF) {
			reason = "not JSON: it ends too early"
		}
	}
	switch {
	case errors.Is(err, errTooLarge):
		reason = fmt.Sprintf("a record of more than %d bytes", d.in.most)
	case errors.Is(err, io.ErrUnexpectedEOF):
		reason = "not JSON: it ends too early"
	case reason == "":
		reason = err.Error()
	}
	return &Error{Place: Place{Line: d.in.lineAt(at)}, Reason: reason}
}

// counted bounds what is read for one record and knows where lines begin.
type counted struct {
	in         io.Reader
	most, left int
	err        error // of the reader beneath

	read  int64
	line  int     // of the first newline not yet passed
	ahead []int64 // newlines that were read and not passed
}

func (c *counted) Read(p []byte) (int, error) {
	if c.left <= 0 {
		return 0, errTooLarge
	}
	n, err := c.in.Read(p[:min(len(p), c.left)])
	for i, b := range p[:n] {
		if b == '\n' {
			c.ahead = append(c.ahead, c.read+int64(i))
		}
	}
	c.read += int64(n)
	c.left -= n
	if err != nil && err != io.EOF {
		c.err = err
	}
	return n, err
}

// lineAt returns the line of an offset that is not before any it was asked for.
func (c *counted) lineAt(offset int64) int {
	for len(c.ahead) > 0 && c.ahead[0] < offset {
		c.line++
		c.ahead = c.ahead[1:]
	}
	return c.line
}

// parsers read a record, by the member of an export it stands in.
var parsers = map[string]func([]byte) (Record, error){
	"resourceSpans": spansFrom, "resource_spans": spansFrom,
	"resourceMetrics": metricsFrom, "resource_metrics": metricsFrom,
	"resourceLogs": logsFrom, "resource_logs": logsFrom,
}

var lenient = protojson.UnmarshalOptions{DiscardUnknown: true}

// OTLP has ids as hex digits, where protojson reads base64. Hex digits are base64 as well, so that they come back when
// what was read is encoded again.
func spansFrom(text []byte) (Record, error) {
	r := &tracepb.ResourceSpans{}
	if err := lenient.Unmarshal(text, r); err != nil {
		return Record{}, err
	}
	for _, scope := range r.GetScopeSpans() {
		for _, s := range scope.GetSpans() {
			s.TraceId, s.SpanId, s.ParentSpanId = id(s.GetTraceId(), 16), id(s.GetSpanId(), 8), id(s.GetParentSpanId(), 8)
			for _, l := range s.GetLinks() {
				l.TraceId, l.SpanId = id(l.GetTraceId(), 16), id(l.GetSpanId(), 8)
			}
		}
	}
	return Record{Spans: r}, nil
}

func logsFrom(text []byte) (Record, error) {
	r := &logspb.ResourceLogs{}
	if err := lenient.Unmarshal(text, r); err != nil {
		return Record{}, err
	}
	for _, scope := range r.GetScopeLogs() {
		for _, l := range scope.GetLogRecords() {
			l.TraceId, l.SpanId = id(l.GetTraceId(), 16), id(l.GetSpanId(), 8)
		}
	}
	return Record{Logs: r}, nil
}

func metricsFrom(text []byte) (Record, error) {
	r := &metricspb.ResourceMetrics{}
	if err := lenient.Unmarshal(text, r); err != nil {
		return Record{}, err
	}
	for _, scope := range r.GetScopeMetrics() {
		for _, m := range scope.GetMetrics() {
			eachExemplar(m, func(e *metricspb.Exemplar) { e.TraceId, e.SpanId = id(e.GetTraceId(), 16), id(e.GetSpanId(), 8) })
		}
	}
	return Record{Metrics: r}, nil
}

func eachExemplar(m *metricspb.Metric, f func(*metricspb.Exemplar)) {
	each := func(all []*metricspb.Exemplar) {
		for _, e := range all {
			f(e)
		}
	}
	for _, p := range m.GetGauge().GetDataPoints() {
		each(p.GetExemplars())
	}
	for _, p := range m.GetSum().GetDataPoints() {
		each(p.GetExemplars())
	}
	for _, p := range m.GetHistogram().GetDataPoints() {
		each(p.GetExemplars())
	}
	for _, p := range m.GetExponentialHistogram().GetDataPoints() {
		each(p.GetExemplars())
	}
}

// id returns the id of size bytes that was read as base64. An id that was base64 stays; what is none stays too.
func id(read []byte, size int) []byte {
	if len(read) != size*3/2 {
		return read
	}
	raw, err := hex.DecodeString(base64.StdEncoding.EncodeToString(read))
	if err != nil {
		return read
	}
	return raw
}

// protojsonReason is what protojson says without what it quotes.
func protojsonReason(err error) string {
	text := strings.TrimPrefix(strings.ReplaceAll(err.Error(), "\u00a0", " "), "proto: ")
	if strings.HasPrefix(text, "(line ") { // the line is that within the record
		_, text, _ = strings.Cut(text, "): ")
	}
	text, _, _ = strings.Cut(text, ": ")
	for _, quotes := range []string{` token `, ` field "`, `"`} {
		if before, _, ok := strings.Cut(text, quotes); ok {
			text = before + strings.TrimRight(quotes, ` "`)
		}
	}
	return strings.TrimSpace(text)
}
