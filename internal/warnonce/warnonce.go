// Package warnonce logs each thing that a backend leaves out once.
package warnonce

import (
	"log/slog"
	"sync"
)

// Log is where warnings go. Its zero value logs to [slog.Default], and it is safe for concurrent use.
type Log struct {
	// Logger is set before the first use; nil is [slog.Default] at the time of a warning.
	Logger *slog.Logger

	said sync.Map // keys
}

// Warn logs a warning the first time that it is called with the key.
func (l *Log) Warn(key any, message string, attributes ...any) {
	if _, again := l.said.LoadOrStore(key, true); again {
		return
	}
	logger := l.Logger
	if logger == nil {
		logger = slog.Default()
	}
	logger.Warn(message, attributes...)
}
