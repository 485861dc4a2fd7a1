package ollama_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
)

// wait is a line of a server that falls silent there.
const wait = "wait"

// pulling returns a backend whose server answers /api/pull with lines.
func pulling(t *testing.T, status int, lines ...string) *ollama.Backend {
	t.Helper()
	return pullingAs(t, `{"model":"llama3.2:1b"}`, status, lines...)
}

// pullingAs does so and wants the request.
func pullingAs(t *testing.T, request string, status int, lines ...string) *ollama.Backend {
	t.Helper()
	transport := &http.Transport{}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.Method != http.MethodPost || r.URL.Path != "/api/pull" || string(body) != request {
			t.Errorf("got %s %s %s, want the model to be pulled", r.Method, r.URL.Path, body)
		}
		w.Header().Set("Content-Type", "application/x-ndjson")
		w.WriteHeader(status)
		for _, line := range lines {
			if line == wait {
				<-r.Context().Done()
				return
			}
			fmt.Fprintln(w, line)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	return ollama.New(ollama.WithBaseURL(web.URL), ollama.WithTransport(transport), ollama.WithRetries(0))
}

func TestPull(t *testing.T) {
	t.Parallel()
	b := pulling(t, 200, `{"status":"pulling manifest"}`, `{"status":"pulling abc","digest":"sha256:abc","total":10}`,
		`{"status":"pulling abc","digest":"sha256:abc","total":10,"completed":7,"more":1}`, `{"status":"success"}`)
	var got []ollama.Progress
	for p, err := range b.Pull(t.Context(), "llama3.2:1b") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p)
	}
	want := []ollama.Progress{{Status: "pulling manifest"}, {Status: "pulling abc", Digest: "sha256:abc", Total: 10},
		{Status: "pulling abc", Digest: "sha256:abc", Total: 10, Completed: 7}, {Status: "success"}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("progress (-got +want):\n%s", diff)
	}
	if !got[len(got)-1].Done() {
		t.Error("the last step is not done, want it to be")
	}
}

// A registry without TLS is asked only when the program allows it.
func TestPullInsecure(t *testing.T) {
	t.Parallel()
	b := pullingAs(t, `{"model":"registry.lan:5000/team/model","insecure":true}`, 200, `{"status":"success"}`)
	for p, err := range b.Pull(t.Context(), "registry.lan:5000/team/model", ollama.AllowInsecure()) {
		if err != nil || !p.Done() {
			t.Errorf("progress = %+v, %v, want success", p, err)
		}
	}
}

func TestPullFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status int
		lines  []string
		want   backend.Error
		remedy string
	}{
		"no such model":            {200, []string{`{"status":"pulling manifest"}`, `{"error":"pull model manifest: file does not exist"}`}, backend.Error{Code: "model_not_found"}, "ollama.com/library"},
		"no network":               {200, []string{`{"error":"pull model manifest: Get \"https://registry.ollama.ai/v2/\": dial tcp: lookup registry.ollama.ai: no such host"}`}, backend.Error{Code: backend.CodeUnreachable}, "cannot reach the registry"},
		"a name that is none":      {400, []string{`{"error":"invalid model name"}`}, backend.Error{Status: 400, Code: backend.CodeConfiguration}, "llama3.2:1b"},
		"a server that is too old": {200, []string{`{"error":"pull model manifest: 412: The model you are attempting to pull requires a newer version of Ollama."}`}, backend.Error{Code: "stream_error"}, "up to date"},
		"a registry without TLS":   {200, []string{`{"error":"pull model manifest: Get \"https://127.0.0.1:1/v2/\": http: server gave HTTP response to HTTPS client"}`}, backend.Error{Code: backend.CodeConfiguration}, "AllowInsecure"},
		"a name without TLS":       {200, []string{`{"error":"insecure protocol http"}`}, backend.Error{Code: backend.CodeConfiguration}, "AllowInsecure"},
		"a file that differs":      {200, []string{`{"error":"digest mismatch, file must be downloaded again: want sha256:a, got sha256:b"}`}, backend.Error{Code: "stream_error"}, "pull again"},
		"a registry that goes":     {200, []string{`{"error":"max retries exceeded: unexpected EOF"}`}, backend.Error{Code: backend.CodeUnreachable}, "goes on where it was"},
		"cut off":                  {200, []string{`{"status":"pulling manifest"}`}, backend.Error{Code: backend.CodeInvalidResponse}, "ended before"},
		"not Ollama":               {200, []string{`{"hello":1}`}, backend.Error{Code: backend.CodeInvalidResponse}, "is it Ollama?"},
		"not JSON":                 {200, []string{`hello`}, backend.Error{Code: backend.CodeInvalidResponse}, "is it Ollama?"},
		"not a status":             {200, []string{`{"status":7}`}, backend.Error{Code: backend.CodeInvalidResponse}, "is it Ollama?"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var last error
			for _, err := range pulling(t, tt.status, tt.lines...).Pull(t.Context(), "llama3.2:1b") {
				if last != nil {
					t.Error("something was told after an error")
				}
				last = err
			}
			wantError(t, last, tt.want, tt.remedy)
		})
	}
	t.Run("no name", func(t *testing.T) {
		t.Parallel()
		for _, err := range ollama.New(ollama.WithTransport(refusing{t})).Pull(t.Context(), "") {
			wantError(t, err, backend.Error{Code: backend.CodeConfiguration}, "name the one")
		}
	})
}

func TestPullEnds(t *testing.T) {
	t.Parallel()
	t.Run("when it is left", func(t *testing.T) {
		t.Parallel()
		for _, err := range pulling(t, 200, `{"status":"pulling manifest"}`, `{"status":"next"}`, wait).Pull(t.Context(), "llama3.2:1b") {
			if err != nil {
				t.Error(err)
			}
			break
		}
	})
	t.Run("with its context", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var last error
		for _, err := range pulling(t, 200, `{"status":"pulling manifest"}`, `{"status":"next"}`, wait).Pull(ctx, "llama3.2:1b") {
			cancel()
			last = err
		}
		if !errors.Is(last, context.Canceled) {
			t.Errorf("error = %v, want context.Canceled", last)
		}
	})
}

// A model that is not installed is an error that says how to install it, however it is asked for.
func TestMissingModelNamesThePull(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[]`, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":"model 'm' not found"}`)
	})
	_, err := generate(t, f.backend(), ask("hi"))
	wantError(t, err, backend.Error{Status: 404, Code: "model_not_found"}, "`ollama pull m`")
}
