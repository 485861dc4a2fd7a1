package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// initialisms maps the words that are not simply capitalised.
var initialisms = map[string]string{
	"ai": "AI", "api": "API", "aws": "AWS", "cli": "CLI", "gcp": "GCP", "http": "HTTP",
	"ibm": "IBM", "id": "ID", "json": "JSON", "jsonrpc": "JSONRPC", "llm": "LLM",
	"mcp": "MCP", "openai": "OpenAI", "rpc": "RPC", "tcp": "TCP", "udp": "UDP",
	"uri": "URI", "url": "URL", "usd": "USD",
}

// goName turns a name or a value of a registry into a Go identifier, in the way
// of OpenTelemetry-Go: gen_ai.request.model becomes GenAIRequestModel,
// notifications/resources/list_changed becomes NotificationsResourcesListChanged.
func goName(name string) string {
	words := strings.FieldsFunc(name, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	var b strings.Builder
	for _, w := range words {
		if w == strings.ToUpper(w) {
			w = strings.ToLower(w) // _OTHER
		}
		if known, ok := initialisms[w]; ok {
			b.WriteString(known)
			continue
		}
		r, n := utf8.DecodeRuneInString(w)
		b.WriteRune(unicode.ToUpper(r))
		b.WriteString(w[n:])
	}
	return b.String()
}

// static returns the part of a span name's pattern before its first attribute.
func static(pattern string) string {
	head, _, _ := strings.Cut(pattern, "{")
	return strings.TrimSpace(head)
}
