package tinymodel

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// WriteScriptedFolder writes a folder as the Hugging Face hub has it with a
// model that says the script, which Transformers loads. It knows all replies by
// its chat template. Of a prompt it sees nothing but the template's marks: the
// rest is one unknown token. It is a Qwen 3 by its shape, because of these
// `transformers serve` knows how they think and call tools.
func WriteScriptedFolder(dir string, s Script) error {
	c, err := s.compile()
	if err != nil {
		return err
	}
	c.rename(endID, "<|im_end|>") // where a Qwen's reply ends
	for n, id := range c.marks {
		c.rename(id, qwenMark(n))
	}

	f := folder{}
	embedding, output := c.weights(1)
	f.tensor("model.embed_tokens.weight", embedding, len(c.tokens), codeSize)
	f.tensor("lm_head.weight", output, len(c.tokens), codeSize)
	f.layers(shape{kind: "qwen3", class: "Qwen3ForCausalLM", vocabulary: len(c.tokens), width: codeSize, feed: headSize, layers: 1, heads: codeSize / headSize, keys: 1,
		context: scriptedContext, start: startID, end: endID, epsilon: 1e-6},
		func(n int) []float32 { return make([]float32, n) })

	var special []object
	for id, kind := range c.types {
		if kind == tokenControl || kind == tokenUnknown {
			special = append(special, specialToken(id, c.tokens[id]))
		}
	}
	f.json("tokenizer.json", object{
		"version":      "1.0",
		"added_tokens": special,
		"model":        object{"type": "WordLevel", "vocab": c.ids, "unk_token": c.tokens[unknownID]},
		"decoder": object{"type": "Sequence", "decoders": []object{
			{"type": "Replace", "pattern": object{"String": space}, "content": " "}, {"type": "Fuse"}}},
	})
	f.tokenizer(jinja(s), c.tokens[startID], c.tokens[endID], c.tokens[unknownID])
	return f.write(dir)
}

// qwenMark ends the prompt of reply n, as that of a Qwen ends: what follows is parsed as the reply.
func qwenMark(n int) string { return mark(n) + "<|im_start|>assistant\n" }

// jinja is the chat template of [Modelfile] in the language of Transformers.
func jinja(s Script) string {
	var b strings.Builder
	b.WriteString("{% set spoken = namespace(times=0) %}{% for m in messages %}" +
		"{% if m['role'] == 'assistant' %}{% set spoken.times = spoken.times + 1 %}{% endif %}" +
		"{{ m['role'] + ': ' + (m['content'] or '') + '\n' }}{% endfor %}")
	for n := range s.Replies[:len(s.Replies)-1] {
		fmt.Fprintf(&b, "{%% if spoken.times == %d %%}{{ %q }}{%% else %%}", n, qwenMark(n))
	}
	fmt.Fprintf(&b, "{{ %q }}", qwenMark(len(s.Replies)-1))
	b.WriteString(strings.Repeat("{% endif %}", len(s.Replies)-1))
	return b.String()
}

// WriteRandomFolder writes a folder as the Hugging Face hub has it with a small
// llama of random weights and a tokenizer of bytes, 470 kB in all. The same seed
// makes the same files.
func WriteRandomFolder(dir string, seed uint64) error {
	vocabulary := map[string]int{}
	for _, r := range byteRunes() {
		vocabulary[string(r)] = len(vocabulary)
	}
	var merges []string
	for _, m := range [][2]string{{"t", "h"}, {"th", "e"}, {"Ġ", "the"}, {"a", "n"}, {"an", "d"}, {"Ġ", "and"}} {
		vocabulary[m[0]+m[1]] = len(vocabulary)
		merges = append(merges, m[0]+" "+m[1])
	}
	start := len(vocabulary)
	end, size := start+1, start+2

	bytesOnly := object{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}
	f := folder{}
	draw := normal(seed)
	random := func(n int) []float32 { return draw(n, 0.15) }
	f.tensor("model.embed_tokens.weight", random(size*randomWidth), size, randomWidth)
	f.tensor("lm_head.weight", random(size*randomWidth), size, randomWidth)
	f.layers(shape{kind: "llama", class: "LlamaForCausalLM", vocabulary: size, width: randomWidth, feed: randomFeed, layers: randomLayers, heads: randomHeads, keys: randomHeads,
		context: 512, start: start, end: end, epsilon: 1e-5}, random)
	f.json("tokenizer.json", object{
		"version":       "1.0",
		"added_tokens":  []object{specialToken(start, "<s>"), specialToken(end, "</s>")},
		"pre_tokenizer": bytesOnly,
		"decoder":       bytesOnly,
		"model":         object{"type": "BPE", "vocab": vocabulary, "merges": merges},
	})
	f.tokenizer("{% for m in messages %}{{ m['content'] }}{% endfor %}", "<s>", "</s>", "<s>")
	return f.write(dir)
}

func specialToken(id int, content string) object {
	return object{"id": id, "content": content, "special": true,
		"single_word": false, "lstrip": false, "rstrip": false, "normalized": false}
}

// byteRunes returns the character that stands for each byte in tokenizers of
// bytes: itself where it can be seen, else one from 256 on.
func byteRunes() []rune {
	var runes []rune
	hidden := rune(256)
	for b := range rune(256) {
		if b >= '!' && b <= '~' || b >= 0xA1 && b != 0xAD {
			runes = append(runes, b)
			continue
		}
		runes = append(runes, hidden)
		hidden++
	}
	return runes
}

type object = map[string]any

// folder collects the files of a model.
type folder struct {
	files  map[string][]byte
	header map[string]any // of the tensors
	data   bytes.Buffer
	err    error
}

func (f *folder) json(name string, v any) {
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		f.err = fmt.Errorf("%s: %w", name, err)
	}
	if f.files == nil {
		f.files = map[string][]byte{}
	}
	f.files[name] = text
}

// tensor adds a tensor, with its dimensions outermost first.
func (f *folder) tensor(name string, data []float32, dims ...int) {
	if f.header == nil {
		f.header = map[string]any{}
	}
	from := f.data.Len()
	put(&f.data, data)
	f.header[name] = object{"dtype": "F32", "shape": dims, "data_offsets": []int{from, f.data.Len()}}
}

// shape is the shape of a model.
type shape struct {
	kind, class                                                       string
	vocabulary, width, feed, layers, heads, keys, context, start, end int
	epsilon                                                           float64
}

// layers adds the configuration and the layers of a model; weights makes n of them.
func (f *folder) layers(s shape, weights func(n int) []float32) {
	f.json("config.json", object{
		"architectures": []string{s.class}, "model_type": s.kind, "head_dim": s.width / s.heads, "torch_dtype": "float32",
		"vocab_size": s.vocabulary, "hidden_size": s.width, "intermediate_size": s.feed, "num_hidden_layers": s.layers,
		"num_attention_heads": s.heads, "num_key_value_heads": s.keys, "max_position_embeddings": s.context,
		"rms_norm_eps": s.epsilon, "rope_theta": 10000.0, "bos_token_id": s.start, "eos_token_id": s.end,
		"tie_word_embeddings": false,
	})
	f.json("generation_config.json", object{"bos_token_id": s.start, "eos_token_id": s.end, "pad_token_id": s.end})
	f.tensor("model.norm.weight", ones(s.width), s.width)
	for l := range s.layers {
		add := func(name string, out, in int) {
			f.tensor(fmt.Sprintf("model.layers.%d.%s.weight", l, name), weights(out*in), out, in)
		}
		for _, norm := range []string{"input_layernorm", "post_attention_layernorm"} {
			f.tensor(fmt.Sprintf("model.layers.%d.%s.weight", l, norm), ones(s.width), s.width)
		}
		if s.kind == "qwen3" {
			for _, norm := range []string{"self_attn.q_norm", "self_attn.k_norm"} {
				f.tensor(fmt.Sprintf("model.layers.%d.%s.weight", l, norm), ones(s.width/s.heads), s.width/s.heads)
			}
		}
		keys := s.width / s.heads * s.keys
		add("self_attn.q_proj", s.width, s.width)
		add("self_attn.k_proj", keys, s.width)
		add("self_attn.v_proj", keys, s.width)
		add("self_attn.o_proj", s.width, s.width)
		add("mlp.gate_proj", s.feed, s.width)
		add("mlp.up_proj", s.feed, s.width)
		add("mlp.down_proj", s.width, s.feed)
	}
}

func (f *folder) tokenizer(template, start, end, unknown string) {
	f.json("tokenizer_config.json", object{
		"tokenizer_class": "PreTrainedTokenizerFast", "chat_template": template, "clean_up_tokenization_spaces": false,
		"bos_token": start, "eos_token": end, "unk_token": unknown, "pad_token": end,
	})
}

func (f *folder) write(dir string) error {
	header, err := json.Marshal(f.header)
	if err := errors.Join(f.err, err); err != nil {
		return fmt.Errorf("tinymodel: %w", err)
	}
	for len(header)%8 != 0 { // the data is aligned
		header = append(header, ' ')
	}
	var tensors bytes.Buffer
	put(&tensors, uint64(len(header)), header, f.data.Bytes())
	f.files["model.safetensors"] = tensors.Bytes()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("tinymodel: %w", err)
	}
	for name, text := range f.files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			return fmt.Errorf("tinymodel: %w", err)
		}
	}
	return nil
}
