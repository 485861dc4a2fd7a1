package engine

import (
	"context"
	"errors"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
)

// render turns a component into messages, under a Format operation.
func (s Scope) render(ctx context.Context, c component.Component, model string, iteration int) (component.Rendered, error) {
	var out component.Rendered
	_, err := hookpoint.Format.Do(ctx, s.Set, hookpoint.FormatStart{Session: s.Session, Phase: hookpoint.Render, Kind: c.Kind(),
		Model: model, Iteration: iteration},
		func(ctx context.Context, _ hookpoint.FormatStart) (hookpoint.FormatEnd, error) {
			var err error
			out, err = s.Formatter.Render(c, model)
			return hookpoint.FormatEnd{Messages: out.Messages, Template: out.Template, Length: out.Length}, ending(ctx, err)
		})
	return out, err
}

// parse turns a reply into the call's value, under a Format operation. A failure that is not a *component.ParseError
// becomes one.
func (s Scope) parse(ctx context.Context, c Call, m content.Message, iteration int) (any, error) {
	if c.Parse == nil {
		return m.Text(), nil
	}
	var value any
	_, err := hookpoint.Format.Do(ctx, s.Set, hookpoint.FormatStart{Session: s.Session, Phase: hookpoint.Parse, Kind: c.Component.Kind(),
		Iteration: iteration},
		func(context.Context, hookpoint.FormatStart) (hookpoint.FormatEnd, error) {
			var err error
			if value, err = c.Parse(m); err != nil {
				if _, ok := errors.AsType[*component.ParseError](err); !ok {
					err = &component.ParseError{Kind: c.Component.Kind(), Reason: err.Error(), Err: err}
				}
			}
			return hookpoint.FormatEnd{Length: len(m.Text())}, err
		})
	return value, err
}
