package local

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/gguf"
)

// sources are the files of a folder that a converted model depends on.
func sources(dir string) []string {
	var all []string
	for _, pattern := range []string{"config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "*.safetensors"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err == nil {
			all = append(all, files...)
		}
	}
	return all
}

// convertible reports whether a folder looks like a model with weights in safetensors.
func convertible(dir string) bool {
	for _, pattern := range []string{"config.json", "*.safetensors"} {
		if files, err := filepath.Glob(filepath.Join(dir, pattern)); err != nil || len(files) == 0 {
			return false
		}
	}
	return true
}

// converted returns the GGUF file of a model: the file itself, or what a folder is converted to, once.
func (b *Backend) converted(path, spec string) (string, error) {
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return path, nil //nolint:nilerr // who opens it will say
	}
	folder := b.folder
	if folder == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			return "", misconfigured("load", "the model must be converted, and there is no folder for that: name one by WithConversions", err)
		}
		folder = filepath.Join(cache, "mellea", "gguf")
	}
	sum := sha256.New()
	_, _ = fmt.Fprintln(sum, "1", path) // a hash takes everything; raise the number when conversions change
	for _, f := range sources(path) {
		size, modified := stat(f)
		_, _ = fmt.Fprintln(sum, filepath.Base(f), size, modified.UnixNano())
	}
	file := filepath.Join(folder, hex.EncodeToString(sum.Sum(nil)[:16])+".gguf")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := convert(path, shownName(spec), file); err != nil {
		if e, ok := errors.AsType[*gguf.Error](err); ok {
			return "", &backend.Error{Provider: provider, Op: "load", Code: codeModel, Err: err, Remedy: "the model cannot be converted to GGUF: " + e.Error() +
				": use llama.cpp's convert_hf_to_gguf.py, or a repository with GGUF files, or serve the model by `transformers serve`"}
		}
		return "", misconfigured("load", "the model cannot be converted to GGUF: is there room in "+folder+"? WithConversions names another folder", err)
	}
	return file, nil
}

// convert writes a file that is there whole or not at all.
func convert(dir, name, file string) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil { //nolint:gosec // a cache like others
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".converting-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name()) // what matters is err
		}
	}()
	err = gguf.Convert(os.DirFS(dir), name, f)
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
