package wire

import (
	"bytes"
	"sync"
)

// maxPooled is the largest buffer kept for reuse: one huge reply must not be held for ever.
const maxPooled = 1 << 20

var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// GetBuffer returns an empty buffer from a pool, for building the body of a call.
func GetBuffer() *bytes.Buffer {
	return buffers.Get().(*bytes.Buffer) //nolint:forcetypeassert // the pool holds nothing else
}

// PutBuffer gives b back. Nothing may refer to its bytes any more: after a call, not before the Response
// is closed.
func PutBuffer(b *bytes.Buffer) {
	if b == nil || b.Cap() > maxPooled {
		return
	}
	b.Reset()
	buffers.Put(b)
}

// windowSize holds a few dozen events of a usual stream.
const windowSize = 16 << 10

var windows = sync.Pool{New: func() any { b := make([]byte, windowSize); return &b }}

func getWindow() *[]byte {
	return windows.Get().(*[]byte) //nolint:forcetypeassert // the pool holds nothing else
}

func putWindow(b *[]byte) {
	if b != nil && len(*b) <= maxPooled {
		windows.Put(b)
	}
}
