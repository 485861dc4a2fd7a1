package check

import (
	"encoding/hex"
	"slices"

	"go.opentelemetry.io/otel/attribute"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// checkValue holds a value against the definition of its attribute: its type, its enumeration, its content schema.
func (c *checker) checkValue(p place, def semconv.Attribute, v *commonpb.AnyValue, report func(ID, Level, string, ...any)) {
	if def.Schema != "" {
		if _, encoded := v.GetValue().(*commonpb.AnyValue_StringValue); encoded && p.signal == Log {
			report(ContentNotStructured, Violation, "is a string: on a log record it has to be structured")
			return
		}
		if problem := c.contentProblem(def, v); problem != "" {
			report(GenAIContentSchema, Violation, "%s", problem)
		}
		return
	}
	if !fits(v, def.Type) {
		report(TypeMismatch, Violation, "is of type %s, want %s", typeName(v), def.Type)
		return
	}
	text, ok := v.GetValue().(*commonpb.AnyValue_StringValue)
	if !ok {
		return
	}
	if now, old := renamedValues[def.Name][text.StringValue]; old {
		report(Deprecated, Violation, "the conventions have given its value %q up: use %s", text.StringValue, now)
		return
	}
	switch {
	case def.Name == string(semconv.GenAIOperationNameKey) && !def.HasValue(text.StringValue) && p.span == nil && p.use != nil:
		report(GenAIOperationNameUnknown, Violation, "is not one of the operations there are")
	case !isEnumeration(def), def.HasValue(text.StringValue):
	case def.Closed:
		report(UndefinedEnumVariant, Violation, "%q is none of its values", text.StringValue)
	default:
		report(UndefinedEnumVariant, Information, "%q is none of its well-known values", text.StringValue)
	}
}

// renamedValues are values of enumerations that the conventions have given up, with what took their place.
var renamedValues = map[string]map[string]string{
	string(semconv.GenAIProviderNameKey): {
		"az.ai.inference": semconv.GenAIProviderNameAzureAIInference, "az.ai.openai": semconv.GenAIProviderNameAzureAIOpenAI,
		"vertex_ai": semconv.GenAIProviderNameGCPVertexAI, "gemini": semconv.GenAIProviderNameGCPGemini, "xai": semconv.GenAIProviderNameXAI,
	},
}

// isEnumeration reports whether the values of an attribute are listed. Of error.type only the fallback is, and unknown
// operations have a rule of their own.
func isEnumeration(def semconv.Attribute) bool {
	if def.Name == string(semconv.GenAIOperationNameKey) {
		return false
	}
	values := slices.Collect(def.Values())
	return len(values) > 1 || len(values) == 1 && values[0] != semconv.ErrorTypeOther
}

// absentWhen are values that the conventions say by leaving the attribute out.
var absentWhen = []struct {
	key    attribute.Key
	absent func(attributes, attribute.Key) bool
	why    string
}{
	{semconv.GenAIRequestStreamKey, isFalse, "is set only when the request is streaming"},
	{semconv.GenAIConversationCompactedKey, isFalse, "is only ever true"},
	{semconv.MelleaContentTruncatedKey, isFalse, "is only ever true"},
	{semconv.GenAIRequestChoiceCountKey, isOne, "is set only when it is not 1"},
}

func isFalse(a attributes, key attribute.Key) bool {
	v, ok := a.flag(key)
	return ok && !v
}

func isOne(a attributes, key attribute.Key) bool {
	n, ok := a.number(key)
	return ok && n == 1
}

// parts are counts that are a part of another.
var parts = []struct{ part, whole attribute.Key }{
	{semconv.GenAIUsageCacheReadInputTokensKey, semconv.GenAIUsageInputTokensKey},
	{semconv.GenAIUsageCacheWriteInputTokensKey, semconv.GenAIUsageInputTokensKey},
	{semconv.GenAIUsageTextInputTokensKey, semconv.GenAIUsageInputTokensKey},
	{semconv.GenAIUsageImageInputTokensKey, semconv.GenAIUsageInputTokensKey},
	{semconv.GenAIUsageAudioInputTokensKey, semconv.GenAIUsageInputTokensKey},
	{semconv.GenAIUsageReasoningOutputTokensKey, semconv.GenAIUsageOutputTokensKey},
	{semconv.GenAIUsageTextOutputTokensKey, semconv.GenAIUsageOutputTokensKey},
	{semconv.GenAIUsageImageOutputTokensKey, semconv.GenAIUsageOutputTokensKey},
	{semconv.GenAIUsageAudioOutputTokensKey, semconv.GenAIUsageOutputTokensKey},
	{semconv.MelleaSamplingIterationsUsedKey, semconv.MelleaSamplingLoopBudgetKey},
	{semconv.MelleaBatchFailedCountKey, semconv.MelleaRequestNumActionsKey},
}

// checkValues checks values against each other.
func (c *checker) checkValues(s *span) {
	a := s.attrs
	for _, v := range absentWhen {
		if v.absent(a, v.key) {
			c.report(s.finding(UnexpectedValue, Improvement, "%s", v.why).on(v.key))
		}
	}
	for _, p := range parts {
		part, ok := a.number(p.part)
		whole, ok2 := a.number(p.whole)
		if ok && ok2 && part > whole {
			c.report(s.finding(CountInconsistent, Violation, "is more than %s, of which it is a part", p.whole).on(p.part))
		}
	}
	count, ok := a.number(semconv.MelleaValidationRequirementCountKey)
	passed, ok2 := a.number(semconv.MelleaValidationPassedCountKey)
	failed, ok3 := a.number(semconv.MelleaValidationFailedCountKey)
	if ok && ok2 && ok3 {
		if passed+failed != count {
			c.report(s.finding(CountInconsistent, Violation, "requirements met and not met do not add up to it").
				on(semconv.MelleaValidationRequirementCountKey))
		} else if all, ok := a.flag(semconv.MelleaValidationPassedKey); ok && all != (failed == 0) {
			c.report(s.finding(CountInconsistent, Violation, "is %t with %d requirements not met", all, failed).
				on(semconv.MelleaValidationPassedKey))
		}
	}
	if id, ok := a.text(semconv.GenAIConversationIDKey); ok && id != "" {
		if session, _ := a.text(semconv.MelleaSessionIDKey); id == session || id == hex.EncodeToString(s.GetTraceId()) {
			c.report(s.finding(ConversationIDMadeUp, Violation, "is the id of something else: it is set only when the program gives one").
				on(semconv.GenAIConversationIDKey))
		}
	}
}
