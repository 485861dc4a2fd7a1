// Package litellm is the backend for a LiteLLM proxy: one address for the models of many providers, under names that the
// proxy's configuration gives them or as "provider/model".
//
// [New] does no I/O. It reads LITELLM_PROXY_API_BASE and LITELLM_PROXY_API_KEY when it is called; options win. What is
// wrong with the configuration is reported by [Backend.Info], and again by each Generate.
//
// What the proxy tells in its headers is in the metadata of each generation: its call id is
// [backend.Generation].RequestID, while ResponseID stays the reply's own; the id of the deployment that answered is
// Deployment; what the call cost is Cost. ResponseModel is the model that answered, which after a fallback is another one
// than was asked for. The server is the proxy.
package litellm
