package gguf

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Kinds of values in the header.
const (
	kindUint32  = 4
	kindInt32   = 5
	kindFloat32 = 6
	kindBool    = 7
	kindString  = 8
	kindArray   = 9
)

// Kinds of numbers in a tensor, and of files by the most frequent one.
const (
	typeF32  = 0
	typeF16  = 1
	typeBF16 = 30

	fileF32  = 0
	fileF16  = 1
	fileBF16 = 32
)

const (
	magic     = "GGUF"
	version   = 3
	alignment = 32
)

// header is the part of a file before its tensors.
type header struct {
	b    bytes.Buffer
	keys uint64
}

func (h *header) num(v any) { _ = binary.Write(&h.b, binary.LittleEndian, v) } // a buffer takes everything

func (h *header) str(s string) {
	h.num(uint64(len(s)))
	h.b.WriteString(s)
}

func (h *header) key(name string, kind uint32) {
	h.str(name)
	h.num(kind)
	h.keys++
}

func (h *header) text(name, v string) {
	h.key(name, kindString)
	h.str(v)
}

func (h *header) uint(name string, v int) {
	h.key(name, kindUint32)
	h.num(uint32(v)) //nolint:gosec // bounded where it is read
}

func (h *header) float(name string, v float64) {
	h.key(name, kindFloat32)
	h.num(float32(v))
}

func (h *header) bool(name string, v bool) {
	h.key(name, kindBool)
	h.num(v)
}

func (h *header) array(name string, kind uint32, n int) {
	h.key(name, kindArray)
	h.num(kind)
	h.num(uint64(n)) //nolint:gosec // a length
}

func (h *header) texts(name string, all []string) {
	h.array(name, kindString, len(all))
	for _, s := range all {
		h.str(s)
	}
}

func (h *header) ints(name string, all []int32) {
	h.array(name, kindInt32, len(all))
	h.num(all)
}

// outTensor is a tensor to write.
type outTensor struct {
	name string
	dims []int // innermost first
	kind uint32
	size int64
	copy func(io.Writer) error
}

// write writes a file.
func write(w io.Writer, h *header, tensors []outTensor) error {
	var top header
	top.b.WriteString(magic)
	top.num(uint32(version))
	top.num(uint64(len(tensors)))
	top.num(h.keys)
	top.b.Write(h.b.Bytes())
	offset := int64(0)
	for _, t := range tensors {
		top.str(t.name)
		top.num(uint32(len(t.dims))) //nolint:gosec // at most 2
		for _, d := range t.dims {
			top.num(uint64(d)) //nolint:gosec // positive
		}
		top.num(t.kind)
		top.num(uint64(offset))
		offset += t.size + padding(t.size)
	}
	out := bufio.NewWriterSize(w, 1<<20)
	pad := func(n int64) error {
		_, err := out.Write(make([]byte, padding(n)))
		return err
	}
	n := int64(top.b.Len())
	if _, err := out.Write(top.b.Bytes()); err != nil {
		return err
	}
	if err := pad(n); err != nil {
		return err
	}
	for _, t := range tensors {
		counted := &counter{w: out}
		if err := t.copy(counted); err != nil {
			return fmt.Errorf("tensor %s: %w", t.name, err)
		}
		if counted.n != t.size {
			return fmt.Errorf("tensor %s: %w", t.name, io.ErrUnexpectedEOF)
		}
		if err := pad(t.size); err != nil {
			return err
		}
	}
	return out.Flush()
}

func padding(n int64) int64 { return (alignment - n%alignment) % alignment }

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}
