package mellea_test

import (
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

// A decision says of a condition, in the words of the reference, whether the attribute has to be there, and whether it may.
type decision func(e emission, name string) (must, may bool)

// decisions are the conditions that what arrives can tell. The rest is in undecided.
var decisions = map[string]decision{
	// How it ended.
	"If the ending is not ok": func(e emission, _ string) (bool, bool) {
		bad := e.has("mellea.outcome") || e.has("mellea.error.category") || e.span.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR
		return bad, bad
	},
	"If the ending is error":                                              ifAndOnlyIf(func(e emission) bool { return e.text("mellea.outcome") == "error" }),
	"If the ending is rejected":                                           ifAndOnlyIf(isRejected),
	"If the ending is rejected by a named plugin":                         onlyIf(isRejected),
	"If the ending is rejected with a code":                               onlyIf(isRejected),
	"If the ending is rejected and the binding belongs to a named plugin": onlyIf(isRejected),
	"If the ending is rejected and the plugin gave a code":                onlyIf(isRejected),
	"If every requirement has a verdict":                                  ifAndOnlyIf(isOK),
	"If the loop ended with a result":                                     ifAndOnlyIf(isOK),
	"If there is a verdict":                                               ifAndOnlyIf(isOK),
	"If the verdict has a score":                                          onlyIf(isOK),
	"If an item failed while the batch did not":                           onlyIf(isOK),
	"If there is a reply":                                                 atLeastIf(isOK),
	"If there is a result":                                                atLeastIf(isOK),
	"If the backend could be asked":                                       atLeastIf(isOK),
	"If the backend could be asked, or its error names it":                atLeastIf(isOK),
	"If the tool was run":                                                 atLeastIf(func(e emission) bool { return e.text("mellea.tool.status") == "success" }),
	"Required if `exception.type` is not set, recommended otherwise":      atLeastIf(func(e emission) bool { return !e.has("exception.type") }),
	"Required if `exception.message` is not set, recommended otherwise":   atLeastIf(func(e emission) bool { return !e.has("exception.message") }),
	"If the operation ended in an error": func(e emission, _ string) (bool, bool) {
		if e.metric != nil || !e.has("gen_ai.operation.name") {
			return false, true // it alone tells
		}
		failed := e.text("mellea.outcome") == "error"
		return failed, failed
	},

	// What it did.
	"If there is a strategy": ifAndOnlyIf(func(e emission) bool { return e.isTrue("mellea.action.has_strategy") }),
	"If there is a strategy and a result": func(e emission, _ string) (bool, bool) {
		strategy := e.isTrue("mellea.action.has_strategy")
		return strategy && isOK(e), strategy
	},
	"If `server.address` is set":                 ifAndOnlyIf(func(e emission) bool { return e.has("server.address") }),
	"If the request was sent more than once":     ifAndOnlyIf(func(e emission) bool { return e.hasEvent("retry") }),
	"If the provider reported it":                ifAndOnlyIf(func(e emission) bool { return e.has("gen_ai.usage.input_tokens") }),
	"If the chunk is not the first":              ifAndOnlyIf(func(e emission) bool { return e.attrs["mellea.generation.chunk_index"].GetIntValue() > 0 }),
	"If a structured output format is asked for": ifAndOnlyIf(func(e emission) bool { return e.text("gen_ai.output.type") == "json" }),
	"When applicable and if the request includes an output format": atLeastIf(func(e emission) bool {
		return e.has("mellea.request.format_type")
	}),
	"If and only if the request is streaming. If unset, the request is assumed to be non-streaming": atLeastIf(func(e emission) bool {
		return e.has("gen_ai.response.time_to_first_chunk") || e.hasEvent("first_chunk")
	}),
	"If the request was a streaming request": onlyIf(func(e emission) bool { return e.isTrue("gen_ai.request.stream") }),
	"If captured content was shortened":      onlyIf(func(e emission) bool { return e.content }),
	"when a named prompt template is used":   atLeastIf(func(e emission) bool { return e.has("gen_ai.prompt.version") }),
	"when `gen_ai.prompt.name` is set and a version is available": onlyIf(func(e emission) bool {
		return e.has("gen_ai.prompt.name")
	}),

	// Where it stands.
	"If it belongs to an attempt of a sampling loop": func(e emission, _ string) (bool, bool) {
		return e.place != "span event parse_error" && e.parent.GetName() == "sampling", true
	},
	"If the parent is the caller's span and there is a session": onlyIf(func(e emission) bool {
		return e.parent == nil || e.scopes[1] != "mellea.application" || firstWord(e.parent.GetName()) == "mellea"
	}),
}

// undecided are the conditions that only the program, or the provider, knows.
var undecided = []string{
	"If and only if the instrumented library has one readily available, or the user application provides one through OpenTelemetry context or library-specific mechanisms",
	"If applicable and if the request includes a seed", "If applicable", "If available", "If available, in the request, and !=1",
	"If chunk events were left out", "If it is a GenAI operation", "If it is known", "If the backend has a model",
	"If the binding belongs to a named plugin", "If the call has arguments", "If the program gave one", "If the provider sent one",
	"If the request includes a service_tier and the value is not 'auto'", "If the response was received and includes a service_tier",
	"If the server reported it", "If there is one", "When applicable",
}

func ifAndOnlyIf(holds func(emission) bool) decision {
	return func(e emission, _ string) (bool, bool) { yes := holds(e); return yes, yes }
}

func onlyIf(holds func(emission) bool) decision {
	return func(e emission, _ string) (bool, bool) { return false, holds(e) }
}

func atLeastIf(holds func(emission) bool) decision {
	return func(e emission, _ string) (bool, bool) { return holds(e), true }
}

func isOK(e emission) bool { return !e.has("mellea.outcome") }

func isRejected(e emission) bool { return e.text("mellea.outcome") == "rejected" }
