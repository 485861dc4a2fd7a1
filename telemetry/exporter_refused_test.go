package telemetry_test

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/telemetry"
)

// A collector may take a batch but for some of it, or only have something to say: what it took is not lost.
func TestPartialSuccess(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		refused int64
		message string
	}{
		"a word of warning": {0, "planted: your spans are old"},
		"one of them":       {1, "planted"},
		"more than all":     {1000, "planted"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := proto.Marshal(&coltrace.ExportTraceServiceResponse{PartialSuccess: &coltrace.ExportTracePartialSuccess{RejectedSpans: tt.refused, ErrorMessage: tt.message}})
			if err != nil {
				t.Fatal(err)
			}
			address := answering(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/x-protobuf")
				_, _ = w.Write(reply)
			})
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()),
				environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+address)))
			s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
			_ = s.Close()
			ended := tel.Shutdown(t.Context())
			want := min(tt.refused, 4) // start_session, session, action, chat
			if got := tel.DroppedSpans(); got != want {
				t.Errorf("%d spans are counted as lost, want %d", got, want)
			}
			if lost, ok := errors.AsType[*telemetry.ExportError](ended); ok != (want > 0) || ok && lost.Spans != want {
				t.Errorf("Shutdown: %v, want %d lost", ended, want)
			}
			if want > 0 {
				checkWarnings(t, book, []string{"the collector took the batch and refused some of it"})
			} else {
				checkWarnings(t, book, nil)
			}
		})
	}
}

// A trace is not written onto the end of a line that another process did not get to finish.
func TestTracesFileThatEndsWithinALine(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "traces.jsonl")
	if err := os.WriteFile(path, []byte(`{"resourceSpans":[{"scope`), 0o600); err != nil {
		t.Fatal(err)
	}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithTracesFile(path)))
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "hi"))
	_ = s.Close()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := must[*os.File](t)(os.Open(path))
	defer func() { _ = f.Close() }()
	spans, broken := 0, 0
	for r, err := range otlpfile.Read(f) {
		if err != nil {
			broken++
			continue
		}
		for _, scope := range r.Spans.GetScopeSpans() {
			spans += len(scope.GetSpans())
		}
	}
	if spans != 4 || broken != 1 {
		t.Errorf("%d spans and %d broken lines are read back, want 4 and 1", spans, broken)
	}
}
