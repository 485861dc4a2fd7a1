package otlpfile

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// fieldResource is the tag of the one field of TracesData, MetricsData and LogsData, and of the requests that export
// them: what a resource has.
const fieldResource = 1<<3 | byte(protowire.BytesType)

func readProtobuf(in *bufio.Reader, how layout, most int, yield func(Record, error) bool) {
	p := &protobuf{in: in, most: most, yield: yield}
	var err error
	switch how {
	case message:
		err = p.message(-1)
	default:
		err = p.frames()
	}
	switch {
	case err == nil, err == io.EOF, errors.Is(err, errStop):
	default:
		yield(Record{}, err)
	}
}

type protobuf struct {
	in    *bufio.Reader
	at    int64
	most  int
	yield func(Record, error) bool
}

// frames reads messages, each behind its length in four bytes, as the Collector's file exporter writes them.
func (p *protobuf) frames() error {
	for {
		var size [4]byte
		at := p.at
		if n, err := p.full(size[:]); err != nil {
			if n == 0 && err == io.EOF {
				return nil
			}
			return p.broken(at, err)
		}
		n := binary.BigEndian.Uint32(size[:])
		if int64(n) > int64(p.most) {
			return p.wrong(at, fmt.Sprintf("neither JSON nor OTLP, or a message of more than %d bytes", p.most))
		}
		if err := p.message(int64(n)); err != nil {
			return err
		}
	}
}

// message reads a message of size bytes, or, below 0, up to the end.
func (p *protobuf) message(size int64) error {
	end := p.at + size
	for size < 0 || p.at < end {
		at := p.at
		tag, err := p.in.ReadByte()
		if err == io.EOF && size < 0 {
			return nil
		}
		if err != nil {
			return p.broken(at, err)
		}
		p.at++
		if tag != fieldResource {
			return p.wrong(at, "neither JSON nor OTLP: not a list of resources")
		}
		n, err := p.varint()
		if err != nil {
			return p.broken(at, err)
		}
		if n > uint64(max(p.most, 0)) {
			return p.wrong(at, fmt.Sprintf("a record of more than %d bytes", p.most))
		}
		if size >= 0 && n > uint64(max(end-p.at, 0)) {
			return p.wrong(at, "a record that is longer than its message")
		}
		raw := make([]byte, 0, min(n, 1<<20))
		raw, err = p.fill(raw, int(n)) //nolint:gosec // at most p.most
		if err != nil {
			return p.broken(at, err)
		}
		r, ok := recordOf(raw)
		r.Place = Place{Offset: at}
		if !ok {
			err = &Error{Place: r.Place, Reason: "neither spans nor metrics nor logs"}
			r = Record{}
		}
		if !p.yield(r, err) {
			return errStop
		}
	}
	return nil
}

func (p *protobuf) full(b []byte) (int, error) {
	n, err := io.ReadFull(p.in, b)
	p.at += int64(n)
	return n, err
}

// fill reads n bytes, and keeps no more than have arrived: what a length says is not to be believed.
func (p *protobuf) fill(b []byte, n int) ([]byte, error) {
	for len(b) < n {
		step := min(n-len(b), 1<<20)
		b = append(b, make([]byte, step)...)
		if _, err := p.full(b[len(b)-step:]); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (p *protobuf) varint() (uint64, error) {
	var raw []byte
	for len(raw) < binary.MaxVarintLen64 {
		b, err := p.in.ReadByte()
		if err != nil {
			return 0, err
		}
		p.at++
		if raw = append(raw, b); b < 0x80 {
			break
		}
	}
	v, n := protowire.ConsumeVarint(raw)
	if n < 0 {
		return 0, errBadLength
	}
	return v, nil
}

var errBadLength = errors.New("a length that is none")

func (p *protobuf) wrong(at int64, reason string) error {
	return &Error{Place: Place{Offset: at}, Reason: reason}
}

// broken is the error for a part that err kept from being read whole.
func (p *protobuf) broken(at int64, err error) error {
	switch {
	case err == io.EOF, errors.Is(err, io.ErrUnexpectedEOF):
		return p.wrong(at, "it ends too early")
	case errors.Is(err, errBadLength):
		return p.wrong(at, err.Error())
	}
	return err
}

// recordOf finds out what a record is, as the three kinds have the same outline: spans have ids of a fixed length, metrics
// a name and data, log records times.
func recordOf(raw []byte) (Record, bool) {
	spans := &tracepb.ResourceSpans{}
	if proto.Unmarshal(raw, spans) == nil && areSpans(spans) {
		return Record{Spans: spans}, true
	}
	metrics := &metricspb.ResourceMetrics{}
	if proto.Unmarshal(raw, metrics) == nil && areMetrics(metrics) {
		return Record{Metrics: metrics}, true
	}
	logs := &logspb.ResourceLogs{}
	if proto.Unmarshal(raw, logs) == nil && areLogs(logs) {
		return Record{Logs: logs}, true
	}
	return Record{}, false
}

func areSpans(r *tracepb.ResourceSpans) bool {
	for _, scope := range r.GetScopeSpans() {
		for _, s := range scope.GetSpans() {
			if len(s.GetTraceId()) != 16 || len(s.GetSpanId()) != 8 || s.GetStartTimeUnixNano() == 0 {
				return false
			}
		}
	}
	return true
}

func areMetrics(r *metricspb.ResourceMetrics) bool {
	for _, scope := range r.GetScopeMetrics() {
		for _, m := range scope.GetMetrics() {
			if m.GetName() == "" || m.GetData() == nil {
				return false
			}
		}
	}
	return true
}

func areLogs(r *logspb.ResourceLogs) bool {
	for _, scope := range r.GetScopeLogs() {
		for _, l := range scope.GetLogRecords() {
			if l.GetTimeUnixNano() == 0 && l.GetObservedTimeUnixNano() == 0 {
				return false
			}
		}
	}
	return true
}
