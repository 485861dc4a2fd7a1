package engine

import (
	"runtime/debug"

	"github.com/mellea-go/mellea/backend"
)

func panicked(p any) *backend.PanicError { return &backend.PanicError{Value: p, Stack: debug.Stack()} }
