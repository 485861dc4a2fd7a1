package check

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A description is what the registries say of the spans of one operation: the tables of this module's own registry, of
// the span it extends, and of the provider, laid over each other.
type description struct {
	id         string // of the most specific table but the provider's
	base       string // of the GenAI or MCP table, "" for spans that only this module has
	refinement string // of the provider's table, "" for none
	own        bool   // the span is in this module's registry
	scope      string // of such a span
	pattern    string // of the span's name
	kinds      []semconv.Kind

	uses   []semconv.Use
	byName map[string]semconv.Use
	events map[string]semconv.Event
}

// use returns what the description says of an attribute.
func (d *description) use(name string) (semconv.Use, bool) {
	if u, ok := d.byName[name]; ok {
		return u, true
	}
	a, ok := semconv.LookupAttribute(name)
	if !ok || a.Type != semconv.TypeStringTemplate {
		return semconv.Use{}, false
	}
	u, ok := d.byName[a.Name]
	return u, ok
}

func newDescription(s semconv.Span, provider string) *description {
	d := &description{id: s.ID, base: s.ID, own: s.Scope != "", scope: s.Scope, pattern: s.Name,
		kinds: slices.Collect(s.Kinds()), byName: map[string]semconv.Use{}, events: map[string]semconv.Event{}}
	if d.own {
		d.base = ""
		if base, ok := semconv.LookupSpan(s.Extends); ok {
			d.base, d.pattern = base.ID, base.Name
		}
	}
	refined, _ := semconv.Refinement(d.base, provider)
	d.refinement = refined.ID
	for u := range refined.Attributes() { // with those of the table it refines
		d.add(u)
	}
	for u := range s.Attributes() {
		d.add(u)
	}
	for r := range semconv.Spans() {
		// Tools have tables for what a tool does, which nothing on the span tells: they allow more and ask for nothing.
		if d.base != "" && r.Extends == d.base && r.Provider == "" && r.Scope == "" {
			for u := range r.Attributes() {
				if _, ok := d.byName[u.Name]; !ok {
					d.byName[u.Name] = u
				}
			}
		}
	}
	for e := range s.Events() {
		d.events[e.Name] = e
	}
	return d
}

// add adds an attribute unless a more specific table has said how it is used.
func (d *description) add(u semconv.Use) {
	if _, ok := d.byName[u.Name]; ok {
		return
	}
	d.byName[u.Name] = u
	d.uses = append(d.uses, u)
}

// describe finds the description of a span. The first that applies decides: the scope, when it is one of this module's;
// a name of this module's on a span with the attributes that go with it; mcp.method.name; gen_ai.operation.name; attributes that only
// one operation has.
func (c *checker) describe(s *span) *description {
	if isOwnScope(s.in.name) {
		if found, ok := ownSpan(s); ok {
			return c.description(found, s)
		}
		c.report(s.finding(MissingSpan, Violation, "scope %s has no span of that name", s.in.name))
		return nil
	}
	if found, ok := ownSpan(s); ok && s.attrs.hasOwn(found) {
		return c.description(found, s)
	}
	if s.attrs.has(semconv.MCPMethodNameKey) {
		id := "mcp.client"
		if kindOf(s.GetKind()) == semconv.KindServer {
			id = "mcp.server"
		}
		found, _ := semconv.LookupSpan(id)
		return c.description(found, s)
	}
	if operation, ok := s.attrs.text(semconv.GenAIOperationNameKey); ok {
		found, ok := semconv.SpanFor(operation, kindOf(s.GetKind()))
		if !ok {
			c.report(s.finding(GenAIOperationNameUnknown, Violation,
				"is not one of the operations there are").on(semconv.GenAIOperationNameKey))
			return nil
		}
		return c.description(found, s)
	}
	if found, ok := identified(s.attrs); ok {
		return c.description(found, s)
	}
	return nil
}

func (c *checker) description(of semconv.Span, s *span) *description {
	provider, _ := s.attrs.text(semconv.GenAIProviderNameKey)
	key := of.ID + " " + provider
	d, ok := c.descriptions[key]
	if !ok {
		d = newDescription(of, provider)
		c.descriptions[key] = d
	}
	return d
}

func isOwnScope(name string) bool {
	return name == semconv.ScopeApplication || name == semconv.ScopeBackend || name == semconv.ScopeMCP
}

// ownSpan finds a span of this module's registry by its name: the word it begins with, or all of it. Spans named by an
// attribute are found by scope and kind.
func ownSpan(s *span) (semconv.Span, bool) {
	word, _, _ := strings.Cut(s.GetName(), " ")
	for d := range semconv.Spans() {
		if d.Scope == "" {
			continue
		}
		head, rest, _ := strings.Cut(d.Name, " ")
		switch {
		case strings.HasPrefix(head, "{"):
			if s.in.name == d.Scope && d.Kind == kindOf(s.GetKind()) {
				return d, true
			}
		case rest == "" && s.GetName() == head, rest != "" && word == head:
			return d, true
		}
	}
	return semconv.Span{}, false
}

// identified tells the operation of a span that does not, by attributes that spans of other kinds do not have.
func identified(a attributes) (semconv.Span, bool) {
	switch {
	case a.hasPrefix("gen_ai.tool.call."):
		return semconv.LookupSpan("gen_ai.execute_tool.internal")
	case a.hasPrefix("gen_ai.request."), a.hasPrefix("gen_ai.response."), a.hasPrefix("gen_ai.usage."),
		a.has(semconv.GenAIInputMessagesKey), a.has(semconv.GenAIOutputMessagesKey):
		return semconv.LookupSpan("gen_ai.client.inference")
	}
	return semconv.Span{}, false
}

// hasOwn reports whether the attributes are there that only the spans of this module's table have, so that a program may
// call its own spans session or action.
func (a attributes) hasOwn(table semconv.Span) bool {
	asked := false
	for u := range table.Attributes() {
		if u.Level != semconv.Required || !strings.HasPrefix(u.Name, "mellea.") {
			continue
		}
		if !a.has(attribute.Key(u.Name)) {
			return false
		}
		asked = true
	}
	return asked
}

func (a attributes) hasPrefix(prefix string) bool {
	for _, kv := range a.list {
		if strings.HasPrefix(kv.GetKey(), prefix) {
			return true
		}
	}
	return false
}

func kindOf(k tracepb.Span_SpanKind) semconv.Kind {
	switch k {
	case tracepb.Span_SPAN_KIND_INTERNAL:
		return semconv.KindInternal
	case tracepb.Span_SPAN_KIND_CLIENT:
		return semconv.KindClient
	case tracepb.Span_SPAN_KIND_SERVER:
		return semconv.KindServer
	default:
		return 0
	}
}

// checkShape checks a span's name, kind, scope and schema URL.
func (c *checker) checkShape(s *span) {
	d := s.desc
	if names := d.names(s.attrs); len(names) > 0 && !slices.Contains(names, s.GetName()) {
		c.report(s.finding(GenAISpanNameFormat, Violation, "should be named %q", names[0]))
	}
	if !slices.Contains(d.kinds, kindOf(s.GetKind())) {
		kind := strings.ToLower(strings.TrimPrefix(s.GetKind().String(), "SPAN_KIND_"))
		c.report(s.finding(GenAISpanKindUnexpected, Violation, "has kind %s, want %s", kind, d.kinds[0]))
	}
	if !d.own {
		return
	}
	c.checkScope(s, s.in, d.scope, c.report)
}

// names returns the names a span of that description may have, the usual one first.
func (d *description) names(a attributes) []string {
	switch d.base {
	case "mcp.client", "mcp.server":
		method, ok := a.text(semconv.MCPMethodNameKey)
		if !ok {
			return nil
		}
		for _, target := range []attribute.Key{semconv.GenAIToolNameKey, semconv.GenAIPromptNameKey} {
			if name, ok := a.text(target); ok {
				return []string{method + " " + name}
			}
		}
		if uri, ok := a.text(semconv.MCPResourceURIKey); ok {
			return []string{method, method + " " + uri}
		}
		return []string{method}
	case "gen_ai.execute_tool.internal":
		return toolNames(d.pattern, a)
	}
	if operation := "{" + string(semconv.GenAIOperationNameKey) + "}"; strings.HasPrefix(d.pattern, operation) && !a.has(semconv.GenAIOperationNameKey) {
		return nil // which has a finding of its own
	}
	return []string{fill(d.pattern, a)}
}

// toolNames returns the names of a tool's span, those with what the tool was called for included.
func toolNames(pattern string, a attributes) []string {
	name := fill(pattern, a)
	all := []string{name}
	resource, hasResource := a.text(semconv.GenAISkillResourceNameKey)
	if skill, ok := a.text(semconv.GenAISkillNameKey); ok {
		all = append(all, name+" "+skill)
		if hasResource {
			all = append(all, name+" "+skill+" "+resource)
		}
	} else if hasResource {
		all = append(all, name+" "+resource)
	}
	if executable, ok := a.text("process.executable.name"); ok {
		all = append(all, name+" "+executable)
	}
	return all
}

// fill puts attributes into the pattern of a name. What is in braces and not there is left out, the space before it too.
func fill(pattern string, a attributes) string {
	var words []string
	for word := range strings.SplitSeq(pattern, " ") {
		if name, ok := strings.CutPrefix(word, "{"); ok {
			value, ok := a.text(attribute.Key(strings.TrimSuffix(name, "}")))
			if !ok {
				continue
			}
			word = value
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}
