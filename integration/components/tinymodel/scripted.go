package tinymodel

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
)

// The shape of a scripted model.
const (
	scriptedContext = 8192
	codeSize        = 256 // the width: each token's code has so many signs
	headSize        = 32
	certainty       = 100 // the logit of what comes next; others stay below 40
)

// WriteScripted writes the GGUF file of a model that says the script, whatever
// the sampling parameters. It is a llama of one layer whose attention does
// nothing: an embedding is a code of random signs, and the row of the output
// matrix for a token is the sum of the codes on which it follows. Its chat
// template is that of ChatML and knows the first reply only; engines that read
// the template of [Modelfile] know them all.
func WriteScripted(w io.Writer, s Script) error {
	c, err := s.compile()
	if err != nil {
		return err
	}
	l := newLlama(10000)
	l.embedding, l.output = c.weights(1)
	return l.write(w, "scripted", c)
}

// llama is what differs between the models of one layer that say a chain.
type llama struct {
	embedding, output []float32
	// The matrices of the attention, which has one head for keys and values.
	q, k, v, attended []float32
	// rope is the base of the rotation: the higher it is, the fewer numbers of a
	// key turn with its position.
	rope float32
}

// newLlama returns one whose attention does nothing.
func newLlama(rope float32) *llama {
	return &llama{
		q: make([]float32, codeSize*codeSize), k: make([]float32, codeSize*headSize),
		v: make([]float32, codeSize*headSize), attended: make([]float32, codeSize*codeSize), rope: rope,
	}
}

func (l *llama) write(w io.Writer, name string, c *chain) error {
	var g gguf
	g.text("general.architecture", "llama")
	g.text("general.name", name)
	g.number("general.file_type", 0)
	g.number("llama.block_count", 1)
	g.number("llama.context_length", scriptedContext)
	g.number("llama.embedding_length", codeSize)
	g.number("llama.feed_forward_length", headSize)
	g.number("llama.attention.head_count", codeSize/headSize)
	g.number("llama.attention.head_count_kv", 1)
	g.number("llama.rope.dimension_count", headSize)
	g.number("llama.vocab_size", len(c.tokens))
	g.float("llama.attention.layer_norm_rms_epsilon", 1e-6)
	g.float("llama.rope.freq_base", l.rope)
	g.vocabulary(c.vocabulary)
	g.text("tokenizer.chat_template", chatML)

	g.tensor("token_embd.weight", l.embedding, codeSize, len(c.tokens))
	g.tensor("output_norm.weight", ones(codeSize), codeSize)
	g.tensor("output.weight", l.output, codeSize, len(c.tokens))
	g.tensor("blk.0.attn_norm.weight", ones(codeSize), codeSize)
	g.tensor("blk.0.ffn_norm.weight", ones(codeSize), codeSize)
	g.tensor("blk.0.attn_q.weight", l.q, codeSize, codeSize)
	g.tensor("blk.0.attn_k.weight", l.k, codeSize, headSize)
	g.tensor("blk.0.attn_v.weight", l.v, codeSize, headSize)
	g.tensor("blk.0.attn_output.weight", l.attended, codeSize, codeSize)
	for _, name := range []string{"ffn_gate", "ffn_up"} {
		g.tensor("blk.0."+name+".weight", make([]float32, codeSize*headSize), codeSize, headSize)
	}
	g.tensor("blk.0.ffn_down.weight", make([]float32, headSize*codeSize), headSize, codeSize)
	if err := g.writeTo(w); err != nil {
		return fmt.Errorf("tinymodel: %w", err)
	}
	return nil
}

const chatML = "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>' + '\n' }}{% endfor %}" +
	"{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"

// weights returns the rows of the embedding and of the output matrix. Tokens
// that the script does not follow on share a code, of which the first sign only
// is set: the first reply follows on them. Codes leave out the first numbers of
// an embedding, which are at least that one.
func (c *chain) weights(leave int) (embedding, output []float32) {
	signs := rand.New(rand.NewPCG(1, 2))
	embedding = make([]float32, len(c.tokens)*codeSize)
	output = make([]float32, len(c.tokens)*codeSize)
	for id := range c.tokens {
		code := embedding[id*codeSize : (id+1)*codeSize]
		follower, ok := c.next[id]
		if !ok {
			code[0] = 1
			continue
		}
		row := output[follower*codeSize : (follower+1)*codeSize]
		for i := leave; i < codeSize; i++ {
			code[i] = float32(signs.IntN(2)*2 - 1)
			row[i] += code[i] * certainty / codeSize
		}
	}
	// The norm makes the one sign as long as all the others together.
	output[c.next[c.marks[0]]*codeSize] = certainty / 16
	return embedding, output
}

func ones(n int) []float32 {
	d := make([]float32, n)
	for i := range d {
		d[i] = 1
	}
	return d
}

// Modelfile returns the Modelfile with which Ollama makes a model of the GGUF
// file at path. The model has tools, and thinks when the script does. It runs on
// one thread.
func Modelfile(path string, s Script) string {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\nTEMPLATE \"\"\"", path)
	b.WriteString(`{{- $spoken := "" }}{{- range .Tools }}{{ . }}
{{ end }}{{- range .Messages }}{{- if eq .Role "assistant" }}{{ $spoken = print $spoken "." }}{{ end }}{{ .Role }}: `)
	if s.thinks() {
		fmt.Fprintf(&b, "{{ if .Thinking }}%s{{ .Thinking }}%s{{ end }}", openThought, closeThought)
	}
	fmt.Fprintf(&b, `{{ .Content }}
{{- if .ToolCalls }}{{ range .ToolCalls }}%s{"name": "{{ .Function.Name }}", "arguments": {{ .Function.Arguments }}}%s{{ end }}{{ end }}
{{ end }}`, openCall, closeCall)
	for n := range s.Replies[:len(s.Replies)-1] {
		fmt.Fprintf(&b, `{{ if eq $spoken "%s" }}%s{{ else }}`, strings.Repeat(".", n), mark(n))
	}
	b.WriteString(mark(len(s.Replies) - 1))
	b.WriteString(strings.Repeat("{{ end }}", len(s.Replies)-1))
	b.WriteString("\"\"\"\nPARAMETER temperature 0\nPARAMETER num_thread 1\n")
	return b.String()
}

// WriteModelfile writes the GGUF file and the Modelfile of a script into a
// folder, and returns the path of the Modelfile.
func WriteModelfile(dir string, s Script) (path string, err error) {
	f, err := os.Create(filepath.Join(dir, "scripted.gguf"))
	if err != nil {
		return "", fmt.Errorf("tinymodel: %w", err)
	}
	if err := errors.Join(WriteScripted(f, s), f.Close()); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "Modelfile")
	if err := os.WriteFile(path, []byte(Modelfile("./scripted.gguf", s)), 0o644); err != nil {
		return "", fmt.Errorf("tinymodel: %w", err)
	}
	return path, nil
}
