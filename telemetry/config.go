package telemetry

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// config is what options and environment come to.
type config struct {
	enabled bool
	scopes  scopes
	// sdk says that spans are made by a provider of this package; false with an application's own.
	sdk      bool
	console  io.Writer // nil is off
	otlp     *otlpConfig
	file     string // that spans are appended to; "" is none
	sampler  sdktrace.Sampler
	batch    batchConfig
	resource []attribute.KeyValue
	// propagate says that traceparent is sent, and baggage to hosts that may have it.
	propagate, baggage bool
	content            bool
	maxBytes           int
	contentDir         string
	chunkEvery         int
	metrics            metricsConfig
	logs               logsConfig
}

type batchConfig struct {
	delay, timeout time.Duration
	queue, batch   int
}

// environment reads variables and keeps account of it.
type environment struct {
	lookup   func(string) (string, bool)
	decided  map[string]decision // of settings that are not what their variable says
	warnings []string
}

// A decision is a setting that something else made than its own variable.
type decision struct {
	origin Origin
	value  string
	note   string
}

func (e *environment) decide(name string, o Origin, value any) {
	e.decided[name] = decision{origin: o, value: fmt.Sprint(value)}
}

// unusable is the decision for a variable whose value cannot be used.
func (e *environment) unusable(name string, standard any) {
	e.decided[name] = decision{origin: FromDefault, value: fmt.Sprint(standard), note: "what is set cannot be used"}
}

func (e *environment) warnf(format string, args ...any) {
	if text := fmt.Sprintf(format, args...); !slices.Contains(e.warnings, text) {
		e.warnings = append(e.warnings, text)
	}
}

// get returns a variable that is set. An empty one counts as not set, as OpenTelemetry has it.
func (e *environment) get(name string) (string, bool) {
	v, ok := e.lookup(name)
	v = strings.TrimSpace(v)
	if !ok || v == "" {
		return "", false
	}
	return v, true
}

// first returns the first of several variables that is set.
func (e *environment) first(names ...string) (value, name string, ok bool) {
	for _, name := range names {
		if v, ok := e.get(name); ok {
			return v, name, true
		}
	}
	return "", "", false
}

// boolean returns a switch. What is not one is a warning and counts as not set.
func (e *environment) boolean(name string) (on, ok bool) { return e.flag(name, false) }

// flag is boolean for a switch with a default.
func (e *environment) flag(name string, standard bool) (on, ok bool) {
	v, ok := e.get(name)
	if !ok {
		return standard, false
	}
	switch strings.ToLower(v) {
	case "1", "true", "yes", "on":
		return true, true
	case "0", "false", "no", "off":
		return false, true
	}
	e.warnf("%s must be one of true, false, yes, no, on, off, 1, 0: the default, %t, is used", name, standard)
	e.unusable(name, standard)
	return standard, false
}

func (e *environment) number(name string, standard, least int) int {
	v, ok := e.get(name)
	if !ok {
		return standard
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < least {
		e.warnf("%s must be a number of at least %d: the default, %d, is used", name, least, standard)
		e.unusable(name, standard)
		return standard
	}
	return n
}

// renamed returns a switch that had another name, whose use is a warning.
func (e *environment) renamed(name, old string) (on, ok bool) {
	on, ok = e.boolean(name)
	if was, used := e.deprecated(old, name); used && !ok {
		e.decide(name, FromDeprecated, was)
		return was, true
	}
	return on, ok
}

func (e *environment) deprecated(old, replacement string) (on, ok bool) {
	if _, set := e.get(old); set {
		e.warnf("%s is deprecated and will be removed in the next release: use %s", old, replacement)
	}
	return e.boolean(old)
}

// resolve lays the options over the environment. It opens nothing.
func resolve(o options) (config, *environment) {
	e := &environment{lookup: o.lookup, decided: map[string]decision{}}
	var c config
	c.resolveSwitches(o, e)
	events := c.resolveContent(o, e)
	c.resolveChunks(o, e)
	c.resolvePropagation(e)
	if c.sdk {
		c.sampler = sampler(e)
		c.batch = batching(e, "OTEL_BSP_", sdktrace.DefaultScheduleDelay)
		c.resource = resourceAttributes(e)
	}
	c.metrics = resolveMetrics(o, e)
	c.logs = resolveLogs(o, e, events)
	e.checkNames(o.environ)
	return c, e
}

func (c *config) resolveSwitches(o options, e *environment) {
	c.scopes = scopes{application: true, backend: true}
	enabled, given := e.boolean("MELLEA_TRACES_ENABLED")
	application, _ := e.deprecated("MELLEA_TRACE_APPLICATION", "MELLEA_TRACES_ENABLED")
	backend, _ := e.deprecated("MELLEA_TRACE_BACKEND", "MELLEA_TRACES_ENABLED")
	old := false
	switch inCode := o.provider != nil || o.console != nil || o.tracesFile != nil || len(o.exporters) > 0; {
	case o.traces != nil:
		enabled = *o.traces
		e.decide("MELLEA_TRACES_ENABLED", FromOption, enabled)
	case inCode:
		enabled = true
		e.decide("MELLEA_TRACES_ENABLED", FromOption, enabled)
	case !given && (application || backend):
		enabled, old = true, true
		c.scopes = scopes{application, backend}
		e.decide("MELLEA_TRACES_ENABLED", FromDeprecated, enabled)
	}
	otlp, otlpGiven := e.boolean("MELLEA_TRACES_OTLP")
	console, _ := e.renamed("MELLEA_TRACES_CONSOLE", "MELLEA_TRACE_CONSOLE")
	disabled, _ := e.boolean("OTEL_SDK_DISABLED")
	_, _, endpoint := e.first("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
	if old && !otlpGiven && endpoint { // as it was
		otlp = true
		e.decide("MELLEA_TRACES_OTLP", FromDeprecated, otlp)
	}
	file, _ := e.get("MELLEA_TRACES_FILE")
	if !enabled && !given && o.traces == nil && (otlp || console || file != "") {
		e.warnf("an exporter of traces is on, but traces are not: set MELLEA_TRACES_ENABLED=true")
	}
	c.sdk = o.provider == nil
	c.enabled = enabled && (!c.sdk || !disabled)
	if !c.enabled || !c.sdk {
		return
	}
	if c.console = o.console; c.console != nil {
		e.decide("MELLEA_TRACES_CONSOLE", FromOption, true)
	} else if console {
		c.console = os.Stderr
	}
	if otlp {
		c.otlp = otlpFrom(e, signalTraces)
	}
	if c.file = file; o.tracesFile != nil {
		c.file = *o.tracesFile
		e.decide("MELLEA_TRACES_FILE", FromOption, c.file)
	}
	if !otlp && c.console == nil && c.file == "" && len(o.exporters) == 0 {
		e.warnf("traces are on but go nowhere: set MELLEA_TRACES_OTLP=true with OTEL_EXPORTER_OTLP_ENDPOINT, or MELLEA_TRACES_FILE, or MELLEA_TRACES_CONSOLE=true")
	}
}

// resolveContent also returns whether OpenTelemetry's variable asks for content on events.
func (c *config) resolveContent(o options, e *environment) (events bool) {
	own, given := e.renamed("MELLEA_TRACES_CONTENT", "MELLEA_TRACE_CONTENT")
	spans, events := contentMode(e)
	if !given && spans {
		own = true
		e.decided["MELLEA_TRACES_CONTENT"] = decision{FromEnvironment, "true", "by " + genAIContent}
	}
	if o.content != nil {
		own = *o.content
		e.decide("MELLEA_TRACES_CONTENT", FromOption, own)
	}
	c.content = own
	c.maxBytes = e.number("MELLEA_TRACES_CONTENT_MAX_BYTES", DefaultContentMaxBytes, 1)
	if o.maxBytes != nil {
		c.maxBytes = *o.maxBytes
		if c.maxBytes < 1 {
			c.maxBytes = DefaultContentMaxBytes
		}
		e.decide("MELLEA_TRACES_CONTENT_MAX_BYTES", FromOption, c.maxBytes)
	}
	if dir, ok := e.get("MELLEA_TRACES_CONTENT_DIR"); ok && !o.storeSet {
		c.contentDir = dir
	} else if o.storeSet {
		e.decide("MELLEA_TRACES_CONTENT_DIR", FromOption, "")
	}
	return events
}

const genAIContent = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

// contentMode reports whether OpenTelemetry's variable asks for content on spans, and on events.
func contentMode(e *environment) (spans, events bool) {
	v, ok := e.get(genAIContent)
	if !ok {
		return false, false
	}
	switch strings.ToUpper(v) {
	case "SPAN_ONLY":
		return true, false
	case "EVENT_ONLY":
		return false, true
	case "SPAN_AND_EVENT", "TRUE":
		return true, true
	case "NO_CONTENT", "FALSE":
		return false, false
	}
	e.warnf("%s must be one of NO_CONTENT, SPAN_ONLY, EVENT_ONLY, SPAN_AND_EVENT: the default, NO_CONTENT, is used", genAIContent)
	e.unusable(genAIContent, "NO_CONTENT")
	return false, false
}

func (c *config) resolveChunks(o options, e *environment) {
	const name = "MELLEA_GENERATION_CHUNK_EVENTS"
	if v, ok := e.get(name); ok {
		n, err := strconv.Atoi(v)
		switch {
		case err == nil && n >= 0:
			c.chunkEvery = n
		case err == nil:
			e.warnf("%s must be true, false or a number of at least 1: the default, false, is used", name)
			e.unusable(name, false)
		default:
			if on, _ := e.boolean(name); on {
				c.chunkEvery = 1
			}
		}
	}
	if o.chunkEvery != nil {
		c.chunkEvery = max(*o.chunkEvery, 0)
		e.decide(name, FromOption, c.chunkEvery)
	}
}

func (c *config) resolvePropagation(e *environment) {
	v, ok := e.get("OTEL_PROPAGATORS")
	if !ok {
		c.propagate, c.baggage = true, true
		return
	}
	for name := range strings.SplitSeq(v, ",") {
		switch strings.ToLower(strings.TrimSpace(name)) {
		case "tracecontext":
			c.propagate = true
		case "baggage":
			c.baggage = true
		case "none", "":
		default:
			e.warnf("OTEL_PROPAGATORS names one that is not supported: only tracecontext, baggage and none are")
		}
	}
}

// batching reads the variables of a batch processor. delay is the default between two exports, in milliseconds.
func batching(e *environment, prefix string, delay int) batchConfig {
	millis := func(name string, standard int) time.Duration {
		return time.Duration(e.number(prefix+name, standard, 0)) * time.Millisecond
	}
	b := batchConfig{
		delay:   millis("SCHEDULE_DELAY", delay),
		timeout: millis("EXPORT_TIMEOUT", sdktrace.DefaultExportTimeout),
		queue:   e.number(prefix+"MAX_QUEUE_SIZE", sdktrace.DefaultMaxQueueSize, 1),
		batch:   e.number(prefix+"MAX_EXPORT_BATCH_SIZE", sdktrace.DefaultMaxExportBatchSize, 1),
	}
	b.batch = min(b.batch, b.queue)
	return b
}

func sampler(e *environment) sdktrace.Sampler {
	standard := sdktrace.ParentBased(sdktrace.AlwaysSample())
	v, ok := e.get("OTEL_TRACES_SAMPLER")
	if !ok {
		return standard
	}
	switch strings.ToLower(v) {
	case "always_on":
		return sdktrace.AlwaysSample()
	case "always_off":
		return sdktrace.NeverSample()
	case "traceidratio":
		return sdktrace.TraceIDRatioBased(ratio(e))
	case "parentbased_always_on":
		return standard
	case "parentbased_always_off":
		return sdktrace.ParentBased(sdktrace.NeverSample())
	case "parentbased_traceidratio":
		return sdktrace.ParentBased(sdktrace.TraceIDRatioBased(ratio(e)))
	}
	e.warnf("OTEL_TRACES_SAMPLER is not known: the default, parentbased_always_on, is used")
	e.unusable("OTEL_TRACES_SAMPLER", "parentbased_always_on")
	return standard
}

func ratio(e *environment) float64 {
	v, ok := e.get("OTEL_TRACES_SAMPLER_ARG")
	if !ok {
		return 1
	}
	r, err := strconv.ParseFloat(v, 64)
	if err != nil || !(r >= 0 && r <= 1) {
		e.warnf("OTEL_TRACES_SAMPLER_ARG must be a number between 0 and 1: the default, 1, is used")
		e.unusable("OTEL_TRACES_SAMPLER_ARG", 1)
		return 1
	}
	return r
}

// checkNames warns about names that look like this library's and are not.
func (e *environment) checkNames(environ []string) {
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		if !strings.HasPrefix(name, "MELLEA_") {
			continue
		}
		if _, known := variableNamed(name); !known && !slices.Contains(projectVariables, name) {
			e.warnf("%s is not a variable of this library: did you mean %s?", name, nearest(name))
		}
	}
}
