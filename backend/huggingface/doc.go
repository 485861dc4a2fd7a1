// Package huggingface is the backend for models that Hugging Face serves or whose servers come from there: the router of
// Inference Providers, dedicated Inference Endpoints, Text Generation Inference and `transformers serve`. Models in this
// process are run by its package local.
//
// [New] does no I/O. It reads HF_TOKEN and HF_ENDPOINT when it is called; options win. Without an address requests go to
// the router, which needs a token.
package huggingface
