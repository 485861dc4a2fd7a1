package tinymodel

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image/color"
	"io"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// header is what the head of a GGUF file says.
type header struct {
	keys    map[string]any
	tensors map[string][]uint64 // their dimensions
}

// readGGUF reads a file as its specification says, and checks that the data of all tensors is there, in order and aligned.
func readGGUF(t *testing.T, file []byte) header {
	t.Helper()
	r := bytes.NewReader(file)
	read := func(v any) {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	number := func() (n uint64) { read(&n); return n }
	kind := func() (n uint32) { read(&n); return n }
	text := func() string {
		b := make([]byte, number())
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var value func(kind uint32) any
	value = func(k uint32) any {
		switch k {
		case ggufUint32:
			return int(kind())
		case ggufInt32:
			return int(int32(kind()))
		case ggufFloat32:
			var f float32
			read(&f)
			return f
		case ggufBool:
			var b bool
			read(&b)
			return b
		case ggufString:
			return text()
		case ggufArray:
			of := kind()
			all := make([]any, number())
			for i := range all {
				all[i] = value(of)
			}
			return all
		}
		t.Fatalf("a value of type %d", k)
		return nil
	}
	if magic, version := kind(), kind(); magic != 0x46554747 || version != 3 {
		t.Fatalf("begins with %x, version %d, want GGUF 3", magic, version)
	}
	tensors, keys := number(), number()
	h := header{keys: map[string]any{}, tensors: map[string][]uint64{}}
	for range keys {
		name := text()
		h.keys[name] = value(kind())
	}
	end := uint64(0)
	for range tensors {
		name := text()
		dims := make([]uint64, kind())
		size := uint64(4)
		for i := range dims {
			dims[i] = number()
			size *= dims[i]
		}
		if of, offset := kind(), number(); of != 0 || offset != end || h.tensors[name] != nil {
			t.Fatalf("tensor %s of type %d at %d, want one of float32 at %d", name, of, offset, end)
		}
		h.tensors[name] = dims
		end += (size + ggufAlign - 1) / ggufAlign * ggufAlign
	}
	if head := uint64(len(file)-r.Len()+ggufAlign-1) / ggufAlign * ggufAlign; uint64(len(file)) != head+end {
		t.Fatalf("%d bytes, want %d of the head and %d of tensors", len(file), head, end)
	}
	return h
}

func TestWriteSeeing(t *testing.T) {
	t.Parallel()
	var text, projector, again bytes.Buffer
	if err := WriteSeeing(&text, &projector); err != nil {
		t.Fatal(err)
	}
	if err := WriteSeeing(&again, io.Discard); err != nil || !bytes.Equal(text.Bytes(), again.Bytes()) {
		t.Errorf("written twice: %v, want the same bytes", err)
	}
	if n, m := text.Len(), projector.Len(); n > 2<<20 || m > 32<<10 {
		t.Errorf("%d and %d bytes, want less than 2 MiB and 32 KiB", n, m)
	}

	body := readGGUF(t, text.Bytes())
	tokens := uint64(len(body.keys["tokenizer.ggml.tokens"].([]any)))
	for name, want := range map[string][]uint64{
		"token_embd.weight": {codeSize, tokens}, "output.weight": {codeSize, tokens},
		"blk.0.attn_q.weight": {codeSize, codeSize}, "blk.0.attn_k.weight": {codeSize, headSize},
		"blk.0.attn_v.weight": {codeSize, headSize}, "blk.0.attn_output.weight": {codeSize, codeSize},
	} {
		if diff := cmp.Diff(body.tensors[name], want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}

	eyes := readGGUF(t, projector.Bytes())
	for name, want := range map[string]any{
		"general.architecture": "clip", "clip.has_vision_encoder": true, "clip.projector_type": "mlp",
		"clip.vision.block_count": 1, "clip.vision.image_size": 28, "clip.vision.patch_size": 14,
		"clip.vision.projection_dim": codeSize, "clip.vision.image_mean": []any{float32(0), float32(0), float32(0)},
	} {
		if diff := cmp.Diff(eyes.keys[name], want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
	for name, want := range map[string][]uint64{
		"v.patch_embd.weight": {14, 14, 3, patchWidth}, "v.position_embd.weight": {patchWidth, 4},
		"mm.0.weight": {patchWidth, sightWidth}, "mm.2.weight": {sightWidth, codeSize}, "mm.2.bias": {codeSize},
	} {
		if diff := cmp.Diff(eyes.tensors[name], want); diff != "" {
			t.Errorf("%s (-got +want):\n%s", name, diff)
		}
	}
}

// Each reply of a seeing model begins with a token of its own, and most have several.
func TestSeeingReplies(t *testing.T) {
	t.Parallel()
	c, about, err := seeing()
	if err != nil {
		t.Fatal(err)
	}
	begins := map[int]int{}
	for n := range about {
		first := c.next[c.marks[n]]
		if other, taken := begins[first]; taken {
			t.Errorf("replies %d and %d both begin with %q", other, n, c.tokens[first])
		}
		begins[first] = n
		if pieces := c.spoken(t, n); len(pieces) < 4 {
			t.Errorf("reply %d is said in %q, want more pieces", n, pieces)
		}
	}
}

func TestSeen(t *testing.T) {
	t.Parallel()
	for c, want := range map[Colours]string{
		0: "Grey is what I see.", Red: "Red is what I see.", Green: "Green is what I see.", Blue: "Blue is what I see.",
		Red | Blue: "Red and blue is what I see.", Red | Green | Blue: "Red, green and blue is what I see.",
	} {
		if got := c.Seen(); got != want {
			t.Errorf("%03b is seen as %q, want %q", c, got, want)
		}
	}
}

func TestPicture(t *testing.T) {
	t.Parallel()
	for c, want := range map[Colours][]string{
		0: {"808080"}, Green: {"00ff00"}, Red | Blue: {"0000ff", "ff0000"}, Red | Green | Blue: {"0000ff", "00ff00", "808080", "ff0000"},
	} {
		var got []string
		img := Picture(c)
		for _, hex := range []string{"0000ff", "00ff00", "808080", "ff0000"} {
			for i := range 4 {
				p := color.RGBAModel.Convert(img.At(img.Bounds().Dx()/2*(i%2), img.Bounds().Dy()/2*(i/2))).(color.RGBA)
				if fmt.Sprintf("%02x%02x%02x", p.R, p.G, p.B) == hex {
					got = append(got, hex)
					break
				}
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("colours of %03b (-got +want):\n%s", c, diff)
		}
	}
}
