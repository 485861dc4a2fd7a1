// Package gguf converts a model in the hub's layout (config.json, tokenizer.json, safetensors) to a GGUF file, which
// llama.cpp reads. It knows the families Llama, Mistral, Qwen2 and Qwen3 with byte-level tokenizers and weights that are
// not quantised; others it refuses by name, because a file that is only nearly right makes a model that is only nearly
// so.
package gguf
