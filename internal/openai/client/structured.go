package client

import (
	"net/http"
	"strings"

	"github.com/mellea-go/mellea/internal/openai"
	"github.com/mellea-go/mellea/internal/wire"
)

// way is the key under which a client remembers how to ask for structured output of a model.
type way struct{ model string }

func (c *Client) way(model string) openai.Structured {
	known, ok := c.learned.Load(way{model})
	if !ok {
		return openai.BySchema
	}
	return known.(openai.Structured) //nolint:forcetypeassert // stored below
}

// simplify makes a request that was refused for its way of structured output ask in the next simpler way, and remembers
// that for the model. It reports false when that was not the reason, when there is no simpler way, and under strict
// options, which want the best or an error.
func (x *exchange) simplify(refused *wire.StatusError) bool {
	if x.format == nil || x.way == openai.ByInstruction || x.format.Options.Strict() || !formatRefused(refused) {
		return false
	}
	old := x.body
	x.way++
	if err := x.encode(*x.format); err != nil {
		return false
	}
	wire.PutBuffer(old)
	x.c.learned.Store(way{x.model}, x.way)
	x.c.once(way{x.model}, "the server cannot hold a reply to a schema, it is asked for in words", "model", x.model)
	return true
}

// formatRefused tells a server or a model without structured output of a kind from one that does not like a schema.
func formatRefused(e *wire.StatusError) bool {
	switch e.Status {
	case http.StatusBadRequest, http.StatusUnprocessableEntity, http.StatusNotImplemented:
	default:
		return false
	}
	m := strings.ToLower(e.Message)
	if strings.Contains(m, "invalid schema") || strings.Contains(m, "schema is invalid") {
		return false
	}
	about := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(m, w) {
				return true
			}
		}
		return false
	}
	return about("response_format", "response format", "json_schema", "json_object", "structured output") &&
		about("support", "unknown", "unrecognized", "unexpected", "not permitted", "not allowed", "unavailable", "must be", "should be", "expected", "not implemented")
}
