package components

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// modelStore returns the folder of a store of models that holds the weights in
// the folder weights under the name modelName. It is made once, by importing
// them with a real server, for each pair of versions and each Modelfile; no
// server runs on it, each gets a copy by [cloneStore].
func modelStore(ctx context.Context, weights string) (string, error) {
	modelfile := filepath.Join(weights, "Modelfile")
	text, err := os.ReadFile(modelfile)
	if err != nil {
		return "", fmt.Errorf("components: %w: run scripts/components/install.sh %s", err, SmolLM2)
	}
	sum := sha256.Sum256(text)
	cache := filepath.Dir(weights)
	store := filepath.Join(cache, fmt.Sprintf("store-%s-%s-%s-%s-%s", OllamaServer, versions[OllamaServer],
		SmolLM2, versions[SmolLM2], hex.EncodeToString(sum[:6])))
	if fileExists(filepath.Join(store, ".complete")) {
		return store, nil
	}

	held, err := lock(ctx, store+".lock")
	if err != nil {
		return "", err
	}
	defer unlock(held)
	if fileExists(filepath.Join(store, ".complete")) {
		return store, nil
	}
	made, err := importModel(ctx, modelfile, store+".tmp")
	if err != nil {
		return "", err
	}
	if err := errors.Join(os.RemoveAll(store), os.Rename(made, store)); err != nil {
		return "", fmt.Errorf("components: %w", err)
	}
	return store, nil
}

// importModel imports the model of a Modelfile into a new store in the folder
// dir, which it returns.
func importModel(ctx context.Context, modelfile, dir string) (_ string, err error) {
	if err := os.RemoveAll(dir); err != nil {
		return "", fmt.Errorf("components: %w", err)
	}
	o, err := withRetry(func() (*Ollama, error) { return serveOllama(ctx, "") })
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, o.server.stop()) }()
	if err := o.Create(ctx, modelName, modelfile); err != nil {
		return "", err
	}
	if err := cloneStore(o.modelsDir(), dir); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(dir, ".complete"), nil, 0o644); err != nil {
		return "", fmt.Errorf("components: %w", err)
	}
	return dir, nil
}

// cloneStore copies a store of models to the folder to, which must not exist.
// Blobs, which are large and are never written again, become hard links where
// the file system allows; manifests are copied, because a server rewrites them
// in place.
func cloneStore(from, to string) error {
	err := filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		if strings.HasPrefix(rel, "blobs"+string(filepath.Separator)) && os.Link(path, target) == nil {
			return nil
		}
		return copyFile(path, target)
	})
	if err != nil {
		return fmt.Errorf("components: copy the store of models: %w", err)
	}
	return nil
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.OpenFile(to, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
