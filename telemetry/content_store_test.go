package telemetry_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
)

// shelves is a store in memory that does what a test wants.
type shelves struct {
	put func(ctx context.Context, name string) error // nil keeps

	mu   sync.Mutex
	kept map[string]string
}

func (s *shelves) Ref(name string) string { return "mem:" + name }

func (s *shelves) Put(ctx context.Context, name string, data []byte) error {
	if s.put != nil {
		if err := s.put(ctx, name); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept == nil {
		s.kept = map[string]string{}
	}
	s.kept[name] = string(data)
	return nil
}

func (s *shelves) get(ref any) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	name, _ := ref.(string)
	return s.kept[strings.TrimPrefix(name, "mem:")]
}

// With a store spans have references in place of content; what they refer to is whole, redacted, and has the digest of its
// content for a name.
func TestContentStore(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("long ", 10000)
	calls := []content.ToolCall{{ID: "c1", Name: "weather", Arguments: `{"city":"Oslo a@example.com"}`}}
	for name, opts := range map[string][]telemetry.Option{
		"in place of content": nil,
		"beside content":      {telemetry.WithContent(true)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, store := otlptest.Start(t), &shelves{}
			tel := setup(t, server, append(opts, telemetry.WithContentStore(store), telemetry.WithRedactor(redact.Default()))...)
			s := start(t, t.Context(), calling(calls...), mellea.WithHooks(tel), mellea.WithTools(weather), mellea.WithSystem("be brief"))
			must[*mellea.Result[string]](t)(s.Instruct(t.Context(), long+"a@example.com"))
			_ = s.Close()
			flush(t, tel)
			spans := server.Spans(t, 5)
			chat, run := named(t, spans, "chat m1").Attributes, named(t, spans, "execute_tool weather").Attributes
			for key, want := range map[string]string{
				"mellea.content.input_messages.ref":      `[{"parts":[{"content":"` + long + `[redacted:email]","type":"text"}],"role":"user"}]`,
				"mellea.content.output_messages.ref":     `[{"parts":[{"arguments":{"city":"Oslo [redacted:email]"},"id":"c1","name":"weather","type":"tool_call"}],"role":"assistant"}]`,
				"mellea.content.system_instructions.ref": `[{"content":"be brief","type":"text"}]`,
			} {
				if got := store.get(chat[key]); got != want {
					t.Errorf("%s is %v, which has %.200q, want %.200q", key, chat[key], got, want)
				}
			}
			if got, want := store.get(run["mellea.content.tool_call_arguments.ref"]), `{"city":"Oslo [redacted:email]"}`; got != want {
				t.Errorf("arguments are %q, want %q", got, want)
			}
			if got, want := store.get(run["mellea.content.tool_call_result.ref"]), `{"days":0,"sky":"planted-sky"}`; got != want {
				t.Errorf("result is %q, want %q", got, want)
			}
			if got := store.get(chat["mellea.content.tool_definitions.ref"]); !strings.Contains(got, `"name":"weather"`) {
				t.Errorf("tool definitions are %q", got)
			}
			for name, data := range store.kept {
				if digest := sha256.Sum256([]byte(data)); name != hex.EncodeToString(digest[:])+".json" || !json.Valid([]byte(data)) {
					t.Errorf("%s holds %.100q", name, data)
				}
			}
			_, onSpan := chat["gen_ai.input.messages"]
			if onSpan != (opts != nil) || chat["mellea.content.truncated"] != map[bool]any{true: true, false: nil}[opts != nil] {
				t.Errorf("content on the span: %v, truncated: %v", onSpan, chat["mellea.content.truncated"])
			}
			if opts == nil && (indexOf(server.Raw(), "long long") >= 0 || indexOf(server.Raw(), "planted") >= 0) {
				t.Error("content was exported, though it is off")
			}
			if n := tel.DroppedContent(); n != 0 {
				t.Errorf("%d documents were dropped", n)
			}
		})
	}
}

// exchange fires a generation whose prompt no other has, in a set of tel's.
func exchange(ctx context.Context, tel *telemetry.Telemetry, n int) {
	_, _ = hookpoint.Generation.Do(ctx, (*hook.Set)(nil).With(tel), hookpoint.GenerationStart{Messages: content.NewMessages(content.User(fmt.Sprintf("prompt %d", n)))},
		func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationEnd, error) {
			return hookpoint.GenerationEnd{}, nil
		})
}

// A store that is slow, that fails or that panics costs no call any time or its life: what is lost is counted, reported
// once, and its span has no reference.
func TestContentStoreNeverHarms(t *testing.T) {
	t.Parallel()
	for name, put := range map[string]func(context.Context, string) error{
		"blocks": func(ctx context.Context, _ string) error { <-ctx.Done(); return ctx.Err() },
		"fails":  func(context.Context, string) error { return errors.New("no: https://key@store") },
		"panics": func(context.Context, string) error { panic("broken") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const calls = 1000
				var book logbook
				tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithLogger(book.logger()),
					telemetry.WithSpanExporter(discard{}), telemetry.WithContentStore(&shelves{put: put})))
				began := time.Now()
				for i := range calls {
					exchange(t.Context(), tel, i)
				}
				if took := time.Since(began); took != 0 {
					t.Errorf("calls took %v longer", took)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
				defer cancel()
				err := tel.Shutdown(ctx)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("shutdown took %v", took)
				}
				if n := tel.DroppedContent(); n != calls {
					t.Errorf("%d documents were dropped, want %d", n, calls)
				}
				if lost := new(telemetry.ContentLostError); name == "blocks" && !errors.As(err, &lost) {
					t.Errorf("shutdown returned %v, want a ContentLostError", err)
				}
				if lines := book.lines(); len(lines) != 1 || !strings.Contains(lines[0], "content is lost") || strings.Contains(lines[0], "key@") {
					t.Errorf("logged %q, want one line without what the store says", lines)
				}
			})
		})
	}
}

// Shutdown stores what waits, and what comes later is counted.
func TestContentStoreDrains(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &shelves{put: func(context.Context, string) error { time.Sleep(time.Millisecond); return nil }}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithLogger((&logbook{}).logger()),
			telemetry.WithSpanExporter(discard{}), telemetry.WithContentStore(store)))
		for i := range 100 {
			exchange(t.Context(), tel, i)
		}
		if err := tel.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		exchange(t.Context(), tel, 100)
		if len(store.kept) != 100 || tel.DroppedContent() != 1 {
			t.Errorf("%d documents are stored, %d dropped, want 100 and 1", len(store.kept), tel.DroppedContent())
		}
	})
}

// A store that ignores its context is left behind.
func TestContentStoreIgnoresItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		store := &shelves{put: func(context.Context, string) error { <-release; return nil }}
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithLogger((&logbook{}).logger()),
			telemetry.WithSpanExporter(discard{}), telemetry.WithContentStore(store)))
		exchange(t.Context(), tel, 1)
		began := time.Now()
		_ = tel.Shutdown(t.Context())
		if took := time.Since(began); took != telemetry.ShutdownTimeout+time.Second {
			t.Errorf("shutdown took %v", took)
		}
		close(release)
	})
}

func TestContentDir(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "new", "content")
	server := otlptest.Start(t)
	var book logbook
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP, "MELLEA_TRACES_CONTENT_DIR="+path)))
	defer func() { _ = tel.Shutdown(context.Background()) }()
	exchange(t.Context(), tel, 7)
	exchange(t.Context(), tel, 7) // the same content is the same file
	flush(t, tel)
	ref, _ := server.Spans(t, 2)[0].Attributes["mellea.content.input_messages.ref"].(string)
	u := must[*url.URL](t)(url.Parse(ref))
	if u.Scheme != "file" || !strings.HasPrefix(u.Path, "/") {
		t.Fatalf("the reference is %q", ref)
	}
	data := must[[]byte](t)(os.ReadFile(filepath.FromSlash(strings.TrimPrefix(u.Path, map[bool]string{true: "/"}[runtime.GOOS == "windows"]))))
	if want := `[{"parts":[{"content":"prompt 7","type":"text"}],"role":"user"}]`; string(data) != want {
		t.Errorf("stored %q, want %q", data, want)
	}
	got := map[string]fs.FileMode{}
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		got[map[bool]string{true: "folder", false: "file"}[d.IsDir()]+filepath.Ext(name)] |= info.Mode().Perm()
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, map[string]fs.FileMode{"folder": 0o700, "file.json": 0o600}); diff != "" && runtime.GOOS != "windows" {
		t.Errorf("modes (-got +want):\n%s", diff)
	}
	if lines := book.lines(); lines != nil {
		t.Errorf("logged %q, want nothing", lines)
	}
}

// No name leads out of the folder, nor does a link in it.
func TestContentDirIsAFolder(t *testing.T) {
	t.Parallel()
	outside := t.TempDir()
	path := filepath.Join(outside, "content")
	dir := must[*telemetry.ContentDir](t)(telemetry.NewContentDir(path))
	for _, name := range []string{"", "..", "../x.json", "a/../../x.json", "/etc/x.json", `..\x.json`, "ab.json/../../x", "AB.json", "a.json", "ab\x00.json", "C:ab.json", ".json", "abcd"} {
		if wrong := new(telemetry.ContentNameError); !errors.As(dir.Put(t.Context(), name, []byte("x")), &wrong) {
			t.Errorf("%q was taken for a name", name)
		}
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(outside, filepath.Join(path, "ab")); err != nil {
		t.Skip("this system makes no links:", err)
	}
	if err := dir.Put(t.Context(), "abcd.json", []byte("x")); err == nil {
		t.Error("a link out of the folder was followed")
	}
	if _, err := os.Stat(filepath.Join(outside, "abcd.json")); err == nil {
		t.Error("a file was written outside of the folder")
	}
	if _, err := telemetry.NewContentDir(""); err == nil {
		t.Error("a folder without a name was accepted")
	}
}

// Several processes, here goroutines, may put the same content: a file is there whole or not at all, and nothing else is.
func TestContentDirIsShared(t *testing.T) {
	t.Parallel()
	path := t.TempDir()
	data := []byte(strings.Repeat("x", 1<<16))
	digest := sha256.Sum256(data)
	name := hex.EncodeToString(digest[:]) + ".json"
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			dir, err := telemetry.NewContentDir(path)
			for range 20 {
				if err = errors.Join(err, dir.Put(t.Context(), name, data)); err != nil {
					break
				}
				if got, err := os.ReadFile(filepath.Join(path, name[:2], name)); err != nil || len(got) != len(data) {
					t.Errorf("read %d bytes, %v", len(got), err)
				}
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if left := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(path, name[:2]))); len(left) != 1 {
		t.Errorf("%d files are left, want 1", len(left))
	}
	dir := must[*telemetry.ContentDir](t)(telemetry.NewContentDir(path))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := dir.Put(ctx, name, data); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}
