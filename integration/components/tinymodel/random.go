package tinymodel

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// The shape of a model of random weights.
const (
	randomWidth  = 64
	randomFeed   = 128
	randomLayers = 2
	randomHeads  = 4
)

// words are what a model of random weights can say beside single characters.
const words = "the a of and to in is it you that he was for on are with as his they be at one have this from or had by " +
	"hot but some what there we can out other were all your when up use word how said an each she which do their time " +
	"if will way about many then them would write like so these her long make thing see him two has look more day " +
	"could go come did my sound no most number who over know water than call first people may down side been now find"

// WriteRandom writes the GGUF file of a small llama of random weights, which
// puts out words without sense: the same seed makes the same file. It tests what
// a script cannot, such as the effect of seeds and temperatures.
func WriteRandom(w io.Writer, seed uint64) error {
	v := newVocabulary()
	bytesEnd := v.ids[byteToken(0xFF)] + 1
	for i, word := range strings.Fields(words) {
		v.add(space+word, float32(-i), tokenNormal)
	}
	var g gguf
	g.text("general.architecture", "llama")
	g.text("general.name", "random")
	g.number("general.file_type", 0)
	g.number("llama.block_count", randomLayers)
	g.number("llama.context_length", 2048)
	g.number("llama.embedding_length", randomWidth)
	g.number("llama.feed_forward_length", randomFeed)
	g.number("llama.attention.head_count", randomHeads)
	g.number("llama.attention.head_count_kv", randomHeads)
	g.number("llama.rope.dimension_count", randomWidth/randomHeads)
	g.number("llama.vocab_size", len(v.tokens))
	g.float("llama.attention.layer_norm_rms_epsilon", 1e-5)
	g.float("llama.rope.freq_base", 10000)
	g.vocabulary(v)
	g.text("tokenizer.chat_template", chatML)

	draw := normal(seed)
	g.tensor("token_embd.weight", draw(randomWidth*len(v.tokens), 1), randomWidth, len(v.tokens))
	g.tensor("output_norm.weight", ones(randomWidth), randomWidth)
	output := draw(randomWidth*len(v.tokens), 0.35)
	clear(output[:bytesEnd*randomWidth]) // bytes by themselves would not be UTF-8
	copy(output[endID*randomWidth:(endID+1)*randomWidth], draw(randomWidth, 0.35))
	g.tensor("output.weight", output, randomWidth, len(v.tokens))
	for l := range randomLayers {
		matrix := func(name string, in, out int) {
			g.tensor(fmt.Sprintf("blk.%d.%s.weight", l, name), draw(in*out, 0.12), in, out)
		}
		g.tensor(fmt.Sprintf("blk.%d.attn_norm.weight", l), ones(randomWidth), randomWidth)
		g.tensor(fmt.Sprintf("blk.%d.ffn_norm.weight", l), ones(randomWidth), randomWidth)
		for _, name := range []string{"attn_q", "attn_k", "attn_v", "attn_output"} {
			matrix(name, randomWidth, randomWidth)
		}
		matrix("ffn_gate", randomWidth, randomFeed)
		matrix("ffn_up", randomWidth, randomFeed)
		matrix("ffn_down", randomFeed, randomWidth)
	}
	if err := g.writeTo(w); err != nil {
		return fmt.Errorf("tinymodel: %w", err)
	}
	return nil
}

// normal returns a function that draws n normal numbers of a deviation.
func normal(seed uint64) func(n int, deviation float64) []float32 {
	r := rand.New(rand.NewPCG(seed, 0))
	return func(n int, deviation float64) []float32 {
		d := make([]float32, n)
		for i := range d {
			d[i] = float32(r.NormFloat64() * deviation)
		}
		return d
	}
}
