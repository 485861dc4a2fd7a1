package cli_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A setting that a backend lacks, or has too often, is wrong usage: the message names its variable, and its flag where
// it has one.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	const (
		url, key, project, space = "WATSONX_URL=http://127.0.0.1:1", "WATSONX_APIKEY=sk-secret", "WATSONX_PROJECT_ID=p", "WATSONX_SPACE_ID=s"
		noFlag                   = "keys are not taken as flags: other users see command lines"
	)
	empty := newShelfOf(t, `{"models":[]}`)
	for name, c := range map[string]struct {
		backend string
		model   string // "" is a case without one, which a list of models needs not
		args    []string
		env     []string
		want    []string
	}{
		"openai without a model":          {backend: "openai", want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"openai without a key":            {backend: "openai", model: "m", want: []string{"OPENAI_API_KEY", noFlag, "--base-url", "OPENAI_BASE_URL"}},
		"azure without a key":             {backend: "openai", model: "m", args: []string{"--base-url", "https://x.openai.azure.com/openai/v1"}, want: []string{"OPENAI_API_KEY"}},
		"ollama without a model":          {backend: "ollama", env: []string{"OLLAMA_HOST=" + empty.URL}, want: []string{"no model is installed", "--model", "MELLEA_MODEL"}},
		"huggingface without a model":     {backend: "huggingface", want: []string{"a model", ".gguf file, a folder or a hub id", "--model", "MELLEA_MODEL"}},
		"huggingface without libraries":   {backend: "huggingface", model: file(t, "m.gguf", "GGUF"), env: []string{"MELLEA_LLAMA_LIB=" + t.TempDir()}, want: []string{"llama"}},
		"huggingface without anything":    {backend: "huggingface", model: "org/name", want: []string{"MELLEA_LLAMA_LIB", "HF_TOKEN", noFlag, "--base-url", "HF_ENDPOINT"}},
		"the router without a token":      {backend: "huggingface", model: "org/name", args: []string{"--base-url", "https://router.huggingface.co/v1"}, want: []string{"HF_TOKEN"}},
		"litellm without a model":         {backend: "litellm", want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"watsonx without an address":      {backend: "watsonx", model: "m", env: []string{key, project}, want: []string{"--base-url", "WATSONX_URL"}},
		"watsonx without a key":           {backend: "watsonx", model: "m", env: []string{project}, args: []string{"--base-url", "http://127.0.0.1:1"}, want: []string{"WATSONX_API_KEY", noFlag}},
		"watsonx without a project":       {backend: "watsonx", model: "m", env: []string{url, key}, want: []string{"WATSONX_PROJECT_ID", "--project", "WATSONX_SPACE_ID", "--space"}},
		"watsonx with too much":           {backend: "watsonx", model: "m", env: []string{url, key, project, space}, want: []string{"WATSONX_PROJECT_ID", "--project", "WATSONX_SPACE_ID", "--space"}},
		"watsonx with both flags":         {backend: "watsonx", model: "m", env: []string{url, key}, args: []string{"--project", "p", "--space", "s"}, want: []string{"--project", "--space"}},
		"watsonx without a model":         {backend: "watsonx", env: []string{url, key, project}, want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"watsonx of another version":      {backend: "watsonx", model: "m", env: []string{url, key, project, "WATSONX_API_VERSION=new"}, want: []string{"WATSONX_API_VERSION"}},
		"a project for one that has none": {backend: "ollama", model: "m", args: []string{"--project", "p"}, want: []string{"--project", "watsonx", "openai"}},
		"a space for one that has none":   {backend: "openai", model: "m", env: []string{"OPENAI_API_KEY=sk-secret"}, args: []string{"--space", "s"}, want: []string{"--space", "watsonx"}},
		"a project for whatever is there": {model: "m", args: []string{"--project", "p"}, want: []string{"--project", "watsonx", "openai"}},
		"a recording that is not named":   {backend: "replay", model: "m", want: []string{"--replay"}},
		"a backend that there is not":     {backend: "watson", model: "m", want: []string{"--backend", `did you mean "watsonx"?`}},
		"no server, of whichever backend": {model: "m", env: nowhere, want: []string{"OLLAMA_HOST", "OPENAI_API_KEY", "--backend", "--base-url"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			commands := [][]string{{"run", "hi"}, {"chat"}, {"batch", file(t, "in", `{"prompt":"x"}`), "--out", t.TempDir() + "/out"}, {"demo", "--live"}, {"models"}}
			for _, command := range commands {
				args := slices.Concat(command, c.args)
				if c.backend != "" {
					args = append(args, "--backend", c.backend)
				}
				switch {
				case command[0] == "models" && (c.model == "" || isModelFile(c.model)), command[0] == "demo" && c.backend == "replay":
					continue
				case command[0] != "models" && c.model != "":
					args = append(args, "--model", c.model)
				}
				got := process{env: c.env}.run(t, args...)
				if got.code != 2 || strings.Contains(got.stderr, "sk-secret") {
					t.Errorf("%s: exit %d, stderr %q, want 2", command[0], got.code, got.stderr)
				}
				for _, part := range c.want {
					if !strings.Contains(got.stderr, part) {
						t.Errorf("%s: stderr = %q, want %q", command[0], got.stderr, part)
					}
				}
			}
		})
	}
}

// isModelFile reports whether a model is a file, which needs no list of models.
func isModelFile(model string) bool { return strings.HasSuffix(model, ".gguf") }

// No command takes a key on its command line.
func TestKeysHaveNoFlag(t *testing.T) {
	t.Parallel()
	for _, command := range []string{"run", "chat", "batch", "demo", "models"} {
		for _, flag := range []string{"--api-key", "--key", "--token"} {
			if got := (process{}).run(t, command, flag, "sk-secret"); got.code != 2 || !strings.Contains(got.stderr, "there is no flag") || strings.Contains(got.stderr, "sk-secret") {
				t.Errorf("%s %s: exit %d, stderr %q, want 2 and no such flag", command, flag, got.code, got.stderr)
			}
		}
	}
}

// What pays for a request is the flag's, over all variables of the environment.
func TestAccountFlags(t *testing.T) {
	t.Parallel()
	t.Run("openai", func(t *testing.T) {
		t.Parallel()
		f := newFake(t)
		got := process{env: []string{"OPENAI_API_KEY=sk-1", "OPENAI_PROJECT_ID=other", "OPENAI_BASE_URL=" + f.URL + "/v1"}}.
			run(t, "run", "hi", "--backend", "openai", "--model", "m", "--project", "mine")
		if got.code != 0 {
			t.Fatalf("exit %d: %s", got.code, got.stderr)
		}
		if project := f.asked(t).header.Get("OpenAI-Project"); project != "mine" {
			t.Errorf("project = %q, want that of the flag", project)
		}
	})
	for name, c := range map[string]struct {
		args, env []string
		want      map[string]any
	}{
		"watsonx project": {args: []string{"--project", "mine"}, env: []string{"WATSONX_SPACE_ID=other", "WATSONX_PROJECT_ID=other"}, want: map[string]any{"project_id": "mine"}},
		"watsonx space":   {args: []string{"--space", "mine"}, env: []string{"WATSONX_PROJECT_ID=other"}, want: map[string]any{"space_id": "mine"}},
		"by variable":     {env: []string{"WATSONX_SPACE_ID=theirs"}, want: map[string]any{"space_id": "theirs"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked map[string]any
			mux := http.NewServeMux()
			mux.HandleFunc("POST /identity/token", func(w http.ResponseWriter, _ *http.Request) {
				fmt.Fprint(w, `{"access_token":"t","expires_in":3600,"token_type":"Bearer"}`)
			})
			mux.HandleFunc("POST /ml/v1/text/chat", func(w http.ResponseWriter, r *http.Request) {
				_ = json.NewDecoder(r.Body).Decode(&asked)
				fmt.Fprint(w, `{"id":"1","model_id":"m","choices":[{"index":0,"message":{"role":"assistant","content":"fine"},"finish_reason":"stop"}]}`)
			})
			s := httptest.NewServer(mux)
			t.Cleanup(s.Close)
			env := append([]string{"WATSONX_URL=" + s.URL, "WATSONX_IAM_URL=" + s.URL, "WATSONX_API_KEY=sk-1"}, c.env...)
			got := process{env: env}.run(t, append([]string{"run", "hi", "--backend", "watsonx", "--model", "m"}, c.args...)...)
			if got.code != 0 || got.stdout != "fine\n" {
				t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
			sent := map[string]any{}
			for _, member := range []string{"project_id", "space_id"} {
				if v, ok := asked[member]; ok {
					sent[member] = v
				}
			}
			if diff := cmp.Diff(sent, c.want); diff != "" {
				t.Errorf("sent (-got +want):\n%s", diff)
			}
		})
	}
}

// Of secrets and of what identifies an account only that they are set is shown.
func TestEnvOfBackends(t *testing.T) {
	t.Parallel()
	env := []string{"WATSONX_URL=http://user:hidden@127.0.0.1:1/?key=hidden", "WATSONX_API_KEY=hidden", "WATSONX_APIKEY=hidden", "WATSONX_PROJECT_ID=hidden",
		"WATSONX_SPACE_ID=hidden", "WATSONX_API_VERSION=2025-01-01", "HF_HOME=/cache", "HF_TOKEN=hidden", "HF_ENDPOINT=http://127.0.0.1:1/?q=hidden", "LITELLM_PROXY_API_KEY=hidden", "LITELLM_PROXY_API_BASE=http://hidden@127.0.0.1:1/v1", "MELLEA_LLAMA_LIB=/libs", "MELLEA_BACKEND=watsonx", "MELLEA_MODEL=granite"}
	got := process{env: env}.run(t, "env", "--output", "json")
	if got.code != 0 || strings.Contains(got.stdout+got.stderr, "hidden") {
		t.Errorf("exit %d, want 0 and nothing hidden:\n%s%s", got.code, got.stdout, got.stderr)
	}
	var doc struct {
		Settings  []struct{ Name, Value, Origin string }
		Endpoints []struct{ Name, URL string }
		Warnings  []string
	}
	if err := json.Unmarshal([]byte(got.stdout), &doc); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"WATSONX_URL": "http://127.0.0.1:1/", "WATSONX_API_KEY": "****", "WATSONX_APIKEY": "****", "WATSONX_PROJECT_ID": "****",
		"WATSONX_SPACE_ID": "****", "WATSONX_API_VERSION": "2025-01-01", "HF_HOME": "/cache", "HF_TOKEN": "****", "HF_ENDPOINT": "http://127.0.0.1:1/", "LITELLM_PROXY_API_KEY": "****", "LITELLM_PROXY_API_BASE": "http://127.0.0.1:1/v1", "MELLEA_LLAMA_LIB": "/libs", "MELLEA_BACKEND": "watsonx", "MELLEA_MODEL": "granite"}
	for _, s := range doc.Settings {
		if value, ok := want[s.Name]; ok && s.Value == value && s.Origin == "environment" {
			delete(want, s.Name)
		}
	}
	if len(want) > 0 || len(doc.Warnings) > 0 {
		t.Errorf("missing: %v; warnings %q", want, doc.Warnings)
	}
	if last := doc.Endpoints[len(doc.Endpoints)-1]; last.Name != "watsonx" || last.URL != "http://127.0.0.1:1/" {
		t.Errorf("endpoints = %+v", doc.Endpoints)
	}
}

// The servers that speak OpenAI's API are asked where their variables and flags say.
func TestCompatibleServers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ args, env []string }{
		"huggingface by flag":     {args: []string{"--backend", "huggingface", "--base-url", "URL"}},
		"huggingface by variable": {args: []string{"--backend", "huggingface"}, env: []string{"HF_ENDPOINT=URL", "MELLEA_LLAMA_LIB=/libs"}},
		"litellm by flag":         {args: []string{"--backend", "litellm", "--base-url", "URL"}, env: []string{"LITELLM_PROXY_API_BASE=http://127.0.0.1:1"}},
		"litellm by variable":     {args: []string{"--backend", "litellm"}, env: []string{"LITELLM_PROXY_API_BASE=URL", "LITELLM_PROXY_API_KEY=sk-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			put := func(all []string) []string {
				out := slices.Clone(all)
				for i := range out {
					if before, ok := strings.CutSuffix(out[i], "URL"); ok {
						out[i] = before + f.URL
					}
				}
				return out
			}
			got := process{env: put(c.env)}.run(t, append([]string{"run", "hi", "--model", "org/name"}, put(c.args)...)...)
			if got.code != 0 || got.stdout != "fine\n" {
				t.Fatalf("exit %d: %s%s", got.code, got.stdout, got.stderr)
			}
			q := f.asked(t)
			if q.Model != "org/name" || f.lastPath() != "/v1/chat/completions" {
				t.Errorf("asked %q for %q", f.lastPath(), q.Model)
			}
			if key := q.header.Get("Authorization"); (key == "Bearer sk-1") != (name == "litellm by variable") {
				t.Errorf("authorization = %q", key)
			}
		})
	}
}
