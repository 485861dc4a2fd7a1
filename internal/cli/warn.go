package cli

import (
	"context"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
)

// logSinks is where log lines of libraries go beside standard error, as MELLEA_LOGS_* say. It is set once telemetry has
// started, and shared with the default logger of the process.
type logSinks struct{ h atomic.Pointer[sinks] }

type sinks struct {
	slog.Handler

	console bool // standard error is among them, so that a warning is no line of the command
}

// is sets the handler; nil takes it away.
func (l *logSinks) is(s *sinks) { l.h.Store(s) }

func (l *logSinks) handler() *sinks {
	if l == nil {
		return nil
	}
	return l.h.Load()
}

// warningHandler prints warnings of libraries as lines of the command, and passes everything on to the sinks of logs.
type warningHandler struct {
	a     *app
	attrs []slog.Attr
}

func (h warningHandler) Enabled(ctx context.Context, level slog.Level) bool {
	s := h.a.logs.handler()
	return level >= slog.LevelWarn || s != nil && s.Enabled(ctx, level)
}

func (h warningHandler) Handle(ctx context.Context, r slog.Record) error {
	s := h.a.logs.handler()
	if r.Level >= slog.LevelWarn && (s == nil || !s.console) {
		h.print(r)
	}
	if s == nil || !s.Enabled(ctx, r.Level) {
		return nil
	}
	r = r.Clone()
	r.AddAttrs(h.attrs...)
	return s.Handle(ctx, r)
}

func (h warningHandler) print(r slog.Record) {
	var b strings.Builder
	b.WriteString(r.Message)
	write := func(at slog.Attr) bool {
		b.WriteString(" " + at.Key + "=" + at.Value.String())
		return true
	}
	for _, at := range h.attrs {
		write(at)
	}
	r.Attrs(write)
	h.a.warn("%s", b.String())
}

func (h warningHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	h.attrs = append(slices.Clip(h.attrs), attrs...)
	return h
}

// WithGroup drops the group: a line for people has none.
func (h warningHandler) WithGroup(string) slog.Handler { return h }
