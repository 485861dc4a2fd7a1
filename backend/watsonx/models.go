package watsonx

import (
	"context"
	"net/url"
	"strconv"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

const (
	modelsPage = 200 // the most that the service gives at once
	modelPages = 50  // no service has as many
)

// ListModels returns the models that can chat and are not withdrawn, as the service orders them. Owner is who provides a
// model, Modified when it became available. The error is a *[backend.Error] or the cause of ctx.
func (b *Backend) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	if b.problem != nil {
		return nil, b.problem
	}
	var models []backend.ModelInfo
	start := ""
	for range modelPages {
		page, err := b.modelPage(ctx, start)
		if err != nil {
			if ctx.Err() != nil {
				err = backend.Ended(ctx, Provider, opModels)
			}
			return nil, err
		}
		for _, r := range page.Resources {
			if r.ModelID != "" {
				models = append(models, r.info())
			}
		}
		// Of the address of the next page only its position counts: requests, and the token, go nowhere else.
		next, err := url.Parse(page.Next.Href)
		if err != nil {
			return models, nil //nolint:nilerr // no next page that could be asked for
		}
		if start = next.Query().Get("start"); start == "" {
			break
		}
	}
	return models, nil
}

// specs is a page of the foundation models.
type specs struct {
	Resources []modelSpec `json:"resources"`
	Next      struct {
		Href string `json:"href"`
	} `json:"next"`
}

type modelSpec struct {
	ModelID   string `json:"model_id"`
	Provider  string `json:"provider"`
	Lifecycle []struct {
		ID        string `json:"id"`
		StartDate string `json:"start_date"`
	} `json:"lifecycle"`
}

func (s modelSpec) info() backend.ModelInfo {
	m := backend.ModelInfo{Name: s.ModelID, Owner: s.Provider}
	for _, l := range s.Lifecycle {
		if at, err := time.Parse(time.DateOnly, l.StartDate); err == nil && l.ID == "available" {
			m.Modified = at
		}
	}
	return m
}

func (b *Backend) modelPage(ctx context.Context, start string) (specs, error) {
	query := "limit=" + strconv.Itoa(modelsPage) + "&filters=" + url.QueryEscape("function_text_chat,!lifecycle_withdrawn:and")
	if start != "" {
		query += "&start=" + url.QueryEscape(start)
	}
	var page specs
	res, err := b.do(ctx, opModels, wire.Call{Path: "/ml/v1/foundation_model_specs", Query: query}, func(backend.Retry) {})
	if err != nil {
		return page, err
	}
	defer res.Close()
	data, err := res.ReadAll(0)
	if err != nil {
		return page, broken(opModels, res, err)
	}
	if json.Unmarshal(data, &page) != nil || page.Resources == nil {
		return page, malformed(opModels, res, data, false, nil)
	}
	return page, nil
}
