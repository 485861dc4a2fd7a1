package mellea_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mellea-go/mellea"

// The layers of the module, lowest first. A package may import what its row allows and nothing else of the module.
var (
	layer0 = []string{"content", "schema", "hook", "internal/warnonce", "internal/wire"}
	layer1 = []string{"backend", "history", "tool"}
	layer2 = []string{"component", "internal/openai"}
	layer3 = []string{"requirement"}
	layer4 = []string{"sampling"}
	values = slices.Concat([]string{"content", "schema"}, layer1, []string{"component", "requirement", "sampling"})
	engine = []string{"internal/engine"}

	jsonModule   = "github.com/go-json-experiment/json"
	schemaModule = "github.com/google/jsonschema-go"
	otelModules  = "go.opentelemetry.io/"
	anyModule    = "*"
)

// architecture says what each package may import: packages of the module, and modules beside the standard library.
var architecture = []struct {
	packages string // a path below the module, with * for one element; "" is the root
	imports  []string
	modules  []string
}{
	{"content", []string{"schema"}, nil},
	{"schema", nil, []string{schemaModule, jsonModule}},
	{"hook", nil, nil},
	{"internal/gbnf", nil, []string{jsonModule}},
	{"internal/gguf", nil, nil},
	{"internal/warnonce", nil, nil},
	{"internal/wire", nil, []string{jsonModule}},

	{"backend", []string{"content", "schema", "tool"}, nil},
	{"history", []string{"content", "schema"}, nil},
	{"tool", []string{"content", "schema"}, nil},

	{"internal/failure", slices.Concat(layer0, layer1), nil},
	{"component", slices.Concat(layer0, layer1), nil},
	{"internal/openai", slices.Concat(layer0, layer1), []string{jsonModule}},
	{"internal/tooltext", []string{"content", "schema", "internal/gbnf"}, []string{jsonModule}},
	{"internal/openai/client", slices.Concat(layer0, layer1, []string{"internal/failure", "internal/openai"}), []string{jsonModule}},

	{"requirement", slices.Concat(layer0, layer1, layer2), nil},
	{"backend/backendtest", slices.Concat(layer0, layer1, []string{"internal/openai"}), []string{jsonModule, "github.com/google/go-cmp", "go.uber.org/goleak"}},
	{"backend/huggingface/local", slices.Concat(layer0, layer1, []string{"internal/gbnf", "internal/gguf", "internal/tooltext"}),
		[]string{jsonModule, "github.com/hybridgroup/yzma", "github.com/jupiterrider/ffi", "github.com/ebitengine/purego"}},
	{"backend/*", slices.Concat(layer0, layer1, []string{"internal/failure", "internal/openai", "internal/openai/client"}), []string{jsonModule}},

	{"sampling", slices.Concat(layer0, layer1, layer2, layer3), nil},
	{"sampling/*", slices.Concat(layer0, layer1, layer2, layer3, layer4), []string{"github.com/google/go-cmp"}},

	{"hookpoint", slices.Concat([]string{"hook"}, values), nil},

	{"guard", slices.Concat(layer0, layer1, layer2, layer3, layer4, []string{"hookpoint"}), nil},
	{"internal/engine", slices.Concat(layer0, layer1, layer2, layer3, layer4, []string{"hookpoint"}), nil},
	{"telemetry", slices.Concat([]string{"hook", "hookpoint", "telemetry/semconv", "internal/otlpfile"}, values), []string{otelModules, "github.com/prometheus/client_golang"}},
	{"telemetry/redact", nil, nil},
	{"telemetry/semconv", nil, []string{otelModules}},
	{"telemetry/semconv/check", []string{"schema", "telemetry/semconv"}, []string{otelModules}},

	{"", slices.Concat(layer0, layer1, layer2, layer3, layer4, engine, []string{"hookpoint"}), nil},

	{"melleatest", []string{"*"}, []string{otelModules, "google.golang.org/protobuf"}},
	{"internal/batch", nil, nil},
	{"internal/cli", []string{"*"}, []string{anyModule}},
	{"internal/cli/*", []string{"*"}, []string{anyModule}},
	{"internal/otlpfile", nil, []string{"go.opentelemetry.io/proto/otlp", "google.golang.org/protobuf", jsonModule}},
	{"internal/otlpserve", []string{"internal/otlpfile"}, []string{anyModule}},
	{"internal/tracecost", []string{"content", "telemetry"}, []string{"go.opentelemetry.io/proto/otlp"}},
	{"internal/otlptest", nil, []string{anyModule}},
	{"internal/semconvtest", []string{"*"}, nil},
	{"internal/watsonxtest", []string{"content", "schema", "backend", "backend/backendtest"}, nil},
	{"internal/scoreboardgen", []string{"backend/backendtest"}, nil},
	{"internal/semconvgen", []string{"telemetry/semconv"}, []string{anyModule}},
	{"cmd/*", []string{"*"}, []string{anyModule}},
	{"examples/recorded/recordedtest", []string{"*"}, []string{anyModule}},
	{"examples/*", []string{"*"}, []string{anyModule}},
	{"bench", []string{"*"}, []string{anyModule}},
	{"integration", []string{"*"}, []string{anyModule}},
	{"integration/components", []string{"integration/components/tinymodel"}, nil},
	{"integration/components/tinymodel", nil, nil},
	{"scripts/components/run", []string{"integration/components", "integration/components/tinymodel"}, nil},
}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
	Module     *struct{ Path string }
}

func list(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", append([]string{"list", "-tags=llama", "-json=ImportPath,Imports,Deps,Standard,Module"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %v: %v\n%s", args, err, stderr.String())
	}
	var all []listed
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func within(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool {
		ok, _ := filepath.Match(p, path)
		return ok || p == "*"
	})
}

func TestImportRules(t *testing.T) {
	t.Parallel()
	moduleOf := map[string]string{}
	for _, p := range list(t, "-deps", "./...") {
		if p.Module != nil {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	for _, p := range list(t, "./...") {
		path := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		row := slices.IndexFunc(architecture, func(r struct {
			packages string
			imports  []string
			modules  []string
		}) bool {
			return within(path, []string{r.packages})
		})
		if row < 0 {
			t.Errorf("package %s is in no row of the architecture table: add it where the design has it", p.ImportPath)
			continue
		}
		rule := architecture[row]
		for _, imp := range p.Imports {
			mod, known := moduleOf[imp]
			switch {
			case !known: // standard library
			case mod == module:
				if own := strings.TrimPrefix(strings.TrimPrefix(imp, module), "/"); !within(own, rule.imports) {
					t.Errorf("%s imports %s, which its layer does not allow", p.ImportPath, imp)
				}
			case !slices.ContainsFunc(rule.modules, func(m string) bool { return m == anyModule || strings.HasPrefix(mod, m) }):
				t.Errorf("%s imports %s of module %s, which its layer does not allow", p.ImportPath, imp, mod)
			}
		}
	}
}

// What a program pays for that uses the root package and one backend: no OpenTelemetry, and at most three modules
// beside the standard library.
func TestFootprint(t *testing.T) {
	t.Parallel()
	for _, b := range []string{"openai", "ollama", "huggingface", "litellm", "replay", "watsonx"} {
		mods := map[string]bool{}
		for _, p := range list(t, "-deps", ".", "./backend/"+b) {
			if p.Module != nil && p.Module.Path != module {
				mods[p.Module.Path] = true
			}
			if strings.Contains(p.ImportPath, "opentelemetry") || strings.HasPrefix(p.ImportPath, module+"/telemetry") {
				t.Errorf("the root package with backend/%s depends on %s", b, p.ImportPath)
			}
		}
		if len(mods) > 3 {
			t.Errorf("the root package with backend/%s pulls in %d modules, want at most 3: %v", b, len(mods), mods)
		}
	}
}

// eachSource parses the hand-written Go files of the module that are not tests.
func eachSource(t *testing.T, f func(path string, file *ast.File, src []byte)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(path) != ".go" || strings.HasSuffix(path, "_test.go") || strings.HasSuffix(path, ".gen.go") {
			return nil
		}
		src, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, src, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		f(filepath.ToSlash(path), file, src)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// Only the engine fires hook points and calls backends. Decorators among the backends call the one they wrap.
func TestOnlyTheEngineFires(t *testing.T) {
	t.Parallel()
	fires := map[string]bool{"Do": true, "Begin": true, "Emit": true}
	eachSource(t, func(path string, file *ast.File, _ []byte) {
		if strings.HasPrefix(path, "internal/engine/") || strings.HasPrefix(path, "internal/semconvtest/") { // which stands in for it in tests
			return
		}
		ast.Inspect(file, func(n ast.Node) bool {
			call, ok := n.(*ast.CallExpr)
			if !ok {
				return true
			}
			method, ok := call.Fun.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			if point, ok := method.X.(*ast.SelectorExpr); ok && fires[method.Sel.Name] {
				if pkg, ok := point.X.(*ast.Ident); ok && pkg.Name == "hookpoint" {
					t.Errorf("%s fires hookpoint.%s: only internal/engine may", path, point.Sel.Name)
				}
			}
			if method.Sel.Name == "Generate" && !strings.HasPrefix(path, "backend/") {
				t.Errorf("%s calls Generate: only internal/engine calls backends", path)
			}
			return true
		})
	})
}

func TestNoHiddenWiring(t *testing.T) {
	t.Parallel()
	environment := map[string]bool{"Getenv": true, "LookupEnv": true, "Environ": true}
	eachSource(t, func(path string, file *ast.File, _ []byte) {
		for _, d := range file.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil && d.Name.Name == "init" {
					t.Errorf("%s has an init function", path)
				}
			case *ast.GenDecl:
				if d.Tok != token.VAR {
					continue
				}
				ast.Inspect(d, func(n ast.Node) bool {
					if _, later := n.(*ast.FuncLit); later {
						return false
					}
					call, ok := n.(*ast.CallExpr)
					if !ok {
						return true
					}
					if f, ok := call.Fun.(*ast.SelectorExpr); ok && environment[f.Sel.Name] {
						t.Errorf("%s reads the environment when it is imported", path)
					}
					return true
				})
			}
		}
	})
}

func TestFilesAreShort(t *testing.T) {
	t.Parallel()
	const most = 500
	eachSource(t, func(path string, _ *ast.File, src []byte) {
		lines := 0
		for s := bufio.NewScanner(bytes.NewReader(src)); s.Scan(); {
			lines++
		}
		if lines > most {
			t.Errorf("%s has %d lines, want at most %d: it has two rooms in one", path, lines, most)
		}
	})
}

func TestPackagesSayWhatTheyAre(t *testing.T) {
	t.Parallel()
	documented, packages := map[string]bool{}, map[string]bool{}
	eachSource(t, func(path string, file *ast.File, _ []byte) {
		dir := filepath.Dir(path)
		packages[dir] = true
		if file.Doc != nil && strings.TrimSpace(file.Doc.Text()) != "" {
			documented[dir] = true
		}
	})
	for dir := range packages {
		if !documented[dir] {
			t.Errorf("package %s has no package comment", dir)
		}
	}
}

// A failure is classified in one place, for spans, metrics and logs alike: nobody else makes a category, names one of the
// registry's, or writes a word as one.
func TestOneClassifier(t *testing.T) {
	t.Parallel()
	const classifier = "telemetry/errors.go"
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		path = filepath.ToSlash(path)
		if path == classifier || strings.HasPrefix(path, "telemetry/semconv/") || strings.HasPrefix(path, "internal/semconvgen/") {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				if name := n.Sel.Name; strings.HasPrefix(name, "MelleaErrorCategory") && name != "MelleaErrorCategoryKey" {
					t.Errorf("%s names %s: the category of an error is what telemetry.ClassifyError says", path, name)
				}
			case *ast.CallExpr:
				if f, ok := n.Fun.(*ast.Ident); ok && f.Name == "Category" && file.Name.Name == "telemetry" {
					t.Errorf("%s makes a Category: only %s does", path, classifier)
				}
				on, ok := n.Fun.(*ast.SelectorExpr)
				if !ok || len(n.Args) == 0 {
					return true
				}
				if key, ok := on.X.(*ast.SelectorExpr); ok && key.Sel.Name == "MelleaErrorCategoryKey" {
					if !isString(n.Args[0]) {
						t.Errorf("%s writes a category that is no telemetry.Category", path)
					}
				}
			}
			return true
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// isString reports whether an expression turns something into a string.
func isString(e ast.Expr) bool {
	call, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	f, ok := call.Fun.(*ast.Ident)
	return ok && f.Name == "string"
}
