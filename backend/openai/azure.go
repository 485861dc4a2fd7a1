package openai

import (
	"net/url"
	"strings"

	"github.com/mellea-go/mellea/internal/openai/client"
)

// deployments is what the path of an Azure endpoint has before the name of a deployment, in the versions of its API that
// have a date.
const deployments = "/openai/deployments/"

// atAzure reads a base URL in one of Azure's forms. One that ends in another path stands as it is.
func (c *config) atAzure(cfg *client.Config) {
	u, err := url.Parse(strings.TrimSpace(cfg.Server.BaseURL))
	if err != nil {
		return // the client says what is wrong
	}
	query := u.Query()
	if c.apiVersion != "" {
		query.Set("api-version", c.apiVersion)
		u.RawQuery = query.Encode()
	}
	path := strings.TrimRight(u.Path, "/")
	root, deployment, named := strings.Cut(path, deployments)
	deployment, _, _ = strings.Cut(deployment, "/")
	switch {
	case named && deployment != "":
		u.Path, u.RawPath = root, ""
		if cfg.Options.Model() == "" {
			cfg.Options = cfg.Options.WithModel(deployment)
		}
		cfg.Path = func(op client.Operation, _ string) string { return deploymentPath(op, deployment) }
	case path != "" && path != "/openai":
	case query.Get("api-version") == "" || query.Get("api-version") == "v1" || query.Get("api-version") == "preview":
		u.Path, u.RawPath = "/openai/v1", "" // the versions without a date are below it
	default:
		u.Path, u.RawPath = "", ""
		cfg.Path = deploymentPath
	}
	cfg.Server.BaseURL = u.String()
}

// deploymentPath is the path of an operation in the versions with a date. The list is that of the resource's models.
func deploymentPath(op client.Operation, deployment string) string {
	if op == client.Models {
		return "/openai" + op.Path()
	}
	return deployments + deployment + op.Path()
}
