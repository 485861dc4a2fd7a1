package telemetry_test

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/telemetry"
)

// The SDK's exporters print header lists that they cannot parse to standard error. In a process of its own, as they read
// the environment and write to the real standard error.
func TestMalformedHeadersAreNotPrinted(t *testing.T) {
	if os.Getenv("HEADERS_TEST_CHILD") != "" {
		var log bytes.Buffer
		tel, err := telemetry.Setup(context.Background(), telemetry.WithLogger(slog.New(slog.NewTextHandler(&log, nil))))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "OTEL_EXPORTER_OTLP_HEADERS") {
			t.Errorf("warnings = %q, want one that names the variable", log.String())
		}
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		return
	}
	t.Parallel()
	for _, protocol := range []string{"grpc", "http/protobuf"} {
		for _, headers := range []string{"Authorization: Bearer planted", "a=planted%zz", "pla nted=1", "a=1,planted"} {
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMalformedHeadersAreNotPrinted$")
			cmd.Env = append(os.Environ(), "HEADERS_TEST_CHILD=1", "MELLEA_TRACES_ENABLED=1", "MELLEA_TRACES_OTLP=1",
				"OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:9", "OTEL_EXPORTER_OTLP_PROTOCOL="+protocol, "OTEL_EXPORTER_OTLP_HEADERS="+headers)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s, %q: %v\n%s", protocol, headers, err, out)
			}
			if s := string(out); strings.Contains(s, "planted") || strings.Contains(s, "pla nted") {
				t.Errorf("%s, %q: printed: %s", protocol, headers, s)
			}
		}
	}
}
