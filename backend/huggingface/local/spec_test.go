package local

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

// hub makes a cache as huggingface_hub does, and returns its folder.
func hub(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := func(path, text string) {
		full := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	file("models--o--one/refs/main", "c1\n")
	file("models--o--one/refs/old", "c0")
	file("models--o--one/snapshots/c1/one.gguf", "GGUF1")
	file("models--o--one/snapshots/c0/one-old.gguf", "GGUF")
	file("models--o--many-GGUF/refs/main", "c1")
	file("models--o--many-GGUF/snapshots/c1/many-Q4_K_M.gguf", "GGUF")
	file("models--o--many-GGUF/snapshots/c1/many-Q8_0-00001-of-00002.gguf", "GGUF")
	file("models--o--many-GGUF/snapshots/c1/many-Q8_0-00002-of-00002.gguf", "GGUF")
	file("models--o--many-GGUF/snapshots/c1/mmproj-many.gguf", "GGUF")
	file("models--o--tensors/refs/main", "c1")
	file("models--o--tensors/snapshots/c1/model.safetensors", "")
	file("models--o--whole/refs/main", "c1")
	file("models--o--whole/snapshots/c1/config.json", "{}")
	file("models--o--whole/snapshots/c1/model.safetensors", "")
	file("models--o--noref/snapshots/c1/x.gguf", "GGUF")
	file("models--o--evil/refs/main", "../../elsewhere")
	file("models--o--partial/blobs/x.incomplete", "")
	file("datasets--o--d/refs/main", "c1")
	return dir
}

func TestFindModel(t *testing.T) {
	t.Parallel()
	dir := hub(t)
	one := filepath.Join(dir, "models--o--one", "snapshots")
	many := filepath.Join(dir, "models--o--many-GGUF", "snapshots", "c1")
	tests := map[string]struct{ want, code, remedy string }{
		"o/one":                  {want: filepath.Join(one, "c1", "one.gguf")},
		"o/one@old":              {want: filepath.Join(one, "c0", "one-old.gguf")},
		"o/one@c0":               {want: filepath.Join(one, "c0", "one-old.gguf")},
		"o/noref":                {want: filepath.Join(dir, "models--o--noref", "snapshots", "c1", "x.gguf")},
		"o/many-GGUF:q4_k_m":     {want: filepath.Join(many, "many-Q4_K_M.gguf")},
		"o/many-GGUF:Q8":         {want: filepath.Join(many, "many-Q8_0-00001-of-00002.gguf")},
		filepath.Join(one, "c1"): {want: filepath.Join(one, "c1", "one.gguf")},
		"o/many-GGUF":            {code: backend.CodeConfiguration, remedy: "many-Q4_K_M.gguf, many-Q8_0-00001-of-00002.gguf"},
		"o/many-GGUF:Q2":         {code: codeNoModel, remedy: `"Q2"`},
		"o/tensors":              {code: codeNoModel, remedy: "neither"},
		"o/whole":                {want: filepath.Join(dir, "models--o--whole", "snapshots", "c1")},
		"o/whole:Q4":             {code: codeNoModel, remedy: "neither"},
		"o/none":                 {code: codeNoModel, remedy: "hf download o/none"},
		"o/one@nope":             {code: codeNoModel, remedy: "hf download"},
		"o/evil":                 {code: codeNoModel, remedy: "hf download"},
		"o/partial":              {code: codeNoModel, remedy: "hf download"},
		"o/..":                   {code: backend.CodeConfiguration, remedy: "owner/name"},
		"o/a--b":                 {code: backend.CodeConfiguration, remedy: "owner/name"},
		"o/one@../../x":          {code: backend.CodeConfiguration},
		"./none":                 {code: codeNoModel, remedy: "no file or folder"},
		"justaname":              {code: codeNoModel, remedy: "no file or folder"},
		dir:                      {code: codeNoModel, remedy: "GGUF"},
	}
	for spec, tc := range tests {
		t.Run(spec, func(t *testing.T) {
			t.Parallel()
			got, err := cache{dir}.find(spec)
			if got != tc.want {
				t.Errorf("got %q, %v, want %q", got, err, tc.want)
			}
			var e *backend.Error
			if tc.code != "" && (!errors.As(err, &e) || e.Code != tc.code || !strings.Contains(e.Remedy, tc.remedy)) {
				t.Errorf("got %v, want code %q and a remedy about %q", err, tc.code, tc.remedy)
			}
		})
	}
}

func TestListModels(t *testing.T) {
	t.Parallel()
	b := New(WithModel(touch(t, t.TempDir(), "mine.gguf")))
	b.cache = cache{hub(t)}
	models, err := b.ListModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range models {
		got = append(got, m.Name)
		if m.Size < 2 || m.Modified.IsZero() {
			t.Errorf("%s has size %d and time %v, want those of its file", m.Name, m.Size, m.Modified)
		}
	}
	want := []string{"mine", "o/many-GGUF:many-Q4_K_M.gguf", "o/many-GGUF:many-Q8_0-00001-of-00002.gguf", "o/noref", "o/one", "o/whole"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("models (-want +got):\n%s", diff)
	}
	for _, name := range got[1:] { // each can be asked for
		if _, err := b.cache.find(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	b.cache = cache{filepath.Join(t.TempDir(), "none")}
	if models, err := b.ListModels(t.Context()); err != nil || len(models) != 1 {
		t.Errorf("got %v, %v without a cache, want the configured model", models, err)
	}
}

// What cannot be converted is an error that says why, and leaves nothing behind.
func TestConversionThatFails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	b := New(func(c *config) { c.engine = &fake{answer: says("x")} }, WithModel("o/whole"), WithConversions(folder))
	defer b.Close()
	b.cache = cache{hub(t)}
	_, err := b.Info(t.Context())
	var e *backend.Error
	if !errors.As(err, &e) || e.Code != codeModel || !strings.Contains(e.Remedy, "config.json: its architecture") || !strings.Contains(e.Remedy, "convert_hf_to_gguf.py") {
		t.Errorf("got %v, want what is wrong with the model and what else there is", err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 0 {
		t.Errorf("%v is left behind, %v", left, err)
	}
}

func TestFindCache(t *testing.T) {
	t.Parallel()
	home, err := os.UserHomeDir()
	if err != nil {
		t.Skip(err)
	}
	tests := map[string]struct {
		env  map[string]string
		want string
	}{
		"nothing":      {want: filepath.Join(home, ".cache", "huggingface", "hub")},
		"XDG":          {env: map[string]string{"XDG_CACHE_HOME": "x"}, want: filepath.Join("x", "huggingface", "hub")},
		"HF_HOME":      {env: map[string]string{"XDG_CACHE_HOME": "x", "HF_HOME": "~/h"}, want: filepath.Join(home, "h", "hub")},
		"HF_HUB_CACHE": {env: map[string]string{"HF_HOME": "h", "HF_HUB_CACHE": "c"}, want: "c"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := findCache(func(key string) string { return tc.env[key] }).dir; got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}
