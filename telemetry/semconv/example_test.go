package semconv_test

import (
	"fmt"
	"slices"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// Constants are keys of OpenTelemetry and plain strings.
func Example() {
	fmt.Println(semconv.GenAIOperationNameKey.String(semconv.GenAIOperationNameChat).Value.AsString())
	fmt.Println(semconv.MelleaOutcomeKey, semconv.MelleaOutcomeRejected)
	fmt.Println(semconv.GenAIPromptVariable("city", "Bern").Key)
	fmt.Println(semconv.ScopeBackend, semconv.SpanChat, semconv.EventFirstChunk)
	// Output:
	// chat
	// mellea.outcome rejected
	// gen_ai.prompt.variable.city
	// mellea.backend chat first_chunk
}

func ExampleLookupAttribute() {
	a, ok := semconv.LookupAttribute("mellea.tool.status")
	fmt.Println(ok, a.Type, a.Closed, slices.Collect(a.Values()))
	// Output: true string true [success failure]
}

func ExampleSpanFor() {
	s, _ := semconv.SpanFor("chat", semconv.KindClient)
	u, _ := s.Attribute("gen_ai.request.model")
	fmt.Println(s.ID, "named", s.Name)
	fmt.Println(u.Level, u.Condition)
	// Output:
	// gen_ai.client.inference named {gen_ai.operation.name} {gen_ai.request.model}
	// conditionally_required If available.
}

func ExampleDeprecated() {
	d, ok := semconv.Deprecated(semconv.SignalAttribute, "gen_ai.system")
	fmt.Println(ok, slices.Collect(d.Replacements()))
	// Output: true [gen_ai.provider.name]
}
