package telemetry_test

import (
	"context"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

func eventNames(s otlptest.Span) []string {
	var all []string
	for _, e := range s.Events {
		all = append(all, e.Name)
	}
	return all
}

// A stream through a session leaves its chunks and milestones, and ends with the last byte, not with the last reader.
func TestStreamThroughSession(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP,
		"MELLEA_GENERATION_CHUNK_EVENTS=true"))
	b := &scripted{answer: func(_ context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		w.Other(time.Now())
		w.Text(time.Now(), []byte("Dear "))
		w.Text(time.Now(), []byte("Alice"))
		return nil
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one", mellea.Options(backend.Options{}.WithStream(true))))
	_ = s.Close()
	flush(t, tel)
	chat := named(t, server.Spans(t, 4), "chat m1")
	want := []string{"chunk_processed", "chunk_processed", "chunk_processed", "first_chunk", "first_token", "stream_complete"}
	if diff := cmp.Diff(want, eventNames(chat)); diff != "" {
		t.Errorf("events (-want +got):\n%s", diff)
	}
	first, _ := chat.Event("first_chunk")
	if got, want := first.Attributes["gen_ai.response.time_to_first_chunk"], chat.Attributes["gen_ai.response.time_to_first_chunk"]; got != want {
		t.Errorf("time to first chunk is %v on the event and %v on the span", got, want)
	}
	for _, e := range chat.Events {
		if e.Time.After(chat.End.Add(time.Millisecond)) {
			t.Errorf("event %s is %v after the end", e.Name, e.Time.Sub(chat.End))
		}
	}
}

// Leaving a stream early is the caller's choice and no error (epic 3b.7, 7.3 no. 36).
func TestLeavingAStreamIsNoError(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server)
	b := &scripted{answer: func(ctx context.Context, _ int, _ backend.Request, w *backend.Writer) error {
		w.Text(time.Now(), []byte("Dear"))
		<-ctx.Done()
		return ctx.Err()
	}}
	s := start(t, t.Context(), b, mellea.WithHooks(tel))
	out := must[*backend.Output](t)(s.StartInstruct(t.Context(), "one"))
	for range out.Chunks(t.Context()) {
		break
	}
	<-out.Done()
	_ = s.Close()
	flush(t, tel)
	want := []ending{{Span: "action", Status: "unset", Outcome: "cancelled", Category: "cancelled"},
		{Span: "chat m1", Status: "unset", Outcome: "cancelled", Category: "cancelled"}}
	if diff := cmp.Diff(want, endings(server.Spans(t, 4))); diff != "" {
		t.Errorf("endings (-want +got):\n%s", diff)
	}
}

// A collector behind TLS is trusted by the certificate that the environment names.
func TestExportOverTLS(t *testing.T) {
	t.Parallel()
	asked := make(chan string, 1)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked <- r.URL.Path }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, "OTEL_EXPORTER_OTLP_CERTIFICATE="+file)))
	_, end := tel.StartCommand(t.Context(), "run", "", nil)
	end(0)
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := <-asked; got != "/v1/traces" {
		t.Errorf("exported to %s, want /v1/traces", got)
	}
	checkWarnings(t, book, nil)
}
