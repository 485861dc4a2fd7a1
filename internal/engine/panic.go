package engine

import (
	"runtime/debug"

	"github.com/mellea-go/mellea/backend"
)

func panicked(p any) *backend.PanicError { return &backend.PanicError{Value: p, Stack: debug.Stack()} }

// caught calls f and turns its panic into an error.
func caught(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	return f()
}
