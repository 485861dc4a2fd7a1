package telemetry_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// Every variable whose value cannot be used is a warning by its name, and the default is in effect; none is quoted.
func TestLogVariablesAreChecked(t *testing.T) {
	t.Parallel()
	collector := "OTEL_EXPORTER_OTLP_ENDPOINT=" + otlptest.Start(t).HTTP
	file := "MELLEA_LOGS_FILE=" + filepath.Join(t.TempDir(), "app.log")
	for _, test := range []struct {
		env   []string
		warns []string
	}{
		{[]string{"MELLEA_LOGS_LEVEL=planted"}, []string{"MELLEA_LOGS_LEVEL must be a level"}},
		{[]string{"MELLEA_LOGS_CONSOLE=planted"}, []string{"MELLEA_LOGS_CONSOLE must be one of true, false, yes, no, on, off, 1, 0: the default, true, is used"}},
		{[]string{"MELLEA_LOGS_JSON=planted"}, []string{"MELLEA_LOGS_JSON must be one of true, false, yes, no, on, off, 1, 0: the default, false, is used"}},
		{[]string{file, "MELLEA_LOGS_FILE_MAX_BYTES=planted"}, []string{"MELLEA_LOGS_FILE_MAX_BYTES must be a number of at least 0: the default, 10485760, is used"}},
		{[]string{file, "MELLEA_LOGS_FILE_MAX_BYTES=-1"}, []string{"MELLEA_LOGS_FILE_MAX_BYTES must be a number of at least 0"}},
		{[]string{file, "MELLEA_LOGS_FILE_BACKUP_COUNT=planted"}, []string{"MELLEA_LOGS_FILE_BACKUP_COUNT must be a number of at least 0: the default, 5, is used"}},
		{[]string{"MELLEA_LOGS_FILE_MAX_BYTES=100"}, []string{"MELLEA_LOGS_FILE_MAX_BYTES is set, but MELLEA_LOGS_FILE is not: no file is written"}},
		{[]string{"MELLEA_LOGS_FILE_BACKUP_COUNT=1"}, []string{"MELLEA_LOGS_FILE_BACKUP_COUNT is set, but MELLEA_LOGS_FILE is not"}},
		{[]string{"MELLEA_LOGS_OTLP=planted"}, []string{"MELLEA_LOGS_OTLP must be one of"}},
		{[]string{"MELLEA_LOGS_OTLP=true"}, []string{"logs are not exported, as there is no endpoint: set OTEL_EXPORTER_OTLP_LOGS_ENDPOINT or OTEL_EXPORTER_OTLP_ENDPOINT"}},
		{[]string{"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT=ftp://planted"}, []string{"OTEL_EXPORTER_OTLP_LOGS_ENDPOINT is not a URL such as http://localhost:4318: logs are not exported"}},
		{[]string{"MELLEA_LOGS_OTLP=true", collector, "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL=planted"}, []string{"OTEL_EXPORTER_OTLP_LOGS_PROTOCOL must be grpc or http/protobuf"}},
		{[]string{"MELLEA_LOGS_OTLP=true", collector, "OTEL_BLRP_MAX_QUEUE_SIZE=0"}, []string{"OTEL_BLRP_MAX_QUEUE_SIZE must be a number of at least 1: the default, 2048, is used"}},
		{[]string{"MELLEA_LOGS_WEBHOOK=http://planted"}, []string{"MELLEA_LOGS_WEBHOOK must be an https URL"}},
		{[]string{"MELLEA_LOGS_WEBHOOKS=planted"}, []string{"MELLEA_LOGS_WEBHOOKS is not a variable of this library: did you mean MELLEA_LOGS_WEBHOOK?"}},
		{[]string{"MELLEA_PRICING_ENABLED=planted"}, []string{"MELLEA_PRICING_ENABLED must be one of true, false, yes, no, on, off, 1, 0: the default, true, is used"}},
	} {
		t.Run(strings.Join(test.env, " "), func(t *testing.T) {
			t.Parallel()
			book := &logbook{}
			tel, out := logs(t, environ(test.env...), telemetry.WithLogger(book.logger()))
			slog.New(tel.LogHandler()).Info("shown")
			if !strings.Contains(out.String(), "INFO shown") {
				t.Errorf("the console got %q", out)
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			checkWarnings(t, book, test.warns)
			for _, line := range book.lines() {
				if strings.Contains(line, "planted") {
					t.Errorf("the warning quotes the value: %s", line)
				}
			}
		})
	}
}

// Anything that is asked for switches logs on, so that lines know their step; nothing leaves a program without bindings.
func TestWhatSwitchesLogsOn(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "app.log")
	for name, test := range map[string]struct {
		env  []string
		opts []telemetry.Option
		want bool
	}{
		"nothing":       {},
		"no console":    {env: []string{"MELLEA_LOGS_CONSOLE=false"}},
		"no OTLP":       {env: []string{"MELLEA_LOGS_OTLP=false"}},
		"the console":   {env: []string{"MELLEA_LOGS_CONSOLE=true"}, want: true},
		"a level":       {env: []string{"MELLEA_LOGS_LEVEL=INFO"}, want: true},
		"JSON":          {env: []string{"MELLEA_LOGS_JSON=true"}, want: true},
		"a file":        {env: []string{"MELLEA_LOGS_FILE=" + file}, want: true},
		"OTLP":          {env: []string{"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:1"}, want: true},
		"a webhook":     {env: []string{"MELLEA_LOGS_WEBHOOK=https://127.0.0.1:1"}, want: true},
		"in code":       {opts: []telemetry.Option{telemetry.WithLogs(true)}, want: true},
		"off in code":   {env: []string{"MELLEA_LOGS_CONSOLE=true"}, opts: []telemetry.Option{telemetry.WithLogs(false)}},
		"an exporter":   {opts: []telemetry.Option{telemetry.WithLogExporter(&keptLogs{})}, want: true},
		"a level var":   {opts: []telemetry.Option{telemetry.WithLogLevel(slog.LevelDebug)}, want: true},
		"JSON in code":  {opts: []telemetry.Option{telemetry.WithLogsJSON(false)}, want: true},
		"event content": {opts: []telemetry.Option{telemetry.WithEventContent(true)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), append(test.opts, environ(test.env...))...))
			if got := tel.Bindings() != nil; got != test.want {
				t.Errorf("logs are on: %v, want %v", got, test.want)
			}
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// Inspect shows where logs go, and no secret.
func TestInspectLogs(t *testing.T) {
	t.Parallel()
	env := map[string]string{"MELLEA_LOGS_OTLP": "true", "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT": "https://user:secret@logs:4317/?k=secret",
		"OTEL_EXPORTER_OTLP_ENDPOINT": "http://traces:4318", "MELLEA_LOGS_WEBHOOK": "https://user:secret@hook/secret", "MELLEA_LOGS_FILE": "app.log"}
	got := telemetry.Inspect(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
	if got.LogsEndpoint != "https://logs:4317/" || got.LogsProtocol != "grpc" {
		t.Errorf("logs go to %s by %s", got.LogsEndpoint, got.LogsProtocol)
	}
	if strings.Contains(text(got), "secret") {
		t.Errorf("a secret is shown: %s", text(got))
	}
	values := map[string]string{}
	for _, s := range got.Settings {
		if s.Pillar == "logs" && strings.HasPrefix(s.Name, "MELLEA_") {
			values[s.Name] = s.Value
		}
		if s.Pillar == "logs" && s.Note != "" {
			t.Errorf("%s has the note %q", s.Name, s.Note)
		}
	}
	want := map[string]string{"MELLEA_LOGS_LEVEL": "INFO", "MELLEA_LOGS_CONSOLE": "true", "MELLEA_LOGS_JSON": "false", "MELLEA_LOGS_FILE": "app.log",
		"MELLEA_LOGS_FILE_MAX_BYTES": "10485760", "MELLEA_LOGS_FILE_BACKUP_COUNT": "5", "MELLEA_LOGS_OTLP": "true", "MELLEA_LOGS_WEBHOOK": "****"}
	if diff := cmp.Diff(want, values); diff != "" {
		t.Errorf("settings (-want +got):\n%s", diff)
	}
}
