// Command redaction traces a call with its prompt and reply, takes a name and secrets out of them first, and keeps what
// is too much for a trace in files that the trace refers to.
package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"net/url"
	"os"
	"regexp"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
)

//go:generate go run . -live -record recording.jsonl
//go:embed recording.jsonl
var recording []byte

func main() { recorded.Main(recording, run) }

func run(ctx context.Context, w io.Writer, b backend.Backend, _ *telemetry.Telemetry) error {
	folder, err := os.MkdirTemp("", "content")
	if err != nil {
		return err
	}
	defer os.RemoveAll(folder)
	store, err := telemetry.NewContentDir(folder)
	if err != nil {
		return err
	}
	clean := redact.All(redact.Secrets(), redact.Emails(), redact.Pattern(regexp.MustCompile(`\bAda\b`), "[name]"))

	tel, err := telemetry.Setup(ctx,
		telemetry.WithContent(true),       // prompts and replies on spans,
		telemetry.WithRedactor(clean),     // but not these,
		telemetry.WithContentStore(store), // and in files, with a reference on the span
		telemetry.WithSpanExporter(printer{w}))
	if err != nil {
		return err
	}
	err = greet(ctx, w, b, tel)
	if ended := tel.Shutdown(ctx); err == nil { // what was queued is exported and stored
		err = ended
	}
	return err
}

func greet(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel))
	if err != nil {
		return err
	}
	defer s.Close()
	hello, err := s.Instruct(ctx, "Greet {{name}} in one short sentence.", mellea.Vars{"name": "Ada"},
		mellea.Temperature(0), mellea.MaxTokens(40))
	if err != nil {
		return err
	}
	fmt.Fprintln(w, "the program sees:", hello.Text())
	return tel.ForceFlush(ctx)
}

// printer prints what a trace has of a call to a model.
type printer struct{ w io.Writer }

func (p printer) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		for _, kv := range s.Attributes() {
			switch {
			case !strings.HasPrefix(s.Name(), "chat "):
			case kv.Key == "gen_ai.input.messages", kv.Key == "gen_ai.output.messages":
				fmt.Fprintf(p.w, "the trace has: %s = %s\n", kv.Key, kv.Value)
			case strings.HasPrefix(string(kv.Key), "mellea.content."):
				u, err := url.Parse(kv.Value.AsString())
				if err != nil {
					return err
				}
				fmt.Fprintf(p.w, "and refers to: %s = %s://…%s\n", kv.Key, u.Scheme, u.Path[strings.LastIndex(u.Path, "/"):])
			}
		}
	}
	return nil
}

func (printer) Shutdown(context.Context) error { return nil }
