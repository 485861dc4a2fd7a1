package check

import (
	"slices"
	"strconv"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

const rpcStatusCode = attribute.Key("rpc.response.status_code")

// callersMistakes are the JSON-RPC error codes that a server answers with when the caller is at fault: no failures of the
// server, and of the client all the same.
var callersMistakes = []string{"-32700", "-32600", "-32601", "-32602", "-32002"}

// isRPCCode reports whether text is an error code of JSON-RPC. Those of the protocol itself are negative.
func isRPCCode(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n < 0
}

// checkMCP checks what the conventions of MCP say beyond their tables: what counts as an error, and what belongs to tool
// calls only.
func (c *checker) checkMCP(p place) {
	server := slices.Contains(p.tables, "mcp.server")
	if !server && !slices.Contains(p.tables, "mcp.client") {
		return
	}
	method, known := p.attrs.text(semconv.MCPMethodNameKey)
	if known && method != semconv.MCPMethodNameToolsCall && p.attrs.has(semconv.GenAIOperationNameKey) {
		p.report(p.from.finding(UnexpectedValue, Improvement, "is for tools/call only").on(semconv.GenAIOperationNameKey))
	}
	c.checkRPCError(p, server)
	for _, key := range []attribute.Key{semconv.GenAIToolCallArgumentsKey, semconv.GenAIToolCallResultKey} {
		if members, ok := asJSON(p.attrs.named[string(key)]).(map[string]any); ok && has(members, "_meta") {
			p.report(p.from.finding(MCPMetaExposed, Improvement, "has a member _meta, which is the protocol's and not the tool's").on(key))
		}
	}
}

func (c *checker) checkRPCError(p place, server bool) {
	code, ok := p.attrs.text(rpcStatusCode)
	if !ok {
		return
	}
	failed := p.attrs.has(semconv.ErrorTypeKey)
	if p.span != nil && p.span.failed() {
		failed = true
	}
	errorType, typed := p.attrs.text(semconv.ErrorTypeKey)
	bad := func(key attribute.Key, format string, args ...any) {
		p.report(p.from.finding(MCPErrorClassification, Violation, format, args...).on(key))
	}
	switch {
	case server && slices.Contains(callersMistakes, code):
		if failed {
			bad(rpcStatusCode, "is %s, which is the caller's mistake and no error of the server", code)
		}
	case !failed:
		bad(rpcStatusCode, "is an error code, and error.type is not there")
	case typed && errorType != code && errorType != "tool_error":
		bad(semconv.ErrorTypeKey, "is %q and the error code of the response is %s", errorType, code)
	}
}

// checkTransport looks for requests of which both sides are in the data, and in different traces: the trace context has
// not travelled with the request. It travels in _meta of the request's parameters, which no telemetry shows.
func (c *checker) checkTransport(all []*span) {
	type request struct{ session, id, method string }
	of := func(s *span) (request, bool) {
		session, ok := s.attrs.text(semconv.MCPSessionIDKey)
		id, ok2 := s.attrs.text(semconv.JSONRPCRequestIDKey)
		method, ok3 := s.attrs.text(semconv.MCPMethodNameKey)
		return request{session, id, method}, ok && ok2 && ok3 && session != ""
	}
	sent := map[request]*span{}
	for _, s := range all {
		if r, ok := of(s); ok && s.desc != nil && s.desc.base == "mcp.client" {
			sent[r] = s
		}
	}
	for _, s := range all {
		r, ok := of(s)
		if !ok || s.desc == nil || s.desc.base != "mcp.server" {
			continue
		}
		if client := sent[r]; client != nil && string(client.GetTraceId()) != string(s.GetTraceId()) {
			c.report(s.finding(MCPTraceNotJoined, Improvement, "the client's span of the same request is in another trace: the trace context belongs into params._meta"))
		}
	}
}
