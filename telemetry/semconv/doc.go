// Package semconv holds the names, types and requirement levels of everything
// this module emits: the OpenTelemetry conventions for generative AI and MCP,
// and the module's own registry, mellea.yaml.
//
// Names are constants, in the style of OpenTelemetry-Go:
//
//   - an attribute is an [attribute.Key]: gen_ai.request.model is
//     GenAIRequestModelKey, mellea.session.id is MelleaSessionIDKey;
//   - a value of an enumeration is a string constant named after its attribute:
//     GenAIOperationNameChat, MelleaOutcomeRejected;
//   - spans, events, metrics, scopes and log fields begin with Span, Event,
//     Metric, Scope and LogKey: SpanSession, EventFirstChunk,
//     MetricMelleaLLMErrors, ScopeBackend, LogKeyTraceID.
//
// The registries themselves are data, read through [LookupAttribute],
// [SpanFor], [Metrics] and the like. They cannot be changed through what these
// functions return, and everything in this package may be used by several
// goroutines at once.
//
// # Regenerating
//
// After an edit of mellea.yaml:
//
//	go generate ./telemetry/semconv
//
// The GenAI part (genai_*.gen.go) is committed only in its generated form and
// stays as it is, unless GENAI_REGISTRY names a resolved registry, a JSON file
// with the content schemas in the folder schemas beside it:
//
//	GENAI_REGISTRY=path/genai-registry.json go generate ./telemetry/semconv
//
// Only the generator, internal/semconvgen, reads YAML.
package semconv

//go:generate go run ../../internal/semconvgen -mellea mellea.yaml -out . -doc ../../docs/telemetry/reference.md
