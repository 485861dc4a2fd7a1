// Package tinymodel writes small models for tests: one that says exactly what a
// test scripts, one that says which colours it sees, and ones of random weights. They are files that real engines
// load (llama.cpp, Ollama, Transformers), so that a test meets the real
// tokenizer, sampler, streaming and parser of tool calls, with a reply that is
// known beforehand and takes milliseconds.
//
// [WriteScripted], [WriteSeeing] and [WriteRandom] write GGUF files,
// [WriteScriptedFolder] and [WriteRandomFolder] folders as the Hugging Face hub
// has them.
package tinymodel
