package gguf

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// Kinds of tokens.
const (
	tokenNormal  = 1
	tokenControl = 3
	tokenUser    = 4
	tokenUnused  = 5
)

// tokenizer is what a GGUF file says of one.
type tokenizer struct {
	tokens   []string
	kinds    []int32
	merges   []string
	splits   string // llama.cpp's name for how text is cut before merging
	special  map[string]int
	addBegin bool
	template string
}

// step is a part of the pipeline in tokenizer.json.
type step struct {
	Type    string `json:"type"`
	Regex   *bool  `json:"use_regex"`
	Digits  bool   `json:"individual_digits"`
	Pattern struct {
		Regex string `json:"Regex"`
	} `json:"pattern"`
	Steps      []step `json:"pretokenizers"`
	Processors []step `json:"processors"`
	Normalise  []step `json:"normalizers"`
	Single     []struct {
		Special *struct {
			ID string `json:"id"`
		} `json:"SpecialToken"`
	} `json:"single"`
}

// How Llama 3 and Qwen cut text. They differ in how many digits stay together.
const (
	splitLlama3 = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	splitQwen2  = `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
)

// splitsOf returns llama.cpp's name of a pre-tokenizer, "" for one that it has no known name of.
func splitsOf(pre *step) string {
	if pre == nil {
		return ""
	}
	steps := pre.Steps
	if pre.Type != "Sequence" {
		steps = []step{*pre}
	}
	if len(steps) == 0 || steps[len(steps)-1].Type != "ByteLevel" {
		return ""
	}
	last := steps[len(steps)-1]
	regex := last.Regex == nil || *last.Regex
	switch {
	case len(steps) == 1 && regex:
		return "gpt-2"
	case len(steps) == 2 && steps[0].Type == "Digits" && steps[0].Digits && regex:
		return "smollm"
	case len(steps) == 2 && steps[0].Type == "Split" && !regex && steps[0].Pattern.Regex == splitLlama3:
		return "llama-bpe"
	case len(steps) == 2 && steps[0].Type == "Split" && !regex && steps[0].Pattern.Regex == splitQwen2:
		return "qwen2"
	}
	return ""
}

const mostTokens = 1 << 20

// readTokenizer reads tokenizer.json, tokenizer_config.json and the chat template. size is the model's vocabulary.
func readTokenizer(dir fs.FS, size int) (*tokenizer, error) {
	const file = "tokenizer.json"
	fail := func(reason string, args ...any) error {
		return &Error{File: file, Reason: fmt.Sprintf(reason, args...)}
	}
	data, err := readFile(dir, file)
	if err != nil {
		return nil, &Error{File: file, Reason: "it cannot be read", Err: err}
	}
	var raw struct {
		Normalizer    *step `json:"normalizer"`
		PreTokenizer  *step `json:"pre_tokenizer"`
		PostProcessor *step `json:"post_processor"`
		Model         struct {
			Type   string            `json:"type"`
			Vocab  map[string]int    `json:"vocab"`
			Merges []json.RawMessage `json:"merges"`
		} `json:"model"`
		Added []struct {
			ID      int    `json:"id"`
			Content string `json:"content"`
			Special bool   `json:"special"`
		} `json:"added_tokens"`
	}
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, &Error{File: file, Reason: "it is no JSON of a tokenizer", Err: err}
	}
	if raw.Model.Type != "BPE" {
		return nil, fail("its tokenizer is of type %.40q, and only byte-level BPE is known", raw.Model.Type)
	}
	t := &tokenizer{splits: splitsOf(raw.PreTokenizer)}
	if t.splits == "" {
		return nil, fail("it cuts text in a way that is not known")
	}
	if n := raw.Normalizer; n != nil && n.Type != "NFC" && (n.Type != "Sequence" || len(n.Normalise) > 0) {
		return nil, fail("it normalises text in a way that is not known")
	}
	count := size
	for _, id := range raw.Model.Vocab {
		count = max(count, id+1)
	}
	for _, a := range raw.Added {
		count = max(count, a.ID+1)
	}
	if count > mostTokens || size < 1 {
		return nil, fail("its vocabulary is too large")
	}
	if count > size {
		return nil, fail("it has %d tokens, and the model %d", count, size)
	}
	t.tokens, t.kinds = make([]string, count), make([]int32, count)
	put := func(id int, text string, kind int32) error {
		if id < 0 {
			return fail("a token has a negative number")
		}
		t.tokens[id], t.kinds[id] = text, kind
		return nil
	}
	for text, id := range raw.Model.Vocab {
		if err := put(id, text, tokenNormal); err != nil {
			return nil, err
		}
	}
	for _, a := range raw.Added {
		kind := int32(tokenUser)
		if a.Special {
			kind = tokenControl
		}
		if err := put(a.ID, a.Content, kind); err != nil {
			return nil, err
		}
	}
	for i := range t.tokens {
		if t.kinds[i] == 0 {
			t.tokens[i], t.kinds[i] = fmt.Sprintf("[PAD%d]", i), tokenUnused
		}
	}
	for _, m := range raw.Model.Merges {
		var text string
		var pair []string
		if json.Unmarshal(m, &text) != nil {
			if json.Unmarshal(m, &pair) != nil || len(pair) != 2 {
				return nil, fail("a merge is malformed")
			}
			text = pair[0] + " " + pair[1]
		}
		if strings.Count(text, " ") != 1 {
			return nil, fail("a merge is malformed")
		}
		t.merges = append(t.merges, text)
	}
	return t, t.readConfig(dir, raw.PostProcessor)
}

// readConfig reads what stands beside tokenizer.json.
func (t *tokenizer) readConfig(dir fs.FS, post *step) error {
	const file = "tokenizer_config.json"
	var config struct {
		Begin    named           `json:"bos_token"`
		End      named           `json:"eos_token"`
		Unknown  named           `json:"unk_token"`
		Pad      named           `json:"pad_token"`
		AddBegin *bool           `json:"add_bos_token"`
		Template json.RawMessage `json:"chat_template"`
	}
	if data, err := readFile(dir, file); err == nil {
		if err := json.Unmarshal(data, &config); err != nil {
			return &Error{File: file, Reason: "it is malformed", Err: err}
		}
	}
	ids := map[string]int{}
	for key, name := range map[string]named{"bos": config.Begin, "eos": config.End, "unknown": config.Unknown, "padding": config.Pad} {
		if id := slices.Index(t.tokens, string(name)); name != "" && id >= 0 {
			ids[key] = id
		}
	}
	t.special = ids
	t.addBegin = begins(post, string(config.Begin))
	if config.AddBegin != nil {
		t.addBegin = *config.AddBegin
	}
	if data, err := readFile(dir, "chat_template.jinja"); err == nil {
		t.template = string(data)
		return nil
	}
	if len(config.Template) == 0 || json.Unmarshal(config.Template, &t.template) == nil {
		return nil
	}
	var several []struct {
		Name     string `json:"name"`
		Template string `json:"template"`
	}
	if err := json.Unmarshal(config.Template, &several); err != nil {
		return &Error{File: file, Reason: "its chat template is malformed", Err: err}
	}
	for _, s := range several {
		if s.Name == "default" {
			t.template = s.Template
		}
	}
	return nil
}

// named is a token in a configuration: its text, or an object with it.
type named string

// UnmarshalJSON implements [json.Unmarshaler].
func (n *named) UnmarshalJSON(data []byte) error {
	var text string
	if json.Unmarshal(data, &text) == nil { // null too
		*n = named(text)
		return nil
	}
	var object struct {
		Content string `json:"content"`
	}
	err := json.Unmarshal(data, &object)
	*n = named(object.Content)
	return err
}

// begins reports whether the post-processor puts the token that begins a text before one.
func begins(post *step, token string) bool {
	if post == nil || token == "" {
		return false
	}
	if slices.ContainsFunc(post.Processors, func(s step) bool { return begins(&s, token) }) {
		return true
	}
	return len(post.Single) > 0 && post.Single[0].Special != nil && post.Single[0].Special.ID == token
}
