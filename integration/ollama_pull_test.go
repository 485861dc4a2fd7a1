package integration_test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/integration/components"
)

// TestOllamaPull has the real server install models from a registry on this machine.
func TestOllamaPull(t *testing.T) {
	server := components.StartOllama(t)
	b := ollama.New(ollama.WithBaseURL(server.URL))

	t.Run("installs a model that then answers", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "pulled and well")
		steps := install(t, b, r)
		checkProgress(t, r, steps)
		if got, want := len(r.fetched()), len(r.files); got != want {
			t.Errorf("%d files were fetched, want %d", got, want)
		}
		models, err := b.Models(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		size := 0
		for _, f := range r.files {
			size += f.Size
		}
		i := slices.IndexFunc(models, func(m ollama.Model) bool { return m.Name == r.name+":latest" })
		if i < 0 || models[i].Size != int64(size) || models[i].Modified.IsZero() || models[i].Remote {
			t.Errorf("Models() = %+v, want %s with %d bytes", models, r.name, size)
		}
		if m, err := b.Installed(t.Context(), r.name); m.Name != r.name+":latest" || err != nil {
			t.Errorf("Installed(%q) = %+v, %v", r.name, m, err)
		}
		req := question("hello")
		req.Options = req.Options.WithModel(r.name)
		if got := generate(t, b, req).Message.Text(); got != "pulled and well" {
			t.Errorf("the model says %q, want what it was made to say", got)
		}

		steps = install(t, b, r) // once more: everything is there
		checkProgress(t, r, steps)
		if again := r.fetched(); len(again) > 0 {
			t.Errorf("the second installation fetched %d files, want none", len(again))
		}
	})

	t.Run("tells how far it is while it waits", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "held up")
		seen := make(chan struct{})
		r.serving(func(w http.ResponseWriter, q *http.Request, data []byte) {
			if len(data) < r.weights().Size {
				whole(w, q, data)
				return
			}
			w.WriteHeader(http.StatusPartialContent)
			w.Write(data[:len(data)/2])
			w.(http.Flusher).Flush()
			select {
			case <-seen:
			case <-q.Context().Done():
			}
			w.Write(data[len(data)/2:])
		})
		told := false
		steps := installing(t, b, r, func(p ollama.Progress) {
			if p.Digest == r.weights().Digest && p.Completed == p.Total/2 && !told {
				told = true
				close(seen)
			}
		})
		checkProgress(t, r, steps)
		if !told {
			t.Error("nothing was told of the half that had arrived")
		}
	})

	t.Run("goes on where it was left", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "left and taken up")
		left := make(chan struct{})
		r.serving(slowly(r, func(*http.Request) { <-left }))
		for p, err := range b.Pull(t.Context(), r.name, ollama.AllowInsecure()) {
			if err != nil {
				t.Fatal(err)
			}
			if p.Digest == r.weights().Digest && p.Completed == p.Total/2 {
				break
			}
		}
		r.fetched()
		r.serving(whole)
		close(left)
		checkProgress(t, r, install(t, b, r))
		wantSecondHalf(t, r, r.fetched())
	})

	t.Run("the server bears with a connection that breaks", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "broken and mended")
		r.serving(slowly(r, func(*http.Request) { r.serving(whole) }))
		checkProgress(t, r, install(t, b, r))
		asked := r.fetched()
		first := slices.IndexFunc(asked, func(q registryRequest) bool { return q.digest == r.weights().Digest })
		wantSecondHalf(t, r, asked[first+1:])
	})

	t.Run("a registry that goes away is an error, and is asked for the rest when it is back", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "gone and back")
		r.serving(func(w http.ResponseWriter, q *http.Request, data []byte) {
			whole(w, q, data)
			r.cut(true) // after the first file
		})
		var last error
		for _, err := range b.Pull(t.Context(), r.name, ollama.AllowInsecure()) {
			last = err
		}
		var e *backend.Error
		if !errors.As(last, &e) || e.Op != "pull" || e.Code != backend.CodeUnreachable || !strings.Contains(e.Remedy, "pull again") {
			t.Fatalf("Pull = %v, want an unreachable registry and to pull again", last)
		}
		if _, err := b.Installed(t.Context(), r.name); err == nil {
			t.Error("half a model is listed as installed")
		}
		had := r.fetched()
		if len(had) != 1 {
			t.Fatalf("fetched %d files, want the first", len(had))
		}
		r.cut(false)
		r.serving(whole)
		checkProgress(t, r, install(t, b, r))
		rest := r.fetched()
		if len(rest) != len(r.files)-1 || slices.ContainsFunc(rest, func(q registryRequest) bool { return q.digest == had[0].digest }) {
			t.Errorf("then fetched %+v, want all but %s", rest, r.kind(had[0].digest))
		}
	})

	for name, c := range map[string]struct {
		opts   []ollama.PullOption
		model  func(*registry) string
		code   string
		remedy string
	}{
		"a registry without TLS is an error that says what allows it": {
			model: func(r *registry) string { return r.name }, code: backend.CodeConfiguration, remedy: "AllowInsecure"},
		"a name that says http": {
			model: func(r *registry) string { return "http://" + r.name }, code: backend.CodeConfiguration, remedy: "AllowInsecure"},
		"a model that the registry does not have": {opts: []ollama.PullOption{ollama.AllowInsecure()},
			model: func(r *registry) string { return r.name + "-not" }, code: "model_not_found", remedy: "no such model"},
		"a registry that is not there": {opts: []ollama.PullOption{ollama.AllowInsecure()},
			model: func(r *registry) string { r.Close(); return r.name }, code: backend.CodeUnreachable, remedy: "registry"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRegistry(t, server, "never")
			var last error
			for _, err := range b.Pull(t.Context(), c.model(r), c.opts...) {
				last = err
			}
			var e *backend.Error
			if !errors.As(last, &e) || e.Op != "pull" || e.Code != c.code || !strings.Contains(e.Remedy, c.remedy) {
				t.Errorf("Pull = %v (%q), want %s and a remedy with %q", last, message(e), c.code, c.remedy)
			}
			if n := len(r.fetched()); n > 0 {
				t.Errorf("%d files were fetched, want none", n)
			}
		})
	}

	t.Run("a file that is not what was announced is not installed", func(t *testing.T) {
		t.Parallel()
		r := newRegistry(t, server, "forged")
		r.serving(func(w http.ResponseWriter, q *http.Request, data []byte) {
			whole(w, q, []byte(strings.Repeat("x", len(data))))
		})
		var last error
		for _, err := range b.Pull(t.Context(), r.name, ollama.AllowInsecure()) {
			last = err
		}
		var e *backend.Error
		if !errors.As(last, &e) || !strings.Contains(e.Remedy, "not the file that the registry announced") {
			t.Errorf("Pull = %v (%q), want a file that differs", last, message(e))
		}
		if _, err := b.Installed(t.Context(), r.name); err == nil {
			t.Error("a forged model is listed as installed")
		}
	})
}

func message(e *backend.Error) string {
	if e == nil {
		return ""
	}
	return e.Message
}

// slowly serves small files whole, and of the weights the first half before it calls then and cuts the connection.
func slowly(r *registry, then func(*http.Request)) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, q *http.Request, data []byte) {
		if len(data) < r.weights().Size {
			whole(w, q, data)
			return
		}
		half(then)(w, q, data)
	}
}

// install has the registry's model installed, and returns the steps told.
func install(t *testing.T, b *ollama.Backend, r *registry) []ollama.Progress {
	t.Helper()
	return installing(t, b, r, func(ollama.Progress) {})
}

func installing(t *testing.T, b *ollama.Backend, r *registry, each func(ollama.Progress)) (steps []ollama.Progress) {
	t.Helper()
	for p, err := range b.Pull(t.Context(), r.name, ollama.AllowInsecure()) {
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, p)
		each(p)
	}
	return steps
}

// checkProgress checks what was told of an installation that succeeded: each file with its size, and never less of it
// than before nor more than all.
func checkProgress(t *testing.T, r *registry, steps []ollama.Progress) {
	t.Helper()
	if len(steps) == 0 || !steps[len(steps)-1].Done() {
		t.Fatalf("steps = %+v, want success at the end", steps)
	}
	if steps[0].Status != "pulling manifest" || steps[0].Done() {
		t.Errorf("the first step is %+v, want the manifest", steps[0])
	}
	at := map[string]int64{}
	for _, p := range steps {
		if p.Digest == "" {
			continue
		}
		f, ok := r.file(p.Digest)
		if !ok || p.Total != int64(f.Size) {
			t.Errorf("step %+v, want a file of the model with its size %d", p, f.Size)
		}
		if p.Completed < at[p.Digest] || p.Completed > p.Total {
			t.Errorf("step %+v after %d bytes, want no less and no more than all", p, at[p.Digest])
		}
		at[p.Digest] = p.Completed
	}
}

// wantSecondHalf checks that the weights were asked for once, from the middle on.
func wantSecondHalf(t *testing.T, r *registry, asked []registryRequest) {
	t.Helper()
	asked = slices.DeleteFunc(slices.Clone(asked), func(q registryRequest) bool { return q.digest != r.weights().Digest })
	if len(asked) != 1 || asked[0].from != r.weights().Size/2 {
		t.Errorf("asked for %+v, want the weights from byte %d on", asked, r.weights().Size/2)
	}
}
