package integration_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// habit is what a model of [writeFolder] does: after a token, "" for any, it says another, the more likely the greater weight
// is.
type habit struct {
	after, says string
	weight      float32
}

// theAnd leads from " the" to " and", from that to " the", and from all others to " the".
var theAnd = []habit{{"", "Ġthe", 2}, {"Ġthe", "Ġthe", -2}, {"Ġthe", "Ġand", 2}}

// writeFolder writes a model in the hub's layout, as transformers saves a Llama: one layer that adds nothing, embeddings
// that tell tokens apart, and an output by habits. Controls are control tokens beside <s> and </s>.
func writeFolder(t *testing.T, dir string, habits []habit, controls ...string) {
	t.Helper()
	put := func(name string, data []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	object := func(name string, v any) {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		put(name, data)
	}
	// The 256 bytes as GPT-2 writes them, then merges.
	vocab := map[string]int{}
	other := 0
	for b := range 256 {
		r := rune(b)
		if b < 33 || b > 126 && b < 161 || b == 173 {
			r = rune(256 + other)
			other++
		}
		vocab[string(r)] = len(vocab)
	}
	var merges []string
	for _, m := range [][2]string{{"t", "h"}, {"th", "e"}, {"Ġ", "the"}, {"a", "n"}, {"an", "d"}, {"Ġ", "and"}} {
		vocab[m[0]+m[1]] = len(vocab)
		merges = append(merges, m[0]+" "+m[1])
	}
	begin, end := len(vocab), len(vocab)+1
	ids := maps.Clone(vocab)
	var added []any
	for _, text := range slices.Concat([]string{"<s>", "</s>"}, controls) {
		added = append(added, map[string]any{"id": len(ids), "content": text, "special": true})
		ids[text] = len(ids)
	}
	size := len(ids)
	object("tokenizer.json", map[string]any{
		"added_tokens":  added,
		"pre_tokenizer": map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"model":         map[string]any{"type": "BPE", "vocab": vocab, "merges": merges},
	})
	object("tokenizer_config.json", map[string]any{"bos_token": "<s>", "eos_token": "</s>"})
	const heads, forward = 8, 64
	hidden := (size + 63) / 64 * 64
	object("config.json", map[string]any{
		"architectures": []string{"LlamaForCausalLM"}, "model_type": "llama", "vocab_size": size, "hidden_size": hidden, "intermediate_size": forward,
		"num_hidden_layers": 1, "num_attention_heads": heads, "num_key_value_heads": heads, "max_position_embeddings": 2048,
		"rms_norm_eps": 1e-5, "rope_theta": 10000.0, "bos_token_id": begin, "eos_token_id": end, "hidden_act": "silu", "torch_dtype": "bfloat16",
	})
	header := map[string]any{}
	var data bytes.Buffer
	tensor := func(name string, value func(row, column int) float32, shape ...int) {
		begin := data.Len()
		columns := 1
		if len(shape) == 2 {
			columns = shape[1]
		}
		row := make([]uint16, columns)
		for r := range shape[0] {
			for c := range row {
				row[c] = uint16(math.Float32bits(value(r, c)) >> 16)
			}
			if err := binary.Write(&data, binary.LittleEndian, row); err != nil {
				t.Fatal(err)
			}
		}
		header[name] = map[string]any{"dtype": "BF16", "shape": shape, "data_offsets": []int{begin, data.Len()}}
	}
	one := func(int, int) float32 { return 1 }
	zero := func(int, int) float32 { return 0 }
	logits := map[[2]int]float32{} // by what is said and what came before
	for _, h := range habits {
		for text, id := range ids {
			if h.after == "" || h.after == text {
				logits[[2]int{ids[h.says], id}] += h.weight
			}
		}
	}
	tensor("model.embed_tokens.weight", func(r, c int) float32 {
		if r == c {
			return 1
		}
		return 0
	}, size, hidden)
	tensor("lm_head.weight", func(r, c int) float32 { return logits[[2]int{r, c}] }, size, hidden)
	tensor("model.norm.weight", one, hidden)
	layer := "model.layers.0."
	for _, name := range []string{"input_layernorm", "post_attention_layernorm"} {
		tensor(layer+name+".weight", one, hidden)
	}
	for _, name := range []string{"q", "k", "v", "o"} {
		tensor(layer+"self_attn."+name+"_proj.weight", zero, hidden, hidden)
	}
	tensor(layer+"mlp.gate_proj.weight", zero, forward, hidden)
	tensor(layer+"mlp.up_proj.weight", zero, forward, hidden)
	tensor(layer+"mlp.down_proj.weight", zero, hidden, forward)
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
	put("model.safetensors", slices.Concat(length[:], text, data.Bytes()))
}
