package gguf

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
)

// Error says why a model cannot be converted.
type Error struct {
	// File is the one it is about.
	File   string
	Reason string
	Err    error
}

func (e *Error) Error() string { return e.File + ": " + e.Reason }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// config is what config.json says.
type config struct {
	Architectures []string       `json:"architectures"`
	Vocab         int            `json:"vocab_size"`
	Hidden        int            `json:"hidden_size"`
	FeedForward   int            `json:"intermediate_size"`
	Layers        int            `json:"num_hidden_layers"`
	Heads         int            `json:"num_attention_heads"`
	KVHeads       int            `json:"num_key_value_heads"`
	HeadDim       int            `json:"head_dim"`
	Positions     int            `json:"max_position_embeddings"`
	Epsilon       float64        `json:"rms_norm_eps"`
	Theta         float64        `json:"rope_theta"`
	Scaling       *scaling       `json:"rope_scaling"`
	Rope          *scaling       `json:"rope_parameters"` // since transformers 5
	Tied          bool           `json:"tie_word_embeddings"`
	Window        *int           `json:"sliding_window"`
	UseWindow     *bool          `json:"use_sliding_window"`
	Activation    string         `json:"hidden_act"`
	Quantisation  map[string]any `json:"quantization_config"`
}

type scaling struct {
	Type     string  `json:"rope_type"`
	OldType  string  `json:"type"`
	Theta    float64 `json:"rope_theta"`
	Factor   float64 `json:"factor"`
	Low      float64 `json:"low_freq_factor"`
	High     float64 `json:"high_freq_factor"`
	Original int     `json:"original_max_position_embeddings"`
}

// family is what a kind of model is called in a GGUF file.
type family struct {
	name     string
	permuted bool // the halves of a rotation stand side by side
}

var families = map[string]family{
	"LlamaForCausalLM":   {"llama", true},
	"MistralForCausalLM": {"llama", true},
	"Qwen2ForCausalLM":   {"qwen2", false},
	"Qwen3ForCausalLM":   {"qwen3", false},
}

// Convert writes the model in dir as a GGUF file. The error is an *[Error] for a model that it does not know or that is
// not whole, or one of w.
func Convert(dir fs.FS, name string, w io.Writer) error {
	c, kind, err := readConfig(dir)
	if err != nil {
		return err
	}
	tok, err := readTokenizer(dir, c.Vocab)
	if err != nil {
		return err
	}
	weights, err := safetensors(dir)
	if err != nil {
		return err
	}
	tensors, err := c.tensors(dir, kind, weights)
	if err != nil {
		return err
	}
	return write(w, c.header(kind, name, tok, tensors), tensors)
}

func readConfig(dir fs.FS) (*config, family, error) {
	const file = "config.json"
	fail := func(reason string, args ...any) (*config, family, error) {
		return nil, family{}, &Error{File: file, Reason: fmt.Sprintf(reason, args...)}
	}
	data, err := readFile(dir, file)
	if err != nil {
		return nil, family{}, &Error{File: file, Reason: "it cannot be read", Err: err}
	}
	var c config
	if err := json.Unmarshal(data, &c); err != nil {
		return nil, family{}, &Error{File: file, Reason: "it is malformed", Err: err}
	}
	arch := ""
	if len(c.Architectures) > 0 {
		arch = c.Architectures[0]
	}
	kind, known := families[arch]
	if !known {
		return fail("its architecture %.60q is not one of %s", arch, strings.Join(slices.Sorted(maps.Keys(families)), ", "))
	}
	if len(c.Quantisation) > 0 {
		return fail("its weights are quantised")
	}
	if c.KVHeads == 0 {
		c.KVHeads = c.Heads
	}
	const most = 1 << 24
	for _, n := range []int{c.Vocab, c.Hidden, c.FeedForward, c.Layers, c.Heads, c.KVHeads, c.Positions} {
		if n < 1 || n > most {
			return fail("a size is missing or absurd")
		}
	}
	if c.HeadDim == 0 {
		c.HeadDim = c.Hidden / c.Heads
	}
	if c.HeadDim < 2 || c.HeadDim%2 != 0 || c.HeadDim > most || c.Heads%c.KVHeads != 0 {
		return fail("its heads do not fit")
	}
	if c.Rope == nil {
		c.Rope = c.Scaling
	}
	if c.Theta == 0 && c.Rope != nil {
		c.Theta = c.Rope.Theta
	}
	if c.Theta == 0 {
		c.Theta = 10000
	}
	switch c.ropeType() {
	case "", "default", "linear", "llama3":
	default:
		return fail("its positions are scaled in a way that is not known: %.40q", c.ropeType())
	}
	if c.Window != nil && *c.Window < c.Positions && (c.UseWindow == nil || *c.UseWindow) {
		return fail("its attention has a sliding window")
	}
	if c.Activation != "" && c.Activation != "silu" {
		return fail("its activation is %.40q", c.Activation)
	}
	return &c, kind, nil
}

func (c *config) ropeType() string {
	if c.Rope == nil {
		return ""
	}
	if c.Rope.Type != "" {
		return c.Rope.Type
	}
	return c.Rope.OldType
}

func (c *config) header(kind family, name string, tok *tokenizer, tensors []outTensor) *header {
	h := &header{}
	h.text("general.architecture", kind.name)
	h.text("general.name", name)
	fileType := fileF32
	for _, t := range tensors {
		switch t.kind {
		case typeF16:
			fileType = fileF16
		case typeBF16:
			fileType = fileBF16
		}
	}
	h.uint("general.file_type", fileType)
	a := kind.name + "."
	h.uint(a+"vocab_size", c.Vocab)
	h.uint(a+"context_length", c.Positions)
	h.uint(a+"embedding_length", c.Hidden)
	h.uint(a+"block_count", c.Layers)
	h.uint(a+"feed_forward_length", c.FeedForward)
	h.uint(a+"attention.head_count", c.Heads)
	h.uint(a+"attention.head_count_kv", c.KVHeads)
	h.uint(a+"attention.key_length", c.HeadDim)
	h.uint(a+"attention.value_length", c.HeadDim)
	h.uint(a+"rope.dimension_count", c.HeadDim)
	h.float(a+"attention.layer_norm_rms_epsilon", c.Epsilon)
	h.float(a+"rope.freq_base", c.Theta)
	if c.ropeType() == "linear" {
		h.text(a+"rope.scaling.type", "linear")
		h.float(a+"rope.scaling.factor", c.Rope.Factor)
	}
	h.text("tokenizer.ggml.model", "gpt2")
	h.text("tokenizer.ggml.pre", tok.splits)
	h.texts("tokenizer.ggml.tokens", tok.tokens)
	h.ints("tokenizer.ggml.token_type", tok.kinds)
	h.texts("tokenizer.ggml.merges", tok.merges)
	for _, key := range slices.Sorted(maps.Keys(tok.special)) {
		h.uint("tokenizer.ggml."+key+"_token_id", tok.special[key])
	}
	h.bool("tokenizer.ggml.add_bos_token", tok.addBegin)
	if tok.template != "" {
		h.text("tokenizer.chat_template", tok.template)
	}
	return h
}

// layerNames maps the parts of a layer.
var layerNames = map[string]string{
	"input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
	"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
	"self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm",
	"mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}

// rename returns what a tensor is called in GGUF, and false for one that is not known.
func rename(name string) (string, bool) {
	switch name {
	case "model.embed_tokens.weight":
		return "token_embd.weight", true
	case "model.norm.weight":
		return "output_norm.weight", true
	case "lm_head.weight":
		return "output.weight", true
	}
	rest, ok := strings.CutPrefix(name, "model.layers.")
	if !ok {
		return "", false
	}
	layer, part, _ := strings.Cut(rest, ".")
	i := strings.LastIndex(part, ".")
	if i < 0 || layer == "" || strings.Trim(layer, "0123456789") != "" {
		return "", false
	}
	to, ok := layerNames[part[:i]]
	return "blk." + layer + "." + to + part[i:], ok
}

func (c *config) tensors(dir fs.FS, kind family, weights map[string]inTensor) ([]outTensor, error) {
	var all []outTensor
	seen := map[string]bool{}
	for _, name := range slices.Sorted(maps.Keys(weights)) {
		t := weights[name]
		if strings.HasSuffix(name, "rotary_emb.inv_freq") || name == "lm_head.weight" && c.Tied {
			continue // it follows from the others
		}
		to, ok := rename(name)
		if !ok {
			return nil, &Error{File: t.file, Reason: fmt.Sprintf("its tensor %.80q is not one of the architecture", name)}
		}
		out, err := c.tensor(dir, kind, to, t)
		if err != nil {
			return nil, err
		}
		seen[to] = true
		all = append(all, out)
	}
	if missing := c.missing(seen); missing != "" {
		return nil, &Error{File: "model.safetensors", Reason: "tensors are missing, " + missing + " among them"}
	}
	if c.ropeType() == "llama3" {
		all = append(all, c.frequencies())
	}
	return all, nil
}

// missing names a tensor that is not there, "" when all are.
func (c *config) missing(seen map[string]bool) string {
	for _, name := range []string{"token_embd.weight", "output_norm.weight"} {
		if !seen[name] {
			return name
		}
	}
	for layer := range c.Layers {
		for _, part := range []string{"attn_norm", "ffn_norm", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"} {
			if name := fmt.Sprintf("blk.%d.%s.weight", layer, part); !seen[name] {
				return name
			}
		}
	}
	return ""
}

func (c *config) tensor(dir fs.FS, kind family, name string, t inTensor) (outTensor, error) {
	if len(t.shape) < 1 || len(t.shape) > 2 {
		return outTensor{}, &Error{File: t.file, Reason: fmt.Sprintf("tensor %s has %d dimensions", name, len(t.shape))}
	}
	dims := slices.Clone(t.shape)
	slices.Reverse(dims)
	out := outTensor{name: name, dims: dims, size: t.size, copy: func(w io.Writer) error {
		return t.each(dir, func(r io.Reader) error { _, err := io.Copy(w, r); return err })
	}}
	switch t.dtype {
	case "F32":
		out.kind = typeF32
	case "F16":
		out.kind = typeF16
	case "BF16":
		out.kind = typeBF16
	default:
		return outTensor{}, &Error{File: t.file, Reason: fmt.Sprintf("its numbers are of type %.20q, and F32, F16 and BF16 are known", t.dtype)}
	}
	heads := 0
	switch {
	case !kind.permuted:
	case strings.Contains(name, ".attn_q."):
		heads = c.Heads
	case strings.Contains(name, ".attn_k."):
		heads = c.KVHeads
	}
	if heads > 0 {
		if t.shape[0] != heads*c.HeadDim {
			return outTensor{}, &Error{File: t.file, Reason: fmt.Sprintf("tensor %s does not fit the heads", name)}
		}
		out.copy = func(w io.Writer) error {
			data, err := t.read(dir)
			if err != nil {
				return err
			}
			return permute(w, data, heads, c.HeadDim)
		}
	}
	if len(t.shape) == 1 && out.kind != typeF32 { // llama.cpp wants these so
		plain := out.copy
		from := out.kind
		out.kind, out.size = typeF32, 2*t.size
		out.copy = func(w io.Writer) error { return plain(&widener{w: w, from: from}) }
	}
	return out, nil
}

// permute writes the rows of a projection so that the two halves that a rotation takes stand side by side: transformers
// rotates the first half of a head against the second, llama.cpp each number against its neighbour.
func permute(w io.Writer, data []byte, heads, dim int) error {
	row := len(data) / (heads * dim)
	for h := range heads {
		for j := range dim {
			from := h*dim + j%2*(dim/2) + j/2
			if _, err := w.Write(data[from*row : (from+1)*row]); err != nil {
				return err
			}
		}
	}
	return nil
}

// widener turns numbers of 16 bits into F32.
type widener struct {
	w    io.Writer
	from uint32
	half []byte
}

func (x *widener) Write(p []byte) (int, error) {
	x.half = append(x.half, p...)
	var out []byte
	for len(x.half) >= 2 {
		bits := binary.LittleEndian.Uint16(x.half)
		x.half = x.half[2:]
		wide := uint32(bits) << 16
		if x.from == typeF16 {
			wide = math.Float32bits(fromHalf(bits))
		}
		out = binary.LittleEndian.AppendUint32(out, wide)
	}
	if _, err := x.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

func fromHalf(bits uint16) float32 {
	sign, exp, frac := 1.0, int(bits>>10)&0x1F, float64(bits&0x3FF)
	if bits&0x8000 != 0 {
		sign = -1
	}
	switch exp {
	case 0:
		return float32(sign * math.Ldexp(frac, -24))
	case 31:
		if frac != 0 {
			return float32(math.NaN())
		}
		return float32(sign * math.Inf(1))
	}
	return float32(sign * math.Ldexp(1024+frac, exp-25))
}

// frequencies is how Llama 3.1 and later stretch their positions, as a tensor of factors.
func (c *config) frequencies() outTensor {
	s := *c.Rope
	orElse := func(v, d float64) float64 {
		if v == 0 {
			return d
		}
		return v
	}
	factor, low, high := orElse(s.Factor, 8), orElse(s.Low, 1), orElse(s.High, 4)
	original := orElse(float64(s.Original), 8192)
	var data []byte
	for i := 0; i < c.HeadDim; i += 2 {
		length := 2 * math.Pi * math.Pow(c.Theta, float64(i)/float64(c.HeadDim))
		by := 1.0
		switch {
		case length < original/high:
		case length > original/low:
			by = factor
		default:
			smooth := (original/length - low) / (high - low)
			by = 1 / ((1-smooth)/factor + smooth)
		}
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(by)))
	}
	return outTensor{name: "rope_freqs.weight", dims: []int{c.HeadDim / 2}, kind: typeF32, size: int64(len(data)),
		copy: func(w io.Writer) error { _, err := w.Write(data); return err }}
}
