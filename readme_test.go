package mellea_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/hookpoint"
)

// documents returns the README and the pages of docs.
func documents(t *testing.T) []string {
	t.Helper()
	pages := []string{"README.md", "CONTRIBUTING.md"}
	for _, pattern := range []string{"docs/*.md", "docs/*/*.md"} {
		more, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, more...)
	}
	return pages
}

// A block is fenced code of a document.
type block struct {
	page     string
	line     int // of the fence
	language string
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// blocks returns the fenced blocks of a page.
func blocks(t *testing.T, page string) []block {
	t.Helper()
	src, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	var open *block
	for i, line := range strings.Split(string(src), "\n") {
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{page: page, line: i + 1, language: fence}
		case isFence:
			all = append(all, *open)
			open = nil
		case open != nil:
			open.text += line + "\n"
		}
	}
	if open != nil {
		t.Fatalf("%v: the block is not closed", open)
	}
	return all
}

// packagesOf are what a snippet may use without an import of its own.
var packagesOf = map[string]string{
	"backend": module + "/backend", "component": module + "/component", "content": module + "/content", "history": module + "/history",
	"hook": module + "/hook", "hookpoint": module + "/hookpoint", "mellea": module, "melleatest": module + "/melleatest",
	"huggingface": module + "/backend/huggingface",
	"litellm":     module + "/backend/litellm",
	"local":       module + "/backend/huggingface/local",
	"ollama":      module + "/backend/ollama",
	"openai":      module + "/backend/openai",
	"replay":      module + "/backend/replay",
	"guard":       module + "/guard", "tool": module + "/tool",
	"requirement": module + "/requirement", "sampling": module + "/sampling", "schema": module + "/schema", "telemetry": module + "/telemetry",
	"check":     module + "/telemetry/semconv/check",
	"attribute": "go.opentelemetry.io/otel/attribute", "otel": "go.opentelemetry.io/otel", "trace": "go.opentelemetry.io/otel/trace",
	"sdktrace": "go.opentelemetry.io/otel/sdk/trace",
	"bytes":    "bytes", "context": "context", "embed": "embed", "errors": "errors", "fmt": "fmt", "io": "io", "json": "encoding/json", "log": "log",
	"os": "os", "regexp": "regexp", "slog": "log/slog", "strings": "strings", "sync": "sync", "testing": "testing", "time": "time", "http": "net/http",
}

// snippet completes the Go code of a document to a file: a whole file is left as it is, declarations get a package and
// imports, and statements become a function that has ctx, s, b and tel.
//
// An elision, "{ … }", is an empty block.
func snippet(b block) (string, error) {
	b.text = strings.ReplaceAll(b.text, "{ … }", "{}")
	fset := token.NewFileSet()
	if _, err := parser.ParseFile(fset, "", b.text, 0); err == nil {
		return b.text, nil
	}
	body := b.text
	if _, err := parser.ParseFile(fset, "", "package p\n"+b.text, 0); err != nil {
		used, err := defined(b.text)
		if err != nil {
			return "", err
		}
		body = "func _(ctx context.Context, s *mellea.Session, b backend.Backend, tel *telemetry.Telemetry) error {\n{\n" +
			b.text + used + "}\nreturn nil\n}\n"
	}
	file, err := parser.ParseFile(fset, "", "package p\n"+body, 0)
	if err != nil {
		return "", err
	}
	imports := map[string]bool{}
	ast.Inspect(file, func(n ast.Node) bool {
		if sel, ok := n.(*ast.SelectorExpr); ok {
			if x, ok := sel.X.(*ast.Ident); ok && x.Obj == nil && packagesOf[x.Name] != "" {
				imports[x.Name] = true
			}
		}
		return true
	})
	var head strings.Builder
	head.WriteString("package p\n")
	for name := range imports {
		fmt.Fprintf(&head, "import %s %q\n", name, packagesOf[name])
	}
	return head.String() + body, nil
}

// defined returns statements that use what the statements of a snippet define.
func defined(statements string) (string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", "package p\nfunc _() {\n"+statements+"}\n", 0)
	if err != nil {
		return "", err
	}
	var uses strings.Builder
	for _, stmt := range file.Decls[0].(*ast.FuncDecl).Body.List {
		if a, ok := stmt.(*ast.AssignStmt); ok && a.Tok == token.DEFINE {
			for _, l := range a.Lhs {
				if name := l.(*ast.Ident).Name; name != "_" {
					fmt.Fprintf(&uses, "_ = %s\n", name)
				}
			}
		}
	}
	return uses.String(), nil
}

// overlay lays files over the module that are not in it, by their paths in the module, and returns the flag for it.
func overlay(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	root, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	replace := map[string]string{}
	for path, text := range files {
		file := filepath.Join(dir, strings.ReplaceAll(path, "/", "_"))
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		replace[filepath.Join(root, filepath.FromSlash(path))] = file
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(file, list, 0o600); err != nil {
		t.Fatal(err)
	}
	return "-overlay=" + file
}

func TestCodeInDocumentsCompiles(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	where := map[string]block{}
	for _, page := range documents(t) {
		for _, b := range blocks(t, page) {
			if b.language != "go" {
				continue
			}
			text, err := snippet(b)
			if err != nil {
				t.Errorf("%v: %v", b, err)
				continue
			}
			if formatted, err := format.Source([]byte(b.text)); err == nil && !bytes.Equal(formatted, []byte(b.text)) {
				t.Errorf("%v: the code is not as gofmt has it", b)
			}
			dir := fmt.Sprintf("docs/snippet%d", len(where))
			files[dir+"/snippet.go"], where[dir] = text, b
		}
	}
	if len(files) == 0 {
		t.Fatal("the documents hold no Go code")
	}
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", t.TempDir(), overlay(t, files), "./docs/...").CombinedOutput()
	if err == nil {
		return
	}
	message := string(out)
	for dir, b := range where {
		message = strings.ReplaceAll(message, dir+"/", b.String()+" as ")
	}
	t.Errorf("go build: %v\n%s", err, message)
}

// readme returns the program of the README, what it prints and the tree of its trace.
func readme(t *testing.T) (program, output, tree string) {
	t.Helper()
	var texts []string
	for _, b := range blocks(t, "README.md") {
		switch b.language {
		case "go":
			program = b.text
		case "text":
			texts = append(texts, b.text)
		}
	}
	if program == "" || len(texts) != 2 {
		t.Fatalf("README.md has %d blocks of text, want the program's output and its trace", len(texts))
	}
	return program, texts[0], texts[1]
}

// The Example of the package is the program of the README, but for the model it asks.
func TestReadmeProgramIsTheExample(t *testing.T) {
	t.Parallel()
	program, output, _ := readme(t)
	src, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	want := strings.ReplaceAll(function(t, program, "main"), "ollama.New()", "model()")
	got := function(t, string(src), "Example")
	const comment = "\t// Output: "
	got, printed, found := strings.Cut(got, comment)
	if !found {
		t.Fatal("the Example has no output")
	}
	if diff := cmp.Diff(want, got+"}"); diff != "" {
		t.Errorf("the README's program and the Example differ (-readme +example):\n%s", diff)
	}
	if diff := cmp.Diff(output, strings.TrimSuffix(printed, "}")); diff != "" {
		t.Errorf("what they print differs (-readme +example):\n%s", diff)
	}
}

// function returns the body of a function, from brace to brace.
func function(t *testing.T, src, name string) string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "", src, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range file.Decls {
		if f, ok := d.(*ast.FuncDecl); ok && f.Name.Name == name {
			return src[f.Body.Pos()-file.FileStart : f.Body.End()-file.FileStart]
		}
	}
	t.Fatalf("there is no function %s", name)
	return ""
}

// The program of the README, built and run on what the model said to it.
func TestReadmeProgramPrintsWhatItSays(t *testing.T) {
	t.Parallel()
	program, output, tree := readme(t)
	recording, err := filepath.Abs("examples/instruct-validate-repair/recording.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	program = strings.ReplaceAll(program, "ollama.New()", "model()")
	program = strings.ReplaceAll(program, `"`+module+`/backend/ollama"`, `"`+module+`/backend/replay"`)
	program += fmt.Sprintf("\nfunc model() *replay.Backend {\n\tb, err := replay.Open(%q)\n\tif err != nil {\n\t\tlog.Fatal(err)\n\t}\n\treturn b\n}\n", recording)
	binary := filepath.Join(t.TempDir(), "readme.exe")
	flag := overlay(t, map[string]string{"docs/readme/main.go": program})
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, flag, "./docs/readme").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	cmd := exec.CommandContext(t.Context(), binary)
	// Nothing of the environment, so that no variable of the developer's switches anything.
	cmd.Env = []string{"SYSTEMROOT=" + os.Getenv("SYSTEMROOT")}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s", err, stderr.String())
	}
	if diff := cmp.Diff(output, stdout.String()); diff != "" {
		t.Errorf("output (-readme +got):\n%s", diff)
	}
	if diff := cmp.Diff(timeless(tree), timeless(stderr.String())); diff != "" {
		t.Errorf("trace (-readme +got):\n%s", diff)
	}
}

var changing = regexp.MustCompile(`\b[0-9a-f]{32}\b|\d+(\.\d+)?(µs|ms|s)\b`)

// timeless returns the lines of a tree without times and ids. Checks that run at the same time are put in order.
func timeless(tree string) []string {
	lines := strings.Split(strings.TrimSpace(changing.ReplaceAllString(tree, "_")), "\n")
	for i := range lines {
		j := i
		for j < len(lines) && strings.Contains(lines[j], "─ requirement ") {
			lines[j] = strings.NewReplacer("├", "│", "└", "│").Replace(lines[j])
			j++
		}
		slices.Sort(lines[i:j])
	}
	return lines
}

// The page about hooks names every point and signal here, and says where each hook of Mellea in Python went.
func TestHooksPageIsComplete(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("docs/hooks.md")
	if err != nil {
		t.Fatal(err)
	}
	names := append(hookpoint.All(), "adapter_function_invocation_complete", "adapter_function_phase_complete", "component_post_error",
		"component_post_success", "component_pre_execute", "generation_batch_error", "generation_batch_post_call",
		"generation_batch_pre_call", "generation_error", "generation_event", "generation_post_call", "generation_pre_call",
		"sampling_iteration", "sampling_loop_end", "sampling_loop_start", "sampling_repair", "session_cleanup",
		"session_post_init", "session_pre_init", "session_reset", "streaming_end", "streaming_event", "streaming_start",
		"tool_post_invoke", "tool_pre_invoke", "validation_post_check", "validation_pre_check")
	for _, name := range names {
		if !bytes.Contains(src, []byte("`"+name+"`")) {
			t.Errorf("docs/hooks.md does not mention %s", name)
		}
	}
}

var link = regexp.MustCompile(`\]\(([^)\s]+)\)`)

func TestLinksInDocumentsLead(t *testing.T) {
	t.Parallel()
	for _, page := range documents(t) {
		src, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range link.FindAllStringSubmatch(string(src), -1) {
			target, _, _ := strings.Cut(m[1], "#")
			if target == "" || strings.Contains(target, "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(target))); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", page, m[1])
			}
		}
	}
}
