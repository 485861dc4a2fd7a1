package tinymodel

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// Colours is a set of the colours that a seeing model knows.
type Colours uint8

// The colours: each is a pixel of its channel and hardly anything of the others.
const (
	Red Colours = 1 << iota
	Green
	Blue

	colours = 3
)

// Unseen is what a seeing model says when there is no image.
const Unseen = "Nothing is what I see."

// Seen is what a seeing model says of images in which there are these colours,
// such as "Red and blue is what I see.", whatever the order of the images. One
// without any of them is grey.
func (c Colours) Seen() string {
	var names []string
	for i, name := range []string{"red", "green", "blue"} {
		if c>>i&1 == 1 {
			names = append(names, name)
		}
	}
	said := "grey"
	if n := len(names); n > 0 {
		said = strings.Join(names[max(0, n-2):], " and ")
		if n > 2 {
			said = names[0] + ", " + said
		}
	}
	return strings.ToUpper(said[:1]) + said[1:] + " is what I see."
}

// The first numbers of an embedding of a seeing model. In all others the codes
// of tokens have their signs, while embeddings of images have none there.
const (
	sightAt   = 1                // there is an image, then each of its colours
	sights    = 1 + colours      // how many they are
	ballastAt = sightAt + sights // makes the embeddings of all images about equally long
	lookingAt = ballastAt + 1    // the token that ends a prompt
	signsAt   = lookingAt + 1    // where codes begin
	ballast   = 16               // as long as the signs of a code together
	attention = 16               // of queries and of keys: an image outweighs all tokens there can be
	turnless  = headSize / 2     // from here on keys do not turn with their position
	seenScale = 4                // of a sight, beside the signs of a code
	sureness  = certainty / 4    // what one sight adds to a reply's logit, or takes from it
	ropeBase  = 1e20             // base of a rotation that leaves the second half of keys alone
)

// seeing returns the chain of what a seeing model says, and for each reply the
// sights that it is about.
func seeing() (*chain, [][sights]float32, error) {
	script := Say(Unseen)
	about := [][sights]float32{{-1, -1, -1, -1}}
	for c := range Colours(1 << colours) {
		script.Replies = append(script.Replies, Reply{Text: c.Seen()})
		signs := [sights]float32{1}
		for i := range colours {
			signs[1+i] = float32(c>>i&1)*2 - 1
		}
		about = append(about, signs)
	}
	chain, err := script.compile()
	return chain, about, err
}

// WriteSeeing writes the GGUF files of a model that says which colours are in
// the images it is shown: text is a llama as that of [WriteScripted], projector
// makes embeddings of images, as those of LLaVA do. The token that ends a prompt
// has four heads of attention look for an image and for each colour. An image
// that has it takes all the attention, and what the heads find chooses the reply.
func WriteSeeing(text, projector io.Writer) error {
	c, about, err := seeing()
	if err != nil {
		return err
	}
	l := newLlama(ropeBase)
	l.embedding, l.output = c.weights(signsAt)
	looking := c.marks[0]
	l.embedding[looking*codeSize+lookingAt] = 1
	for i := range sights {
		key := turnless + 2*i
		l.k[key*codeSize+sightAt+i] = attention
		l.q[(i*headSize+key)*codeSize+lookingAt] = attention
		l.v[i*codeSize+sightAt+i] = 1
		l.attended[(sightAt+i)*codeSize+i*headSize+i] = seenScale
	}
	// Each reply begins with a token of its own, which follows on the looking one
	// the more surely the more of its sights are as they were seen.
	code := l.embedding[looking*codeSize : (looking+1)*codeSize]
	for n, signs := range about {
		row := l.output[c.next[c.marks[n]]*codeSize:][:codeSize]
		sure := float32(certainty)
		if n == 0 {
			sure = 0 // it has it already, as the first of any script
		}
		for i, sign := range signs {
			row[sightAt+i] = sign * sureness / seenScale
			sure -= sign * sureness / 2
		}
		for i := signsAt; i < codeSize; i++ {
			row[i] += code[i] * sure / codeSize
		}
	}
	return errors.Join(l.write(text, "seeing", c), writeProjector(projector))
}

// The shape of a projector: an image is four patches.
const (
	imageSize  = 28
	patchSize  = 14
	patchWidth = 4 // the mean of each channel, and nothing
	sightWidth = 8 // two for each colour, and nothing
)

// writeProjector writes a CLIP whose layer is not run, because LLaVA takes what
// goes into the last one: the means of the channels, from which two neurons for
// each colour make 1 where it is and 0 where it is not.
func writeProjector(w io.Writer) error {
	var g gguf
	g.text("general.architecture", "clip")
	g.text("general.name", "seeing")
	g.number("general.file_type", 0)
	g.yes("clip.has_vision_encoder")
	g.yes("clip.use_gelu")
	g.text("clip.projector_type", "mlp")
	g.number("clip.vision.image_size", imageSize)
	g.number("clip.vision.patch_size", patchSize)
	g.number("clip.vision.embedding_length", patchWidth)
	g.number("clip.vision.feed_forward_length", sightWidth)
	g.number("clip.vision.projection_dim", codeSize)
	g.number("clip.vision.block_count", 1)
	g.number("clip.vision.attention.head_count", 1)
	g.float("clip.vision.attention.layer_norm_epsilon", 1e-6)
	g.floats("clip.vision.image_mean", 0, 0, 0)
	g.floats("clip.vision.image_std", 1, 1, 1)

	const patch, patches = patchSize * patchSize, (imageSize / patchSize) * (imageSize / patchSize)
	mean := make([]float32, patch*3*patchWidth)
	for channel := range 3 {
		for i := range patch {
			mean[(channel*3+channel)*patch+i] = 1. / patch
		}
	}
	g.tensor("v.patch_embd.weight", mean, patchSize, patchSize, 3, patchWidth)
	g.tensor("v.position_embd.weight", make([]float32, patches*patchWidth), patchWidth, patches)
	for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_out"} {
		g.tensor("v.blk.0."+name+".weight", make([]float32, patchWidth*patchWidth), patchWidth, patchWidth)
	}
	for _, name := range []string{"ln1", "ln2"} {
		g.tensor("v.blk.0."+name+".weight", ones(patchWidth), patchWidth)
		g.tensor("v.blk.0."+name+".bias", make([]float32, patchWidth), patchWidth)
	}
	g.tensor("v.blk.0.ffn_up.weight", make([]float32, patchWidth*sightWidth), patchWidth, sightWidth)
	g.tensor("v.blk.0.ffn_down.weight", make([]float32, sightWidth*patchWidth), sightWidth, patchWidth)

	// How much more of its own channel than of the others together there is:
	// below threshold both neurons are 0, soon above it they differ by 1.
	const threshold, steepness = 0.5, 20
	detect := make([]float32, patchWidth*sightWidth)
	from := make([]float32, sightWidth)
	embed := make([]float32, sightWidth*codeSize)
	for colour := range colours {
		for i := range 2 {
			neuron := 2*colour + i
			for channel := range 3 {
				detect[neuron*patchWidth+channel] = -steepness
			}
			detect[neuron*patchWidth+colour] = steepness
			from[neuron] = -threshold*steepness - float32(i)
			embed[(sightAt+1+colour)*sightWidth+neuron] = 1 - 2*float32(i)
		}
	}
	always := make([]float32, codeSize)
	always[sightAt], always[ballastAt] = 1, ballast
	g.tensor("mm.0.weight", detect, patchWidth, sightWidth)
	g.tensor("mm.0.bias", from, sightWidth)
	g.tensor("mm.2.weight", embed, sightWidth, codeSize)
	g.tensor("mm.2.bias", always, codeSize)
	if err := g.writeTo(w); err != nil {
		return fmt.Errorf("tinymodel: %w", err)
	}
	return nil
}

// WriteSeeingModelfile writes the GGUF files of a seeing model and the Modelfile
// with which Ollama makes a model of them into a folder, and returns the path of
// the Modelfile. The model runs on one thread.
func WriteSeeingModelfile(dir string) (path string, err error) {
	text, err := os.Create(filepath.Join(dir, "text.gguf"))
	if err != nil {
		return "", fmt.Errorf("tinymodel: %w", err)
	}
	projector, err := os.Create(filepath.Join(dir, "projector.gguf"))
	if err != nil {
		return "", errors.Join(fmt.Errorf("tinymodel: %w", err), text.Close())
	}
	if err := errors.Join(WriteSeeing(text, projector), text.Close(), projector.Close()); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "Modelfile")
	modelfile := `FROM ./text.gguf
FROM ./projector.gguf
TEMPLATE """{{ range .Messages }}{{ .Role }}: {{ .Content }}
{{ end }}` + mark(0) + `"""
PARAMETER temperature 0
PARAMETER num_thread 1
`
	if err := os.WriteFile(path, []byte(modelfile), 0o644); err != nil {
		return "", fmt.Errorf("tinymodel: %w", err)
	}
	return path, nil
}
