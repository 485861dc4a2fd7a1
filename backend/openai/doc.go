// Package openai is the backend for OpenAI and for every server that speaks its chat-completions API: vLLM, llama.cpp,
// LM Studio, Ollama's /v1, Azure OpenAI, gateways.
//
// [New] does no I/O. It reads OPENAI_API_KEY, OPENAI_BASE_URL, OPENAI_ORG_ID and OPENAI_PROJECT_ID when it is called;
// options win. What is wrong with the configuration is reported by [Backend.Info], and again by each Generate.
package openai
