package ollama

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

// Model is a model that the server has.
type Model struct {
	// Name includes the tag, for example "llama3.2:latest".
	Name string
	// Size is that of its files, in bytes.
	Size int64
	// Modified is when it was installed or changed last.
	Modified time.Time
	// Remote says that the server passes requests for it on to another one, outside this machine.
	Remote bool

	family string
}

// chats reports whether the model is one to take without being asked for: it runs on the server itself, and it is not
// of the families that only embed.
func (m Model) chats() bool { return !m.Remote && !strings.HasSuffix(m.family, "bert") }

// Models returns the models the server has, as it orders them. The error is an *[backend.Error] or the cause of ctx.
func (b *Backend) Models(ctx context.Context) ([]Model, error) {
	var list struct {
		Models []struct {
			Name        string    `json:"name"`
			Size        int64     `json:"size"`
			Modified    time.Time `json:"modified_at"`
			RemoteModel string    `json:"remote_model"`
			Details     struct {
				Family string `json:"family"`
			} `json:"details"`
		} `json:"models"`
	}
	if err := b.get(ctx, "/api/tags", &list); err != nil {
		return nil, err
	}
	models := make([]Model, 0, len(list.Models))
	for _, m := range list.Models {
		if m.Name == "" {
			continue
		}
		models = append(models, Model{
			Name: m.Name, Size: m.Size, Modified: m.Modified, Remote: m.RemoteModel != "", family: m.Details.Family,
		})
	}
	return models, nil
}

// ListModels returns the models the server has, as [backend.ModelLister] says; [Backend.Models] tells more of them.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	models, err := b.Models(ctx)
	if err != nil {
		return nil, err
	}
	all := make([]backend.ModelInfo, len(models))
	for i, m := range models {
		all[i] = backend.ModelInfo{Name: m.Name, Size: m.Size, Modified: m.Modified}
	}
	return all, nil
}

// Installed returns the model that name stands for: the very one, where a missing tag means ":latest", and never one
// whose name only begins alike. Without it the error is an *[backend.Error] with status 404.
func (b *Backend) Installed(ctx context.Context, name string) (Model, error) {
	models, err := b.Models(ctx)
	if err != nil {
		return Model{}, err
	}
	for _, m := range models {
		if fullName(m.Name) == fullName(name) {
			return m, nil
		}
	}
	return Model{}, &backend.Error{Provider: provider, Op: "info", Status: http.StatusNotFound, Code: codeNoModel, Remedy: pullRemedy(name)}
}

// fullName writes a model's name as the registry does: defaults of host, namespace and tag made explicit.
func fullName(name string) string {
	name = strings.TrimPrefix(strings.TrimPrefix(name, "registry.ollama.ai/"), "library/")
	if !strings.Contains(name[strings.LastIndex(name, "/")+1:], ":") {
		name += ":latest"
	}
	return name
}

// Version returns the server's version. It is the quickest way to learn whether a server answers: it loads no model.
// The error is an *[backend.Error] or the cause of ctx, which should have a short deadline.
func (b *Backend) Version(ctx context.Context) (string, error) {
	var reply struct {
		Version string `json:"version"`
	}
	if err := b.get(ctx, "/api/version", &reply); err != nil {
		return "", err
	}
	if reply.Version == "" {
		return "", &backend.Error{Provider: provider, Op: "info", Code: backend.CodeInvalidResponse,
			Remedy: "what answers there is not Ollama: check OLLAMA_HOST or the base URL"}
	}
	return reply.Version, nil
}

// get asks for a document and decodes it. Members it does not know are ignored: servers of other versions add some.
func (b *Backend) get(ctx context.Context, path string, into any) error {
	if b.err != nil {
		return b.err
	}
	call := wire.Call{Path: path, SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) }}
	resp, err := b.client.Do(ctx, call)
	if err != nil {
		return fail("info", err)
	}
	defer resp.Close()
	body, err := resp.ReadAll(0)
	if err != nil {
		return fail("info", err)
	}
	if err := json.Unmarshal(body, into); err != nil {
		return malformed("info", resp)
	}
	return nil
}
