package telemetry_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/internal/otlpfile"
	"github.com/mellea-go/mellea/telemetry"
)

// spansIn returns the names of the spans in a file, sorted: a batch has them by scope.
func spansIn(t *testing.T, path string) []string {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var names []string
	for rec, err := range otlpfile.Read(f) {
		if err != nil {
			t.Fatal(err)
		}
		for _, scope := range rec.Spans.GetScopeSpans() {
			for _, s := range scope.GetSpans() {
				names = append(names, s.GetName())
			}
		}
	}
	slices.Sort(names)
	return names
}

// A file, named by an option or by the environment, has every span, and is appended to.
func TestTracesFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "trace.jsonl")
	for i, opt := range []telemetry.Option{telemetry.WithTracesFile(path), environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_FILE="+path)} {
		var book logbook
		opts := []telemetry.Option{telemetry.WithLogger(book.logger()), environ(), opt}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), opts...))
		s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
		must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "greet"))
		_ = s.Close()
		if err := tel.Shutdown(context.Background()); err != nil {
			t.Fatal(err)
		}
		var want []string
		for range i + 1 {
			want = append(want, "action", "chat m1", "session", "start_session")
		}
		slices.Sort(want)
		if diff := cmp.Diff(spansIn(t, path), want); diff != "" {
			t.Errorf("run %d (-got +want):\n%s", i, diff)
		}
		if lines := book.lines(); lines != nil {
			t.Errorf("logged %q, want nothing", lines)
		}
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 && runtime.GOOS != "windows" {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

// A file that cannot be opened is an error of the option that names it, and a warning about the variable that does.
func TestTracesFileThatCannotBe(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "trace.jsonl")
	if _, err := telemetry.Setup(t.Context(), environ(), telemetry.WithTracesFile(path)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want an error", err)
	}
	var book logbook
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_FILE="+path)))
	defer func() { _ = tel.Shutdown(context.Background()) }()
	if lines := book.lines(); len(lines) != 1 || !strings.Contains(lines[0], "MELLEA_TRACES_FILE cannot be opened") {
		t.Errorf("logged %q, want one warning", lines)
	}
	var other logbook
	off := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(other.logger()), environ("MELLEA_TRACES_FILE="+path)))
	if lines := other.lines(); off.Bindings() != nil || len(lines) != 1 || !strings.Contains(lines[0], "MELLEA_TRACES_ENABLED") {
		t.Errorf("logged %q, want one warning", lines)
	}
}
