package otlpfile

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// AppendSpans appends one export of spans to b: a line of JSON, with its line feed, that [Read] and the Collector's file
// receiver read. The spans are not changed.
func AppendSpans(b []byte, spans ...*tracepb.ResourceSpans) ([]byte, error) {
	data := &tracepb.TracesData{ResourceSpans: make([]*tracepb.ResourceSpans, len(spans))}
	for i, r := range spans {
		r = proto.CloneOf(r)
		for _, scope := range r.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				s.TraceId, s.SpanId, s.ParentSpanId = digits(s.GetTraceId()), digits(s.GetSpanId()), digits(s.GetParentSpanId())
				for _, l := range s.GetLinks() {
					l.TraceId, l.SpanId = digits(l.GetTraceId()), digits(l.GetSpanId())
				}
			}
		}
		data.ResourceSpans[i] = r
	}
	text, err := protojson.MarshalOptions{UseEnumNumbers: true}.Marshal(data)
	if err != nil {
		return b, fmt.Errorf("otlpfile: %w", err)
	}
	out := bytes.NewBuffer(b)
	if err := json.Compact(out, text); err != nil { // protojson puts spaces where it likes
		return b, fmt.Errorf("otlpfile: %w", err)
	}
	out.WriteByte('\n')
	return out.Bytes(), nil
}

// digits returns the bytes whose base64 are the hex digits of an id: OTLP has ids as hex, protojson writes base64.
func digits(id []byte) []byte {
	raw, err := base64.StdEncoding.DecodeString(hex.EncodeToString(id))
	if err != nil { // an id of an odd length
		return id
	}
	return raw
}
