package mellea_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// eachText reads the text files of the tree, hidden ones included.
func eachText(t *testing.T, f func(path, text string)) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.Name() == ".git" { // a folder, or the file that stands for it in a linked work tree
			if d.IsDir() {
				return filepath.SkipDir
			}
			return nil
		}
		if d.IsDir() {
			return nil
		}
		const most = 4 << 20 // a built binary, say
		if info, err := d.Info(); err != nil || !info.Mode().IsRegular() || info.Size() > most {
			return err
		}
		src, err := os.ReadFile(path)
		if err == nil && utf8.Valid(src) {
			f(filepath.ToSlash(path), string(src))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// What is in the tree works on every machine: it names no path of one and nothing outside the tree. The check script
// may be told of input beside it.
func TestNothingNamesAMachine(t *testing.T) {
	t.Parallel()
	// The first group keeps the end of a longer, relative path from counting.
	private := regexp.MustCompile(`(^|[\s"'` + "`" + `(=:,\[])/(work|tmp|root|home|Users)/\S*|\.\./shared\b`)
	eachText(t, func(path, text string) {
		if path == "house_test.go" || strings.HasPrefix(path, ".ci/") {
			return
		}
		for i, line := range strings.Split(text, "\n") {
			if m := private.FindString(line); m != "" {
				t.Errorf("%s:%d names %s: it is not there on another machine", path, i+1, strings.TrimSpace(m))
			}
		}
	})
}

// publicPackages parses the packages that a program may import, tests apart.
func publicPackages(t *testing.T, f func(dir string, p *doc.Package, fset *token.FileSet)) {
	t.Helper()
	files := map[string][]*ast.File{}
	fset := token.NewFileSet()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			private := []string{"internal", "testdata", "cmd", "examples", "bench", "integration", "scripts", "docs"}
			if path != "." && (strings.HasPrefix(d.Name(), ".") || slices.Contains(private, d.Name())) {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(fset, path, nil, parser.ParseComments)
		files[filepath.ToSlash(filepath.Dir(path))] = append(files[filepath.ToSlash(filepath.Dir(path))], file)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, all := range files {
		p, err := doc.NewFromFiles(fset, all, module+"/"+dir, doc.PreserveAST)
		if err != nil {
			t.Fatal(err)
		}
		f(dir, p, fset)
	}
}

// Every exported name says what it is. A method that satisfies an interface of the standard library may go without, and
// a constant or variable has the comment of its group.
func TestExportedNamesAreDocumented(t *testing.T) {
	t.Parallel()
	known := map[string]bool{"Error": true, "String": true, "Unwrap": true, "Is": true, "As": true, "MarshalJSON": true, "UnmarshalJSON": true}
	publicPackages(t, func(dir string, p *doc.Package, _ *token.FileSet) {
		missing := func(name, text string) {
			if strings.TrimSpace(text) == "" {
				t.Errorf("%s: %s has no comment", dir, name)
			}
		}
		values := func(groups []*doc.Value) {
			for _, v := range groups {
				for _, spec := range v.Decl.Specs {
					if s := spec.(*ast.ValueSpec); slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						missing(s.Names[0].Name, v.Doc+s.Doc.Text()+s.Comment.Text())
					}
				}
			}
		}
		functions := func(of string, all []*doc.Func) {
			for _, f := range all {
				if of == "" || !known[f.Name] {
					missing(of+f.Name, f.Doc)
				}
			}
		}
		values(p.Consts)
		values(p.Vars)
		functions("", p.Funcs)
		for _, typ := range p.Types {
			missing(typ.Name, typ.Doc)
			values(typ.Consts)
			values(typ.Vars)
			functions("", typ.Funcs)
			functions(typ.Name+".", typ.Methods)
		}
	})
}

// Packages whose functions a program calls show how.
func TestPackagesHaveExamples(t *testing.T) {
	t.Parallel()
	without := map[string]string{
		"hookpoint":             "a catalogue of values; package hook and the root show how to bind to them",
		"backend/backendtest":   "a test suite; each backend's tests run it",
		"sampling/samplingtest": "a test suite; the tests of sampling run it",
	}
	publicPackages(t, func(dir string, p *doc.Package, _ *token.FileSet) {
		exports := len(p.Funcs) > 0
		examples := len(p.Examples)
		for _, f := range p.Funcs {
			examples += len(f.Examples)
		}
		for _, typ := range p.Types {
			exports = exports || len(typ.Funcs) > 0
			examples += len(typ.Examples)
			for _, f := range slices.Concat(typ.Funcs, typ.Methods) {
				examples += len(f.Examples)
			}
		}
		switch reason, excused := without[dir]; {
		case exports && examples == 0 && !excused:
			t.Errorf("%s exports functions and has no Example", dir)
		case excused && examples > 0:
			t.Errorf("%s has an Example now: strike it from the list (%s)", dir, reason)
		}
	})
}

// A package that starts goroutines looks in its tests that none is left. A suite does so in the tests of those who run it.
func TestGoroutinesAreLookedAfter(t *testing.T) {
	t.Parallel()
	suites := []string{"backend/backendtest"}
	starts := regexp.MustCompile(`(?m)^\s*go (func\(|[\w.]+\()|\.Go\(|\bAfterFunc\(`)
	started, guarded := map[string]string{}, map[string]bool{}
	eachText(t, func(path, text string) {
		dir := filepath.ToSlash(filepath.Dir(path))
		switch {
		case strings.HasSuffix(path, "_test.go"):
			guarded[dir] = guarded[dir] || strings.Contains(text, "goleak.VerifyTestMain(m")
		case filepath.Ext(path) == ".go" && starts.MatchString(text):
			started[dir] = path
		}
	})
	if len(started) < 5 {
		t.Fatalf("found goroutines only in %v: the search does not find them", started)
	}
	for dir, path := range started {
		if !guarded[dir] && !slices.Contains(suites, dir) {
			t.Errorf("%s starts goroutines: give %s a TestMain with goleak.VerifyTestMain", path, dir)
		}
	}
}
