package cli

import (
	"context"
	"io"
)

// untilDone reads from r until ctx ends. Nothing can end a read from a terminal or a pipe, so the goroutine of one that is
// under way then outlives the reader, until the process ends.
func untilDone(ctx context.Context, r io.Reader) io.Reader { return &endingReader{ctx: ctx, from: r} }

type endingReader struct {
	ctx  context.Context //nolint:containedctx // a reader has no other way to be told
	from io.Reader
	left []byte // of what was read and is not handed on yet
	err  error
}

const readerBuffer = 64 << 10

func (r *endingReader) Read(p []byte) (int, error) {
	if err := context.Cause(r.ctx); err != nil {
		return 0, err
	}
	if len(r.left) == 0 && r.err == nil {
		type block struct {
			text []byte
			err  error
		}
		read := make(chan block, 1)
		go func() {
			buf := make([]byte, readerBuffer)
			n, err := r.from.Read(buf)
			read <- block{buf[:n], err}
		}()
		select {
		case <-r.ctx.Done():
			return 0, context.Cause(r.ctx)
		case b := <-read:
			r.left, r.err = b.text, b.err
		}
	}
	if len(r.left) == 0 {
		return 0, r.err
	}
	n := copy(p, r.left)
	r.left = r.left[n:]
	return n, nil
}
