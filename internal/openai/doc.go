// Package openai is the OpenAI chat-completions dialect, both ways: what a client sends and reads, and what a server
// reads and sends.
//
// It does no I/O. Requests and replies are appended to buffers the caller owns, and replies are decoded into a
// [Decoder] that is used again for each chunk of a stream, so that a streamed chunk costs no allocation. The text of
// its errors quotes nothing of a document.
//
// The dialect is that of POST /chat/completions of the OpenAI API reference, with what compatible servers (vLLM,
// llama.cpp, Ollama, LiteLLM, DeepSeek, Mistral) are known to add or leave out.
package openai
