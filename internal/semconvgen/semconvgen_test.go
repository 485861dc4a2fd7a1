package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

const (
	semconvDir = "../../telemetry/semconv"
	melleaYAML = semconvDir + "/mellea.yaml"
	docPage    = "../../docs/telemetry/reference.md"
)

func TestGeneratedIsCurrent(t *testing.T) {
	t.Parallel()
	upstream := committed()
	own, err := loadMellea(melleaYAML, upstream)
	if err != nil {
		t.Fatal(err)
	}
	files, err := renderMellea(own)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{docPage: renderDoc(own, upstream)}
	for name, data := range files {
		want[filepath.Join(semconvDir, name)] = data
	}
	for name, data := range want {
		got, err := os.ReadFile(name)
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(data), string(got)); diff != "" {
			t.Errorf("%s is stale: run go generate ./telemetry/semconv (-generated +committed)\n%s", filepath.Base(name), diff)
		}
	}
}

// constants returns the string constants the generated files declare, by name.
func constants(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(semconvDir + "/*_attributes.gen.go")
	if err != nil || len(paths) != 2 {
		t.Fatalf("generated files: got %v, %v, want two", paths, err)
	}
	out := map[string]string{}
	for _, path := range paths {
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			gen, ok := decl.(*ast.GenDecl)
			if !ok || gen.Tok != token.CONST {
				continue
			}
			for _, spec := range gen.Specs {
				s := spec.(*ast.ValueSpec)
				expr := s.Values[0]
				if call, ok := expr.(*ast.CallExpr); ok {
					expr = call.Args[0]
				}
				value, err := strconv.Unquote(expr.(*ast.BasicLit).Value)
				if err != nil {
					t.Fatalf("%s: %v", s.Names[0], err)
				}
				if _, dup := out[s.Names[0].Name]; dup {
					t.Errorf("%s is declared twice", s.Names[0])
				}
				out[s.Names[0].Name] = value
			}
		}
	}
	return out
}

func TestEveryNameHasItsConstant(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"SchemaURL":        semconv.SchemaURL,
		"RegistryDate":     semconv.RegistryDate,
		"RegistryRevision": semconv.RegistryRevision,
	}
	add := func(identifier, name string) {
		if other, taken := want[identifier]; taken {
			t.Errorf("%s stands for %s and for %s", identifier, other, name)
		}
		want[identifier] = name
	}
	for a := range semconv.Attributes() {
		add(goName(a.Name)+"Key", a.Name)
		for v := range a.Values() {
			add(goName(a.Name)+goName(v), v)
		}
	}
	for s := range semconv.Spans() {
		if id, ok := strings.CutPrefix(s.ID, "mellea."); ok && static(s.Name) != "" {
			add("Span"+goName(id), static(s.Name))
		}
	}
	for e := range semconv.Events() {
		add("Event"+goName(e.Name), e.Name)
	}
	for m := range semconv.Metrics() {
		add("Metric"+goName(m.Name), m.Name)
	}
	for l := range semconv.LogFields() {
		add("LogKey"+goName(l.Name), l.Name)
	}
	for _, s := range []string{"Application", "Backend", "MCP", "Metrics", "Logs"} {
		add("Scope"+s, "mellea."+strings.ToLower(s))
	}
	if diff := cmp.Diff(want, constants(t)); diff != "" {
		t.Errorf("constants (-registry +generated)\n%s", diff)
	}
}

func TestGoName(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"gen_ai.request.model":                 "GenAIRequestModel",
		"gen_ai.request.top_k":                 "GenAIRequestTopK",
		"openai.api.type":                      "OpenAIAPIType",
		"azure.ai.openai":                      "AzureAIOpenAI",
		"mcp.resource.uri":                     "MCPResourceURI",
		"jsonrpc.request.id":                   "JSONRPCRequestID",
		"notifications/resources/list_changed": "NotificationsResourcesListChanged",
		"sampling/createMessage":               "SamplingCreateMessage",
		"_OTHER":                               "Other",
		"x_ai":                                 "XAI",
		"mellea.llm.cost.usd":                  "MelleaLLMCostUSD",
		"first_chunk":                          "FirstChunk",
	}
	for name, want := range tests {
		if got := goName(name); got != want {
			t.Errorf("goName(%q) = %q, want %q", name, got, want)
		}
	}
}

// minimal is a registry without a fault; the tests below put one into it.
const minimal = `
scopes:
  - {const: Application, name: mellea.application, brief: B.}
attributes:
  - {name: mellea.a, type: string, brief: B., when: W., examples: [x], content: false}
spans:
  - id: mellea.s
    name: s {mellea.a}
    scope: mellea.application
    kind: internal
    brief: B.
    attributes: [{ref: mellea.a, level: required}]
    events: [e]
events:
  - {name: e, brief: B., when: W., attributes: [{ref: error.type, level: recommended}]}
metrics:
  - {name: mellea.m, instrument: counter, type: int, unit: "1", brief: B., when: W., example: 1, attributes: [{ref: mellea.a, level: required}]}
`

func TestFaultsAreNamed(t *testing.T) {
	t.Parallel()
	if _, err := parseMellea([]byte(minimal), committed()); err != nil {
		t.Fatalf("registry without a fault: %v", err)
	}
	tests := []struct{ name, old, new, want string }{
		{"unknown field", "brief: B.}", "brief: B., brieff: C.}", "field brieff not found"},
		{"no content flag", ", content: false", "", "mellea.a: content and examples are mandatory"},
		{"no example", ", examples: [x]", "", "mellea.a: content and examples are mandatory"},
		{"type", "type: string", "type: text", `attribute mellea.a: unknown type "text"`},
		{"kind", "kind: internal", "kind: inner", `span mellea.s: unknown kind "inner"`},
		{"scope", "scope: mellea.application", "scope: mellea.other", `span mellea.s: no scope "mellea.other"`},
		{"level", "ref: error.type, level: recommended", "ref: error.type, level: good", `e: error.type: unknown level "good"`},
		{"condition", "ref: error.type, level: recommended", "ref: error.type, level: conditionally_required", "event e: error.type: conditionally required without a condition"},
		{"reference", "ref: error.type", "ref: error.typo", "event e: no attribute error.typo in either registry"},
		{"name of a span", "s {mellea.a}", "s {mellea.b}", "span mellea.s: no attribute mellea.b for its name"},
		{"event", "events: [e]", "events: [f]", "span mellea.s: no event f"},
		{"extends", "    kind: internal", "    kind: internal\n    extends: gen_ai.none", "extends gen_ai.none, which is not in the GenAI registry"},
		{"instrument", "instrument: counter", "instrument: gauge", `metric mellea.m: unknown instrument "gauge"`},
		{"value type", "type: int", "type: string", `metric mellea.m: type "string" is not int or double`},
		{"content list", "scopes:", "content: [gen_ai.none]\nscopes:", "content: no attribute gen_ai.none"},
		{"emitted metric", "scopes:", "emits: {metrics: [gen_ai.none]}\nscopes:", "emits: no metric gen_ai.none"},
		{"emitted event", "scopes:", "emits: {events: [gen_ai.none]}\nscopes:", "emits: no event gen_ai.none"},
		{"emitted attribute", "scopes:", "emits: {attributes: {gen_ai.none: 1}}\nscopes:", "emits: no attribute gen_ai.none"},
		{"emitted without when", "scopes:", "emits: {events: [gen_ai.evaluation.result]}\nscopes:", "nothing says when the event gen_ai.evaluation.result is sent"},
		{"emitted without example", "scopes:", "emits: {metrics: [gen_ai.invoke_agent.duration], when: {gen_ai.invoke_agent.duration: {when: W.}}}\nscopes:", "gen_ai.invoke_agent.duration needs when and example"},
		{"when of nothing", "scopes:", "emits: {when: {gen_ai.none: {when: W.}}}\nscopes:", "emits: gen_ai.none is not among the events and metrics"},
		{"deprecated but there", "scopes:", "deprecated: [{signal: attribute, name: error.type}]\nscopes:", "deprecated: the GenAI registry has the attribute error.type"},
		{"replacement", "scopes:", "deprecated: [{signal: metric, name: m, use: [error.type]}]\nscopes:", "deprecated: m: no metric error.type"},
		{"signal", "scopes:", "deprecated: [{signal: trace, name: m}]\nscopes:", `deprecated: m: unknown signal "trace"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if !strings.Contains(minimal, tt.old) {
				t.Fatalf("%q is not in the registry", tt.old)
			}
			_, err := parseMellea([]byte(strings.Replace(minimal, tt.old, tt.new, 1)), committed())
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

func FuzzParseMellea(f *testing.F) {
	f.Add([]byte(minimal))
	upstream := committed()
	f.Fuzz(func(t *testing.T, data []byte) {
		reg, err := parseMellea(data, upstream)
		if err == nil && reg == nil {
			t.Error("got neither a registry nor an error")
		}
	})
}

// TestGenAIRegistry reads a registry of the upstream form that has one of
// everything.
func TestGenAIRegistry(t *testing.T) {
	t.Parallel()
	reg, err := loadGenAI("testdata/genai-registry.json")
	if err != nil {
		t.Fatal(err)
	}
	want := &registry{
		schemaURL: "https://example.com/schemas/1.0.0-dev", date: "2026-01-02", revision: "0123abcd",
		attributes: []attribute{
			{name: "error.type", typ: "string", brief: "A class of error.", values: []value{{Value: "_OTHER"}}, core: true},
			{name: "gen_ai.input.messages", typ: "any", brief: "Messages.", stability: "development", schema: `{"type":"array"}`},
			{name: "gen_ai.request.model", typ: "string", brief: "The model.", stability: "development"},
			{name: "openai.api.type", typ: "string", brief: "The API.", stability: "development", values: []value{{Value: "responses"}}},
		},
		spans: []span{
			{
				id: "gen_ai.client.inference", name: "{gen_ai.operation.name} {gen_ai.request.model}", brief: "A call.",
				kind: "client", kinds: []string{"client", "internal"}, operations: []string{"chat"},
				uses: []use{
					{name: "error.type", level: "conditionally_required", condition: "If it failed."},
					{name: "gen_ai.input.messages", level: "opt_in"},
					{name: "gen_ai.request.model", level: "required", sampling: true},
				},
			},
			{
				id: "openai.gen_ai.client.inference", name: "{gen_ai.operation.name} {gen_ai.request.model}", brief: "A call.",
				kind: "client", kinds: []string{"client", "internal"}, operations: []string{"chat"},
				extends: "gen_ai.client.inference", provider: "openai",
				uses: []use{{name: "openai.api.type", level: "recommended"}},
			},
		},
		events: []event{{
			name: "gen_ai.details", brief: "Details.", log: true, severity: 5,
			uses: []use{{name: "gen_ai.request.model", level: "required"}},
		}},
		metrics: []metric{{
			name: "gen_ai.duration", instrument: "histogram", typ: "double", unit: "s", brief: "How long.", buckets: []float64{0.5, 1},
			uses: []use{
				{name: "gen_ai.request.model", level: "recommended"},
				{name: "openai.api.type", level: "recommended", provider: "openai"},
			},
		}},
	}
	want.entities = []entity{{name: "gen_ai.agent", brief: "An agent.", uses: []use{
		{name: "gen_ai.request.model", level: "required"}, {name: "openai.api.type", level: "recommended"},
	}}}
	exported := cmp.AllowUnexported(registry{}, attribute{}, span{}, use{}, event{}, metric{}, entity{})
	if diff := cmp.Diff(want, reg, exported); diff != "" {
		t.Errorf("registry (-want +got)\n%s", diff)
	}
	files, err := renderGenAI(reg)
	if err != nil {
		t.Fatal(err)
	}
	got := slices.Sorted(maps.Keys(files))
	if diff := cmp.Diff([]string{"genai_attributes.gen.go", "genai_registry.gen.go"}, got); diff != "" {
		t.Errorf("files (-want +got)\n%s", diff)
	}
}

// Without a GenAI registry the committed GenAI files are not touched.
func TestRunWritesOnlyWhatItWasGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	doc := filepath.Join(dir, "reference.md")
	if err := run("", melleaYAML, dir, doc); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, e.Name())
	}
	want := []string{"mellea_attributes.gen.go", "mellea_registry.gen.go", "reference.md"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files written (-want +got)\n%s", diff)
	}
}
