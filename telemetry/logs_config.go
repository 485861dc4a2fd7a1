package telemetry

import (
	"cmp"
	"io"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
)

// logsConfig is what options and environment come to for logs.
type logsConfig struct {
	enabled  bool // steps of the program tell the handler where a line is written
	off      bool // nothing is written at all
	export   bool // there is a provider for lines and events
	sdk      bool // it is of this package; false with an application's own
	level    slog.Leveler
	rules    []levelRule
	console  io.Writer // nil is off
	json     bool
	file     *fileConfig // nil is off
	otlp     *otlpConfig
	webhook  *url.URL // nil is off
	batch    batchConfig
	resource []attribute.KeyValue
	content  bool // of events
}

type fileConfig struct {
	path    string
	most    int64
	backups int
	fromEnv bool
}

func resolveLogs(o options, e *environment, eventContent bool) logsConfig {
	c := logsConfig{content: eventContent}
	if o.eventContent != nil {
		c.content = *o.eventContent
	}
	leveled := c.resolveLevel(o, e)
	sinks := c.resolveSinks(o, e)
	otlp, _ := e.boolean("MELLEA_LOGS_OTLP")
	disabled, _ := e.boolean("OTEL_SDK_DISABLED")
	switch inCode := o.loggerProvider != nil || len(o.logExporters) > 0; {
	case o.logs != nil && !*o.logs:
		return logsConfig{off: true, level: c.level}
	default:
		c.enabled = o.logs != nil || inCode || leveled || sinks || otlp
	}
	c.sdk = o.loggerProvider == nil
	if !c.sdk {
		c.export = true
		return c
	}
	if disabled || !otlp && len(o.logExporters) == 0 {
		return c
	}
	c.batch = batching(e, "OTEL_BLRP_", 1000)
	c.resource = resourceAttributes(e)
	if otlp {
		c.otlp = otlpFrom(e, signalLogs)
	}
	c.export = c.otlp != nil || len(o.logExporters) > 0
	return c
}

// resolveLevel reports whether a level is given.
func (c *logsConfig) resolveLevel(o options, e *environment) bool {
	const name = "MELLEA_LOGS_LEVEL"
	text, given := e.get(name)
	base, rules, err := parseLevels(text)
	if err != nil {
		e.warnf("%s must be a level such as INFO, or levels by package such as INFO,backend=DEBUG: what is not is left out", name)
		if len(rules) == 0 && base == slog.LevelInfo {
			e.unusable(name, slog.LevelInfo)
		}
	}
	c.level, c.rules = base, rules
	if o.logLevel != nil {
		c.level = o.logLevel
	}
	for _, r := range o.packageLevels {
		c.rules = slices.DeleteFunc(c.rules, func(old levelRule) bool { return old.name == r.name })
		c.rules = append(c.rules, r)
	}
	if o.logLevel != nil || len(o.packageLevels) > 0 {
		given = true
		e.decide(name, FromOption, levelsText(c.level, c.rules))
	}
	return given
}

// resolveSinks reports whether a sink of lines is asked for.
func (c *logsConfig) resolveSinks(o options, e *environment) bool {
	console, consoleGiven := e.flag("MELLEA_LOGS_CONSOLE", true)
	switch {
	case o.logsConsole != nil:
		c.console = o.logsConsole
		e.decide("MELLEA_LOGS_CONSOLE", FromOption, true)
	case console:
		c.console = os.Stderr
	}
	c.json, _ = e.boolean("MELLEA_LOGS_JSON")
	if o.logsJSON != nil {
		c.json = *o.logsJSON
		e.decide("MELLEA_LOGS_JSON", FromOption, c.json)
	}
	c.resolveFile(o, e)
	c.resolveWebhook(o, e)
	return o.logsConsole != nil || consoleGiven && console || c.json || o.logsJSON != nil || c.file != nil || c.webhook != nil
}

func (c *logsConfig) resolveFile(o options, e *environment) {
	const name, size, count = "MELLEA_LOGS_FILE", "MELLEA_LOGS_FILE_MAX_BYTES", "MELLEA_LOGS_FILE_BACKUP_COUNT"
	f := fileConfig{most: int64(e.number(size, 10<<20, 0)), backups: e.number(count, 5, 0), fromEnv: true}
	f.path, _ = e.get(name)
	switch {
	case o.logFile != nil:
		f = *o.logFile
		f.most, f.backups = max(f.most, 0), max(f.backups, 0)
		e.decide(name, FromOption, f.path)
		e.decide(size, FromOption, f.most)
		e.decide(count, FromOption, f.backups)
	case f.path == "":
		if _, set, ok := e.first(size, count); ok {
			e.warnf("%s is set, but %s is not: no file is written", set, name)
		}
		return
	}
	c.file = &f
}

// resolveWebhook refuses what is not https: lines may well hold what is nobody else's business.
func (c *logsConfig) resolveWebhook(o options, e *environment) {
	const name = "MELLEA_LOGS_WEBHOOK"
	raw, _ := e.get(name)
	if o.webhook != "" {
		e.decide(name, FromOption, "****")
		c.webhook, _ = webhookURL(o.webhook) // Setup has returned the error
		return
	}
	if raw == "" {
		return
	}
	var err error
	if c.webhook, err = webhookURL(raw); err != nil {
		e.warnf("%s %v: log lines are not sent", name, err)
		e.unusable(name, "")
	}
}

// levelsText is the form that parseLevels reads.
func levelsText(base slog.Leveler, rules []levelRule) string {
	parts := []string{base.Level().String()}
	for _, r := range slices.SortedFunc(slices.Values(rules), func(a, b levelRule) int { return cmp.Compare(a.name, b.name) }) {
		parts = append(parts, r.name+"="+r.level.String())
	}
	return strings.Join(parts, ",")
}
