// Package ollama is a backend for models served by Ollama, over its native API.
//
// [New] does no I/O and needs no option: it takes the server from OLLAMA_HOST as Ollama's own client does, and
// [Backend.Info] picks a model that is installed when none is named.
package ollama
