package backendtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// RecordVariable is the environment variable that has [Run] and [RunReal] write what they find, when it is 1. Otherwise
// they fail when it is not what is recorded.
const RecordVariable = "MELLEA_RECORD_CONFORMANCE"

// ResultsDir is the folder of recorded results, in that of the tests that run a suite.
const ResultsDir = "testdata/conformance"

// Results are what a suite found of one backend against one server. They are recorded, one file for each, and the
// scoreboard is made of the files.
type Results struct {
	// Backend is the row of the scoreboard.
	Backend string `json:"backend"`
	// Against says what served: a real component and its version, or the fake.
	Against string `json:"against"`
	// Real says that it was a real component with a real model.
	Real bool `json:"real"`
	// Date is the day on which they were recorded first, as 2006-01-02.
	Date string `json:"date"`
	// Features has the outcome of each feature that was checked, by its ID.
	Features map[string]Outcome `json:"features"`
	// Options has what each neutral option is called in a request, "" for one that the provider does not have.
	Options map[string]string `json:"options,omitempty"`
	// Reasons says why features cannot be had that nothing refuses, by their ID.
	Reasons map[string]string `json:"reasons,omitempty"`
}

// ReadResults reads a recorded file.
func ReadResults(path string) (Results, error) {
	var r Results
	text, err := os.ReadFile(path)
	if err != nil {
		return r, fmt.Errorf("backendtest: %w", err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("backendtest: %s: %w", path, err)
	}
	return r, nil
}

// board collects the outcomes of one run.
type board struct {
	path string
	all  int // features that are checked

	mu      sync.Mutex
	ran     int // features whose test has ended
	results Results
}

// fakeServer is what stands for a server in the suite that needs none.
const fakeServer = "strict fake"

// ScriptedEngine is what [Results] of a model in process are against, in the suite that needs no real one.
const ScriptedEngine = "scripted engine"

func newBoard(t *testing.T, s Suite) *board {
	r := Results{Backend: s.Name, Against: fakeServer, Features: map[string]Outcome{}, Options: map[string]string{}}
	if s.InProcess {
		r.Against = ScriptedEngine
	}
	for _, o := range settings {
		r.Options[o.option.String()] = s.Options[o.option]
	}
	for _, what := range places {
		r.Options[what] = ""
	}
	r.Reasons = s.Lacks
	return keepBoard(t, s.Name, r, func(f Feature) bool { return f.checkedBy(s) })
}

// keepBoard returns a board that is compared with its file when t has ended; without a name it keeps nothing.
func keepBoard(t *testing.T, name string, r Results, checked func(Feature) bool) *board {
	b := &board{results: r}
	for f := range Features() {
		if checked(f) {
			b.all++
		}
	}
	if name == "" {
		return b
	}
	b.path = filepath.Join(filepath.FromSlash(ResultsDir), strings.ReplaceAll(name, " ", "-")+".json")
	t.Cleanup(func() { b.check(t) })
	return b
}

// add notes the outcome of a feature whose test has ended; "" says that it could not be checked here.
func (b *board) add(t *testing.T, feature string, outcome Outcome) {
	if t.Failed() {
		outcome = Fail
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ran++
	if outcome != "" {
		b.results.Features[feature] = outcome
	}
}

// check compares the outcomes with those recorded, or records them. After a run of some features only those count.
func (b *board) check(t *testing.T) {
	found := b.results
	recorded, err := ReadResults(b.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if os.Getenv(RecordVariable) == "1" {
		b.record(t, recorded)
		return
	}
	if b.partial() {
		found.Options = recorded.Options
		maps.DeleteFunc(recorded.Features, func(id string, _ Outcome) bool { _, ran := found.Features[id]; return !ran })
	}
	found.Date = recorded.Date
	if diff := cmp.Diff(found, recorded); diff != "" {
		t.Errorf("%s is not what the suite found: record it with %s=1 (-found +recorded):\n%s", b.path, RecordVariable, diff)
	}
}

// partial says that only some features were asked for.
func (b *board) partial() bool { return b.ran < b.all }

// record writes the outcomes; results that have not changed keep their date.
func (b *board) record(t *testing.T, old Results) {
	found := b.results
	if b.partial() {
		found.Options = old.Options
		ran := found.Features
		found.Features = map[string]Outcome{}
		maps.Copy(found.Features, old.Features)
		maps.Copy(found.Features, ran)
	}
	found.Date = old.Date
	if old.Date != "" && cmp.Equal(found, old) {
		return
	}
	found.Date = time.Now().UTC().Format(time.DateOnly)
	text, err := json.MarshalIndent(found, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(b.path), 0o755) //nolint:gosec // in the source tree
	}
	if err == nil {
		err = os.WriteFile(b.path, append(text, '\n'), 0o644) //nolint:gosec // in the source tree
	}
	if err != nil {
		t.Error(err)
	}
}
