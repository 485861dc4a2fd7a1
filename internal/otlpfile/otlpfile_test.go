package otlpfile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logspb "go.opentelemetry.io/proto/otlp/logs/v1"
	metricspb "go.opentelemetry.io/proto/otlp/metrics/v1"
	resourcepb "go.opentelemetry.io/proto/otlp/resource/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
)

func text(key, value string) *commonpb.KeyValue {
	return &commonpb.KeyValue{Key: key, Value: &commonpb.AnyValue{Value: &commonpb.AnyValue_StringValue{StringValue: value}}}
}

// spans returns an export of one span, told from others by n.
func spans(n int) *tracepb.ResourceSpans {
	return &tracepb.ResourceSpans{
		Resource: &resourcepb.Resource{Attributes: []*commonpb.KeyValue{text("service.name", "s")}},
		ScopeSpans: []*tracepb.ScopeSpans{{Scope: &commonpb.InstrumentationScope{Name: "scope"}, Spans: []*tracepb.Span{{
			TraceId: bytes.Repeat([]byte{byte(n), 0xab}, 8), SpanId: bytes.Repeat([]byte{byte(n)}, 8),
			ParentSpanId: []byte{1, 2, 3, 4, 5, 6, 7, 8}, Name: fmt.Sprintf("span %d", n), Kind: tracepb.Span_SPAN_KIND_CLIENT,
			StartTimeUnixNano: 1, EndTimeUnixNano: 1 << 62,
			Attributes: []*commonpb.KeyValue{text("quoted", "a \"b\"\n<&>\u2028")},
			Links:      []*tracepb.Span_Link{{TraceId: bytes.Repeat([]byte{9}, 16), SpanId: bytes.Repeat([]byte{9}, 8)}},
		}}}},
	}
}

func metrics() *metricspb.ResourceMetrics {
	return &metricspb.ResourceMetrics{ScopeMetrics: []*metricspb.ScopeMetrics{{Metrics: []*metricspb.Metric{{
		Name: "m", Data: &metricspb.Metric_Sum{Sum: &metricspb.Sum{DataPoints: []*metricspb.NumberDataPoint{{
			Value: &metricspb.NumberDataPoint_AsDouble{AsDouble: 1.5},
		}}}},
	}}}}}
}

func logs() *logspb.ResourceLogs {
	return &logspb.ResourceLogs{ScopeLogs: []*logspb.ScopeLogs{{LogRecords: []*logspb.LogRecord{{ObservedTimeUnixNano: 5, EventName: "e"}}}}}
}

// line returns exports as the Collector writes them.
func line(t testing.TB, all ...*tracepb.ResourceSpans) string {
	t.Helper()
	b, err := AppendSpans(nil, all...)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func marshal(t testing.TB, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func framed(all ...[]byte) string {
	var b []byte
	for _, m := range all {
		b = binary.BigEndian.AppendUint32(b, uint32(len(m)))
		b = append(b, m...)
	}
	return string(b)
}

// outline returns what Read makes of a file: the first span's name, "metrics" or "logs", and errors.
func outline(t testing.TB, r io.Reader, most int) []string {
	t.Helper()
	var got []string
	for rec, err := range read(r, most) {
		switch {
		case err != nil:
			got = append(got, "! "+err.Error())
		case rec.Spans != nil:
			got = append(got, fmt.Sprintf("%s: %s", rec.Place, rec.Spans.GetScopeSpans()[0].GetSpans()[0].GetName()))
		case rec.Metrics != nil:
			got = append(got, fmt.Sprintf("%s: metrics", rec.Place))
		case rec.Logs != nil:
			got = append(got, fmt.Sprintf("%s: logs", rec.Place))
		}
	}
	return got
}

func TestRead(t *testing.T) {
	t.Parallel()
	one, two := line(t, spans(1)), line(t, spans(2))
	indented := `{
  "resourceSpans": [
    {
      "scopeSpans": [{"spans": [{"traceId": "00", "name": "pretty"}]}]
    },
    ` + strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(two), `{"resourceSpans":[`), `]}`) + `
  ],
  "unknown": {"a": [1, {"b": null}]}
}
`
	tests := []struct {
		name, file string
		want       []string
	}{
		{name: "nothing"},
		{name: "white space", file: " \n\n\t\n"},
		{name: "a line", file: one, want: []string{"line 1: span 1"}},
		{name: "a line without its end", file: strings.TrimSpace(one), want: []string{"line 1: span 1"}},
		{name: "lines", file: one + "\n" + two, want: []string{"line 1: span 1", "line 3: span 2"}},
		{name: "a byte order mark and CRLF", file: "\ufeff" + strings.ReplaceAll(one+two, "\n", "\r\n"), want: []string{"line 1: span 1", "line 2: span 2"}},
		{name: "an array in a line", file: "[" + strings.TrimSpace(one) + "," + strings.TrimSpace(two) + "]", want: []string{"line 1: span 1", "line 1: span 2"}},
		{name: "an array over lines", file: "[\n" + one + ",\n" + two + "]\n", want: []string{"line 2: span 1", "line 4: span 2"}},
		{name: "a document over lines", file: indented, want: []string{"line 3: pretty", "line 6: span 2"}},
		{name: "documents over lines", file: indented + indented, want: []string{"line 3: pretty", "line 6: span 2", "line 12: pretty", "line 15: span 2"}},
		{name: "names of the protocol", file: `{"resource_spans":[{"scope_spans":[{"spans":[{"name":"snake"}]}]}]}`, want: []string{"line 1: snake"}},
		{
			name: "all signals",
			file: one + `{"resourceMetrics":[{}]}` + "\n" + `{"resourceLogs":[{}]}` + "\n",
			want: []string{"line 1: span 1", "line 2: metrics", "line 3: logs"},
		},
		{
			name: "a broken line",
			file: one + one[:len(one)/2] + "\n" + two,
			want: []string{"line 1: span 1", "! line 2: not JSON: it ends too early", "line 3: span 2"},
		},
		{
			name: "a broken first line",
			file: one[:len(one)/2] + "\n" + two,
			want: []string{"! line 1: not JSON: it ends too early", "line 2: span 2"},
		},
		{
			name: "two exports in a line",
			file: strings.TrimSpace(one) + two,
			want: []string{"line 1: span 1", "! line 1: there is more behind the export"},
		},
		{
			name: "JSON of another kind",
			file: `{"a":1}` + "\n" + `[1]` + "\n" + `3` + "\n" + two,
			want: []string{"! line 1: neither resourceSpans nor resourceMetrics nor resourceLogs", `! line 2: not an object such as {"resourceSpans": …}`, `! line 3: not an object such as {"resourceSpans": …}`, "line 4: span 2"},
		},
		{
			name: "a record of another kind",
			file: `{"resourceSpans":[{"scopeSpans":"sk-secret"},{"scopeSpans":[{"spans":[{"name":"after"}]}]}]}`,
			want: []string{"! line 1: not OTLP: syntax error (line 1:15)", "line 1: after"},
		},
		{
			name: "a document that ends too early",
			file: indented[:strings.Index(indented, "pretty")+40],
			want: []string{"line 3: pretty", "! line 6: not JSON: it ends too early"},
		},
		{name: "prose", file: "# Heading\n\ntext\n", want: []string{"! line 1: not JSON: invalid character '#' at start of value", `! line 3: not an object such as {"resourceSpans": …}`}},
		{name: "one message", file: string(marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1), spans(2)}})), want: []string{"byte 0: span 1", "byte 162: span 2"}},
		{name: "a message of metrics", file: string(marshal(t, &metricspb.MetricsData{ResourceMetrics: []*metricspb.ResourceMetrics{metrics()}})), want: []string{"byte 0: metrics"}},
		{name: "a message of logs", file: string(marshal(t, &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{logs()}})), want: []string{"byte 0: logs"}},
		{
			name: "messages with lengths",
			file: framed(marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1)}}), marshal(t, &logspb.LogsData{ResourceLogs: []*logspb.ResourceLogs{logs()}})),
			want: []string{"byte 4: span 1", "byte 170: logs"},
		},
		{name: "a message cut short", file: string(marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1)}})[:100]), want: []string{"! byte 0: it ends too early"}},
		{name: "a picture", file: "\x89PNG\r\n\x1a\n\x00\x00", want: []string{"! byte 0: neither JSON nor OTLP, or a message of more than 67108864 bytes"}},
		{name: "a program", file: "\x00\x00\x00\x05hello", want: []string{"! byte 4: neither JSON nor OTLP: not a list of resources"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(outline(t, strings.NewReader(tt.file), MaxRecord), tt.want); diff != "" {
				t.Errorf("records (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(outline(t, iotest.OneByteReader(strings.NewReader(tt.file)), MaxRecord), tt.want); diff != "" && len(tt.file) < 64<<10 {
				t.Errorf("records read byte by byte (-got +want):\n%s", diff)
			}
		})
	}
}

// What is written comes back as it was, ids included.
func TestWriteAndRead(t *testing.T) {
	t.Parallel()
	want := []*tracepb.ResourceSpans{spans(1), spans(200)}
	file := line(t, want...)
	if !strings.Contains(file, `"traceId":"01ab01ab01ab01ab01ab01ab01ab01ab"`) || !strings.Contains(file, `"kind":3`) {
		t.Errorf("the line is not OTLP's JSON, with ids in hex and numbers for enums: %s", file)
	}
	if strings.Count(file, "\n") != 1 || !strings.HasSuffix(file, "\n") {
		t.Errorf("an export is not one line: %q", file)
	}
	var got []*tracepb.ResourceSpans
	for rec, err := range Read(strings.NewReader(file)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, rec.Spans)
	}
	if diff := cmp.Diff(got, want, protocmp.Transform()); diff != "" {
		t.Errorf("spans (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(want[0], spans(1), protocmp.Transform()); diff != "" {
		t.Errorf("writing changed the spans (-got +want):\n%s", diff)
	}
}

// Ids that somebody wrote as base64, and in capitals, are ids too.
func TestIDs(t *testing.T) {
	t.Parallel()
	const want = "\x01\x23\x45\x67\x89\xab\xcd\xef"
	for _, id := range []string{"0123456789abcdef", "0123456789ABCDEF", "ASNFZ4mrze8="} {
		for rec, err := range Read(strings.NewReader(`{"resourceSpans":[{"scopeSpans":[{"spans":[{"spanId":"` + id + `"}]}]}]}`)) {
			if err != nil {
				t.Fatal(err)
			}
			if got := string(rec.Spans.ScopeSpans[0].Spans[0].SpanId); got != want {
				t.Errorf("%s is read as %x, want %x", id, got, want)
			}
		}
	}
}

// A file of any size is read record by record: when one is there, hardly more than it has been read.
func TestReadStreams(t *testing.T) {
	t.Parallel()
	const records, ahead = 3000, 256 << 10
	record := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(line(t, spans(1))), `{"resourceSpans":[`), `]}`)
	raw := marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1)}})
	tests := []struct{ name, head, each, tail string }{
		{name: "lines", each: `{"resourceSpans":[` + record + "]}\n"},
		{name: "one line", head: `{"resourceSpans":[{}`, each: "," + record, tail: "]}\n"},
		{name: "one document", head: "{\n\"resourceSpans\": [\n{}", each: ",\n" + record, tail: "]}\n"},
		{name: "one message", each: string(raw)},
		{name: "messages", each: framed(raw)},
		{name: "an unknown member", head: `{"x":[{}`, each: "," + record, tail: "]}\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			parts := []io.Reader{strings.NewReader(tt.head)}
			for range records {
				parts = append(parts, strings.NewReader(tt.each))
			}
			in := &meter{in: io.MultiReader(append(parts, strings.NewReader(tt.tail))...)}
			seen, failed := 0, 0
			for rec, err := range read(in, ahead/4) {
				if err != nil {
					failed++
					continue
				}
				if len(rec.Spans.GetScopeSpans()) > 0 {
					seen++
				}
				if most := len(tt.head) + seen*len(tt.each) + ahead; in.n > most {
					t.Fatalf("%d bytes were read for %d records, want at most %d", in.n, seen, most)
				}
			}
			wantSeen, wantFailed := records, 0
			if tt.name == "an unknown member" {
				wantSeen, wantFailed = 0, 1
			}
			if seen != wantSeen || failed != wantFailed {
				t.Errorf("%d records and %d errors, want %d and %d", seen, failed, wantSeen, wantFailed)
			}
		})
	}
}

type meter struct {
	in io.Reader
	n  int
}

func (m *meter) Read(p []byte) (int, error) {
	n, err := m.in.Read(p)
	m.n += n
	return n, err
}

func TestRecordsAreBounded(t *testing.T) {
	t.Parallel()
	const most = 2000
	big := spans(7)
	big.ScopeSpans[0].Spans[0].Name = strings.Repeat("x", 3*most)
	one, raw := line(t, spans(1)), func(r *tracepb.ResourceSpans) []byte {
		return marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{r}})
	}
	tests := []struct {
		name, file string
		want       []string
	}{
		{name: "lines", file: one + line(t, big) + one, want: []string{"line 1: span 1", "! line 2: a record of more than 2000 bytes", "line 3: span 1"}},
		{name: "one message", file: string(raw(spans(1))) + string(raw(big)), want: []string{"byte 0: span 1", "! byte 162: a record of more than 2000 bytes"}},
		{name: "messages", file: framed(raw(spans(1)), raw(big)), want: []string{"byte 4: span 1", "! byte 166: neither JSON nor OTLP, or a message of more than 2000 bytes"}},
		{name: "a length that is not true", file: "\n\xc8\x01" + strings.Repeat("\x00", 30), want: []string{"! byte 0: it ends too early"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(outline(t, strings.NewReader(tt.file), most), tt.want); diff != "" {
				t.Errorf("records (-got +want):\n%s", diff)
			}
		})
	}
}

// A file that cannot be read on is not one that ends.
func TestReadErrors(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk is gone")
	one := line(t, spans(1))
	for name, head := range map[string]string{
		"lines": one, "half a line": one + one[:50], "a document": "{\n \"resourceSpans\": [\n" + one[18:len(one)-3], "a message": "\n\x7f\x00", "nothing": "",
	} {
		var last error
		n := 0
		for _, err := range Read(io.MultiReader(strings.NewReader(head), iotest.ErrReader(broken))) {
			if last = err; err != nil {
				n++
			}
		}
		if !errors.Is(last, broken) || n != 1 {
			t.Errorf("%s: %d errors, the last %v, want one: %v", name, n, last, broken)
		}
	}
}

// Who wants no more gets no more.
func TestReadStops(t *testing.T) {
	t.Parallel()
	one := line(t, spans(1), spans(2))
	raw := marshal(t, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1), spans(2)}})
	for _, file := range []string{one + one, "[\n" + one + "]", string(raw), framed(raw, raw), "x\ny\n", `{"a":1}` + "\n" + one} {
		n := 0
		for range Read(strings.NewReader(file)) {
			n++
			break
		}
		if n != 1 {
			t.Errorf("%d records of %.20q, want 1", n, file)
		}
	}
}

func FuzzRead(f *testing.F) {
	one := line(f, spans(1))
	raw := marshal(f, &tracepb.TracesData{ResourceSpans: []*tracepb.ResourceSpans{spans(1)}})
	for _, seed := range []string{one, one[:80] + "\n" + one, "[\n" + one + "]", `{"resourceMetrics":[{}],"resourceLogs":[{}]}`, string(raw), framed(raw, raw), "{\n}", "\n\x00"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		const most = 4096
		n := 0
		for rec, err := range read(bytes.NewReader(file), most) {
			n++
			set := 0
			for _, is := range []bool{rec.Spans != nil, rec.Metrics != nil, rec.Logs != nil} {
				if is {
					set++
				}
			}
			if _, ok := errors.AsType[*Error](err); err != nil && !ok {
				t.Fatalf("an error without a place: %v", err)
			}
			if want := map[bool]int{true: 1, false: 0}[err == nil]; set != want {
				t.Fatalf("%d kinds in a record with the error %v", set, err)
			}
			if rec.Spans == nil {
				continue
			}
			// What was read can be written and read again, and is the same.
			again, err := AppendSpans(nil, rec.Spans)
			if err != nil {
				continue // not UTF-8, which protobuf allows and JSON does not
			}
			for back, err := range Read(bytes.NewReader(again)) {
				if err != nil {
					t.Fatalf("what was written cannot be read: %v\n%s", err, again)
				}
				if ok := sane(rec.Spans); ok && !proto.Equal(back.Spans, rec.Spans) {
					t.Fatalf("%v\nis written and read as\n%v", rec.Spans, back.Spans)
				}
			}
		}
		if n > len(file)+1 {
			t.Fatalf("%d records of %d bytes", n, len(file))
		}
	})
}

// sane reports whether ids are ids and nothing is unknown, which is what comes back from JSON.
func sane(r *tracepb.ResourceSpans) bool {
	ok := len(r.ProtoReflect().GetUnknown()) == 0 && len(r.GetResource().ProtoReflect().GetUnknown()) == 0
	for _, scope := range r.GetScopeSpans() {
		ok = ok && len(scope.ProtoReflect().GetUnknown()) == 0
		for _, s := range scope.GetSpans() {
			ok = ok && len(s.GetTraceId()) == 16 && len(s.GetSpanId()) == 8 && len(s.GetParentSpanId())%8 == 0 &&
				len(s.ProtoReflect().GetUnknown()) == 0 && len(s.GetLinks()) == 0 && len(s.GetAttributes()) == 0 && len(s.GetEvents()) == 0 &&
				s.GetStatus() == nil
		}
		ok = ok && scope.GetScope() == nil
	}
	return ok && r.GetResource() == nil
}
