package telemetry

import (
	"strings"
)

// Pillars of telemetry a variable belongs to.
const (
	pillarTraces  = "traces"
	pillarMetrics = "metrics"
	pillarLogs    = "logs"
	pillarCommand = "command line"
)

// A variable is a name that is known.
type variable struct {
	name, pillar, standard string
	replacement            string // of a deprecated name
	secret                 bool
}

var variables = []variable{
	{name: "MELLEA_TRACES_ENABLED", pillar: pillarTraces, standard: "false"},
	{name: "MELLEA_TRACES_OTLP", pillar: pillarTraces, standard: "false"},
	{name: "MELLEA_TRACES_CONSOLE", pillar: pillarTraces, standard: "false"},
	{name: "MELLEA_TRACES_FILE", pillar: pillarTraces},
	{name: "MELLEA_TRACES_CONTENT", pillar: pillarTraces, standard: "false"},
	{name: "MELLEA_TRACES_CONTENT_MAX_BYTES", pillar: pillarTraces, standard: "16384"},
	{name: "MELLEA_TRACES_CONTENT_DIR", pillar: pillarTraces},
	{name: "MELLEA_GENERATION_CHUNK_EVENTS", pillar: pillarTraces, standard: "false"},
	{name: "MELLEA_TRACE_APPLICATION", pillar: pillarTraces, replacement: "MELLEA_TRACES_ENABLED"},
	{name: "MELLEA_TRACE_BACKEND", pillar: pillarTraces, replacement: "MELLEA_TRACES_ENABLED"},
	{name: "MELLEA_TRACE_CONSOLE", pillar: pillarTraces, replacement: "MELLEA_TRACES_CONSOLE"},
	{name: "MELLEA_TRACE_CONTENT", pillar: pillarTraces, replacement: "MELLEA_TRACES_CONTENT"},

	{name: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_ENDPOINT", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_PROTOCOL", pillar: pillarTraces, standard: "http/protobuf, or grpc when the endpoint's port is 4317"},
	{name: "OTEL_EXPORTER_OTLP_TRACES_HEADERS", pillar: pillarTraces, secret: true},
	{name: "OTEL_EXPORTER_OTLP_HEADERS", pillar: pillarTraces, secret: true},
	{name: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_TIMEOUT", pillar: pillarTraces, standard: "10000"},
	{name: "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_COMPRESSION", pillar: pillarTraces, standard: "none"},
	{name: "OTEL_EXPORTER_OTLP_TRACES_INSECURE", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_INSECURE", pillar: pillarTraces, standard: "false"},
	{name: "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_CERTIFICATE", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", pillar: pillarTraces},
	{name: "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", pillar: pillarTraces, secret: true},
	{name: "OTEL_EXPORTER_OTLP_CLIENT_KEY", pillar: pillarTraces, secret: true},
	{name: "OTEL_SERVICE_NAME", pillar: pillarTraces, standard: "mellea"},
	{name: "OTEL_RESOURCE_ATTRIBUTES", pillar: pillarTraces},
	{name: "OTEL_TRACES_SAMPLER", pillar: pillarTraces, standard: "parentbased_always_on"},
	{name: "OTEL_TRACES_SAMPLER_ARG", pillar: pillarTraces},
	{name: "OTEL_SDK_DISABLED", pillar: pillarTraces, standard: "false"},
	{name: "OTEL_BSP_SCHEDULE_DELAY", pillar: pillarTraces, standard: "5000"},
	{name: "OTEL_BSP_EXPORT_TIMEOUT", pillar: pillarTraces, standard: "30000"},
	{name: "OTEL_BSP_MAX_QUEUE_SIZE", pillar: pillarTraces, standard: "2048"},
	{name: "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", pillar: pillarTraces, standard: "512"},
	{name: "OTEL_PROPAGATORS", pillar: pillarTraces, standard: "tracecontext,baggage"},
	{name: "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", pillar: pillarTraces, standard: "NO_CONTENT"},

	{name: "MELLEA_METRICS_ENABLED", pillar: pillarMetrics, standard: "false"},
	{name: "MELLEA_METRICS_OTLP", pillar: pillarMetrics, standard: "false"},
	{name: "MELLEA_METRICS_CONSOLE", pillar: pillarMetrics, standard: "false"},
	{name: "MELLEA_METRICS_PROMETHEUS", pillar: pillarMetrics, standard: "false"},
	{name: "MELLEA_METRICS_PROMETHEUS_ADDR", pillar: pillarMetrics},
	{name: "MELLEA_METRICS_SEMCONV", pillar: pillarMetrics, standard: "latest"},
	{name: "MELLEA_PRICING_ENABLED", pillar: pillarMetrics, standard: "true"},
	{name: "MELLEA_PRICING_FILE", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_HEADERS", pillar: pillarMetrics, secret: true},
	{name: "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_INSECURE", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE", pillar: pillarMetrics},
	{name: "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY", pillar: pillarMetrics, secret: true},
	{name: "OTEL_METRIC_EXPORT_INTERVAL", pillar: pillarMetrics, standard: "60000"},
	{name: "OTEL_METRIC_EXPORT_TIMEOUT", pillar: pillarMetrics, standard: "30000"},

	{name: "MELLEA_LOGS_LEVEL", pillar: pillarLogs, standard: "INFO"},
	{name: "MELLEA_LOGS_CONSOLE", pillar: pillarLogs, standard: "true"},
	{name: "MELLEA_LOGS_JSON", pillar: pillarLogs, standard: "false"},
	{name: "MELLEA_LOGS_FILE", pillar: pillarLogs},
	{name: "MELLEA_LOGS_FILE_MAX_BYTES", pillar: pillarLogs, standard: "10485760"},
	{name: "MELLEA_LOGS_FILE_BACKUP_COUNT", pillar: pillarLogs, standard: "5"},
	{name: "MELLEA_LOGS_OTLP", pillar: pillarLogs, standard: "false"},
	{name: "MELLEA_LOGS_WEBHOOK", pillar: pillarLogs, secret: true},
	{name: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_HEADERS", pillar: pillarLogs, secret: true},
	{name: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_INSECURE", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", pillar: pillarLogs},
	{name: "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", pillar: pillarLogs, secret: true},
	{name: "OTEL_BLRP_SCHEDULE_DELAY", pillar: pillarLogs, standard: "1000"},
	{name: "OTEL_BLRP_EXPORT_TIMEOUT", pillar: pillarLogs, standard: "30000"},
	{name: "OTEL_BLRP_MAX_QUEUE_SIZE", pillar: pillarLogs, standard: "2048"},
	{name: "OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", pillar: pillarLogs, standard: "512"},

	{name: "MELLEA_BACKEND", pillar: pillarCommand},
	{name: "MELLEA_MODEL", pillar: pillarCommand},
	{name: "MELLEA_LLAMA_LIB", pillar: pillarCommand},
}

// projectVariables are those of this project's own scripts and tests: a command run by them is not to warn.
var projectVariables = []string{"MELLEA_COMPONENTS_DIR", "MELLEA_REQUIRE_COMPONENTS", "MELLEA_BUILD_JOBS"}

func variableNamed(name string) (variable, bool) {
	for _, v := range variables {
		if v.name == name {
			return v, true
		}
	}
	return variable{}, false
}

// nearest returns the known MELLEA_ name, not deprecated, that takes the fewest edits from name.
func nearest(name string) string {
	best, fewest := "", 0
	for _, v := range variables {
		if !strings.HasPrefix(v.name, "MELLEA_") || v.replacement != "" {
			continue
		}
		if d := distance(name, v.name); best == "" || d < fewest {
			best, fewest = v.name, d
		}
	}
	return best
}

// distance is that of Levenshtein.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			substitution := diagonal
			if a[i] != b[j] {
				substitution++
			}
			diagonal = row[j+1]
			row[j+1] = min(substitution, row[j+1]+1, row[j]+1)
		}
	}
	return row[len(b)]
}
