package cli_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// A setting that a backend lacks is named with its variable and its flag.
func TestMissingSettings(t *testing.T) {
	t.Parallel()
	const url, key, project = "WATSONX_URL=http://127.0.0.1:1", "WATSONX_APIKEY=sk-secret", "WATSONX_PROJECT_ID=p"
	for name, c := range map[string]struct {
		backend string
		args    []string
		env     []string
		want    []string
	}{
		"openai without a model":      {backend: "openai", want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"huggingface without a model": {backend: "huggingface", want: []string{"a model", ".gguf file, a folder or a hub id", "--model", "MELLEA_MODEL"}},
		"huggingface without libraries": {backend: "huggingface", args: []string{"--model", file(t, "m.gguf", "GGUF")}, env: []string{"MELLEA_LLAMA_LIB=" + t.TempDir()},
			want: []string{"llama"}},
		"huggingface without anything": {backend: "huggingface", args: []string{"--model", "org/name"}, want: []string{"MELLEA_LLAMA_LIB", "HF_TOKEN", "--base-url", "HF_ENDPOINT"}},
		"litellm without a model":      {backend: "litellm", want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"watsonx without an address":   {backend: "watsonx", env: []string{key, project}, args: []string{"--model", "m"}, want: []string{"--base-url", "WATSONX_URL"}},
		"watsonx without a key":        {backend: "watsonx", env: []string{project}, args: []string{"--model", "m", "--base-url", "http://127.0.0.1:1"}, want: []string{"WATSONX_API_KEY", "no flag"}},
		"watsonx without a project":    {backend: "watsonx", env: []string{url, key}, args: []string{"--model", "m"}, want: []string{"WATSONX_PROJECT_ID", "WATSONX_SPACE_ID"}},
		"watsonx with too much":        {backend: "watsonx", env: []string{url, key, project, "WATSONX_SPACE_ID=s"}, args: []string{"--model", "m"}, want: []string{"both a project and a space"}},
		"watsonx without a model":      {backend: "watsonx", env: []string{url, key, project}, want: []string{"a model", "--model", "MELLEA_MODEL"}},
		"watsonx of another version":   {backend: "watsonx", env: []string{url, key, project, "WATSONX_API_VERSION=new"}, args: []string{"--model", "m"}, want: []string{"WATSONX_API_VERSION"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, command := range [][]string{{"run", "hi"}, {"chat"}, {"batch", file(t, "in", `{"prompt":"x"}`), "--out", t.TempDir() + "/out"}} {
				got := process{env: c.env}.run(t, slices.Concat(command, []string{"--backend", c.backend}, c.args)...)
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
