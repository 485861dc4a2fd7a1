package telemetry_test

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/telemetry"
)

// fileLines returns the messages in a file, nil when it is not there.
func fileLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(b)) {
		all = append(all, parseJSON(t, line)["msg"].(string))
	}
	return all
}

// toFile logs numbers to the file that the environment names; four lines of them have less than 320 bytes, five have more.
func toFile(t *testing.T, from, to int, env ...string) {
	t.Helper()
	book := &logbook{}
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()),
		environ(append(env, "MELLEA_LOGS_CONSOLE=false", "MELLEA_LOGS_JSON=true")...)))
	l := slog.New(tel.LogHandler())
	for i := from; i <= to; i++ {
		l.Info(strconv.Itoa(i))
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	l.Info("late")
	checkWarnings(t, book, nil)
}

// The file is bounded, the old ones are kept up to their number, and a new run goes on where the last one ended.
func TestLogFileRotates(t *testing.T) {
	t.Parallel()
	type files = map[string][]string
	numbers := func(from, to int) (all []string) {
		for i := from; i <= to; i++ {
			all = append(all, strconv.Itoa(i))
		}
		return all
	}
	for name, test := range map[string]struct {
		size, count string
		runs        [][2]int
		want        files
	}{
		"by default it does not": {runs: [][2]int{{1, 20}}, want: files{"": numbers(1, 20)}},
		"it does": {size: "320", count: "2", runs: [][2]int{{11, 29}},
			want: files{"": numbers(27, 29), ".1": numbers(23, 26), ".2": numbers(19, 22)}},
		"a new run goes on": {size: "320", count: "2", runs: [][2]int{{11, 12}, {13, 16}},
			want: files{"": numbers(15, 16), ".1": numbers(11, 14)}},
		"no old ones": {size: "320", count: "0", runs: [][2]int{{11, 19}}, want: files{"": numbers(19, 19)}},
		"no bound":    {size: "0", count: "2", runs: [][2]int{{11, 19}}, want: files{"": numbers(11, 19)}},
		"a line is longer than the bound": {size: "1", count: "1", runs: [][2]int{{11, 13}},
			want: files{"": numbers(13, 13), ".1": numbers(12, 12)}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "app.log")
			env := []string{"MELLEA_LOGS_FILE=" + path}
			if test.size != "" {
				env = append(env, "MELLEA_LOGS_FILE_MAX_BYTES="+test.size, "MELLEA_LOGS_FILE_BACKUP_COUNT="+test.count)
			}
			for _, run := range test.runs {
				toFile(t, run[0], run[1], env...)
			}
			got := files{}
			for _, suffix := range []string{"", ".1", ".2", ".3"} {
				if lines := fileLines(t, path+suffix); lines != nil {
					got[suffix] = lines
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("files (-want +got):\n%s", diff)
			}
			if info := must[fs.FileInfo](t)(os.Stat(path)); runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
				t.Errorf("the file has mode %v, want 0600", info.Mode())
			}
		})
	}
}

// A file that cannot be opened is a warning, or the error of the option; the other sinks work.
func TestLogFileCannotBeOpened(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "missing", "secret.log")
	book := &logbook{}
	tel, out := logs(t, environ("MELLEA_LOGS_FILE="+path), telemetry.WithLogger(book.logger()))
	slog.New(tel.LogHandler()).Info("shown")
	if !strings.Contains(out.String(), "shown") {
		t.Error("the console shows nothing")
	}
	checkWarnings(t, book, []string{"MELLEA_LOGS_FILE cannot be opened, so no log file is written: is its directory there, and may this user write to it? no such file or directory"})
	if _, err := telemetry.Setup(t.Context(), environ(), telemetry.WithLogFile(path, 0, 0)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v, want that there is no such directory", err)
	}
}

// When rotating fails the file goes on, nothing is lost, and one warning says so.
func TestLogFileCannotRotate(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	// What is to be replaced is a directory that is not empty.
	if err := os.MkdirAll(filepath.Join(path+".1", "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	loop := newLate()
	tel, out := logs(t, telemetry.WithLogFile(path, 320, 1), telemetry.WithLogsJSON(true), telemetry.WithLogger(slog.New(loop)))
	loop.is(tel.LogHandler())
	l := slog.New(tel.LogHandler())
	for i := range 20 {
		l.Info(strconv.Itoa(10 + i))
	}
	if got := len(fileLines(t, path)); got != 21 { // with the warning: it can be written to
		t.Errorf("the file has %d lines, want 21", got)
	}
	if got := strings.Count(out.String(), "the log file cannot be written"); got != 1 {
		t.Errorf("%d warnings, want 1:\n%s", got, out)
	}
}

// A device is not renamed.
func TestLogFileIsADevice(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no /dev/null")
	}
	toFile(t, 1, 100, "MELLEA_LOGS_FILE=/dev/null", "MELLEA_LOGS_FILE_MAX_BYTES=1")
	if _, err := os.Stat("/dev/null.1"); err == nil {
		t.Error("/dev/null was renamed")
	}
}
