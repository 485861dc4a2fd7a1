package batch

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"
)

// An Item is one line of the input.
type Item struct {
	// Line is its number, from 1. Empty lines count and are no items.
	Line int
	// Hash is that of its content: SHA-256, cut to 128 bits, in hexadecimal.
	Hash string
	// Data is the content, without the white space around it. It is nil for a line that is too long.
	Data []byte
}

// TooLong reports whether the line has more bytes than were allowed, and so no content.
func (it Item) TooLong() bool { return it.Data == nil }

// Items iterates over the lines of r that are not empty. A line of more than limit bytes is an item without content. An
// error of r ends the iteration.
func Items(r io.Reader, limit int) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		in := bufio.NewReader(r)
		for n := 1; ; n++ {
			it, err := readItem(in, n, limit)
			if err != nil && !errors.Is(err, io.EOF) {
				yield(Item{Line: n}, fmt.Errorf("line %d: %w", n, err))
				return
			}
			if it.Hash != "" && !yield(it, nil) {
				return
			}
			if err != nil {
				return
			}
		}
	}
}

// readItem reads one line. An empty one has no hash.
func readItem(in *bufio.Reader, n, limit int) (Item, error) {
	it := Item{Line: n}
	sum := sha256.New()
	var data []byte
	long := false
	for {
		piece, err := in.ReadSlice('\n')
		if n == 1 && len(data) == 0 && !long {
			piece = bytes.TrimPrefix(piece, []byte("\ufeff")) // a byte order mark
		}
		if !long && len(data)+len(piece) > limit+2 { // a line feed, with a carriage return
			long = true
			_, _ = sum.Write(data) // a hash cannot fail
			data = nil
		}
		if long {
			_, _ = sum.Write(bytes.TrimRight(piece, "\r\n"))
		} else {
			data = append(data, piece...)
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if !long {
			data = bytes.TrimSpace(data)
			long = len(data) > limit
			_, _ = sum.Write(data)
		}
		if long {
			data = nil
		}
		if long || len(data) > 0 {
			it.Data, it.Hash = data, hex.EncodeToString(sum.Sum(nil)[:16])
		}
		return it, err
	}
}

// Count returns how many items r holds.
func Count(r io.Reader) (int, error) {
	in, n, empty := bufio.NewReader(r), 0, true
	for {
		piece, err := in.ReadSlice('\n')
		empty = empty && len(bytes.TrimSpace(piece)) == 0
		if errors.Is(err, bufio.ErrBufferFull) {
			continue
		}
		if !empty {
			n++
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil
			}
			return n, err
		}
		empty = true
	}
}
