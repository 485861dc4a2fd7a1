package telemetry

import (
	"crypto/tls"
	"io"
	"log/slog"

	otellog "go.opentelemetry.io/otel/log"
	sdklog "go.opentelemetry.io/otel/sdk/log"
)

// WithLogs switches logs on or off. On means that steps of the program tell [Telemetry.LogHandler] where a line is written;
// without an exporter there is nothing more to it. Off means that the handler writes nothing and no event is sent,
// whatever the environment says.
func WithLogs(on bool) Option { return func(o *options) { o.logs = &on } }

// WithLoggerProvider sends log lines and log events to an application's own provider, and switches logs on. Processors,
// exporters and the resource are the provider's business then, and [Telemetry.Shutdown] flushes the provider but leaves
// it running.
func WithLoggerProvider(p otellog.LoggerProvider) Option {
	return func(o *options) { o.loggerProvider = p }
}

// WithLogExporter exports log lines and log events to e as well, in batches, and switches logs on. Shutdown shuts e down.
func WithLogExporter(e sdklog.Exporter) Option {
	return func(o *options) { o.logExporters = append(o.logExporters, e) }
}

// WithLogsConsole writes the lines of [Telemetry.LogHandler] to w in place of standard error, and switches logs on. Writes
// are one line each and never at the same time.
func WithLogsConsole(w io.Writer) Option { return func(o *options) { o.logsConsole = w } }

// WithLogsJSON makes the lines of the console and of the file JSON objects, or lines for people to read, whatever
// MELLEA_LOGS_JSON says, and switches logs on.
func WithLogsJSON(on bool) Option { return func(o *options) { o.logsJSON = &on } }

// WithLogFile writes the lines to a file as well, and switches logs on. The file is made readable for its owner only; an
// existing one is continued. Before a line that would make it longer than maxBytes it becomes path.1, the file of that
// name path.2 and so on, of which backups are kept; 0 bytes never rotate, 0 backups keep none. One process may write to
// it. A file that cannot be opened is an error of [Setup].
func WithLogFile(path string, maxBytes int64, backups int) Option {
	return func(o *options) { o.logFile = &fileConfig{path: path, most: maxBytes, backups: backups} }
}

// WithLogWebhook posts the lines to an https URL as well, in JSON arrays of objects, and switches logs on. Posting never
// holds a line up: what finds the queue full is dropped. A URL of another scheme is an error of [Setup].
func WithLogWebhook(url string) Option { return func(o *options) { o.webhook = url } }

// WithLogWebhookTLS sets what the webhook's connections are secured with, such as a certificate authority of one's own.
// The default is that of the system. c is not to be changed afterwards.
func WithLogWebhookTLS(c *tls.Config) Option { return func(o *options) { o.webhookTLS = c } }

// WithLogLevel sets the least level of lines that are written, [slog.LevelInfo] by default. A [slog.LevelVar] changes it
// while the program runs. Log events are not filtered by it.
func WithLogLevel(l slog.Leveler) Option { return func(o *options) { o.logLevel = l } }

// WithPackageLogLevel sets the least level of lines that are written by a package and those beneath it: the import path,
// or for packages of this module what follows the module's path, such as "backend/openai". The most specific counts.
func WithPackageLogLevel(name string, l slog.Level) Option {
	return func(o *options) { o.packageLevels = append(o.packageLevels, levelRule{name, l}) }
}

// WithEventContent switches the capture of content on log events on or off: prompts and replies, reasons of verdicts,
// messages of exceptions. The default is off. That of spans is switched by [WithContent].
func WithEventContent(on bool) Option { return func(o *options) { o.eventContent = &on } }
