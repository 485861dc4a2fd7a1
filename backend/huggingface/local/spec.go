package local

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/mellea-go/mellea/backend"
)

// codeNoModel is for a model that is not on this machine.
const codeNoModel = "model_not_found"

// cache is the hub's cache of models: a folder of folders models--owner--name.
type cache struct{ dir string }

// findCache follows huggingface_hub: HF_HUB_CACHE, then HF_HOME, then the cache folder of the user.
func findCache(getenv func(string) string) cache {
	if dir := getenv("HF_HUB_CACHE"); dir != "" {
		return cache{expand(dir)}
	}
	if dir := getenv("HF_HOME"); dir != "" {
		return cache{filepath.Join(expand(dir), "hub")}
	}
	if dir := getenv("XDG_CACHE_HOME"); dir != "" {
		return cache{filepath.Join(expand(dir), "huggingface", "hub")}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return cache{}
	}
	return cache{filepath.Join(home, ".cache", "huggingface", "hub")}
}

// expand puts the home folder in place of a leading ~.
func expand(path string) string {
	rest, found := strings.CutPrefix(path, "~")
	if !found || rest != "" && !os.IsPathSeparator(rest[0]) {
		return path
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return path
	}
	return filepath.Join(home, rest)
}

// isPath tells a file or folder from the hub's id of a model: an id is owner/name, and neither starts with a dot.
func isPath(spec string) bool {
	id, _, _ := strings.Cut(spec, ":")
	if filepath.IsAbs(spec) || strings.HasPrefix(spec, ".") || strings.HasPrefix(spec, "~") || filepath.Ext(id) == ".gguf" ||
		strings.ContainsRune(spec, filepath.Separator) && filepath.Separator != '/' {
		return true
	}
	return strings.Count(id, "/") != 1 && !strings.Contains(id, "@")
}

// find returns the GGUF file that spec stands for, or the folder of a model that has to be converted. The error is an *[backend.Error].
func (c cache) find(spec string) (string, error) {
	if isPath(spec) {
		return findFile(expand(spec), "")
	}
	if _, err := os.Stat(spec); err == nil { // a folder of that name right here
		return findFile(spec, "")
	}
	id, part, _ := strings.Cut(spec, ":")
	id, revision, _ := strings.Cut(id, "@")
	owner, name, _ := strings.Cut(id, "/")
	if !hubName(owner) || !hubName(name) || revision != "" && !fs.ValidPath(revision) {
		return "", misconfigured("load", "the model's name is neither a path nor an id of the hub, which is owner/name", nil)
	}
	dir := filepath.Join(c.dir, "models--"+owner+"--"+name)
	snapshot, err := c.snapshot(dir, revision)
	if err != nil {
		return "", &backend.Error{Provider: provider, Op: "load", Code: codeNoModel, Err: err,
			Remedy: fmt.Sprintf("model %s is not in the cache (%s): download it, for example with `hf download %s`", id, c.dir, id)}
	}
	return findFile(snapshot, part)
}

// hubName says that s can be an owner or a name on the hub, and so a part of a path.
func hubName(s string) bool {
	if s == "" || len(s) > 96 || s[0] == '.' || s[0] == '-' || strings.Contains(s, "--") || strings.Contains(s, "..") {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '_' && r != '.' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// snapshot returns the folder of one revision: a branch, a tag or a commit.
func (c cache) snapshot(dir, revision string) (string, error) {
	snapshots := filepath.Join(dir, "snapshots")
	ref := revision
	if ref == "" {
		ref = "main"
	}
	commit, err := os.ReadFile(filepath.Join(dir, "refs", filepath.FromSlash(ref)))
	if err == nil {
		name := strings.TrimSpace(string(commit))
		if !hubName(name) {
			return "", fmt.Errorf("the reference %s of the cache names no commit", ref)
		}
		path := filepath.Join(snapshots, name)
		_, err = os.Stat(path) //nolint:gosec // hubName holds it below the folder
		return path, err
	}
	if revision != "" {
		path := filepath.Join(snapshots, filepath.FromSlash(revision))
		_, err = os.Stat(path)
		return path, err
	}
	all, err := os.ReadDir(snapshots)
	if err != nil {
		return "", err
	}
	if len(all) != 1 {
		return "", fmt.Errorf("the cache has %d revisions of the model and does not say which is main", len(all))
	}
	return filepath.Join(snapshots, all[0].Name()), nil
}

// findFile returns the GGUF file that path is, or the one in the folder path whose name has part in it.
func findFile(path, part string) (string, error) {
	info, err := os.Stat(path)
	if err != nil {
		code, remedy := codeNoModel, fmt.Sprintf("there is no file or folder %s", path)
		if !errors.Is(err, fs.ErrNotExist) {
			code, remedy = backend.CodeConfiguration, fmt.Sprintf("the model in %s cannot be read", path)
		}
		return "", &backend.Error{Provider: provider, Op: "load", Code: code, Remedy: remedy, Err: err}
	}
	if !info.IsDir() {
		return filepath.Abs(path)
	}
	files, err := ggufs(path)
	if err != nil {
		return "", misconfigured("load", fmt.Sprintf("the folder %s cannot be read", path), err)
	}
	matching := slices.DeleteFunc(slices.Clone(files), func(f string) bool {
		return !strings.Contains(strings.ToLower(filepath.Base(f)), strings.ToLower(part))
	})
	switch {
	case len(matching) == 1:
		return filepath.Abs(matching[0])
	case len(matching) > 1:
		return "", misconfigured("load", fmt.Sprintf("%s has several models: name one of %s", path, list(matching)), nil)
	case len(files) == 0 && part == "" && convertible(path):
		return filepath.Abs(path)
	case len(files) > 0:
		return "", &backend.Error{Provider: provider, Op: "load", Code: codeNoModel, Remedy: fmt.Sprintf("no GGUF file in %s has %q in its name: there are %s", path, part, list(files))}
	}
	return "", noGGUF(path)
}

func noGGUF(path string) error {
	return &backend.Error{Provider: provider, Op: "load", Code: codeNoModel, Remedy: "the folder " + path +
		" has neither a .gguf file nor config.json and weights in safetensors: many models have a repository with GGUF files beside their own, whose name ends in -GGUF"}
}

// ggufs returns the models in a folder, sorted. Of a model in several files that is the first, which names the others;
// projectors of images are none.
func ggufs(dir string) ([]string, error) {
	all, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, f := range all {
		name := strings.ToLower(f.Name())
		if filepath.Ext(name) != ".gguf" || strings.Contains(name, "mmproj") || laterSplit(name) {
			continue
		}
		files = append(files, filepath.Join(dir, f.Name()))
	}
	return files, nil
}

// laterSplit says that the name is that of a file after the first of a model in several: …-00002-of-00005.gguf.
func laterSplit(name string) bool {
	stem := strings.TrimSuffix(name, ".gguf")
	i := strings.LastIndex(stem, "-of-")
	if i < 5 {
		return false
	}
	number := stem[i-5 : i]
	return strings.Trim(number, "0123456789") == "" && number != "00001"
}

func list(files []string) string {
	const most = 8
	names := make([]string, 0, most)
	for _, f := range files[:min(len(files), most)] {
		names = append(names, filepath.Base(f))
	}
	if len(files) > most {
		names = append(names, "…")
	}
	return strings.Join(names, ", ")
}

// models returns what the cache holds that could be run. Whether a model can be converted shows when it is.
func (c cache) models() ([]backend.ModelInfo, error) {
	all, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, misconfigured("models", "the hub's cache cannot be read: "+c.dir, err)
	}
	var found []backend.ModelInfo
	for _, d := range all {
		id, ok := strings.CutPrefix(d.Name(), "models--")
		owner, name, both := strings.Cut(id, "--")
		if !ok || !both {
			continue
		}
		snapshot, err := c.snapshot(filepath.Join(c.dir, d.Name()), "")
		if err != nil {
			continue // not downloaded to its end
		}
		files, err := ggufs(snapshot)
		if err != nil {
			continue
		}
		if len(files) == 0 && convertible(snapshot) {
			m := backend.ModelInfo{Name: owner + "/" + name, Owner: owner}
			for _, f := range sources(snapshot) {
				size, modified := stat(f)
				m.Size += size
				if modified.After(m.Modified) {
					m.Modified = modified
				}
			}
			found = append(found, m)
		}
		for _, f := range files {
			m := backend.ModelInfo{Name: owner + "/" + name, Owner: owner}
			if len(files) > 1 {
				m.Name += ":" + filepath.Base(f)
			}
			m.Size, m.Modified = stat(f)
			found = append(found, m)
		}
	}
	return found, nil
}

func stat(path string) (size int64, modified time.Time) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, modified
	}
	return info.Size(), info.ModTime()
}
