package cli

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/huggingface"
	"github.com/mellea-go/mellea/backend/huggingface/local"
	"github.com/mellea-go/mellea/backend/litellm"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/backend/watsonx"
)

// missing is a usage error that says which setting a backend lacks, and where it comes from.
func missing(backend, what, how string) error {
	return &usageError{text: fmt.Sprintf("--backend %s needs %s: %s", backend, what, how)}
}

// noKeyFlag is the reason why a key comes from the environment only, for errors that ask for one.
const noKeyFlag = "(keys are not taken as flags: other users see command lines)"

// noModel is the usage error of a backend that has many models and none of its own choice.
func noModel(backend string) error {
	return missing(backend, "a model", fmt.Sprintf("name one with --model or MELLEA_MODEL; `mellea models --backend %s` lists them", backend))
}

func (a *app) ollama(s server) *ollama.Backend {
	opts := []ollama.Option{ollama.WithLogger(a.warnings())}
	if address := cmp.Or(s.baseURL, a.env["OLLAMA_HOST"]); address != "" {
		opts = append(opts, ollama.WithBaseURL(address))
	}
	if s.model != "" {
		opts = append(opts, ollama.WithModel(s.model))
	}
	return ollama.New(opts...)
}

func (a *app) openai(s server) (backend.Backend, error) {
	if s.model == "" && !s.listing {
		return nil, noModel(useOpenAI)
	}
	var (
		address = cmp.Or(s.baseURL, a.env["OPENAI_BASE_URL"])
		key     = a.env["OPENAI_API_KEY"]
	)
	if address == "" && key == "" { // which other servers want one is the backend's to know
		return nil, missing(useOpenAI, "a key", "set OPENAI_API_KEY "+noKeyFlag+", or give the address of another server with --base-url or OPENAI_BASE_URL")
	}
	opts := []openai.Option{
		openai.WithModel(s.model), openai.WithLogger(a.warnings()), openai.WithBaseURL(address),
		openai.WithOrganization(a.env["OPENAI_ORG_ID"]), openai.WithProject(cmp.Or(s.project, a.env["OPENAI_PROJECT_ID"])),
	}
	if key != "" {
		opts = append(opts, openai.WithAPIKey(key))
	}
	return openai.New(opts...), nil
}

// huggingface returns a server where there is the address of one, a model in process where --model names a file or a
// folder or there are libraries to run it, and else the router, for which there must be a token.
func (a *app) huggingface(s server) (backend.Backend, error) {
	var (
		address   = cmp.Or(s.baseURL, a.env["HF_ENDPOINT"])
		token     = a.env["HF_TOKEN"]
		libraries = a.env["MELLEA_LLAMA_LIB"]
	)
	switch {
	case s.model == "" && !s.listing:
		return nil, missing(useHuggingFace, "a model", "name a .gguf file, a folder or a hub id with --model or MELLEA_MODEL")
	case s.baseURL == "" && (isFile(s.model) || address == "" && libraries != ""):
		opts := []local.Option{local.WithModel(s.model), local.WithLogger(a.warnings())}
		if libraries != "" {
			opts = append(opts, local.WithLibrary(libraries))
		}
		return local.New(opts...), nil
	case address == "" && token == "":
		return nil, missing(useHuggingFace, "something to run the model", "set MELLEA_LLAMA_LIB to the folder of llama.cpp's libraries to run it in this process, "+
			"HF_TOKEN to have the router run it "+noKeyFlag+", or give the address of a server with --base-url or HF_ENDPOINT")
	}
	opts := []huggingface.Option{huggingface.WithModel(s.model), huggingface.WithLogger(a.warnings())}
	if address != "" { // whether the token is for it is the backend's to know
		return huggingface.New(append(opts, huggingface.WithBaseURL(address))...), nil
	}
	return huggingface.New(append(opts, huggingface.WithToken(token))...), nil
}

// isFile reports whether a model's name is that of a file or a folder.
func isFile(model string) bool {
	if model == "" {
		return false
	}
	_, err := os.Stat(model)
	return err == nil || strings.HasSuffix(strings.ToLower(model), ".gguf")
}

// litellm returns a LiteLLM proxy, which may want no key.
func (a *app) litellm(s server) (backend.Backend, error) {
	if s.model == "" && !s.listing {
		return nil, noModel(useLiteLLM)
	}
	opts := []litellm.Option{litellm.WithBaseURL(cmp.Or(s.baseURL, a.env["LITELLM_PROXY_API_BASE"])), litellm.WithModel(s.model), litellm.WithLogger(a.warnings())}
	if key := a.env["LITELLM_PROXY_API_KEY"]; key != "" {
		opts = append(opts, litellm.WithAPIKey(key))
	}
	return litellm.New(opts...), nil
}

func (a *app) watsonx(s server) (backend.Backend, error) {
	var (
		address = cmp.Or(s.baseURL, a.env["WATSONX_URL"])
		key     = cmp.Or(a.env["WATSONX_API_KEY"], a.env["WATSONX_APIKEY"])
		project = s.project
		space   = s.space
	)
	if project == "" && space == "" {
		project, space = a.env["WATSONX_PROJECT_ID"], a.env["WATSONX_SPACE_ID"]
	}
	switch {
	case address == "":
		return nil, missing(useWatsonx, "the address of the service", "give that of your region with --base-url or WATSONX_URL, for example https://us-south.ml.cloud.ibm.com")
	case key == "":
		return nil, missing(useWatsonx, "a key", "set WATSONX_API_KEY to one of IBM Cloud "+noKeyFlag)
	case project == "" && space == "":
		return nil, missing(useWatsonx, "a project or a space", "give its id with --project or WATSONX_PROJECT_ID, or with --space or WATSONX_SPACE_ID")
	case project != "" && space != "":
		return nil, &usageError{text: "WATSONX_PROJECT_ID and WATSONX_SPACE_ID are both set, and a request belongs to one of them: unset one, or choose with --project or --space"}
	case s.model == "" && !s.listing:
		return nil, noModel(useWatsonx)
	}
	opts := []watsonx.Option{watsonx.WithBaseURL(address), watsonx.WithAPIKey(key), watsonx.WithLogger(a.warnings())}
	for _, o := range []struct {
		value string
		with  func(string) watsonx.Option
	}{
		{s.model, watsonx.WithModel}, {project, watsonx.WithProject}, {space, watsonx.WithSpace},
		{a.env["WATSONX_IAM_URL"], watsonx.WithIAMURL}, {a.env["WATSONX_API_VERSION"], watsonx.WithAPIVersion},
	} {
		if o.value != "" {
			opts = append(opts, o.with(o.value))
		}
	}
	return watsonx.New(opts...), nil
}
