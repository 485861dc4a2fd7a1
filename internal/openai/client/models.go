package client

import (
	"context"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// ListModels returns the models of the server, as [backend.ModelLister] says. It needs no model to be named.
func (c *Client) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	if c.problem != nil {
		return nil, c.problem
	}
	res, err := c.wire.Do(ctx, wire.Call{
		Path:       c.path(Models, ""),
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
	})
	if err != nil {
		return nil, c.fail(Models.String(), err)
	}
	defer func() { _ = res.Close() }() // it never fails
	data, err := res.ReadAll(0)
	if err != nil {
		return nil, c.broken(Models, res, err)
	}
	models, err := openai.DecodeModels(data)
	if err != nil {
		return nil, c.malformed(Models, res, data, err, false)
	}
	return models, nil
}
