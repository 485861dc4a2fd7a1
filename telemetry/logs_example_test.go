package telemetry_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"

	sdklog "go.opentelemetry.io/otel/sdk/log"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

// steady leaves out the time of a line, and hides ids, which differ from run to run.
type steady struct{ io.Writer }

var changes = regexp.MustCompile(`^\S+ |"time":"[^"]*",|[0-9a-f]{8}(-?[0-9a-f]{4}){3}-?[0-9a-f]{12}`)

func (s steady) Write(p []byte) (int, error) {
	_, err := s.Writer.Write(changes.ReplaceAllFunc(p, func(found []byte) []byte {
		if c := found[len(found)-1]; c == ' ' || c == ',' {
			return nil
		}
		return []byte("****")
	}))
	return len(p), err
}

// Lines know which step they are written in: here a guard's knows its session, its call and the model.
func ExampleTelemetry_LogHandler() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithLogsConsole(steady{os.Stdout}))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	log := slog.New(tel.LogHandler())

	guard := hookpoint.Generation.Guard(func(ctx context.Context, g hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		log.InfoContext(ctx, "asking", "messages", g.Messages.Len())
		return g, nil
	})
	s, err := mellea.Start(ctx, says("Dear Alice"), mellea.WithHooks(tel, guard))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Instruct(ctx, "Write a mail"); err != nil {
		log.Error("no mail", "err", err)
	}
	_ = s.Close()
	log.Info("done")
	// Output:
	// INFO asking messages=1 session_id=**** request_id=**** model=m1
	// INFO done
}

// JSON for a machine that reads the lines.
func ExampleWithLogsJSON() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithLogsConsole(jsonOnly{os.Stdout}), telemetry.WithLogsJSON(true))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	slog.New(tel.LogHandler()).Info("sent", "to", "alice", slog.Group("mail", "bytes", 120))
	// Output: {"level":"INFO","msg":"sent","to":"alice","mail":{"bytes":120}}
}

// jsonOnly leaves out the time.
type jsonOnly struct{ io.Writer }

func (w jsonOnly) Write(p []byte) (int, error) {
	_, err := w.Writer.Write(regexp.MustCompile(`"time":"[^"]*",`).ReplaceAll(p, nil))
	return len(p), err
}

// A file of at most a thousand bytes, and three older ones.
func ExampleWithLogFile() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(dir) }()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithLogsConsole(io.Discard),
		telemetry.WithLogFile(filepath.Join(dir, "app.log"), 1000, 3))
	if err != nil {
		fmt.Println(err)
		return
	}
	log := slog.New(tel.LogHandler())
	for i := range 100 {
		log.Info("a line", "n", i)
	}
	_ = tel.Shutdown(ctx)
	files, _ := os.ReadDir(dir)
	for _, f := range files {
		fmt.Println(f.Name())
	}
	// Output:
	// app.log
	// app.log.1
	// app.log.2
	// app.log.3
}

// Packages may have levels of their own: here that of this example says less.
func ExampleWithPackageLogLevel() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithLogsConsole(steady{os.Stdout}),
		telemetry.WithPackageLogLevel("github.com/mellea-go/mellea/telemetry_test", slog.LevelWarn))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(ctx) }()
	log := slog.New(tel.LogHandler())
	log.Info("not shown")
	log.Warn("shown")
	// Output: WARN shown
}

// logEventNames prints the name of each log event it is given.
type logEventNames struct{}

func (logEventNames) Export(_ context.Context, records []sdklog.Record) error {
	for _, r := range records {
		fmt.Println(r.EventName(), r.SeverityText())
	}
	return nil
}

func (logEventNames) ForceFlush(context.Context) error { return nil }
func (logEventNames) Shutdown(context.Context) error   { return nil }

// The events of the GenAI conventions go where logs are exported to. Here an exporter stands in for the collector that
// MELLEA_LOGS_OTLP and OTEL_EXPORTER_OTLP_ENDPOINT would name.
func ExampleWithLogExporter() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithLogExporter(logEventNames{}))
	if err != nil {
		fmt.Println(err)
		return
	}
	s, err := mellea.Start(ctx, says("Dear Alice"), mellea.WithHooks(tel))
	if err != nil {
		fmt.Println(err)
		return
	}
	if _, err := s.Instruct(ctx, "Write a mail", mellea.Check(requirement.MaxWords(10))); err != nil {
		fmt.Println(err)
	}
	_ = s.Close()
	_ = tel.Shutdown(ctx)
	// Output:
	// gen_ai.client.inference.operation.details DEBUG
	// gen_ai.evaluation.result
}
