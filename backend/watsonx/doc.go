// Package watsonx generates with the models that IBM watsonx.ai serves: chat, whole or streamed, with tools, schemas,
// images and reasoning, and raw completions in batches.
//
// A backend exchanges its API key for an access token at IBM Cloud IAM when it first needs one and renews the token
// before it expires; calls share it, and no key or token shows in an error. Cloud Pak for Data takes a Zen API key
// instead, see [WithZenAPIKey].
//
// Every request belongs to a project or a deployment space. The wire format is that of IBM's reference of the
// watsonx.ai API (https://cloud.ibm.com/apidocs/watsonx-ai) at the version [DefaultAPIVersion].
package watsonx
