package telemetry_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// Which variables switch what on, where spans go then, and what is warned about. HTTP and GRPC stand for the addresses of
// a receiver.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	const all, application, backendOnly = "start_session session action chat", "start_session session action", "chat"
	tests := map[string]struct {
		env    []string
		opts   []telemetry.Option
		want   string // names of the spans that arrive, "" for none
		path   string // of their export
		warned []string
	}{
		"nothing":               {},
		"the umbrella alone":    {env: []string{"MELLEA_TRACES_ENABLED=true"}, warned: []string{"go nowhere"}},
		"an exporter alone":     {env: []string{"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, warned: []string{"MELLEA_TRACES_ENABLED=true"}},
		"no endpoint":           {env: []string{"MELLEA_TRACES_ENABLED=1", "MELLEA_TRACES_OTLP=1"}, warned: []string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT"}},
		"an endpoint that no":   {env: []string{"MELLEA_TRACES_ENABLED=1", "MELLEA_TRACES_OTLP=1", "OTEL_EXPORTER_OTLP_ENDPOINT=ftp://x"}, warned: []string{"not a URL"}},
		"OTLP by HTTP":          {env: []string{"MELLEA_TRACES_ENABLED= YES ", "MELLEA_TRACES_OTLP=On", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, want: all, path: "/v1/traces"},
		"OTLP below a path":     {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP/base/"}, want: all, path: "/base/v1/traces"},
		"the signal's own":      {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTP/mine"}, want: all, path: "/mine"},
		"the signal's, bare":    {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=HTTP"}, want: all, path: "/"},
		"OTLP by gRPC":          {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=GRPC", "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"}, want: all, path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
		"gRPC without scheme":   {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=BARE", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL=grpc"}, want: all, path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export"},
		"compressed":            {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "OTEL_EXPORTER_OTLP_COMPRESSION=gzip"}, want: all, path: "/v1/traces"},
		"an unknown protocol":   {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP", "OTEL_EXPORTER_OTLP_PROTOCOL=http/json"}, want: all, path: "/v1/traces", warned: []string{"OTEL_EXPORTER_OTLP_PROTOCOL must be grpc or http/protobuf"}},
		"a switch that is none": {env: []string{"MELLEA_TRACES_ENABLED=maybe"}, warned: []string{"MELLEA_TRACES_ENABLED must be one of true, false, yes, no, on, off, 1, 0: the default, false, is used"}},
		"an unknown name":       {env: []string{"MELLEA_TRACES_ENABLE=true"}, warned: []string{"MELLEA_TRACES_ENABLE is not a variable of this library: did you mean MELLEA_TRACES_ENABLED?"}},
		"known to others":       {env: []string{"MELLEA_BACKEND=ollama", "MELLEA_LOGS_LEVEL=INFO", "MELLEA_PRICING_FILE=x", "MELLEA_COMPONENTS_DIR=x"}},
		"metrics go nowhere":    {env: []string{"MELLEA_METRICS_ENABLED=true", "MELLEA_PRICING_ENABLED=false"}, warned: []string{"metrics are on but go nowhere"}},
		"an empty one is none":  {env: []string{"MELLEA_TRACES_ENABLED=", "OTEL_EXPORTER_OTLP_PROTOCOL="}},

		"deprecated, application": {env: []string{"MELLEA_TRACE_APPLICATION=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, want: application, path: "/v1/traces",
			warned: []string{"MELLEA_TRACE_APPLICATION is deprecated and will be removed in the next release: use MELLEA_TRACES_ENABLED"}},
		"deprecated, backend": {env: []string{"MELLEA_TRACE_BACKEND=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, want: backendOnly, path: "/v1/traces",
			warned: []string{"MELLEA_TRACE_BACKEND is deprecated and will be removed in the next release: use MELLEA_TRACES_ENABLED"}},
		"deprecated, both": {env: []string{"MELLEA_TRACE_BACKEND=1", "MELLEA_TRACE_APPLICATION=1", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, want: all, path: "/v1/traces",
			warned: []string{"MELLEA_TRACE_APPLICATION is deprecated", "MELLEA_TRACE_BACKEND is deprecated"}},
		"deprecated, without endpoint": {env: []string{"MELLEA_TRACE_BACKEND=1"}, warned: []string{"MELLEA_TRACE_BACKEND is deprecated", "go nowhere"}},
		"deprecated, switched off":     {env: []string{"MELLEA_TRACE_BACKEND=false"}, warned: []string{"MELLEA_TRACE_BACKEND is deprecated"}},
		"the new name wins": {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_TRACE_BACKEND=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, want: all, path: "/v1/traces",
			warned: []string{"MELLEA_TRACE_BACKEND is deprecated"}},
		"the new name wins, off": {env: []string{"MELLEA_TRACES_ENABLED=false", "MELLEA_TRACE_BACKEND=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"},
			warned: []string{"MELLEA_TRACE_BACKEND is deprecated"}},
		"an option wins": {env: []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=HTTP"}, opts: []telemetry.Option{telemetry.WithTraces(false)}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			env := make([]string, len(test.env))
			for i, kv := range test.env {
				env[i] = strings.NewReplacer("=HTTP", "="+server.HTTP, "=GRPC", "="+server.GRPC, "=BARE", "="+strings.TrimPrefix(server.GRPC, "http://")).Replace(kv)
			}
			book := &logbook{}
			opts := append([]telemetry.Option{environ(env...), telemetry.WithLogger(book.logger())}, test.opts...)
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), opts...))
			s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			checkWarnings(t, book, test.warned)
			var got []string
			for _, s := range server.Spans(t, 0) {
				got = append(got, strings.TrimSuffix(s.Name, " m1"))
			}
			if diff := cmp.Diff(test.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("spans (-want +got):\n%s", diff)
			}
			for _, path := range server.Paths() {
				if path != test.path {
					t.Errorf("exported to %s, want %s", path, test.path)
				}
			}
		})
	}
}

// checkWarnings wants exactly one line for each text.
func checkWarnings(t *testing.T, book *logbook, want []string) {
	t.Helper()
	lines := book.lines()
	if len(lines) != len(want) {
		t.Errorf("%d warnings, want %d:\n%s", len(lines), len(want), strings.Join(lines, "\n"))
		return
	}
	for i, line := range lines {
		if !strings.HasPrefix(line, "level=WARN") || !strings.Contains(line, want[i]) {
			t.Errorf("warning %d is %s, want one with %q", i, line, want[i])
		}
	}
}

// The protocol follows the port where nothing is said, and a pair that cannot be meant is a warning.
func TestProtocol(t *testing.T) {
	t.Parallel()
	tests := []struct {
		endpoint, protocol string
		want               string
		warned             bool
	}{
		{endpoint: "http://collector:4317", want: "grpc"},
		{endpoint: "https://collector:4317", want: "grpc"},
		{endpoint: "http://collector:4318", want: "http/protobuf"},
		{endpoint: "http://collector", want: "http/protobuf"},
		{endpoint: "http://collector:4317", protocol: "http/protobuf", want: "http/protobuf"},
		{endpoint: "http://collector:4318", protocol: "grpc", want: "grpc", warned: true},
		{endpoint: "localhost:4317", want: "grpc"},
	}
	for _, test := range tests {
		env := map[string]string{"MELLEA_TRACES_ENABLED": "true", "MELLEA_TRACES_OTLP": "true",
			"OTEL_EXPORTER_OTLP_ENDPOINT": test.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": test.protocol}
		got := telemetry.Inspect(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
		if got.Protocol != test.want {
			t.Errorf("%s with %q: protocol %s, want %s", test.endpoint, test.protocol, got.Protocol, test.want)
		}
		if warned := len(got.Warnings) > 0; warned != test.warned {
			t.Errorf("%s with %q: warnings %q", test.endpoint, test.protocol, got.Warnings)
		}
	}
}

func TestContentSwitches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env    []string
		opts   []telemetry.Option
		want   bool
		warned []string
	}{
		"nothing":                      {},
		"own":                          {env: []string{"MELLEA_TRACES_CONTENT=true"}, want: true},
		"NO_CONTENT":                   {env: []string{genaiContent + "NO_CONTENT"}},
		"SPAN_ONLY":                    {env: []string{genaiContent + "SPAN_ONLY"}, want: true},
		"EVENT_ONLY":                   {env: []string{genaiContent + "EVENT_ONLY"}},
		"span_and_event":               {env: []string{genaiContent + "span_and_event"}, want: true},
		"true":                         {env: []string{genaiContent + "true"}, want: true},
		"false":                        {env: []string{genaiContent + "false"}},
		"unknown":                      {env: []string{genaiContent + "ALL"}, warned: []string{"NO_CONTENT, is used"}},
		"own decides for spans":        {env: []string{"MELLEA_TRACES_CONTENT=false", genaiContent + "SPAN_ONLY"}},
		"own decides for spans, on":    {env: []string{"MELLEA_TRACES_CONTENT=true", genaiContent + "EVENT_ONLY"}, want: true},
		"deprecated":                   {env: []string{"MELLEA_TRACE_CONTENT=true"}, want: true, warned: []string{"use MELLEA_TRACES_CONTENT"}},
		"the new name wins":            {env: []string{"MELLEA_TRACES_CONTENT=false", "MELLEA_TRACE_CONTENT=true"}, warned: []string{"use MELLEA_TRACES_CONTENT"}},
		"an option wins":               {env: []string{"MELLEA_TRACES_CONTENT=true"}, opts: []telemetry.Option{telemetry.WithContent(false)}},
		"an option wins, on":           {env: []string{"MELLEA_TRACES_CONTENT=false"}, opts: []telemetry.Option{telemetry.WithContent(true)}, want: true},
		"a cap that is none, the rest": {env: []string{"MELLEA_TRACES_CONTENT=true", "MELLEA_TRACES_CONTENT_MAX_BYTES=lots"}, want: true, warned: []string{"16384"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			book := &logbook{}
			env := append([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}, test.env...)
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append([]telemetry.Option{environ(env...), telemetry.WithLogger(book.logger())}, test.opts...)...))
			s := start(t, t.Context(), says("planted"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
			_ = s.Close()
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := indexOf(server.Raw(), "planted") >= 0; got != test.want {
				t.Errorf("content was exported: %v, want %v", got, test.want)
			}
			checkWarnings(t, book, test.warned)
		})
	}
}

const genaiContent = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="

// The deprecated name of the console works, and says so.
func TestDeprecatedConsole(t *testing.T) {
	t.Parallel()
	got := telemetry.Inspect(func(name string) (string, bool) {
		v, ok := map[string]string{"MELLEA_TRACES_ENABLED": "true", "MELLEA_TRACE_CONSOLE": "true"}[name]
		return v, ok
	}, nil)
	if diff := cmp.Diff([]string{"MELLEA_TRACE_CONSOLE is deprecated and will be removed in the next release: use MELLEA_TRACES_CONSOLE"}, got.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	for _, s := range got.Settings {
		if s.Name == "MELLEA_TRACES_CONSOLE" && s.Origin != telemetry.FromDeprecated {
			t.Errorf("%s comes from %s, want %s", s.Name, s.Origin, telemetry.FromDeprecated)
		}
	}
}

// The resource has the service's name and what the environment adds, and no arguments of the process (7.3 no. 39).
func TestResource(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		env  []string
		want map[string]any
	}{
		"default":             {want: map[string]any{"service.name": "mellea"}},
		"the service's name":  {env: []string{"OTEL_SERVICE_NAME=mail"}, want: map[string]any{"service.name": "mail"}},
		"attributes":          {env: []string{"OTEL_RESOURCE_ATTRIBUTES=service.name=mail, team=a%20b"}, want: map[string]any{"service.name": "mail", "team": "a b"}},
		"the name over those": {env: []string{"OTEL_SERVICE_NAME=mail", "OTEL_RESOURCE_ATTRIBUTES=service.name=other,team=a"}, want: map[string]any{"service.name": "mail", "team": "a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			env := append([]string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP}, test.env...)
			tel := setup(t, server, environ(env...))
			_, end := tel.StartCommand(t.Context(), "run", "", nil)
			end(0)
			flush(t, tel)
			got := server.Spans(t, 1)[0].Resource
			for _, sdk := range []string{"telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"} {
				if got[sdk] == nil {
					t.Errorf("the resource has no %s", sdk)
				}
				delete(got, sdk)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("resource (-want +got):\n%s", diff)
			}
		})
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP,
		"OTEL_EXPORTER_OTLP_HEADERS=x-other=1", "OTEL_EXPORTER_OTLP_TRACES_HEADERS=x-key=a%20b"))
	_, end := tel.StartCommand(t.Context(), "run", "", nil)
	end(0)
	flush(t, tel)
	server.Spans(t, 1)
	got := server.Headers()[0]
	if diff := cmp.Diff([]string{"a b"}, got["X-Key"]); diff != "" || got["X-Other"] != nil {
		t.Errorf("x-key (-want +got):\n%s\nx-other is %v, want none", diff, got["X-Other"])
	}
}

// What Inspect shows can be pasted into an issue.
func TestInspectMasks(t *testing.T) {
	t.Parallel()
	environ := []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_TYPO=secret",
		"OTEL_EXPORTER_OTLP_ENDPOINT=https://user:secret@collector:4318/base?key=secret",
		"OTEL_EXPORTER_OTLP_HEADERS=authorization=secret,secret", "OTEL_EXPORTER_OTLP_CLIENT_KEY=/secret", "MELLEA_LOGS_WEBHOOK=https://secret",
		"MELLEA_METRICS_SEMCONV=both"}
	lookup := func(name string) (string, bool) {
		for _, kv := range environ {
			if k, v, _ := strings.Cut(kv, "="); k == name {
				return v, true
			}
		}
		return "", false
	}
	got := telemetry.Inspect(lookup, environ, telemetry.WithContent(true))
	if text := text(got); strings.Contains(text, "secret") {
		t.Errorf("the effective configuration holds a secret: %s", text)
	}
	if want := "https://collector:4318/base/v1/traces"; got.Endpoint != want || got.Protocol != "http/protobuf" {
		t.Errorf("endpoint is %s by %s, want %s by http/protobuf", got.Endpoint, got.Protocol, want)
	}
	wantWarnings := []string{"OTEL_EXPORTER_OTLP_HEADERS must be of the form name=value,name=value: what is not is left out",
		"MELLEA_TYPO is not a variable of this library: did you mean MELLEA_MODEL?"}
	if diff := cmp.Diff(wantWarnings, got.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
	want := map[string]telemetry.Setting{
		"MELLEA_TRACES_ENABLED":       {Name: "MELLEA_TRACES_ENABLED", Value: "true", Origin: telemetry.FromEnvironment, Pillar: "traces"},
		"MELLEA_TRACES_CONTENT":       {Name: "MELLEA_TRACES_CONTENT", Value: "true", Origin: telemetry.FromOption, Pillar: "traces"},
		"MELLEA_TRACES_CONSOLE":       {Name: "MELLEA_TRACES_CONSOLE", Value: "false", Origin: telemetry.FromDefault, Pillar: "traces"},
		"OTEL_EXPORTER_OTLP_ENDPOINT": {Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: "https://collector:4318/base", Origin: telemetry.FromEnvironment, Pillar: "traces"},
		"OTEL_EXPORTER_OTLP_HEADERS":  {Name: "OTEL_EXPORTER_OTLP_HEADERS", Value: "****", Origin: telemetry.FromEnvironment, Pillar: "traces"},
		"MELLEA_TRACE_BACKEND":        {Name: "MELLEA_TRACE_BACKEND", Origin: telemetry.FromDefault, Pillar: "traces", Note: "deprecated: use MELLEA_TRACES_ENABLED"},
		"MELLEA_METRICS_SEMCONV":      {Name: "MELLEA_METRICS_SEMCONV", Value: "both", Origin: telemetry.FromEnvironment, Pillar: "metrics"},
	}
	for _, s := range got.Settings {
		if w, ok := want[s.Name]; ok {
			if diff := cmp.Diff(w, s); diff != "" {
				t.Errorf("%s (-want +got):\n%s", s.Name, diff)
			}
			delete(want, s.Name)
		}
	}
	for name := range want {
		t.Errorf("%s is not among the settings", name)
	}
}

// What Inspect shows is what is in effect, not what is set.
func TestInspectShowsWhatIsInEffect(t *testing.T) {
	t.Parallel()
	const content = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
	const bad = "what is set cannot be used"
	for _, test := range []struct {
		env         map[string]string
		name        string
		value, note string
		origin      telemetry.Origin
	}{
		{env: map[string]string{"MELLEA_TRACE_BACKEND": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:1"}, name: "MELLEA_TRACES_OTLP", value: "true", origin: telemetry.FromDeprecated},
		{env: map[string]string{"MELLEA_TRACE_BACKEND": "1"}, name: "MELLEA_TRACES_OTLP", value: "false", origin: telemetry.FromDefault},
		{env: map[string]string{content: "SPAN_ONLY"}, name: "MELLEA_TRACES_CONTENT", value: "true", note: "by " + content, origin: telemetry.FromEnvironment},
		{env: map[string]string{content: "EVENT_ONLY"}, name: "MELLEA_TRACES_CONTENT", value: "false", origin: telemetry.FromDefault},
		{env: map[string]string{content: "SPAN_ONLY", "MELLEA_TRACES_CONTENT": "off"}, name: "MELLEA_TRACES_CONTENT", value: "off", origin: telemetry.FromEnvironment},
		{env: map[string]string{content: "all"}, name: content, value: "NO_CONTENT", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"MELLEA_TRACES_ENABLED": "maybe"}, name: "MELLEA_TRACES_ENABLED", value: "false", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"MELLEA_TRACES_CONTENT_MAX_BYTES": "lots"}, name: "MELLEA_TRACES_CONTENT_MAX_BYTES", value: "16384", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"MELLEA_GENERATION_CHUNK_EVENTS": "-1"}, name: "MELLEA_GENERATION_CHUNK_EVENTS", value: "false", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"OTEL_TRACES_SAMPLER": "x"}, name: "OTEL_TRACES_SAMPLER", value: "parentbased_always_on", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"OTEL_BSP_MAX_QUEUE_SIZE": "0"}, name: "OTEL_BSP_MAX_QUEUE_SIZE", value: "2048", note: bad, origin: telemetry.FromDefault},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "user:secret@collector:4317"}, name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: "collector:4317", origin: telemetry.FromEnvironment},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "secret@collector"}, name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: "collector", origin: telemetry.FromEnvironment},
		{env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c%zz?key=secret"}, name: "OTEL_EXPORTER_OTLP_ENDPOINT", value: "****", origin: telemetry.FromEnvironment},
	} {
		got := telemetry.Inspect(func(name string) (string, bool) { v, ok := test.env[name]; return v, ok }, nil)
		for _, s := range got.Settings {
			if s.Name != test.name {
				continue
			}
			want := telemetry.Setting{Name: test.name, Value: test.value, Origin: test.origin, Pillar: "traces", Note: test.note}
			if diff := cmp.Diff(want, s); diff != "" {
				t.Errorf("with %v (-want +got):\n%s", test.env, diff)
			}
		}
	}
}

func TestSetupErrors(t *testing.T) {
	t.Parallel()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := telemetry.Setup(cancelled, environ()); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v, want context.Canceled", err)
	}
	if _, err := telemetry.Setup(t.Context(), environ(), telemetry.WithSpanExporter(nil)); err == nil {
		t.Error("with no exporter: no error")
	}
	if _, err := telemetry.Setup(t.Context(), telemetry.WithLookupEnv(nil)); err == nil {
		t.Error("with no look-up: no error")
	}
}

// Samplers and processors of the environment are those of OpenTelemetry; what is no value is a warning.
func TestStandardVariablesAreChecked(t *testing.T) {
	t.Parallel()
	for variable, want := range map[string]string{
		"OTEL_TRACES_SAMPLER=sometimes":         "parentbased_always_on",
		"OTEL_TRACES_SAMPLER=traceidratio":      "",
		"OTEL_BSP_MAX_QUEUE_SIZE=0":             "2048",
		"OTEL_BSP_SCHEDULE_DELAY=soon":          "5000",
		"OTEL_PROPAGATORS=b3":                   "only tracecontext, baggage and none",
		"OTEL_RESOURCE_ATTRIBUTES=team":         "name=value",
		"MELLEA_GENERATION_CHUNK_EVENTS=10":     "",
		"MELLEA_GENERATION_CHUNK_EVENTS=true":   "",
		"MELLEA_GENERATION_CHUNK_EVENTS=-1":     "false, is used",
		"MELLEA_GENERATION_CHUNK_EVENTS=plenty": "false, is used",
	} {
		book := &logbook{}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_TRACES_ENABLED=true", variable),
			telemetry.WithLogger(book.logger()), telemetry.WithConsole(io.Discard)))
		_ = tel.Shutdown(t.Context())
		var warned []string
		if want != "" {
			warned = []string{want}
		}
		checkWarnings(t, book, warned)
	}
}
