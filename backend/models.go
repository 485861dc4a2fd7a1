package backend

import (
	"context"
	"time"
)

// ModelInfo is a model that a backend could be asked for. What a server does not tell is zero.
type ModelInfo struct {
	// Name is what [Options.WithModel] takes.
	Name string
	// Owner is who made it or serves it, as the server says.
	Owner string
	// Size is that of its files, in bytes.
	Size int64
	// Modified is when it was made, installed or changed last.
	Modified time.Time
}

// ModelLister is a [Backend] that can tell which models it has.
type ModelLister interface {
	// ListModels returns them as the server orders them. The error is an *[Error] or the cause of ctx.
	ListModels(ctx context.Context) ([]ModelInfo, error)
}
