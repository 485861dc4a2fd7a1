package telemetry_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
)

// contents prints what spans have of messages, and of references to them.
type contents struct{}

func (contents) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		for _, kv := range s.Attributes() {
			if key := string(kv.Key); key == "gen_ai.input.messages" || strings.HasSuffix(key, ".ref") {
				fmt.Println(key, "=", kv.Value.String())
			}
		}
	}
	return nil
}

func (contents) Shutdown(context.Context) error { return nil }

// Content is recorded, but not the secrets in it, nor the numbers of one's own cases.
func ExampleWithRedactor_rules() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(contents{}), telemetry.WithContent(true),
		telemetry.WithRedactor(redact.All(redact.Secrets(), redact.Emails(), redact.Pattern(regexp.MustCompile(`CASE-\d+`), "[case]"))))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = mellea.Instruct(ctx, mellea.On(says("Done"), mellea.WithHooks(tel)), "Close CASE-17 for jane@example.com with password: hunter2")
	fmt.Println(err)
	_ = tel.Shutdown(ctx)
	// Output:
	// <nil>
	// gen_ai.input.messages = [{"parts":[{"content":"Close [case] for [redacted:email] with password: [redacted:secret]","type":"text"}],"role":"user"}]
}

// bucket stands in for an object store.
type bucket struct{ objects map[string]string }

func (b bucket) Ref(name string) string { return "s3://prompts/" + name }

func (b bucket) Put(_ context.Context, name string, data []byte) error {
	b.objects[name] = string(data)
	return nil
}

// Messages go into a store of one's own, and spans refer to them.
func ExampleWithContentStore() {
	ctx := context.Background()
	store := bucket{objects: map[string]string{}}
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithSpanExporter(contents{}), telemetry.WithContentStore(store))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = mellea.Instruct(ctx, mellea.On(says("Hello"), mellea.WithHooks(tel)), "Greet Ada")
	fmt.Println(err)
	_ = tel.Shutdown(ctx) // waits for the store
	for _, data := range store.objects {
		if strings.Contains(data, "Ada") {
			fmt.Println(data)
		}
	}
	// Unordered output:
	// <nil>
	// mellea.content.input_messages.ref = s3://prompts/d23608bfda93a37cb6aa4f961b2f62e8118adb8d3c7aa73abc92ef24f5380425.json
	// mellea.content.output_messages.ref = s3://prompts/8f94e427ed402842f3f8f505dddc73d2b63ef01ea2ed206437a456d23205c1de.json
	// [{"parts":[{"content":"Greet Ada","type":"text"}],"role":"user"}]
}

// Spans are appended to a file, for mellea cost, a collector's file receiver, or anything else that reads OTLP.
func ExampleWithTracesFile() {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "traces")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = os.RemoveAll(folder) }()
	path := filepath.Join(folder, "trace.jsonl")
	tel, err := telemetry.Setup(ctx, telemetry.WithEnviron(nil), telemetry.WithTracesFile(path))
	if err != nil {
		fmt.Println(err)
		return
	}
	_, err = mellea.Instruct(ctx, mellea.On(says("Hello"), mellea.WithHooks(tel)), "Greet Ada")
	fmt.Println(err, tel.Shutdown(ctx))
	lines, err := os.ReadFile(path)
	fmt.Println(strings.Contains(string(lines), `"name":"chat m1"`), strings.Count(string(lines), "\n"), err)
	// Output:
	// <nil> <nil>
	// true 1 <nil>
}

// What a call cost, by the list prices of this version.
func ExamplePricing_Cost() {
	usage := content.Usage{InputTokens: 300_000, OutputTokens: 1000, CacheReadTokens: 100_000}
	usd, ok := telemetry.DefaultPricing().Cost("gcp.gemini", "gemini-2.5-pro", usage, false)
	fmt.Printf("%.4f %v\n", usd, ok) // an input this long has prices of its own
	_, ok = telemetry.DefaultPricing().Cost("openai", "no-such-model", usage, false)
	fmt.Println(ok)
	// Output:
	// 0.5400 true
	// false
}
