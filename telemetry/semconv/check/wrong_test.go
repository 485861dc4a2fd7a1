package check_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

const (
	chat       = "gen_ai.client.inference"
	tool       = "gen_ai.execute_tool.internal"
	openaiChat = "openai.gen_ai.client.inference"
)

// wrong are documents that are right but for one mistake, each with what is to be found and nothing else.
var wrong = []struct {
	name, span string
	edit       func(*document)
	id         check.ID
	level      check.Level
	event      string
	attribute  string
}{
	// Names.
	{"unknown gen_ai attribute", chat, func(d *document) { d.set("gen_ai.request.creativity", 1) }, check.MissingAttribute, check.Violation, "", "gen_ai.request.creativity"},
	{"unknown mellea attribute", "mellea.action", func(d *document) { d.set("mellea.action.mood", "good") }, check.MissingAttribute, check.Violation, "", "mellea.action.mood"},
	{"unknown mcp attribute", "mcp.client", func(d *document) { d.set("mcp.tool.name", "x") }, check.MissingAttribute, check.Violation, "", "mcp.tool.name"},
	{"unknown openai attribute", openaiChat, func(d *document) { d.set("openai.response.mood", "x") }, check.MissingAttribute, check.Information, "", "openai.response.mood"},
	{"unknown attribute on an event", "mellea.chat", func(d *document) {
		d.Events[0].Attributes = append(d.Events[0].Attributes, &commonpb.KeyValue{Key: "mellea.mood", Value: anyValue(1)})
	}, check.MissingAttribute, check.Violation, "first_chunk", "mellea.mood"},
	{"a template without a key", chat, func(d *document) { d.set("gen_ai.prompt.variable.", "x") }, check.MissingAttribute, check.Violation, "", "gen_ai.prompt.variable."},
	{"attribute of another table", tool, func(d *document) { d.set("gen_ai.usage.input_tokens", 1) }, check.UnexpectedAttribute, check.Information, "", "gen_ai.usage.input_tokens"},
	{"attribute of another table, own span", "mellea.session", func(d *document) { d.set("mellea.sampling.success", true) }, check.UnexpectedAttribute, check.Improvement, "", "mellea.sampling.success"},
	{"gen_ai attribute on an own span", "mellea.session", func(d *document) { d.set("gen_ai.usage.input_tokens", 1) }, check.UnexpectedAttribute, check.Improvement, "", "gen_ai.usage.input_tokens"},
	{"attribute of no registry on an own span", "mellea.session", func(d *document) { d.set("user.mood", "good") }, check.UnexpectedAttribute, check.Improvement, "", "user.mood"},
	{"deprecated attribute", chat, func(d *document) { d.set("gen_ai.usage.prompt_tokens", 10) }, check.Deprecated, check.Violation, "", "gen_ai.usage.prompt_tokens"},
	{"deprecated attribute in place of the required one", chat, func(d *document) {
		d.remove("gen_ai.provider.name")
		d.set("gen_ai.system", "openai")
	}, check.Deprecated, check.Violation, "", "gen_ai.system"},
	{"deprecated attribute without a successor", chat, func(d *document) { d.set("gen_ai.token.type", "input") }, check.Deprecated, check.Violation, "", "gen_ai.token.type"},
	{"attribute twice", chat, func(d *document) { d.Attributes = append(d.Attributes, d.Attributes[0]) }, check.DuplicateAttribute, check.Violation, "", "gen_ai.conversation.compacted"},

	// Presence.
	{"no provider", chat, func(d *document) { d.remove("gen_ai.provider.name") }, check.RequiredAttributeNotPresent, check.Violation, "", "gen_ai.provider.name"},
	{"no operation", chat, func(d *document) { d.remove("gen_ai.operation.name"); d.Name = "x" }, check.RequiredAttributeNotPresent, check.Violation, "", "gen_ai.operation.name"},
	{"no operation, tool", tool, func(d *document) { d.remove("gen_ai.operation.name") }, check.RequiredAttributeNotPresent, check.Violation, "", "gen_ai.operation.name"},
	{"no tool name", tool, func(d *document) { d.remove("gen_ai.tool.name"); d.Name = "execute_tool" }, check.RequiredAttributeNotPresent, check.Violation, "", "gen_ai.tool.name"},
	{"no model where a provider's table requires it", openaiChat, func(d *document) { d.remove("gen_ai.request.model"); d.Name = "chat" }, check.RequiredAttributeNotPresent, check.Violation, "", "gen_ai.request.model"},
	{"no guardrail where a provider's table requires it", "aws.bedrock.gen_ai.client.inference", func(d *document) { d.remove("aws.bedrock.guardrail.id") }, check.RequiredAttributeNotPresent, check.Violation, "", "aws.bedrock.guardrail.id"},
	{"no session id", "mellea.session", func(d *document) { d.remove("mellea.session.id") }, check.RequiredAttributeNotPresent, check.Violation, "", "mellea.session.id"},
	{"no attempt on an event", "mellea.sampling", func(d *document) { d.eventWithout("iteration", "mellea.sampling.iteration") }, check.RequiredAttributeNotPresent, check.Violation, "iteration", "mellea.sampling.iteration"},
	{"no model", chat, func(d *document) { d.remove("gen_ai.request.model"); d.Name = "chat" }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "", "gen_ai.request.model"},
	{"no port beside an address", chat, func(d *document) { d.remove("server.port") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "server.port"},
	{"no port on Azure, where the default is left out", "azure.ai.gen_ai.client.inference", func(d *document) { d.remove("server.port") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "", "server.port"},
	{"a time to the first chunk without streaming", chat, func(d *document) { d.remove("gen_ai.request.stream") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.request.stream"},
	{"a milestone of a stream without streaming", "mellea.chat", func(d *document) {
		d.remove("gen_ai.request.stream", "gen_ai.response.time_to_first_chunk")
	}, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.request.stream"},
	{"a prompt's version without its name", chat, func(d *document) { d.remove("gen_ai.prompt.name") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.prompt.name"},
	{"a prompt's name without a version", chat, func(d *document) { d.remove("gen_ai.prompt.version") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "", "gen_ai.prompt.version"},
	{"a format without the output type", "mellea.chat", func(d *document) { d.remove("gen_ai.output.type") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.output.type"},
	{"JSON without the format's name", "mellea.chat", func(d *document) { d.set("gen_ai.output.type", "json"); d.remove("mellea.request.format_type") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.request.format_type"},
	{"several choices without their number", chat, func(d *document) {
		d.set("gen_ai.response.finish_reasons", []any{"stop", "stop"})
		d.remove("gen_ai.request.choice.count")
	}, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.request.choice.count"},
	{"a batch, of which several choices may be those of its prompts", chat, func(d *document) {
		d.set("gen_ai.operation.name", "text_completion")
		d.Name = "text_completion " + d.get("gen_ai.request.model")
		d.set("gen_ai.response.finish_reasons", []any{"stop", "stop"})
		d.remove("gen_ai.request.choice.count")
	}, check.ConditionallyRequiredAttributeNotPresent, check.Information, "", "gen_ai.request.choice.count"},
	{"more choices than the batch has prompts, without their number", "mellea.text_completion", func(d *document) {
		d.set("mellea.request.num_actions", 2)
		d.set("mellea.batch.failed_count", 1)
		d.set("gen_ai.response.finish_reasons", []any{"stop", "stop", "stop"})
		d.remove("gen_ai.request.choice.count")
	}, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.request.choice.count"},
	{"no conversation", "gen_ai.invoke_workflow.internal", func(d *document) { d.remove("gen_ai.conversation.id") }, check.ConditionallyRequiredAttributeNotPresent, check.Information, "", "gen_ai.conversation.id"},
	{"a failure without an outcome", "mellea.action", func(d *document) { d.fail(); d.remove("mellea.outcome") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.outcome"},
	{"a failure without a category", "mellea.action", func(d *document) { d.fail(); d.remove("mellea.error.category") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.error.category"},
	{"a rejection without its point", "mellea.action", func(d *document) {
		d.set("mellea.outcome", "rejected")
		d.set("mellea.error.category", "rejected")
		d.set("mellea.rejection.plugin", "budget")
		d.set("mellea.rejection.code", "spent")
	}, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.rejection.point"},
	{"a strategy without its name", "mellea.action", func(d *document) { d.remove("mellea.sampling.strategy_type") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.sampling.strategy_type"},
	{"a verdict that is not told", "mellea.requirement", func(d *document) { d.remove("mellea.requirement.passed") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.requirement.passed"},
	{"retries that are not counted", "mellea.chat", func(d *document) { d.remove("mellea.request.retries") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.request.retries"},
	{"a tool call without the tool", "mcp.client", func(d *document) { d.remove("gen_ai.tool.name", "gen_ai.prompt.name"); d.Name = "tools/call" }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "gen_ai.tool.name"},
	{"a request without its id", "mcp.server", func(d *document) { d.remove("jsonrpc.request.id") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "jsonrpc.request.id"},
	{"a tool call that is not called one", "mcp.client", func(d *document) { d.remove("gen_ai.operation.name") }, check.RecommendedAttributeNotPresent, check.Improvement, "", "gen_ai.operation.name"},
	{"no address of a server", chat, func(d *document) { d.remove("server.address", "server.port") }, check.RecommendedAttributeNotPresent, check.Improvement, "", "server.address"},
	{"no usage", chat, func(d *document) { d.remove("gen_ai.usage.output_tokens") }, check.RecommendedAttributeNotPresent, check.Improvement, "", "gen_ai.usage.output_tokens"},
	{"no usage of a failure", chat, func(d *document) { d.fail(); d.remove("gen_ai.usage.output_tokens") }, check.RecommendedAttributeNotPresent, check.Information, "", "gen_ai.usage.output_tokens"},
	{"no tokens of images", chat, func(d *document) { d.remove("gen_ai.usage.image.input_tokens") }, check.RecommendedAttributeNotPresent, check.Information, "", "gen_ai.usage.image.input_tokens"},
	{"streaming without a time to the first chunk", chat, func(d *document) { d.remove("gen_ai.response.time_to_first_chunk") }, check.RecommendedAttributeNotPresent, check.Improvement, "", "gen_ai.response.time_to_first_chunk"},

	// Values.
	{"a number as text", chat, func(d *document) { d.set("gen_ai.usage.input_tokens", "10") }, check.TypeMismatch, check.Violation, "", "gen_ai.usage.input_tokens"},
	{"a broken number", chat, func(d *document) { d.set("gen_ai.request.top_k", 40.5) }, check.TypeMismatch, check.Violation, "", "gen_ai.request.top_k"},
	{"a flag as text", chat, func(d *document) {
		d.set("gen_ai.request.stream", "true")
		d.remove("gen_ai.response.time_to_first_chunk")
	}, check.TypeMismatch, check.Violation, "", "gen_ai.request.stream"},
	{"text in place of a list", chat, func(d *document) { d.set("gen_ai.response.finish_reasons", "stop") }, check.TypeMismatch, check.Violation, "", "gen_ai.response.finish_reasons"},
	{"a list of numbers", chat, func(d *document) { d.set("gen_ai.request.stop_sequences", []any{"a", 1}) }, check.TypeMismatch, check.Violation, "", "gen_ai.request.stop_sequences"},
	{"a variable that is no text", chat, func(d *document) { d.set("gen_ai.prompt.variable.city", 1) }, check.TypeMismatch, check.Violation, "", "gen_ai.prompt.variable.city"},
	{"an empty value", chat, func(d *document) { d.set("gen_ai.response.id", nil) }, check.TypeMismatch, check.Violation, "", "gen_ai.response.id"},
	{"a type on an event", "mellea.chat", func(d *document) { d.event("stream_complete").set("mellea.generation.chunks", "2") }, check.TypeMismatch, check.Violation, "stream_complete", "mellea.generation.chunks"},
	{"a provider of its own", chat, func(d *document) { d.set("gen_ai.provider.name", "ollama") }, check.UndefinedEnumVariant, check.Information, "", "gen_ai.provider.name"},
	{"an output type of its own", chat, func(d *document) { d.set("gen_ai.output.type", "video") }, check.UndefinedEnumVariant, check.Information, "", "gen_ai.output.type"},
	{"a status that is none", "mellea.execute_tool", func(d *document) { d.set("mellea.tool.status", "fine") }, check.UndefinedEnumVariant, check.Violation, "", "mellea.tool.status"},
	{"a category that is none", "mellea.chat", func(d *document) { d.fail(); d.set("mellea.error.category", "gremlins") }, check.UndefinedEnumVariant, check.Violation, "", "mellea.error.category"},
	{"streaming that is none", chat, func(d *document) {
		d.set("gen_ai.request.stream", false)
		d.remove("gen_ai.response.time_to_first_chunk")
	}, check.UnexpectedValue, check.Improvement, "", "gen_ai.request.stream"},
	{"one choice", chat, func(d *document) { d.set("gen_ai.request.choice.count", 1) }, check.UnexpectedValue, check.Improvement, "", "gen_ai.request.choice.count"},
	{"a conversation that is whole", chat, func(d *document) { d.set("gen_ai.conversation.compacted", false) }, check.UnexpectedValue, check.Improvement, "", "gen_ai.conversation.compacted"},
	{"more from the cache than there is", chat, func(d *document) { d.set("gen_ai.usage.cache_read.input_tokens", 11) }, check.CountInconsistent, check.Violation, "", "gen_ai.usage.cache_read.input_tokens"},
	{"more reasoning than output", chat, func(d *document) { d.set("gen_ai.usage.reasoning.output_tokens", 11) }, check.CountInconsistent, check.Violation, "", "gen_ai.usage.reasoning.output_tokens"},
	{"more attempts than the budget", "mellea.sampling", func(d *document) { d.set("mellea.sampling.iterations_used", 4) }, check.CountInconsistent, check.Violation, "", "mellea.sampling.iterations_used"},
	{"verdicts that do not add up", "mellea.validation", func(d *document) { d.set("mellea.validation.passed_count", 2) }, check.CountInconsistent, check.Violation, "", "mellea.validation.requirement_count"},
	{"passed with a failure", "mellea.validation", func(d *document) { d.set("mellea.validation.passed", true) }, check.CountInconsistent, check.Violation, "", "mellea.validation.passed"},
	{"the trace as a conversation", chat, func(d *document) { d.set("gen_ai.conversation.id", "30313233343536373839616263646566") }, check.ConversationIDMadeUp, check.Violation, "", "gen_ai.conversation.id"},
	{"the session as a conversation", "mellea.session", func(d *document) { d.set("gen_ai.conversation.id", d.get("mellea.session.id")) }, check.ConversationIDMadeUp, check.Violation, "", "gen_ai.conversation.id"},

	{"a provider by the name it had", chat, func(d *document) { d.set("gen_ai.provider.name", "az.ai.openai") }, check.Deprecated, check.Violation, "", "gen_ai.provider.name"},

	// MCP.
	{"a listing of tools that is called a tool call", "mcp.client", func(d *document) {
		d.set("mcp.method.name", "tools/list")
		d.remove("gen_ai.tool.name", "gen_ai.prompt.name")
		d.Name = "tools/list"
	}, check.UnexpectedValue, check.Improvement, "", "gen_ai.operation.name"},
	{"a server that fails by the caller's mistake", "mcp.server", func(d *document) {
		d.fail()
		d.set("error.type", "-32602")
		d.set("rpc.response.status_code", "-32602")
	}, check.MCPErrorClassification, check.Violation, "", "rpc.response.status_code"},
	{"a client that takes an error code for success", "mcp.client", func(d *document) { d.set("rpc.response.status_code", "-32601") }, check.MCPErrorClassification, check.Violation, "", "rpc.response.status_code"},
	{"an error code that is not told", "mcp.client", func(d *document) { d.fail(); d.set("error.type", "-32603") }, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "rpc.response.status_code"},
	{"another error than that of the response", "mcp.client", func(d *document) {
		d.fail()
		d.set("rpc.response.status_code", "-32603")
	}, check.MCPErrorClassification, check.Violation, "", "error.type"},
	{"parameters in place of arguments", "mcp.client", func(d *document) {
		d.set("gen_ai.tool.call.arguments", fromJSON(`{"city":"Bern","_meta":{"traceparent":"00-1-2-01"}}`))
	}, check.MCPMetaExposed, check.Improvement, "", "gen_ai.tool.call.arguments"},

	// Content.
	{"messages that are no JSON", chat, func(d *document) { d.set("gen_ai.input.messages", "hi") }, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"messages that are no list", chat, func(d *document) { d.set("gen_ai.input.messages", fromJSON(`{"role":"user","parts":[]}`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a message without a role", chat, func(d *document) { d.set("gen_ai.input.messages", fromJSON(`[{"parts":[]}]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a message in the old form", chat, func(d *document) { d.set("gen_ai.input.messages", `[{"role":"user","content":"hi"}]`) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a text part without text", chat, func(d *document) {
		d.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"text","text":"hi"}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.output.messages"},
	{"a tool call without a name", chat, func(d *document) {
		d.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"tool_call","arguments":{}}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.output.messages"},
	{"a response without a response", chat, func(d *document) {
		d.set("gen_ai.input.messages", fromJSON(`[{"role":"tool","parts":[{"type":"tool_call_response","id":"c1","result":1}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a call of the provider's tool without details", chat, func(d *document) {
		d.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"server_tool_call","name":"search","arguments":{}}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.output.messages"},
	{"details of one without a type", chat, func(d *document) {
		d.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"server_tool_call","name":"search","server_tool_call":{"arguments":{}}}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.output.messages"},
	{"a call of the provider's tool without a name", chat, func(d *document) {
		d.set("gen_ai.input.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"server_tool_call","server_tool_call":{"type":"search"}}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"what it gave as a list", chat, func(d *document) {
		d.set("gen_ai.input.messages", fromJSON(`[{"role":"assistant","parts":[{"type":"server_tool_call_response","server_tool_call_response":[]}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"an image with a number for a modality", chat, func(d *document) {
		d.set("gen_ai.input.messages", fromJSON(`[{"role":"user","parts":[{"type":"blob","modality":1,"content":"AA=="}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a data URL as a URI", chat, func(d *document) {
		d.set("gen_ai.input.messages", fromJSON(`[{"role":"user","parts":[{"type":"uri","modality":"image","uri":"data:image/png;base64,AA=="}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.input.messages"},
	{"a part without a type", chat, func(d *document) {
		d.set("gen_ai.output.messages", fromJSON(`[{"role":"assistant","parts":[{"content":"hi"}]}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.output.messages"},
	{"instructions that are text", chat, func(d *document) { d.set("gen_ai.system_instructions", "be kind") }, check.GenAIContentSchema, check.Violation, "", "gen_ai.system_instructions"},
	{"instructions without text", chat, func(d *document) { d.set("gen_ai.system_instructions", fromJSON(`[{"type":"text"}]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.system_instructions"},
	{"a tool without a name", chat, func(d *document) { d.set("gen_ai.tool.definitions", fromJSON(`[{"type":"function"}]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.tool.definitions"},
	{"parameters that are no schema", chat, func(d *document) {
		d.set("gen_ai.tool.definitions", fromJSON(`[{"type":"function","name":"f","parameters":{"type":7}}]`))
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.tool.definitions"},
	{"arguments that are a list", tool, func(d *document) { d.set("gen_ai.tool.call.arguments", fromJSON(`["Bern"]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.tool.call.arguments"},
	{"a result that is text", tool, func(d *document) { d.set("gen_ai.tool.call.result", "sunny") }, check.GenAIContentSchema, check.Violation, "", "gen_ai.tool.call.result"},
	{"a score that is text", "gen_ai.retrieval.client", func(d *document) { d.set("gen_ai.retrieval.documents", fromJSON(`[{"score":"high"}]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.retrieval.documents"},
	{"a score that is no number", "gen_ai.retrieval.client", func(d *document) {
		d.set("gen_ai.retrieval.documents", []any{map[string]any{"score": math.NaN()}})
	}, check.GenAIContentSchema, check.Violation, "", "gen_ai.retrieval.documents"},
	{"a memory without content", "gen_ai.memory.client", func(d *document) { d.set("gen_ai.memory.records", fromJSON(`[{"id":"m1"}]`)) }, check.GenAIContentSchema, check.Violation, "", "gen_ai.memory.records"},

	// Name, kind, operation, scope.
	{"a name without the model", chat, func(d *document) { d.Name = "chat" }, check.GenAISpanNameFormat, check.Violation, "", ""},
	{"a name with words of its own", "gen_ai.create_agent.client", func(d *document) { d.Name = "Create Agent x" }, check.GenAISpanNameFormat, check.Violation, "", ""},
	{"a tool's name with the arguments", tool, func(d *document) { d.Name += "(city=Bern)" }, check.GenAISpanNameFormat, check.Violation, "", ""},
	{"a name without the method", "mcp.server", func(d *document) { d.Name = "x" }, check.GenAISpanNameFormat, check.Violation, "", ""},
	{"a command's name with its arguments", "mellea.cli", func(d *document) { d.Name = "mellea run hello" }, check.GenAISpanNameFormat, check.Violation, "", ""},
	{"a tool as a client", tool, func(d *document) { d.Kind = tracepb.Span_SPAN_KIND_CLIENT }, check.GenAISpanKindUnexpected, check.Violation, "", ""},
	{"a call as a server", chat, func(d *document) { d.Kind = tracepb.Span_SPAN_KIND_SERVER }, check.GenAISpanKindUnexpected, check.Violation, "", ""},
	{"no kind", "gen_ai.embeddings.client", func(d *document) { d.Kind = tracepb.Span_SPAN_KIND_UNSPECIFIED }, check.GenAISpanKindUnexpected, check.Violation, "", ""},
	{"a session as a server", "mellea.session", func(d *document) { d.Kind = tracepb.Span_SPAN_KIND_SERVER }, check.GenAISpanKindUnexpected, check.Violation, "", ""},
	{"an operation that is none", chat, func(d *document) { d.set("gen_ai.operation.name", "converse") }, check.GenAIOperationNameUnknown, check.Violation, "", "gen_ai.operation.name"},
	{"a name that no table has", "mellea.session", func(d *document) { d.Name = "session 1" }, check.MissingSpan, check.Violation, "", ""},
	{"an own span in another own scope", "mellea.chat", func(d *document) { d.scope = "mellea.application" }, check.ScopeUnexpected, check.Violation, "", ""},
	{"an own span in a scope of another name", "mellea.action", func(d *document) { d.scope = "my.program" }, check.ScopeUnexpected, check.Violation, "", ""},
	{"another schema", "mellea.action", func(d *document) { d.schemaURL = "https://opentelemetry.io/schemas/1.41.0" }, check.SchemaURLUnexpected, check.Violation, "", ""},
	{"no schema", "mellea.action", func(d *document) { d.schemaURL = "" }, check.SchemaURLUnexpected, check.Violation, "", ""},

	// Status and outcome.
	{"status Ok", chat, func(d *document) { d.Status = &tracepb.Status{Code: tracepb.Status_STATUS_CODE_OK} }, check.SpanStatusOKSetByInstrumentation, check.Violation, "", ""},
	{"status Error without a type", chat, func(d *document) { d.fail(); d.remove("error.type") }, check.ErrorTypeMissingOnError, check.Violation, "", "error.type"},
	{"a type without status Error", chat, func(d *document) { d.set("error.type", "500") }, check.ErrorTypeWithoutErrorStatus, check.Violation, "", "error.type"},
	{"a description that says nothing", chat, func(d *document) { d.fail(); d.Status.Message = "500" }, check.StatusDescriptionRepeatsErrorType, check.Improvement, "", ""},
	{"a description without status Error", chat, func(d *document) { d.Status = &tracepb.Status{Message: "done"} }, check.StatusDescriptionWithoutError, check.Improvement, "", ""},
	{"an outcome of error without status Error", "mellea.action", func(d *document) {
		d.set("mellea.outcome", "error")
		d.set("mellea.error.category", "timeout")
	}, check.OutcomeInconsistent, check.Violation, "", "mellea.outcome"},
	{"a cancelled call with status Error", "mellea.chat", func(d *document) {
		d.fail()
		d.set("mellea.outcome", "cancelled")
		d.set("mellea.error.category", "cancelled")
	}, check.OutcomeInconsistent, check.Violation, "", "mellea.outcome"},
	{"a category without an outcome", "mellea.chat", func(d *document) { d.set("mellea.error.category", "timeout") }, check.OutcomeInconsistent, check.Violation, "", "mellea.error.category"},
	{"an abandoned call that timed out", "mellea.chat", func(d *document) {
		d.set("mellea.outcome", "abandoned")
		d.set("mellea.error.category", "timeout")
	}, check.OutcomeInconsistent, check.Violation, "", "mellea.error.category"},
	{"an error that is a rejection", "mellea.chat", func(d *document) { d.fail(); d.set("mellea.error.category", "rejected") }, check.OutcomeInconsistent, check.Violation, "", "mellea.error.category"},
	{"a rejection of what went well", "mellea.chat", func(d *document) { d.set("mellea.rejection.point", "Generation") }, check.OutcomeInconsistent, check.Violation, "", "mellea.rejection.point"},

	// Events.
	{"an event of no registry", "mellea.chat", func(d *document) { d.event("applause") }, check.MissingEvent, check.Violation, "applause", ""},
	{"a gen_ai event of no registry", chat, func(d *document) { d.event("gen_ai.applause") }, check.MissingEvent, check.Violation, "gen_ai.applause", ""},
	{"an event of another span", "mellea.session", func(d *document) { d.event("select") }, check.UnexpectedEvent, check.Improvement, "select", ""},
	{"a log event on a span", chat, func(d *document) { d.event("gen_ai.evaluation.result") }, check.UnexpectedEvent, check.Improvement, "gen_ai.evaluation.result", ""},
	{"a deprecated event", chat, func(d *document) { d.event("gen_ai.user.message") }, check.Deprecated, check.Violation, "gen_ai.user.message", ""},
	{"an exception on a span", chat, func(d *document) { d.event("exception") }, check.ExceptionSpanEvent, check.Improvement, "exception", ""},
	{"an exception on an own span", "mellea.chat", func(d *document) { d.event("exception") }, check.ExceptionSpanEvent, check.Improvement, "exception", ""},
	{"an event before its span", "mellea.chat", func(d *document) { d.Events[0].TimeUnixNano = 1 }, check.EventOutsideSpan, check.Information, "first_chunk", ""},

	// Ids, times, parents.
	{"no trace id", chat, func(d *document) { d.TraceId = make([]byte, 16) }, check.InvalidSpanID, check.Violation, "", ""},
	{"a short span id", chat, func(d *document) { d.SpanId = []byte("0123") }, check.InvalidSpanID, check.Violation, "", ""},
	{"its own parent", chat, func(d *document) { d.ParentSpanId = d.SpanId }, check.InvalidSpanID, check.Violation, "", ""},
	{"an end before the start", "gen_ai.plan.internal", func(d *document) { d.EndTimeUnixNano = d.StartTimeUnixNano - 1 }, check.SpanEndsBeforeStart, check.Violation, "", ""},
}

func TestWrongDocuments(t *testing.T) {
	t.Parallel()
	for _, w := range wrong {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			d := right(t, w.span)
			w.edit(&d)
			expect(t, w.id, w.level, w.event, w.attribute, check.Spans(traces(d)))
		})
	}
}

func expect(t *testing.T, id check.ID, level check.Level, event, attribute string, got check.Findings) {
	t.Helper()
	expectIn(t, check.Span, id, level, event, attribute, got)
}

func expectIn(t *testing.T, signal check.Signal, id check.ID, level check.Level, event, attribute string, got check.Findings) {
	t.Helper()
	got = got.Without(check.NotStable)
	if len(got) != 1 {
		t.Fatalf("found %d, want one %s:\n%s", len(got), id, got)
	}
	f := got[0]
	type about struct {
		ID               check.ID
		Level            string
		Event, Attribute string
	}
	if diff := cmp.Diff(about{id, level.String(), event, attribute}, about{f.ID, f.Level.String(), f.Event, f.Attribute}); diff != "" {
		t.Errorf("finding (-want +got):\n%s\n%s", diff, f)
	}
	if f.Message == "" || f.Signal != signal || f.Name == "" || signal == check.Span && (f.TraceID == "" || f.SpanID == "") {
		t.Errorf("finding %#v does not say enough", f)
	}
}

// Mistakes that take two spans.
func TestWrongTraces(t *testing.T) {
	t.Parallel()
	t.Run("two spans with the same ids", func(t *testing.T) {
		t.Parallel()
		expect(t, check.DuplicateSpan, check.Violation, "", "", check.Spans(traces(right(t, chat), right(t, chat))))
	})
	t.Run("a parent in another trace", func(t *testing.T) {
		t.Parallel()
		parent, child := right(t, "mellea.action"), right(t, chat)
		child.TraceId, child.SpanId, child.ParentSpanId = []byte("another trace id"), []byte("childchi"), parent.SpanId
		expect(t, check.ParentInOtherTrace, check.Violation, "", "", check.Spans(traces(parent, child)))
	})
	t.Run("both sides of a request in two traces", func(t *testing.T) {
		t.Parallel()
		client, server := right(t, "mcp.client"), right(t, "mcp.server")
		server.TraceId = []byte("another trace id")
		expect(t, check.MCPTraceNotJoined, check.Improvement, "", "", check.Spans(traces(client, server)))
	})
	t.Run("a span beside its session without the session's id", func(t *testing.T) {
		t.Parallel()
		session, action := right(t, "mellea.session"), right(t, "mellea.action")
		action.SpanId = []byte("actionac")
		action.Links = []*tracepb.Span_Link{{TraceId: session.TraceId, SpanId: session.SpanId}}
		action.remove("mellea.session.id")
		expect(t, check.ConditionallyRequiredAttributeNotPresent, check.Violation, "", "mellea.session.id", check.Spans(traces(session, action)))
	})
	t.Run("a name that may change", func(t *testing.T) {
		t.Parallel()
		one, two := right(t, chat), right(t, chat)
		two.SpanId = []byte("twotwotw")
		n := 0
		for _, f := range check.Spans(traces(one, two)) {
			if f.ID == check.NotStable && f.Level == check.Improvement && f.Attribute == "gen_ai.request.model" {
				n++
			}
		}
		if n != 1 {
			t.Errorf("gen_ai.request.model was reported as not stable %d times, want once for both spans", n)
		}
	})
}

// The table of rules in the package's documentation is the list of what the wrong documents are found by.
func TestRulesAreDocumented(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for line := range strings.Lines(file.Doc.Text()) {
		words := strings.Fields(line)
		if strings.HasPrefix(line, "\t") && len(words) > 2 {
			documented = append(documented, words[0]+" "+words[1])
		}
	}
	found := []string{"not_stable improvement", "duplicate_span violation", "parent_in_other_trace violation", "mcp_trace_not_joined improvement", // TestWrongTraces
		"event_span_mismatch violation"} // TestEventAgainstItsSpan
	for _, w := range wrong {
		found = append(found, string(w.id)+" "+w.level.String())
	}
	for _, w := range wrongSignals {
		found = append(found, string(w.id)+" "+w.level.String())
	}
	slices.Sort(documented)
	slices.Sort(found)
	if diff := cmp.Diff(documented, slices.Compact(found)); diff != "" {
		t.Errorf("rules (-documented +found by a wrong document):\n%s", diff)
	}
}

// The page for users names every rule there is, and no other.
func TestRulesAreOnThePage(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("../../../docs/telemetry/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, ok := strings.Cut(string(src), "\nRules of Weaver:\n")
	tables, _, ok2 := strings.Cut(tables, "\n## ")
	if !ok || !ok2 {
		t.Fatal("the page has no tables of rules")
	}
	named := map[check.ID]bool{}
	for line := range strings.Lines(tables) {
		if strings.HasPrefix(line, "| `") {
			for _, id := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(strings.SplitN(line, "|", 3)[1], -1) {
				named[check.ID(id[1])] = true
			}
		}
	}
	for _, id := range check.Rules() {
		if !named[id] {
			t.Errorf("docs/telemetry/conformance.md does not name %s", id)
		}
		delete(named, id)
	}
	for id := range named {
		t.Errorf("docs/telemetry/conformance.md names %s, which is no rule", id)
	}
}

// Every rule of the code is found by a wrong document: the ids here are all there are.
func TestEveryRuleHasAWrongDocument(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "finding.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if typ, ok := spec.Type.(*ast.Ident); ok && typ.Name == "ID" {
			rules = append(rules, strings.Trim(spec.Values[0].(*ast.BasicLit).Value, `"`))
		}
		return true
	})
	found := []string{string(check.NotStable), string(check.DuplicateSpan), string(check.ParentInOtherTrace), string(check.MCPTraceNotJoined),
		string(check.EventSpanMismatch)}
	for _, w := range wrong {
		found = append(found, string(w.id))
	}
	for _, w := range wrongSignals {
		found = append(found, string(w.id))
	}
	slices.Sort(rules)
	slices.Sort(found)
	if diff := cmp.Diff(rules, slices.Compact(found)); diff != "" {
		t.Errorf("rules (-code +found by a wrong document):\n%s", diff)
	}
	var listed []string
	for _, id := range check.Rules() {
		listed = append(listed, string(id))
	}
	slices.Sort(listed)
	if diff := cmp.Diff(rules, listed); diff != "" {
		t.Errorf("Rules (-code +listed):\n%s", diff)
	}
	if n := len(wrong) + len(wrongSignals); n < 60 || len(rules) < 40 {
		t.Errorf("%d wrong documents for %d rules", n, len(rules))
	}
}

func TestRenamedValuesAreReplaced(t *testing.T) {
	t.Parallel()
	for _, old := range []string{"az.ai.inference", "az.ai.openai", "vertex_ai", "gemini", "xai"} {
		d := right(t, chat)
		d.set("gen_ai.provider.name", old)
		got := check.Spans(traces(d)).AtLeast(check.Violation)
		if len(got) != 1 || got[0].ID != check.Deprecated {
			t.Fatalf("%s: found:\n%s", old, got)
		}
		d.set("gen_ai.provider.name", got[0].Message[strings.LastIndex(got[0].Message, " ")+1:])
		for _, f := range check.Spans(traces(d)) {
			if f.ID == check.UndefinedEnumVariant || f.ID == check.Deprecated {
				t.Errorf("%s: what is to be used instead is %s", old, f)
			}
		}
	}
}
