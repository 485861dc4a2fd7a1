package gguf_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/gguf"
)

// Sizes of the model in these tests: 2 layers of 4 heads, of which 2 have keys.
const hidden, forward, layers, heads, kvHeads, dim = 16, 24, 2, 4, 2, 4

// folder is a model in the hub's layout. Each weight is a number that tells where it was: the tensor's, the row and the
// column.
func folder(dtype string) fstest.MapFS {
	dir := fstest.MapFS{}
	put := func(name string, v any) {
		data, _ := json.Marshal(v)
		dir[name] = &fstest.MapFile{Data: data}
	}
	vocab := map[string]int{}
	for i, s := range []string{"a", "b", "c", "ab", "Ġ"} {
		vocab[s] = i
	}
	put("tokenizer.json", map[string]any{
		"added_tokens":   []any{map[string]any{"id": 5, "content": "<s>", "special": true}, map[string]any{"id": 6, "content": "</s>", "special": true}, map[string]any{"id": 7, "content": "<tool>", "special": false}},
		"pre_tokenizer":  map[string]any{"type": "ByteLevel", "add_prefix_space": false},
		"post_processor": map[string]any{"type": "TemplateProcessing", "single": []any{map[string]any{"SpecialToken": map[string]any{"id": "<s>"}}, map[string]any{"Sequence": map[string]any{"id": "A"}}}},
		"model":          map[string]any{"type": "BPE", "vocab": vocab, "merges": []any{"a b", []string{"c", "a"}}},
	})
	put("tokenizer_config.json", map[string]any{"bos_token": "<s>", "eos_token": map[string]any{"content": "</s>"}, "unk_token": nil, "chat_template": "{{ messages }}"})
	put("config.json", map[string]any{"architectures": []string{"LlamaForCausalLM"}, "vocab_size": 9, "hidden_size": hidden, "intermediate_size": forward,
		"num_hidden_layers": layers, "num_attention_heads": heads, "num_key_value_heads": kvHeads, "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "rope_theta": 5000.0, "hidden_act": "silu"})
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data bytes.Buffer
	tensors := 0
	tensor := func(name string, shape ...int) {
		begin := data.Len()
		rows, columns := shape[0], 1
		if len(shape) == 2 {
			columns = shape[1]
		}
		for r := range rows {
			for c := range columns {
				x := float32(tensors) + float32(r)/128 + float32(c)/16384
				switch dtype {
				case "F32":
					_ = binary.Write(&data, binary.LittleEndian, x)
				case "BF16":
					_ = binary.Write(&data, binary.LittleEndian, uint16(math.Float32bits(float32(r))>>16))
				case "F16":
					_ = binary.Write(&data, binary.LittleEndian, []uint16{0, 0x3C00, 0x4000, 0xC200}[r%4]) // 0, 1, 2, -3
				}
			}
		}
		tensors++
		header[name] = map[string]any{"dtype": dtype, "shape": shape, "data_offsets": []int{begin, data.Len()}}
	}
	tensor("model.embed_tokens.weight", 9, hidden)
	tensor("model.norm.weight", hidden)
	tensor("lm_head.weight", 9, hidden)
	for l := range layers {
		p := fmt.Sprintf("model.layers.%d.", l)
		tensor(p+"input_layernorm.weight", hidden)
		tensor(p+"post_attention_layernorm.weight", hidden)
		tensor(p+"self_attn.q_proj.weight", heads*dim, hidden)
		tensor(p+"self_attn.k_proj.weight", kvHeads*dim, hidden)
		tensor(p+"self_attn.v_proj.weight", kvHeads*dim, hidden)
		tensor(p+"self_attn.o_proj.weight", hidden, heads*dim)
		tensor(p+"mlp.gate_proj.weight", forward, hidden)
		tensor(p+"mlp.up_proj.weight", forward, hidden)
		tensor(p+"mlp.down_proj.weight", hidden, forward)
	}
	text, _ := json.Marshal(header)
	var file bytes.Buffer
	_ = binary.Write(&file, binary.LittleEndian, uint64(len(text)))
	file.Write(text)
	file.Write(data.Bytes())
	dir["model.safetensors"] = &fstest.MapFile{Data: file.Bytes()}
	return dir
}

// edit changes a JSON file of a folder.
func edit(dir fstest.MapFS, name string, change func(map[string]any)) fstest.MapFS {
	var v map[string]any
	_ = json.Unmarshal(dir[name].Data, &v)
	change(v)
	data, _ := json.Marshal(v)
	dir = maps.Clone(dir)
	dir[name] = &fstest.MapFile{Data: data}
	return dir
}

type readTensor struct {
	dims []uint64
	kind uint32
	data []byte
}

// readGGUF reads a whole file, as another program would.
func readGGUF(t *testing.T, file []byte) (map[string]any, map[string]readTensor) {
	t.Helper()
	r := bytes.NewReader(file)
	num := func(v any) {
		if err := binary.Read(r, binary.LittleEndian, v); err != nil {
			t.Fatal(err)
		}
	}
	u32 := func() (v uint32) { num(&v); return v }
	u64 := func() (v uint64) { num(&v); return v }
	str := func() string {
		b := make([]byte, u64())
		if _, err := io.ReadFull(r, b); err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var value func(kind uint32) any
	value = func(kind uint32) any {
		switch kind {
		case 4:
			return u32()
		case 5:
			return int32(u32())
		case 6:
			return math.Float32frombits(u32())
		case 7:
			b, _ := r.ReadByte()
			return b != 0
		case 8:
			return str()
		case 9:
			of, n := u32(), u64()
			var all []any
			for range n {
				all = append(all, value(of))
			}
			return all
		}
		t.Fatalf("unknown kind %d", kind)
		return nil
	}
	magic := make([]byte, 4)
	_, _ = io.ReadFull(r, magic)
	if string(magic) != "GGUF" || u32() != 3 {
		t.Fatal("no GGUF of version 3")
	}
	tensors, keys := u64(), u64()
	meta := map[string]any{}
	for range keys {
		name := str()
		meta[name] = value(u32())
	}
	type place struct {
		name   string
		offset uint64
	}
	all := map[string]readTensor{}
	var places []place
	for range tensors {
		name := str()
		dims := make([]uint64, u32())
		num(dims)
		kind := u32()
		all[name] = readTensor{dims: dims, kind: kind}
		places = append(places, place{name, u64()})
	}
	base := (uint64(len(file)-r.Len()) + 31) / 32 * 32
	for _, p := range places {
		x := all[p.name]
		n := uint64(4)
		if x.kind != 0 {
			n = 2
		}
		for _, d := range x.dims {
			n *= d
		}
		if p.offset%32 != 0 || base+p.offset+n > uint64(len(file)) {
			t.Fatalf("tensor %s lies at %d", p.name, p.offset)
		}
		x.data = file[base+p.offset : base+p.offset+n]
		all[p.name] = x
	}
	return meta, all
}

func (x readTensor) f32(i int) float32 {
	return math.Float32frombits(binary.LittleEndian.Uint32(x.data[4*i:]))
}

func TestConvert(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := gguf.Convert(folder("F32"), "tiny", &out); err != nil {
		t.Fatal(err)
	}
	meta, tensors := readGGUF(t, out.Bytes())
	want := map[string]any{
		"general.architecture": "llama", "general.name": "tiny", "general.file_type": uint32(0),
		"llama.vocab_size": uint32(9), "llama.context_length": uint32(512), "llama.embedding_length": uint32(hidden), "llama.block_count": uint32(layers),
		"llama.feed_forward_length": uint32(forward), "llama.attention.head_count": uint32(heads), "llama.attention.head_count_kv": uint32(kvHeads),
		"llama.attention.key_length": uint32(dim), "llama.attention.value_length": uint32(dim), "llama.rope.dimension_count": uint32(dim),
		"llama.attention.layer_norm_rms_epsilon": float32(1e-5), "llama.rope.freq_base": float32(5000),
		"tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
		"tokenizer.ggml.tokens":     []any{"a", "b", "c", "ab", "Ġ", "<s>", "</s>", "<tool>", "[PAD8]"},
		"tokenizer.ggml.token_type": []any{int32(1), int32(1), int32(1), int32(1), int32(1), int32(3), int32(3), int32(4), int32(5)},
		"tokenizer.ggml.merges":     []any{"a b", "c a"}, "tokenizer.ggml.bos_token_id": uint32(5), "tokenizer.ggml.eos_token_id": uint32(6),
		"tokenizer.ggml.add_bos_token": true, "tokenizer.chat_template": "{{ messages }}",
	}
	if diff := cmp.Diff(want, meta); diff != "" {
		t.Errorf("header (-want +got):\n%s", diff)
	}
	if len(tensors) != 3+9*layers {
		t.Errorf("got %d tensors, want %d", len(tensors), 3+9*layers)
	}
	gate := tensors["blk.1.ffn_gate.weight"]
	if diff := cmp.Diff([]uint64{hidden, forward}, gate.dims); diff != "" {
		t.Errorf("dimensions (-want +got):\n%s", diff)
	}
	if got, want := gate.f32(3*hidden+5), float32(18)+3.0/128+5.0/16384; got != want { // tensor 18 of folder
		t.Errorf("got weight %v, want %v", got, want)
	}
	// The rows of a head of 4 go 0, 2, 1, 3: the halves stand side by side.
	for name, tensor := range map[string]float32{"blk.0.attn_q.weight": 5, "blk.0.attn_k.weight": 6} {
		for row, from := range []int{0, 2, 1, 3, 4, 6, 5, 7} {
			if got, want := tensors[name].f32(row*hidden), tensor+float32(from)/128; got != want {
				t.Errorf("%s: got %v in row %d, want that of row %d: %v", name, got, row, from, want)
			}
		}
	}
	if got, want := tensors["blk.0.attn_v.weight"].f32(hidden), float32(7)+1.0/128; got != want {
		t.Errorf("got %v in row 1 of values, want %v: they are not rotated", got, want)
	}
}

func TestConvertNumbers(t *testing.T) {
	t.Parallel()
	for dtype, tc := range map[string]struct {
		kind uint32
		norm []float32
	}{"BF16": {30, []float32{0, 1, 2, 3}}, "F16": {1, []float32{0, 1, 2, -3}}} {
		var out bytes.Buffer
		if err := gguf.Convert(folder(dtype), "tiny", &out); err != nil {
			t.Fatal(err)
		}
		_, tensors := readGGUF(t, out.Bytes())
		if got := tensors["token_embd.weight"].kind; got != tc.kind {
			t.Errorf("%s: got kind %d, want %d", dtype, got, tc.kind)
		}
		norm := tensors["output_norm.weight"]
		if norm.kind != 0 {
			t.Errorf("%s: got kind %d of a norm, want F32", dtype, norm.kind)
			continue
		}
		for i, want := range tc.norm {
			if got := norm.f32(i); got != want {
				t.Errorf("%s: got %v, want %v", dtype, got, want)
			}
		}
	}
}

func TestConvertVariants(t *testing.T) {
	t.Parallel()
	set := func(file string, pairs ...any) func(fstest.MapFS) fstest.MapFS {
		return func(dir fstest.MapFS) fstest.MapFS {
			return edit(dir, file, func(v map[string]any) {
				for i := 0; i < len(pairs); i += 2 {
					v[pairs[i].(string)] = pairs[i+1]
				}
			})
		}
	}
	split := func(regex string) map[string]any {
		return map[string]any{"type": "Sequence", "pretokenizers": []any{map[string]any{"type": "Split", "pattern": map[string]any{"Regex": regex}}, map[string]any{"type": "ByteLevel", "use_regex": false}}}
	}
	const rest = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}%s| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	tests := map[string]struct {
		change func(fstest.MapFS) fstest.MapFS
		key    string
		want   any
		tensor string // it must be there, or must not with a "-"
	}{
		"tied":            {change: set("config.json", "tie_word_embeddings", true), tensor: "-output.weight"},
		"llama3 splits":   {change: set("tokenizer.json", "pre_tokenizer", split(fmt.Sprintf(rest, "{1,3}"))), key: "tokenizer.ggml.pre", want: "llama-bpe"},
		"qwen2 splits":    {change: set("tokenizer.json", "pre_tokenizer", split(fmt.Sprintf(rest, ""))), key: "tokenizer.ggml.pre", want: "qwen2"},
		"smollm splits":   {change: set("tokenizer.json", "pre_tokenizer", map[string]any{"type": "Sequence", "pretokenizers": []any{map[string]any{"type": "Digits", "individual_digits": true}, map[string]any{"type": "ByteLevel"}}}), key: "tokenizer.ggml.pre", want: "smollm"},
		"no begin":        {change: set("tokenizer_config.json", "add_bos_token", false), key: "tokenizer.ggml.add_bos_token", want: false},
		"named templates": {change: set("tokenizer_config.json", "chat_template", []any{map[string]any{"name": "rag", "template": "r"}, map[string]any{"name": "default", "template": "d"}}), key: "tokenizer.chat_template", want: "d"},
		"qwen2":           {change: set("config.json", "architectures", []string{"Qwen2ForCausalLM"}), key: "qwen2.block_count", want: uint32(layers)},
		"llama3 scaling":  {change: set("config.json", "rope_scaling", map[string]any{"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}), tensor: "rope_freqs.weight"},
		"linear scaling":  {change: set("config.json", "rope_scaling", map[string]any{"type": "linear", "factor": 2.0}), key: "llama.rope.scaling.factor", want: float32(2)},
		"new parameters":  {change: set("config.json", "rope_theta", nil, "rope_parameters", map[string]any{"rope_type": "default", "rope_theta": 7000.0}), key: "llama.rope.freq_base", want: float32(7000)},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			if err := gguf.Convert(tc.change(folder("F32")), "tiny", &out); err != nil {
				t.Fatal(err)
			}
			meta, tensors := readGGUF(t, out.Bytes())
			if got := meta[tc.key]; tc.key != "" && got != tc.want {
				t.Errorf("got %s = %v, want %v", tc.key, got, tc.want)
			}
			absent, not := strings.CutPrefix(tc.tensor, "-")
			if _, ok := tensors[absent]; tc.tensor != "" && ok == not {
				t.Errorf("tensor %s is there: %v among %v", absent, ok, slices.Sorted(maps.Keys(tensors)))
			}
		})
	}
}

func TestConvertRefuses(t *testing.T) {
	t.Parallel()
	set := func(file, key string, v any) func(fstest.MapFS) fstest.MapFS {
		return func(dir fstest.MapFS) fstest.MapFS { return edit(dir, file, func(m map[string]any) { m[key] = v }) }
	}
	without := func(file string) func(fstest.MapFS) fstest.MapFS {
		return func(dir fstest.MapFS) fstest.MapFS { delete(dir, file); return dir }
	}
	tests := map[string]struct {
		change       func(fstest.MapFS) fstest.MapFS
		file, reason string
	}{
		"no configuration":      {without("config.json"), "config.json", "cannot be read"},
		"another architecture":  {set("config.json", "architectures", []string{"GemmaForCausalLM"}), "config.json", "GemmaForCausalLM"},
		"quantised":             {set("config.json", "quantization_config", map[string]any{"bits": 4}), "config.json", "quantised"},
		"another scaling":       {set("config.json", "rope_scaling", map[string]any{"rope_type": "yarn"}), "config.json", "yarn"},
		"a window":              {set("config.json", "sliding_window", 100), "config.json", "window"},
		"absurd":                {set("config.json", "num_hidden_layers", -1), "config.json", "absurd"},
		"heads that do not fit": {set("config.json", "num_key_value_heads", 3), "config.json", "heads"},
		"other heads":           {set("config.json", "head_dim", 8), "model.safetensors", "heads"},
		"more layers":           {set("config.json", "num_hidden_layers", 3), "model.safetensors", "missing"},
		"no tokenizer":          {without("tokenizer.json"), "tokenizer.json", "cannot be read"},
		"another tokenizer":     {set("tokenizer.json", "model", map[string]any{"type": "Unigram"}), "tokenizer.json", "Unigram"},
		"other splits":          {set("tokenizer.json", "pre_tokenizer", map[string]any{"type": "Metaspace"}), "tokenizer.json", "cuts text"},
		"another normaliser":    {set("tokenizer.json", "normalizer", map[string]any{"type": "Lowercase"}), "tokenizer.json", "normalises"},
		"too many tokens":       {set("config.json", "vocab_size", 7), "tokenizer.json", "it has 8 tokens"},
		"no weights":            {without("model.safetensors"), "model.safetensors", "cannot be read"},
		"weights that are none": {func(d fstest.MapFS) fstest.MapFS {
			d["model.safetensors"].Data = []byte("\xff\xff\xff\xff\xff\xff\xff\x7f")
			return d
		}, "model.safetensors", "no safetensors"},
		"weights cut off": {func(d fstest.MapFS) fstest.MapFS {
			f := d["model.safetensors"]
			f.Data = f.Data[:len(f.Data)-1]
			return d
		}, "model.safetensors", "outside"},
		"a file outside": {func(d fstest.MapFS) fstest.MapFS {
			d["model.safetensors.index.json"] = &fstest.MapFile{Data: []byte(`{"weight_map":{"a":"../x"}}`)}
			return d
		}, "model.safetensors.index.json", "not in the folder"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := gguf.Convert(tc.change(folder("F32")), "tiny", io.Discard)
			var e *gguf.Error
			if !errors.As(err, &e) || e.File != tc.file || !strings.Contains(e.Reason, tc.reason) {
				t.Errorf("got %v, want an error of %s that says %q", err, tc.file, tc.reason)
			}
		})
	}
}

// Whatever the files hold, there is an error or a file that can be read, and no panic.
func FuzzConvert(f *testing.F) {
	dir := folder("F16")
	f.Add(dir["config.json"].Data, dir["tokenizer.json"].Data, dir["tokenizer_config.json"].Data, dir["model.safetensors"].Data[:4000])
	f.Add([]byte(`{}`), []byte(`{}`), []byte(`{}`), []byte("\x02\x00\x00\x00\x00\x00\x00\x00{}"))
	whole := dir["model.safetensors"].Data
	f.Fuzz(func(t *testing.T, config, tokenizer, tokenizerConfig, head []byte) {
		dir := fstest.MapFS{"config.json": {Data: config}, "tokenizer.json": {Data: tokenizer}, "tokenizer_config.json": {Data: tokenizerConfig},
			"model.safetensors": {Data: append(slices.Clone(head), whole[min(len(head), len(whole)):]...)}}
		var out bytes.Buffer
		err := gguf.Convert(dir, "x", &out)
		if e := new(gguf.Error); err != nil && !errors.As(err, &e) {
			t.Errorf("got %T %v, want a *gguf.Error", err, err)
		}
		if err == nil {
			readGGUF(t, out.Bytes())
		}
	})
}
