package mellea_test

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// rows returns the cells of the table under a heading of docs/dependencies.md, by their first cell.
func rows(t *testing.T, heading string) map[string][]string {
	t.Helper()
	src, err := os.ReadFile("docs/dependencies.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(src), "\n## "+heading+"\n")
	if !found {
		t.Fatalf("docs/dependencies.md has no section %s", heading)
	}
	section, _, _ = strings.Cut(section, "\n## ")
	all := map[string][]string{}
	for line := range strings.Lines(section) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") || strings.HasPrefix(line, "|-") || strings.HasPrefix(line, "| module") {
			continue
		}
		var cells []string
		for c := range strings.SplitSeq(strings.Trim(line, "|"), "|") {
			cells = append(cells, strings.TrimSpace(c))
		}
		all[cells[0]] = cells
		if slices.Contains(cells, "") {
			t.Errorf("docs/dependencies.md: %s has an empty cell", cells[0])
		}
	}
	return all
}

func names[V any](m map[string]V) []string {
	var all []string
	for name := range m {
		all = append(all, name)
	}
	slices.Sort(all)
	return all
}

// required returns the modules that go.mod requires, direct or indirect.
func required(t *testing.T, indirect bool) []string {
	t.Helper()
	src, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^(?:require )?\s*(\S+\.\S+/\S+) v\S+( // indirect)?$`).FindAllStringSubmatch(string(src), -1) {
		if (m[2] != "") == indirect {
			all = append(all, m[1])
		}
	}
	slices.Sort(all)
	return all
}

func TestDependenciesAreListed(t *testing.T) {
	t.Parallel()
	direct, indirect := rows(t, "Direct"), rows(t, "Indirect")
	if diff := cmp.Diff(required(t, false), names(direct)); diff != "" {
		t.Errorf("direct requirements (-go.mod +docs/dependencies.md):\n%s", diff)
	}
	if diff := cmp.Diff(required(t, true), names(indirect)); diff != "" {
		t.Errorf("indirect requirements (-go.mod +docs/dependencies.md):\n%s", diff)
	}
	importers := importersOf(t)
	for name, cells := range direct {
		if got, want := cells[2], importers[name]; got != want {
			t.Errorf("docs/dependencies.md says that %s is imported by %s, but it is by %s", name, got, want)
		}
	}
	graph, err := exec.CommandContext(t.Context(), "go", "mod", "graph").Output()
	if err != nil {
		t.Fatal(err)
	}
	edges := map[[2]string]bool{}
	for edge := range strings.Lines(string(graph)) {
		from, to, _ := strings.Cut(strings.TrimSpace(edge), " ")
		from, _, _ = strings.Cut(from, "@")
		to, _, _ = strings.Cut(to, "@")
		edges[[2]string{from, to}] = true
	}
	for name, cells := range indirect {
		if !edges[[2]string{cells[1], name}] {
			t.Errorf("docs/dependencies.md says that %s brings %s, but it does not require it", cells[1], name)
		}
	}
}

// importersOf returns the packages of this module that import each other module, examples and tests apart, and "tests"
// where there are none.
func importersOf(t *testing.T) map[string]string {
	t.Helper()
	moduleOf := map[string]string{}
	for _, p := range list(t, "-deps", "-test", "./...") {
		if p.Module != nil && p.Module.Path != module {
			moduleOf[p.ImportPath] = p.Module.Path
		}
	}
	packages := map[string]map[string]bool{}
	for _, m := range moduleOf {
		packages[m] = map[string]bool{}
	}
	for _, p := range list(t, "./...") {
		own := strings.TrimPrefix(p.ImportPath, module+"/")
		for _, imp := range p.Imports {
			if m := moduleOf[imp]; m != "" && !strings.HasPrefix(own, "examples/") {
				packages[m][own] = true
			}
		}
	}
	importers := map[string]string{}
	for m, by := range packages {
		importers[m] = strings.Join(names(by), ", ")
		if len(by) == 0 {
			importers[m] = "tests"
		}
	}
	return importers
}

func TestToolsAreListed(t *testing.T) {
	t.Parallel()
	src, err := os.ReadFile("tools.mod")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(src), "tool (")
	block, _, _ = strings.Cut(block, ")")
	var got []string
	for tool := range strings.FieldsSeq(block) {
		path, _, _ := strings.Cut(tool, "/cmd/")
		got = append(got, path)
	}
	slices.Sort(got)
	if diff := cmp.Diff(got, names(rows(t, "Tools"))); diff != "" {
		t.Errorf("tools (-tools.mod +docs/dependencies.md):\n%s", diff)
	}
}
