package telemetry_test

import (
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/mellea-go/mellea/telemetry"
)

// Whatever the environment says: there is a configuration, an endpoint in it is a URL without secrets, and what is
// masked stays masked.
func FuzzInspect(f *testing.F) {
	f.Add("http://localhost:4318", "a=b,c=%20", "service.name=x,y=%zz", "grpc", "0.5")
	f.Add("localhost:4317", "=,=", ",,,", "http/protobuf", "NaN")
	f.Add("https://user:pass@host/p?q=1#f", "a", "=", "", "-1")
	f.Add("http://[::1", "\x00=\xff", "é=é", "GRPC", "1e999")
	f.Fuzz(func(t *testing.T, endpoint, headers, resource, protocol, number string) {
		env := map[string]string{
			"MELLEA_TRACES_ENABLED": "true", "MELLEA_TRACES_OTLP": "true", "MELLEA_GENERATION_CHUNK_EVENTS": number,
			"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_EXPORTER_OTLP_HEADERS": headers, "OTEL_RESOURCE_ATTRIBUTES": resource,
			"OTEL_EXPORTER_OTLP_PROTOCOL": protocol, "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": number,
			"OTEL_BSP_MAX_QUEUE_SIZE": number, "OTEL_BSP_SCHEDULE_DELAY": number,
		}
		got := telemetry.Inspect(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
		if got.Endpoint != "" {
			u, err := url.Parse(got.Endpoint)
			if err != nil || u.User != nil || u.RawQuery != "" || u.Host == "" {
				t.Errorf("endpoint %q for %q", got.Endpoint, endpoint)
			}
			if got.Protocol != "grpc" && got.Protocol != "http/protobuf" {
				t.Errorf("protocol %q", got.Protocol)
			}
		}
		for _, s := range got.Settings {
			if s.Name == "OTEL_EXPORTER_OTLP_HEADERS" && s.Value != "****" && s.Value != "" {
				t.Errorf("headers are shown as %q", s.Value)
			}
		}
	})
}

// Whatever a span holds: the printer writes nothing that a terminal obeys.
func FuzzTreePrinter(f *testing.F) {
	f.Add("chat \x1b[2J", "value\x07", "event\r", 3)
	f.Add("\u202e", "\xff\xfe", "\x00", 0)
	f.Fuzz(func(t *testing.T, name, value, event string, length int) {
		var out screen
		p := telemetry.NewTreePrinter(&out)
		_ = p.ExportSpans(t.Context(), []sdktrace.ReadOnlySpan{snapshot(1, 0, name, 0, length, func(s *tracetest.SpanStub) {
			s.Attributes = []attribute.KeyValue{attribute.String("mellea.requirement.name", value), attribute.StringSlice("gen_ai.response.finish_reasons", []string{value})}
			s.Status = sdktrace.Status{Code: 1, Description: value}
			s.Events = []sdktrace.Event{{Name: event}}
		})})
		got := out.String()
		if got == "" || !utf8.ValidString(got) {
			t.Errorf("printed %q", got)
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r)) }); i >= 0 {
			t.Errorf("printed %q, which has a control character", got)
		}
	})
}

// Whatever a line holds: it is one line, and nothing in it that a terminal obeys.
func FuzzConsoleLine(f *testing.F) {
	f.Add("m", "key", "value")
	f.Add("a\nb\x1b[2J", "k=\r", "\u202e\xff")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, message, key, value string) {
		tel, out := logs(t)
		slog.New(tel.LogHandler()).With(key, value).WithGroup(key).Info(message, key, value, key, []byte(value))
		got := out.String()
		line, ok := strings.CutSuffix(got, "\n")
		if !ok || !utf8.ValidString(got) {
			t.Errorf("wrote %q", got)
		}
		if i := strings.IndexFunc(line, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) }); i >= 0 {
			t.Errorf("wrote %q, which has a control character", got)
		}
	})
}
