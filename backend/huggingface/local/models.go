package local

import (
	"context"

	"github.com/mellea-go/mellea/backend"
)

// ListModels returns the model that is configured, if it is a file or folder, and those in the hub's cache that have
// a GGUF file or weights in safetensors, sorted by name. It loads nothing.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	if b.problem != nil {
		return nil, b.problem
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var all []backend.ModelInfo
	if b.model != "" && isPath(b.model) {
		path, err := b.cache.find(b.model)
		if err != nil {
			return nil, named("models", err)
		}
		m := backend.ModelInfo{Name: shownName(b.model)}
		m.Size, m.Modified = stat(path)
		all = append(all, m)
	}
	cached, err := b.cache.models()
	if err != nil {
		return nil, err
	}
	return append(all, cached...), nil
}
