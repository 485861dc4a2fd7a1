package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// buffer may be written to by several goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// logs starts telemetry whose console is the buffer, without a banner of warnings.
func logs(t *testing.T, opts ...telemetry.Option) (*telemetry.Telemetry, *buffer) {
	t.Helper()
	out := &buffer{}
	all := append([]telemetry.Option{environ(), telemetry.WithLogsConsole(out)}, opts...)
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), all...))
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel, out
}

// lastLine returns the last line of text without its end.
func lastLine(text string) string {
	text = strings.TrimSuffix(text, "\n")
	return text[strings.LastIndexByte(text, '\n')+1:]
}

// parseLine reads a line of the console: groups are what stands before the dots of keys.
func parseLine(t *testing.T, line string) map[string]any {
	t.Helper()
	out := map[string]any{}
	words := strings.Split(line, " ")
	if at, err := time.Parse(time.RFC3339, words[0]); err == nil {
		out[slog.TimeKey] = at
		words = words[1:]
	}
	out[slog.LevelKey], words = words[0], words[1:]
	var message []string
	for len(words) > 0 && !strings.Contains(words[0], "=") {
		message, words = append(message, words[0]), words[1:]
	}
	out[slog.MessageKey] = strings.Join(message, " ")
	for _, w := range words {
		key, value, ok := strings.Cut(w, "=")
		if !ok {
			t.Fatalf("%q of %q is no attribute", w, line)
		}
		in := out
		path := strings.Split(key, ".")
		for _, group := range path[:len(path)-1] {
			below, ok := in[group].(map[string]any)
			if !ok {
				below = map[string]any{}
				in[group] = below
			}
			in = below
		}
		in[path[len(path)-1]] = value
	}
	return out
}

func parseJSON(t *testing.T, line string) map[string]any {
	t.Helper()
	var out map[string]any
	if err := json.Unmarshal([]byte(line), &out); err != nil {
		t.Fatalf("%q is no JSON: %v", line, err)
	}
	return out
}

// Every sink is a handler as package slog asks for.
func TestSlogSemantics(t *testing.T) {
	t.Parallel()
	type sink struct {
		options func(t *testing.T) []telemetry.Option
		last    func(t *testing.T, tel *telemetry.Telemetry, out *buffer) map[string]any
	}
	sinks := map[string]func() sink{
		"console": func() sink {
			return sink{last: func(t *testing.T, _ *telemetry.Telemetry, out *buffer) map[string]any {
				return parseLine(t, lastLine(out.String()))
			}}
		},
		"JSON": func() sink {
			return sink{
				options: func(*testing.T) []telemetry.Option { return []telemetry.Option{telemetry.WithLogsJSON(true)} },
				last: func(t *testing.T, _ *telemetry.Telemetry, out *buffer) map[string]any {
					return parseJSON(t, lastLine(out.String()))
				}}
		},
		"file": func() sink {
			var path string
			return sink{
				options: func(t *testing.T) []telemetry.Option {
					path = filepath.Join(t.TempDir(), "app.log")
					return []telemetry.Option{telemetry.WithLogFile(path, 0, 0)}
				},
				last: func(t *testing.T, _ *telemetry.Telemetry, _ *buffer) map[string]any {
					return parseLine(t, lastLine(string(must[[]byte](t)(os.ReadFile(path)))))
				}}
		},
		"webhook": func() sink {
			var hook *receiver
			return sink{
				options: func(t *testing.T) []telemetry.Option {
					hook = receive(t, nil)
					return hook.options()
				},
				last: func(t *testing.T, tel *telemetry.Telemetry, _ *buffer) map[string]any {
					flush(t, tel)
					all := hook.lines()
					return all[len(all)-1]
				}}
		},
		"OTLP": func() sink {
			var server *otlptest.Server
			return sink{
				options: func(t *testing.T) []telemetry.Option {
					server = otlptest.Start(t)
					return []telemetry.Option{environ("MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)}
				},
				last: func(t *testing.T, tel *telemetry.Telemetry, _ *buffer) map[string]any {
					flush(t, tel)
					all := server.Records(t, 1)
					r := all[len(all)-1]
					out := r.Attributes
					out[slog.MessageKey], out[slog.LevelKey] = r.Body, r.SeverityText
					if r.Time.UnixNano() != 0 {
						out[slog.TimeKey] = r.Time
					}
					return out
				}}
		},
	}
	for name, make := range sinks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var tel *telemetry.Telemetry
			var out *buffer
			var s sink
			slogtest.Run(t, func(t *testing.T) slog.Handler {
				s = make()
				var opts []telemetry.Option
				if s.options != nil {
					opts = s.options(t)
				}
				tel, out = logs(t, opts...)
				return tel.LogHandler()
			}, func(t *testing.T) map[string]any { return s.last(t, tel, out) })
		})
	}
}

// hostile is a value that does what a value should not do.
type hostile struct{ how string }

func (h hostile) String() string { return h.do() }
func (h hostile) MarshalText() ([]byte, error) {
	if h.how == "fails" {
		return nil, errors.New("no text")
	}
	return []byte(h.do()), nil
}

func (h hostile) do() string {
	if h.how == "panics" {
		panic("planted")
	}
	return "text"
}

// A line is one line whatever is in it, and a terminal shows it and does nothing of what it says.
func TestConsoleLines(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		message string
		attrs   []any
		want    string
	}{
		"plain":             {"started", []any{"n", 3, "who", "alice"}, "INFO started n=3 who=alice"},
		"no message":        {"", []any{"n", 3}, "INFO n=3"},
		"a broken message":  {"one\ntwo\r\x1b[2J\u202eend", nil, `INFO one\ntwo\r\x1b[2J\u202eend`},
		"a broken value":    {"m", []any{"v", "a\nINFO fake k=v"}, `INFO m v="a\nINFO fake k=v"`},
		"an escape":         {"m", []any{"v", "\x1b]0;title\a"}, `INFO m v="\x1b]0;title\a"`},
		"a broken key":      {"m", []any{"k\n=", 1}, `INFO m "k\n="=1`},
		"no UTF-8":          {"m\xff", []any{"v", "a\xffb"}, "INFO m\uFFFD v=\"a\\xffb\""},
		"empty":             {"m", []any{"v", ""}, `INFO m v=""`},
		"a space":           {"m", []any{"v", "a b"}, `INFO m v="a b"`},
		"quotes":            {"m", []any{"v", `"`}, `INFO m v="\""`},
		"letters":           {"grüße", []any{"v", "日本"}, "INFO grüße v=日本"},
		"an error":          {"m", []any{"err", errors.New("went wrong")}, `INFO m err="went wrong"`},
		"a duration":        {"m", []any{"took", 1500 * time.Millisecond}, "INFO m took=1.5s"},
		"a time":            {"m", []any{"at", time.Unix(0, 1).UTC()}, "INFO m at=1970-01-01T00:00:00.000000001Z"},
		"nil":               {"m", []any{"v", nil}, "INFO m v=<nil>"},
		"a text":            {"m", []any{"v", hostile{}}, "INFO m v=text"},
		"a text that fails": {"m", []any{"v", hostile{"fails"}}, "INFO m v=text"},
		"a panic":           {"m", []any{"v", hostile{"panics"}}, "INFO m v=!PANIC"},
		"a channel":         {"m", []any{"v", struct{ C chan int }{}}, "INFO m v={<nil>}"},
		"a missing value":   {"m", []any{"v"}, "INFO m !BADKEY=v"},
		"a group":           {"m", []any{slog.Group("g", "a", 1, slog.Group("h", "b", 2), slog.Group("none"))}, "INFO m g.a=1 g.h.b=2"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel, out := logs(t)
			slog.New(tel.LogHandler()).Info(test.message, test.attrs...)
			at, rest, _ := strings.Cut(out.String(), " ")
			if diff := cmp.Diff(test.want+"\n", rest); diff != "" {
				t.Errorf("line (-want +got):\n%s", diff)
			}
			if _, err := time.Parse("2006-01-02T15:04:05.000Z07:00", at); err != nil {
				t.Errorf("the time is %q, want milliseconds and a zone", at)
			}
		})
	}
}

// What JSON cannot express does not break the line, nor the program that logs it (7.5 no. 53).
func TestJSONLines(t *testing.T) {
	t.Parallel()
	tel, out := logs(t, telemetry.WithLogsJSON(true))
	l := slog.New(tel.LogHandler())
	l.Info("m", "channel", make(chan int), "panics", hostile{"panics"}, "number", 1)
	got := parseJSON(t, lastLine(out.String()))
	if got["number"] != 1.0 || got["msg"] != "m" {
		t.Errorf("line: %v", got)
	}
	l.Info("a\u2028b\x1b\n")
	if line := out.String(); strings.ContainsAny(line, "\u2028\x1b") || strings.Count(line, "\n") != 2 {
		t.Errorf("lines are %q", line)
	}
}

// With nothing configured lines of INFO and above go to standard error, a nil Telemetry is no exception, and the default
// logger is left alone.
func TestLogHandlerByDefault(t *testing.T) { //nolint:paralleltest // it replaces standard error
	before, stderr := slog.Default(), os.Stderr
	file := must[*os.File](t)(os.Create(filepath.Join(t.TempDir(), "stderr")))
	os.Stderr = file
	defer func() { os.Stderr = stderr }()
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ()))
	if tel.Bindings() != nil {
		t.Error("there are bindings, want none")
	}
	var none *telemetry.Telemetry
	for _, l := range []*slog.Logger{slog.New(tel.LogHandler()), slog.New(none.LogHandler())} {
		l.Debug("not shown")
		l.Info("shown")
	}
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	slog.New(tel.LogHandler()).Warn("after Shutdown")
	got := string(must[[]byte](t)(os.ReadFile(file.Name())))
	if strings.Contains(got, "not shown") || strings.Count(got, "INFO shown\n") != 2 || !strings.Contains(got, "WARN after Shutdown\n") {
		t.Errorf("standard error got %q", got)
	}
	if strings.Contains(got, "\x1b") {
		t.Error("a file got colours")
	}
	if slog.Default() != before {
		t.Error("the default logger is another one")
	}
}

// WithLogs(false) silences everything, and so does the console alone when it is switched off.
func TestLogsOff(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	env := []string{"MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + server.HTTP, "MELLEA_LOGS_FILE=" + filepath.Join(t.TempDir(), "x.log")}
	for name, opts := range map[string][]telemetry.Option{
		"by option":   {environ(env...), telemetry.WithLogs(false)},
		"no console":  {environ("MELLEA_LOGS_CONSOLE=off")},
		"SDK and all": {environ("MELLEA_LOGS_CONSOLE=off", "OTEL_SDK_DISABLED=true", "MELLEA_LOGS_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), opts...))
			if tel.LogHandler().Enabled(t.Context(), slog.LevelError) {
				t.Error("a line of level ERROR is wanted")
			}
			slog.New(tel.LogHandler()).Error("lost")
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
			if name != "SDK and all" && tel.Bindings() != nil {
				t.Error("there are bindings, want none")
			}
			if tel.LoggerProvider() != nil || len(server.Raw()) > 0 {
				t.Error("something is exported")
			}
		})
	}
}

// A record is handled by every sink, as a whole, from any number of goroutines.
func TestLogsConcurrently(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "app.log")
	hook := receive(t, nil)
	tel, out := logs(t, append(hook.options(), telemetry.WithLogFile(path, 1000, 100))...)
	l := slog.New(tel.LogHandler()).With("with", 1).WithGroup("g")
	var wg sync.WaitGroup
	const goroutines, each = 8, 50
	for g := range goroutines {
		wg.Go(func() {
			for i := range each {
				l.InfoContext(t.Context(), "line", "id", strconv.Itoa(g)+"-"+strconv.Itoa(i))
			}
		})
	}
	wg.Wait()
	if err := tel.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	var files strings.Builder
	for _, name := range must[[]string](t)(filepath.Glob(path + "*")) {
		_, _ = files.Write(must[[]byte](t)(os.ReadFile(name)))
	}
	for where, text := range map[string]string{"console": out.String(), "files": files.String()} {
		seen := map[string]bool{}
		for line := range strings.Lines(text) {
			if got := parseLine(t, strings.TrimSpace(line)); got["with"] == "1" {
				seen[got["g"].(map[string]any)["id"].(string)] = true
			}
		}
		if len(seen) != goroutines*each {
			t.Errorf("%s: %d lines, want %d", where, len(seen), goroutines*each)
		}
	}
	if got := len(hook.lines()); got != goroutines*each {
		t.Errorf("the webhook got %d lines, want %d", got, goroutines*each)
	}
}

// A value that logs while it is written does not stand in its own way.
func TestValuesMayLog(t *testing.T) {
	t.Parallel()
	hook := receive(t, nil)
	tel, out := logs(t, hook.options()...)
	l := slog.New(tel.LogHandler())
	l.Info("outer", "v", logs2{l})
	if got := out.String(); !strings.Contains(got, "inner") || !strings.Contains(got, "outer v=x") {
		t.Errorf("lines are %q", got)
	}
}

type logs2 struct{ l *slog.Logger }

func (v logs2) LogValue() slog.Value {
	v.l.Info("inner")
	return slog.StringValue("x")
}

// A console that cannot be written to is not the program's problem.
func TestConsoleFails(t *testing.T) {
	t.Parallel()
	r, w := io.Pipe()
	_ = r.Close()
	tel, _ := logs(t, telemetry.WithLogsConsole(w))
	if err := tel.LogHandler().Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelInfo, "m", 0)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("Handle: %v, want the writer's error", err)
	}
	slog.New(tel.LogHandler()).Info("m")
}
