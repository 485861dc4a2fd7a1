package telemetry_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/telemetry"
)

// handlerKey finds the handler that a line is to go to.
type handlerKey struct{}

// fromHere logs as this package does, at every level.
func fromHere(h slog.Handler) {
	l := slog.New(h)
	l.Debug("here")
	l.Info("here")
	l.Warn("here")
	l.Error("here")
}

// fromBackend logs with a program counter of package backend, as code there would.
func fromBackend(h slog.Handler) {
	ctx := backend.WithCarrier(context.WithValue(context.Background(), handlerKey{}, h), func(func(key, value string)) {
		var pcs [8]uintptr
		frames := runtime.CallersFrames(pcs[:runtime.Callers(1, pcs[:])])
		for {
			f, more := frames.Next()
			if strings.HasSuffix(f.Function, "mellea/backend.Inject") {
				for _, level := range []slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
					if h.Enabled(context.Background(), level) {
						_ = h.Handle(context.Background(), slog.NewRecord(time.Time{}, level, "backend", f.PC+1))
					}
				}
				return
			}
			if !more {
				return
			}
		}
	})
	backend.Inject(ctx, func(string, string) {})
}

// levelsOf returns the least level of the lines that have a message, "" for none.
func leastLevel(text, message string) string {
	for line := range strings.Lines(text) {
		if rest, ok := strings.CutSuffix(line, " "+message+"\n"); ok {
			return rest[strings.LastIndexByte(rest, ' ')+1:]
		}
	}
	return ""
}

// Levels go by the package that logs, the most specific name counts, and a line knows its package without being told.
func TestLogLevels(t *testing.T) {
	t.Parallel()
	const here = "github.com/mellea-go/mellea/telemetry_test"
	for _, test := range []struct {
		level         string
		here, backend string // the least level that is written
		warned        bool
	}{
		{"", "INFO", "INFO", false},
		{"DEBUG", "DEBUG", "DEBUG", false},
		{"debug", "DEBUG", "DEBUG", false},
		{"Warning", "WARN", "WARN", false},
		{"WARN+1", "ERROR", "ERROR", false},
		{"CRITICAL", "", "", false},
		{"ERROR+1", "", "", false},
		{"INFO,backend=DEBUG", "INFO", "DEBUG", false},
		{" ERROR , backend = DEBUG , ", "ERROR", "DEBUG", false},
		{"backend=ERROR", "INFO", "ERROR", false},
		{"backend/openai=ERROR", "INFO", "INFO", false},
		{"back=ERROR", "INFO", "INFO", false},
		{"mellea=ERROR,backend=WARN", "ERROR", "WARN", false},
		{"backend=WARN,mellea=ERROR", "ERROR", "WARN", false},
		{"mellea/backend=WARN", "INFO", "WARN", false},
		{"github.com/mellea-go/mellea=ERROR", "ERROR", "ERROR", false},
		{"github.com/mellea-go=ERROR", "ERROR", "ERROR", false},
		{here + "=WARN", "WARN", "INFO", false},
		{"telemetry_test=WARN", "WARN", "INFO", false},
		{"backend=WARN,backend=ERROR", "INFO", "ERROR", false},
		{"loud", "INFO", "INFO", true},
		{"INFO,WARN", "INFO", "INFO", true},
		{"=WARN", "INFO", "INFO", true},
		{"backend=loud,telemetry_test=ERROR", "ERROR", "INFO", true},
		{"WARN,backend=", "WARN", "WARN", true},
	} {
		t.Run(test.level, func(t *testing.T) {
			t.Parallel()
			book := &logbook{}
			tel, out := logs(t, environ("MELLEA_LOGS_LEVEL="+test.level), telemetry.WithLogger(book.logger()))
			h := tel.LogHandler()
			fromHere(h)
			fromBackend(h)
			if got := leastLevel(out.String(), "here"); got != test.here {
				t.Errorf("least level of this package is %q, want %q:\n%s", got, test.here, out)
			}
			if got := leastLevel(out.String(), "backend"); got != test.backend {
				t.Errorf("least level of package backend is %q, want %q:\n%s", got, test.backend, out)
			}
			var want []string
			if test.warned {
				want = []string{"MELLEA_LOGS_LEVEL must be a level such as INFO, or levels by package such as INFO,backend=DEBUG"}
			}
			checkWarnings(t, book, want)
		})
	}
}

// Options win over the variable, and a level may change while the program runs.
func TestLogLevelOptions(t *testing.T) {
	t.Parallel()
	var level slog.LevelVar
	tel, out := logs(t, environ("MELLEA_LOGS_LEVEL=ERROR,backend=ERROR"), telemetry.WithLogLevel(&level), telemetry.WithPackageLogLevel("backend", slog.LevelDebug))
	level.Set(slog.LevelWarn)
	fromHere(tel.LogHandler())
	fromBackend(tel.LogHandler())
	if got, want := leastLevel(out.String(), "here")+leastLevel(out.String(), "backend"), "WARNDEBUG"; got != want {
		t.Errorf("least levels are %s, want %s", got, want)
	}
	level.Set(slog.LevelDebug)
	slog.New(tel.LogHandler()).Debug("later")
	if !strings.Contains(out.String(), "later") {
		t.Error("the level has not changed")
	}
	got := telemetry.Inspect(func(string) (string, bool) { return "", false }, nil, telemetry.WithLogLevel(slog.LevelWarn), telemetry.WithPackageLogLevel("a", slog.LevelInfo))
	for _, s := range got.Settings {
		if s.Name == "MELLEA_LOGS_LEVEL" && (s.Value != "WARN,a=INFO" || s.Origin != telemetry.FromOption) {
			t.Errorf("Inspect shows %+v", s)
		}
	}
}

func FuzzLogLevel(f *testing.F) {
	for _, s := range []string{"", "INFO", "INFO,a=DEBUG", "a=b=c", ",,=,", "INFO+9999999999999999999", "\xff=\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := telemetry.Inspect(func(name string) (string, bool) { return text, name == "MELLEA_LOGS_LEVEL" }, nil)
		for _, w := range got.Warnings {
			if len(text) > 12 && strings.Contains(w, text) {
				t.Errorf("the warning quotes %q: %s", text, w)
			}
		}
	})
}

// Names of functions give the import path of their package.
func TestPackageOfFunction(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"main.main": "main",
		"example.com/app/mail.(*Client).Send.func1":        "example.com/app/mail",
		"example.com/app/mail.Send[...]":                   "example.com/app/mail",
		"example.com/app/mail.Send[example.com/x.T].func1": "example.com/app/mail",
		"gopkg.in/yaml%2ev3.Unmarshal":                     "gopkg.in/yaml.v3",
		"example.com/v1.2/app.F":                           "example.com/v1.2/app",
		"":                                                 "",
		"example.com/app":                                  "example.com/app",
		"example.com/app%zz.F":                             "example.com/app%zz",
	} {
		if got := telemetry.PackageOfFunctionForTest(name); got != want {
			t.Errorf("%s: package %q, want %q", name, got, want)
		}
	}
}

func ExampleWithLogLevel() {
	var level slog.LevelVar
	level.Set(slog.LevelWarn)
	out := &buffer{}
	tel, err := telemetry.Setup(context.Background(), telemetry.WithEnviron(nil), telemetry.WithLogsConsole(out), telemetry.WithLogLevel(&level))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer func() { _ = tel.Shutdown(context.Background()) }()
	log := slog.New(tel.LogHandler())
	log.Info("not shown")
	level.Set(slog.LevelInfo)
	log.Info("shown")
	_, line, _ := strings.Cut(out.String(), " ") // without the time
	fmt.Print(line)
	// Output: INFO shown
}
