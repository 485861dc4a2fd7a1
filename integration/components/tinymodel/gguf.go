package tinymodel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
)

// Types of values in the header of a GGUF file, version 3.
const (
	ggufUint32  = 4
	ggufInt32   = 5
	ggufFloat32 = 6
	ggufBool    = 7
	ggufString  = 8
	ggufArray   = 9
)

// ggufAlign is the alignment of each tensor's data.
const ggufAlign = 32

// Kinds of tokens.
const (
	tokenNormal  = 1
	tokenUnknown = 2
	tokenControl = 3
	tokenByte    = 6
)

// gguf is a GGUF file to be written: keys and values, then tensors of float32.
type gguf struct {
	keys    uint64
	header  bytes.Buffer
	tensors []tensor
}

// tensor has its dimensions innermost first, as GGUF does.
type tensor struct {
	name string
	dims []uint64
	data []float32
}

// put writes fixed-size values; a bytes.Buffer takes them all.
func put(b *bytes.Buffer, values ...any) {
	for _, v := range values {
		if s, ok := v.(string); ok {
			put(b, uint64(len(s)), []byte(s))
			continue
		}
		if err := binary.Write(b, binary.LittleEndian, v); err != nil {
			panic(fmt.Sprintf("tinymodel: %T has no fixed size: %v", v, err))
		}
	}
}

func (g *gguf) key(name string, values ...any) {
	g.keys++
	put(&g.header, name)
	put(&g.header, values...)
}

func (g *gguf) number(name string, v int) { g.key(name, uint32(ggufUint32), uint32(v)) }

func (g *gguf) float(name string, v float32) { g.key(name, uint32(ggufFloat32), v) }

func (g *gguf) floats(name string, v ...float32) {
	g.key(name, uint32(ggufArray), uint32(ggufFloat32), uint64(len(v)), v)
}

func (g *gguf) yes(name string) { g.key(name, uint32(ggufBool), true) }

func (g *gguf) text(name, v string) { g.key(name, uint32(ggufString), v) }

// vocabulary writes the tokenizer of a SentencePiece model.
func (g *gguf) vocabulary(v *vocabulary) {
	g.text("tokenizer.ggml.model", "llama")
	g.text("tokenizer.ggml.pre", "default")
	g.key("tokenizer.ggml.tokens", uint32(ggufArray), uint32(ggufString), uint64(len(v.tokens)))
	for _, s := range v.tokens {
		put(&g.header, s)
	}
	g.key("tokenizer.ggml.scores", uint32(ggufArray), uint32(ggufFloat32), uint64(len(v.scores)), v.scores)
	g.key("tokenizer.ggml.token_type", uint32(ggufArray), uint32(ggufInt32), uint64(len(v.types)), v.types)
	g.number("tokenizer.ggml.unknown_token_id", unknownID)
	g.number("tokenizer.ggml.bos_token_id", startID)
	g.number("tokenizer.ggml.eos_token_id", endID)
}

func (g *gguf) tensor(name string, data []float32, dims ...int) {
	t := tensor{name: name, data: data}
	for _, d := range dims {
		t.dims = append(t.dims, uint64(d))
	}
	g.tensors = append(g.tensors, t)
}

func (g *gguf) writeTo(w io.Writer) error {
	var b bytes.Buffer
	b.WriteString("GGUF")
	put(&b, uint32(3), uint64(len(g.tensors)), g.keys, g.header.Bytes())
	offset := uint64(0)
	for _, t := range g.tensors {
		put(&b, t.name, uint32(len(t.dims)), t.dims, uint32(0), offset)
		offset += (uint64(len(t.data))*4 + ggufAlign - 1) / ggufAlign * ggufAlign
	}
	pad := func() {
		if n := b.Len() % ggufAlign; n > 0 {
			b.Write(make([]byte, ggufAlign-n))
		}
	}
	pad()
	for _, t := range g.tensors {
		put(&b, t.data)
		pad()
	}
	_, err := w.Write(b.Bytes())
	return err
}

// The first tokens of every vocabulary.
const (
	unknownID = iota
	startID
	endID
)

// vocabulary is a SentencePiece vocabulary, with a token for each byte.
type vocabulary struct {
	tokens []string
	scores []float32
	types  []int32
	ids    map[string]int
}

// space is what stands for a space in a token.
const space = "\u2581"

// newVocabulary returns the special tokens, the bytes, the printable characters
// of ASCII and the space.
func newVocabulary() *vocabulary {
	v := &vocabulary{ids: map[string]int{}}
	v.add("<unk>", 0, tokenUnknown)
	v.add("<s>", 0, tokenControl)
	v.add("</s>", 0, tokenControl)
	for b := range 256 {
		v.add(byteToken(byte(b)), 0, tokenByte)
	}
	for c := rune('!'); c <= '~'; c++ {
		v.add(string(c), -1000, tokenNormal)
	}
	v.add(space, -1000, tokenNormal)
	return v
}

func byteToken(b byte) string { return fmt.Sprintf("<0x%02X>", b) }

// add returns the id of a token, which it adds when it is new.
func (v *vocabulary) add(token string, score float32, kind int32) int {
	if id, ok := v.ids[token]; ok {
		return id
	}
	id := len(v.tokens)
	v.ids[token] = id
	v.tokens = append(v.tokens, token)
	v.scores = append(v.scores, score)
	v.types = append(v.types, kind)
	return id
}

// rename gives a token another string.
func (v *vocabulary) rename(id int, token string) {
	delete(v.ids, v.tokens[id])
	v.tokens[id] = token
	v.ids[token] = id
}
