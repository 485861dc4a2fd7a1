package check

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A subject is an attribute in a table: that of a span by its ID, of an event by its name, or any for "".
type subject struct {
	table string
	key   attribute.Key
}

type decision func(place) verdict

// conditions decide, for attributes that are not there, the conditions under which they should be, as far as the data
// tells. An attribute that is in none is recommended always, or required under a condition that only the program knows.
var conditions = map[subject]decision{
	// Status rules.
	{"", semconv.ErrorTypeKey}: never,

	// What goes with another attribute.
	{"", semconv.ServerPortKey}:                                 with(semconv.ServerAddressKey),
	{"azure.ai.gen_ai.client.inference", semconv.ServerPortKey}: unknowable, // if it is not the default
	{"", "client.port"}:                                         with("client.address"),
	{"", semconv.GenAIPromptVersionKey}: func(p place) verdict {
		if p.attrs.has(semconv.GenAIPromptNameKey) {
			return unknown // there may be no version
		}
		return fails
	},
	{"gen_ai.client.inference", semconv.GenAIPromptNameKey}: proof(func(p place) bool { return p.attrs.has(semconv.GenAIPromptVersionKey) }),
	{"", semconv.GenAIOutputTypeKey}:                        proof(func(p place) bool { return p.attrs.has(semconv.MelleaRequestFormatTypeKey) }),
	{"mellea.chat", semconv.MelleaRequestFormatTypeKey}: proof(func(p place) bool {
		return p.attrs.is(semconv.GenAIOutputTypeKey, semconv.GenAIOutputTypeJSON)
	}),

	// A model in the program's process has no server.
	{"gen_ai.client.inference", semconv.ServerAddressKey}: func(p place) verdict {
		if p.span == nil {
			return unknown
		}
		return when(kindOf(p.span.GetKind()) == semconv.KindClient)
	},

	// What the request or the reply gives away.
	{"", semconv.GenAIRequestStreamKey}: func(p place) verdict {
		return when(p.attrs.has(semconv.GenAIResponseTimeToFirstChunkKey) || p.hasEvent(semconv.EventFirstChunk, semconv.EventFirstToken,
			semconv.EventStreamComplete, semconv.EventChunkProcessed))
	},
	{"gen_ai.client.inference", semconv.GenAIResponseTimeToFirstChunkKey}: func(p place) verdict {
		switch {
		case !p.attrs.isTrue(semconv.GenAIRequestStreamKey):
			return fails
		case p.unfinished():
			return unknown // there may have been no chunk
		}
		return holds
	},
	{"", semconv.GenAIRequestChoiceCountKey}:    place.severalChoices,
	{"", semconv.GenAIConversationCompactedKey}: never, // false is absent

	// The reply of an operation that did not get to its end.
	{"", semconv.GenAIResponseFinishReasonsKey}:               finished,
	{"", semconv.GenAIResponseIDKey}:                          finished,
	{"", semconv.GenAIResponseModelKey}:                       finished,
	{"", semconv.GenAIResponseStatusKey}:                      finished,
	{"", semconv.GenAIUsageInputTokensKey}:                    finished,
	{"", semconv.GenAIUsageOutputTokensKey}:                   finished,
	{"", semconv.OpenAIResponseSystemFingerprintKey}:          finished,
	{"first_chunk", semconv.GenAIResponseTimeToFirstChunkKey}: always,

	// Log events.
	{semconv.EventGenAIEvaluationResult, semconv.GenAIResponseIDKey}:  unknowable,
	{semconv.EventGenAIClientOperationException, "exception.message"}: alternative("exception.type"),
	{semconv.EventGenAIClientOperationException, "exception.type"}:    alternative("exception.message"),

	// MCP.
	{"", semconv.MCPResourceURIKey}:               methods("resources/read", "resources/subscribe", "resources/unsubscribe", "notifications/resources/updated"),
	{"mcp.client", semconv.GenAIToolNameKey}:      methods("tools/call"),
	{"mcp.server", semconv.GenAIToolNameKey}:      methods("tools/call"),
	{"mcp.client", semconv.GenAIPromptNameKey}:    methods("prompts/get"),
	{"mcp.server", semconv.GenAIPromptNameKey}:    methods("prompts/get"),
	{"mcp.client", semconv.GenAIOperationNameKey}: methods("tools/call"),
	{"mcp.server", semconv.GenAIOperationNameKey}: methods("tools/call"),
	{"", rpcStatusCode}: func(p place) verdict {
		errorType, _ := p.attrs.text(semconv.ErrorTypeKey)
		return when(isRPCCode(errorType))
	},
	{"", semconv.JSONRPCRequestIDKey}: func(p place) verdict {
		method, ok := p.attrs.text(semconv.MCPMethodNameKey)
		return when(ok && !strings.HasPrefix(method, "notifications/"))
	},

	// How one of this module's operations ended.
	{"", semconv.MelleaOutcomeKey}:          func(p place) verdict { return when(p.span != nil && p.span.failed()) },
	{"", semconv.MelleaErrorCategoryKey}:    func(p place) verdict { return when(p.unfinished()) },
	{"", semconv.MelleaRejectionPointKey}:   func(p place) verdict { return when(isRejected(p)) },
	{"", semconv.MelleaRejectionPluginKey}:  ifRejected,
	{"", semconv.MelleaRejectionCodeKey}:    ifRejected,
	{"", semconv.MelleaContentTruncatedKey}: never, // false is absent

	// This module's own spans and events.
	{"mellea.start_session", semconv.MelleaSessionBackendNameKey}: result,
	{"mellea.start_session", semconv.GenAIProviderNameKey}:        result,
	{"mellea.action", semconv.MelleaActionNumGenerateLogsKey}:     result,
	{"mellea.action", semconv.MelleaActionResponseLengthKey}:      result,
	{"mellea.action", semconv.MelleaFormatterTemplateKey}:         result,
	{"mellea.action", semconv.MelleaFormatterRenderedLengthKey}:   result,
	{"mellea.action", semconv.MelleaSamplingStrategyTypeKey}: func(p place) verdict {
		return when(p.attrs.isTrue(semconv.MelleaActionHasStrategyKey))
	},
	{"mellea.action", semconv.MelleaSamplingSuccessKey}: func(p place) verdict {
		if !p.attrs.isTrue(semconv.MelleaActionHasStrategyKey) {
			return fails
		}
		return result(p)
	},
	{"mellea.sampling", semconv.MelleaSamplingSuccessKey}:         result,
	{"mellea.validation", semconv.MelleaValidationPassedKey}:      result,
	{"mellea.validation", semconv.MelleaValidationPassedCountKey}: result,
	{"mellea.validation", semconv.MelleaValidationFailedCountKey}: result,
	{"mellea.requirement", semconv.MelleaRequirementPassedKey}:    result,
	{"mellea.session", semconv.MelleaSessionInteractionsKey}:      result,
	{"mellea.execute_tool", semconv.MelleaToolExecutionTimeMsKey}: func(p place) verdict {
		return evidence(p.attrs.is(semconv.MelleaToolStatusKey, semconv.MelleaToolStatusSuccess))
	},
	{"mellea.chat", semconv.MelleaRequestRetriesKey}:              func(p place) verdict { return when(p.hasEvent(semconv.EventRetry)) },
	{"mellea.text_completion", semconv.MelleaRequestRetriesKey}:   func(p place) verdict { return when(p.hasEvent(semconv.EventRetry)) },
	{"mellea.text_completion", semconv.MelleaBatchFailedCountKey}: never, // none is absent
	{"", semconv.MelleaSamplingIterationKey}:                      place.inAttempt,
	{"", semconv.MelleaSessionIDKey}:                              place.beside,
	{"chunk_processed", semconv.MelleaGenerationTimeSinceLastChunkMsKey}: func(p place) verdict {
		index, ok := p.attrs.number(semconv.MelleaGenerationChunkIndexKey)
		return when(ok && index > 0)
	},
	{"stream_complete", semconv.MelleaGenerationEventsSuppressedKey}: never, // none is absent
}

func always(place) verdict     { return holds }
func never(place) verdict      { return fails }
func unknowable(place) verdict { return unknown }

// finished is the condition of what a provider replies: an operation that ended early may have had no reply.
func finished(p place) verdict { return evidence(!p.unfinished()) }

// result is the condition of what an operation of this module has when it ended well.
func result(p place) verdict { return evidence(!p.unfinished()) }

func with(other attribute.Key) decision {
	return func(p place) verdict { return when(p.attrs.has(other)) }
}

func proof(sign func(place) bool) decision {
	return func(p place) verdict { return evidence(sign(p)) }
}

// methods is the condition of what requests of those MCP methods are about. A completion may be about any of it.
func methods(names ...string) decision {
	return func(p place) verdict {
		method, _ := p.attrs.text(semconv.MCPMethodNameKey)
		if method == "completion/complete" {
			return unknown
		}
		return when(slices.Contains(names, method))
	}
}

// alternative is the condition of one of two attributes of which there has to be one, and should be both.
func alternative(other attribute.Key) decision {
	return func(p place) verdict {
		if p.attrs.has(other) {
			return unknown
		}
		return holds
	}
}

// severalChoices decides whether the request asked for a number of choices other than one. Each choice has a reason why
// it ended; but a batch has one for each of its prompts as well.
func (p place) severalChoices() verdict {
	reasons := p.attrs.length(semconv.GenAIResponseFinishReasonsKey)
	if prompts, ok := p.attrs.number(semconv.MelleaRequestNumActionsKey); ok {
		return when(int64(reasons) > prompts)
	}
	if p.attrs.is(semconv.GenAIOperationNameKey, semconv.GenAIOperationNameTextCompletion) {
		return unknown
	}
	return evidence(reasons > 1)
}

func isRejected(p place) bool {
	return p.attrs.is(semconv.MelleaOutcomeKey, semconv.MelleaOutcomeRejected)
}

func ifRejected(p place) verdict {
	if isRejected(p) {
		return unknown // it may have none
	}
	return fails
}
