package cli

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/mellea-go/mellea/backend/openai"
	"github.com/mellea-go/mellea/telemetry"
)

// jsonEnv is what mellea env --output json prints.
type jsonEnv struct {
	Settings  []jsonSetting  `json:"settings"`
	Endpoints []jsonEndpoint `json:"endpoints"`
	Warnings  []string       `json:"warnings"`
}

type jsonSetting struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
	Pillar string `json:"pillar"`
	Note   string `json:"note,omitempty"`
}

type jsonEndpoint struct {
	Name    string `json:"name"`
	URL     string `json:"url"`
	Answers bool   `json:"answers"`
	Detail  string `json:"detail,omitempty"`
}

func (a *app) envCommand() *cobra.Command {
	var output string
	var all bool
	cmd := &cobra.Command{
		Use:   "env",
		Short: "Show the effective telemetry configuration and where each value comes from",
		Long: `Env shows what the environment comes to: each setting with its value and origin, deprecated and
unknown names in use, and whether the endpoints answer (within a second). Headers and keys are masked.`,
		Example: `  mellea env
  mellea env --all --output json`,
		Args:        noArguments,
		Annotations: map[string]string{traced: "yes"},
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkOutput(output); err != nil {
				return err
			}
			e := a.inspect(cmd.Context(), all)
			if output == "json" {
				return a.printJSON(e)
			}
			return a.printEnv(e)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also those that are neither set nor have a default")
	cmd.Flags().StringVar(&output, "output", "text", "`format`: text or json")
	a.complete(cmd, "output", outputNames)
	return cmd
}

// variables are those of backends that the command reads.
var variables = []struct {
	name string
	kind variableKind
}{
	{"OLLAMA_HOST", isAddress},
	{"OPENAI_BASE_URL", isAddress}, {"OPENAI_API_KEY", isSecret}, {"OPENAI_ORG_ID", isPrivate}, {"OPENAI_PROJECT_ID", isPrivate},
	{"HF_ENDPOINT", isAddress}, {"HF_TOKEN", isSecret}, {"HF_HOME", isPlain},
	{"LITELLM_PROXY_API_BASE", isAddress}, {"LITELLM_PROXY_API_KEY", isSecret},
	{"WATSONX_URL", isAddress}, {"WATSONX_API_KEY", isSecret}, {"WATSONX_APIKEY", isSecret}, {"WATSONX_PROJECT_ID", isPrivate},
	{"WATSONX_SPACE_ID", isPrivate}, {"WATSONX_IAM_URL", isAddress}, {"WATSONX_API_VERSION", isPlain},
}

// variableKind says how much of a variable is shown.
type variableKind uint8

const (
	isPlain   variableKind = iota // all of it
	isAddress                     // what is not user-info or a query
	isPrivate                     // that it is set
	isSecret                      // that it is set; nor does any other line hold its value
)

// shown returns what may be shown of a value.
func (k variableKind) shown(value string) string {
	switch {
	case value == "":
		return ""
	case k == isPlain:
		return value
	case k == isAddress:
		return safe(value)
	default:
		return "****"
	}
}

// inspect finds out about the environment, and asks the endpoints.
func (a *app) inspect(ctx context.Context, all bool) jsonEnv {
	lookup := func(name string) (string, bool) {
		v, ok := a.env[name]
		return v, ok
	}
	effective := telemetry.Inspect(lookup, a.Environ)
	out := jsonEnv{Settings: []jsonSetting{}, Warnings: append([]string{}, effective.Warnings...)}
	for _, s := range effective.Settings {
		if all || s.Value != "" || s.Origin != telemetry.FromDefault {
			out.Settings = append(out.Settings, jsonSetting{Name: s.Name, Value: s.Value, Origin: string(s.Origin), Pillar: s.Pillar, Note: s.Note})
		}
	}
	for _, v := range variables {
		value, set := a.env[v.name]
		switch {
		case set:
			out.Settings = append(out.Settings, jsonSetting{Name: v.name, Value: v.kind.shown(value), Origin: string(telemetry.FromEnvironment), Pillar: "command line"})
		case all:
			out.Settings = append(out.Settings, jsonSetting{Name: v.name, Origin: string(telemetry.FromDefault), Pillar: "command line"})
		}
	}
	out.Endpoints = a.endpoints(ctx, effective)
	return out
}

// endpoints asks every endpoint that is configured whether it answers, all at once.
func (a *app) endpoints(ctx context.Context, effective telemetry.Effective) []jsonEndpoint {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	found := make([]jsonEndpoint, 0, 4)
	if effective.Endpoint != "" {
		found = append(found, jsonEndpoint{Name: "OTLP " + effective.Protocol, URL: effective.Endpoint})
	}
	if effective.LogsEndpoint != "" && effective.LogsEndpoint != effective.Endpoint {
		found = append(found, jsonEndpoint{Name: "OTLP " + effective.LogsProtocol + " of logs", URL: effective.LogsEndpoint})
	}
	found = append(found, jsonEndpoint{Name: "Ollama", URL: safe(cmp.Or(a.env["OLLAMA_HOST"], "http://127.0.0.1:11434"))})
	if a.env["OPENAI_API_KEY"] != "" || a.env["OPENAI_BASE_URL"] != "" {
		found = append(found, jsonEndpoint{Name: "OpenAI", URL: safe(cmp.Or(a.env["OPENAI_BASE_URL"], openai.DefaultBaseURL))})
	}
	if address := a.env["HF_ENDPOINT"]; address != "" {
		found = append(found, jsonEndpoint{Name: "Hugging Face", URL: safe(address)})
	}
	if address := a.env["LITELLM_PROXY_API_BASE"]; address != "" {
		found = append(found, jsonEndpoint{Name: "LiteLLM", URL: safe(address)})
	}
	if address := a.env["WATSONX_URL"]; address != "" {
		found = append(found, jsonEndpoint{Name: "watsonx", URL: safe(address)})
	}
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() {
			var err error
			if e := &found[i]; e.Name == "Ollama" {
				var version string
				if version, err = a.ollama(server{}).Version(ctx); err == nil {
					e.Detail = "version " + oneLine(version)
				}
			} else {
				err = dial(ctx, e.URL)
			}
			if found[i].Answers = err == nil; err != nil {
				found[i].Detail = describe(err)
			}
		})
	}
	wg.Wait()
	return found
}

// dial reports whether something listens at an address.
func dial(ctx context.Context, address string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return fmt.Errorf("%q is not a URL with a host", address)
	}
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	c, err := new(net.Dialer).DialContext(ctx, "tcp", net.JoinHostPort(u.Hostname(), port))
	if err != nil {
		return err
	}
	return c.Close()
}

// safe returns an address without what may be secret in it, and "****" for one that cannot be taken apart.
func safe(address string) string {
	if address == "" {
		return ""
	}
	whole := address
	if !strings.Contains(address, "://") { // such as localhost:11434
		whole = "//" + address
	}
	u, err := url.Parse(whole)
	if err != nil || strings.Contains(u.Path, "@") { // a password may hold a slash
		return "****"
	}
	safe := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return strings.TrimPrefix(safe.String(), strings.TrimSuffix(whole, address))
}

func (a *app) printEnv(e jsonEnv) error {
	w := tabwriter.NewWriter(a.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SETTING\tVALUE\tORIGIN\tNOTE")
	for _, s := range e.Settings {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.Name, oneLine(s.Value), s.Origin, s.Note)
	}
	fmt.Fprintln(w, "\nENDPOINT\tURL\tANSWERS\t")
	for _, p := range e.Endpoints {
		answers := "yes"
		if !p.Answers {
			answers = "no"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Name, oneLine(p.URL), answers, p.Detail)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, text := range e.Warnings {
		a.warn("%s", text)
	}
	return nil
}
