package ollama_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
)

func TestInfoWithAModelDoesNoIO(t *testing.T) {
	t.Parallel()
	b := ollama.New(ollama.WithModel("granite"), ollama.WithBaseURL("http://gpu-box:1234"), ollama.WithTransport(refusing{t}))
	got, err := b.Info(t.Context())
	want := backend.Info{
		Provider: "ollama", Model: "granite", ServerAddress: "gpu-box", ServerPort: 1234,
		Capabilities: backend.Capabilities{Images: true, Tools: true, Batch: true, Structured: backend.StructuredSchema},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("Info (-want +got):\n%s, error %v", diff, err)
	}
}

// refusing is a transport that must not be used.
type refusing struct{ t *testing.T }

func (r refusing) RoundTrip(*http.Request) (*http.Response, error) {
	r.t.Error("a request was sent")
	return nil, errors.New("refused")
}

func TestInfoPicksAModel(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, models, want string }{
		{"the only one", `[{"name":"a:latest"}]`, "a:latest"},
		{"the one modified last", `[{"name":"a:1","modified_at":"2026-01-01T00:00:00Z"},` +
			`{"name":"b:1","modified_at":"2026-01-03T00:00:00+02:00"},{"name":"c:1","modified_at":"2026-01-02T00:00:00Z"}]`, "b:1"},
		{"the first by name when equal", `[{"name":"b:1","modified_at":"2026-01-01T00:00:00Z"},` +
			`{"name":"a:1","modified_at":"2026-01-01T01:00:00+01:00"}]`, "a:1"},
		{"none that runs elsewhere", `[{"name":"big:cloud","modified_at":"2026-02-01T00:00:00Z","remote_model":"big"},{"name":"a:1"}]`, "a:1"},
		{"none that only embeds", `[{"name":"e","modified_at":"2026-02-01T00:00:00Z","details":{"family":"nomic-bert"}},{"name":"a:1"}]`, "a:1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, tt.models, answer(plainReply))
			b := f.backend(ollama.WithModel(""))
			for range 2 {
				info, err := b.Info(t.Context())
				if info.Model != tt.want || err != nil {
					t.Errorf("Info().Model = %q, %v, want %q", info.Model, err, tt.want)
				}
			}
			if f.tagged != 1 {
				t.Errorf("the server was asked %d times, want once", f.tagged)
			}
		})
	}
}

func TestConcurrentPicksAskOnce(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[{"name":"a:1"}]`, answer(plainReply))
	b := f.backend(ollama.WithModel(""))
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			reply, err := generate(t, b, ask("hi"))
			if reply.Generation.Model != "a:1" || err != nil {
				t.Errorf("model %q, %v, want a:1", reply.Generation.Model, err)
			}
			if sent := reply.Generation.Sent.Model(); sent != "a:1" {
				t.Errorf("Sent.Model() = %q, want a:1", sent)
			}
		})
	}
	wg.Wait()
	if f.tagged != 1 {
		t.Errorf("the server was asked for models %d times, want once", f.tagged)
	}
	if got := f.last(t).Model; got != "a:1" {
		t.Errorf("request for model %q, want a:1", got)
	}
}

func TestPickFailures(t *testing.T) {
	t.Parallel()
	t.Run("none installed", func(t *testing.T) {
		t.Parallel()
		_, err := newFake(t, `[]`, nil).backend(ollama.WithModel("")).Info(t.Context())
		wantError(t, err, backend.Error{Code: backend.CodeConfiguration}, "ollama pull")
	})
	t.Run("server down", func(t *testing.T) {
		t.Parallel()
		b := ollama.New(ollama.WithBaseURL("http://127.0.0.1:1"), ollama.WithTransport(&http.Transport{}))
		_, err := b.Info(t.Context())
		wantError(t, err, backend.Error{Code: backend.CodeUnreachable}, "ollama serve", "OLLAMA_HOST")
	})
	t.Run("waiting is bounded by ctx", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := newFake(t, `[]`, nil).backend(ollama.WithModel("")).Info(ctx)
		if !errors.Is(err, context.Canceled) {
			t.Errorf("Info = %v, want context.Canceled", err)
		}
	})
}

func TestInstalledMatchesExactly(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[{"name":"llama3.2:1b","size":7},{"name":"phi:latest"},{"name":"me/phi:v2"}]`, nil)
	b := f.backend()
	for name, want := range map[string]string{
		"llama3.2:1b": "llama3.2:1b", "phi": "phi:latest", "phi:latest": "phi:latest", "library/phi": "phi:latest",
		"registry.ollama.ai/library/phi:latest": "phi:latest", "me/phi:v2": "me/phi:v2",
		"llama3.2": "", "llama": "", "ph": "", "me/phi": "",
	} {
		m, err := b.Installed(t.Context(), name)
		if m.Name != want {
			t.Errorf("Installed(%q) = %q, want %q", name, m.Name, want)
		}
		if want == "" {
			wantError(t, err, backend.Error{Status: 404, Code: "model_not_found"}, "`ollama pull "+name+"`")
		}
	}
}

func TestVersion(t *testing.T) {
	t.Parallel()
	if v, err := newFake(t, `[]`, nil).backend().Version(t.Context()); v != "0.17.4" || err != nil {
		t.Errorf("Version = %q, %v, want 0.17.4", v, err)
	}
}

func TestBadBaseURL(t *testing.T) {
	t.Parallel()
	for _, raw := range []string{"ftp://host", "http://host:99999", "http://ho st"} {
		b := ollama.New(ollama.WithBaseURL(raw), ollama.WithModel("m"), ollama.WithTransport(refusing{t}))
		_, infoErr := b.Info(t.Context())
		wantError(t, infoErr, backend.Error{Code: backend.CodeConfiguration})
		_, genErr := b.Generate(t.Context(), ask("hi"))
		wantError(t, genErr, backend.Error{Code: backend.CodeConfiguration})
	}
}

func TestEnvironmentIsReadByNew(t *testing.T) {
	t.Setenv("OLLAMA_HOST", "gpu-box:99")
	fromEnv := ollama.New(ollama.WithModel("m"))
	t.Setenv("OLLAMA_HOST", "other:1")
	if got, want := fromEnv.String(), "ollama at http://gpu-box:99"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
	option := ollama.New(ollama.WithBaseURL("http://named:7"))
	if got, want := option.String(), "ollama at http://named:7"; got != want {
		t.Errorf("String() = %q, want %q", got, want)
	}
}
