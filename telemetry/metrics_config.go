package telemetry

import (
	"io"
	"net"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
)

// metricsConfig is what options and environment come to for metrics.
type metricsConfig struct {
	enabled    bool
	sdk        bool // a provider of this package; false with an application's own
	naming     Naming
	otlp       *otlpConfig
	console    io.Writer // nil is off
	prometheus bool
	serve      string // the address of /metrics, "" to register only
	interval   time.Duration
	timeout    time.Duration
	resource   []attribute.KeyValue
	pricing    bool
	prices     string // a file of prices
}

func resolveMetrics(o options, e *environment) metricsConfig {
	var c metricsConfig
	enabled, given := e.boolean("MELLEA_METRICS_ENABLED")
	inCode := o.meterProvider != nil || o.metricsConsole != nil || len(o.readers) > 0 || o.registerer != nil
	switch {
	case o.metrics != nil:
		enabled = *o.metrics
		e.decide("MELLEA_METRICS_ENABLED", FromOption, enabled)
	case inCode:
		enabled = true
		e.decide("MELLEA_METRICS_ENABLED", FromOption, enabled)
	}
	otlp, _ := e.boolean("MELLEA_METRICS_OTLP")
	console, _ := e.boolean("MELLEA_METRICS_CONSOLE")
	prometheus, _ := e.boolean("MELLEA_METRICS_PROMETHEUS")
	disabled, _ := e.boolean("OTEL_SDK_DISABLED")
	if !enabled && !given && o.metrics == nil && (otlp || console || prometheus) {
		e.warnf("an exporter of metrics is on, but metrics are not: set MELLEA_METRICS_ENABLED=true")
	}
	c.naming = naming(e)
	if o.naming != "" {
		c.naming = o.naming
		e.decide("MELLEA_METRICS_SEMCONV", FromOption, c.naming)
	}
	c.resolvePricing(o, e)
	c.sdk = o.meterProvider == nil
	c.enabled = enabled && (!c.sdk || !disabled)
	if !c.enabled || !c.sdk {
		return c
	}
	if c.console = o.metricsConsole; c.console != nil {
		e.decide("MELLEA_METRICS_CONSOLE", FromOption, true)
	} else if console {
		c.console = os.Stderr
	}
	if otlp {
		c.otlp = otlpFrom(e, signalMetrics)
	}
	c.resolvePrometheus(prometheus || o.registerer != nil, e)
	if !otlp && c.console == nil && !c.prometheus && len(o.readers) == 0 {
		e.warnf("metrics are on but go nowhere: set MELLEA_METRICS_OTLP=true with OTEL_EXPORTER_OTLP_ENDPOINT, MELLEA_METRICS_PROMETHEUS=true or MELLEA_METRICS_CONSOLE=true")
	}
	c.interval = time.Duration(e.number("OTEL_METRIC_EXPORT_INTERVAL", 60000, 1)) * time.Millisecond
	c.timeout = time.Duration(e.number("OTEL_METRIC_EXPORT_TIMEOUT", 30000, 1)) * time.Millisecond
	c.resource = resourceAttributes(e)
	return c
}

func naming(e *environment) Naming {
	const name = "MELLEA_METRICS_SEMCONV"
	v, ok := e.get(name)
	if !ok {
		return LatestNames
	}
	switch n := Naming(strings.ToLower(v)); n {
	case LatestNames, LegacyNames, BothNames:
		return n
	}
	e.warnf("%s must be latest, legacy or both: the default, latest, is used", name)
	e.unusable(name, LatestNames)
	return LatestNames
}

func (c *metricsConfig) resolvePricing(o options, e *environment) {
	c.pricing, _ = e.flag("MELLEA_PRICING_ENABLED", true)
	c.prices, _ = e.get("MELLEA_PRICING_FILE")
	if o.prices != nil {
		c.pricing = true
		e.decide("MELLEA_PRICING_ENABLED", FromOption, true)
	}
}

// resolvePrometheus binds the loopback interface where the address names none.
func (c *metricsConfig) resolvePrometheus(on bool, e *environment) {
	const name = "MELLEA_METRICS_PROMETHEUS_ADDR"
	address, given := e.get(name)
	if c.prometheus = on; !on {
		if given {
			e.warnf("%s is set, but MELLEA_METRICS_PROMETHEUS is not on: nothing is served", name)
		}
		return
	}
	if !given {
		return
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		e.warnf("%s must be of the form host:port or :port: metrics are not served", name)
		e.unusable(name, "")
		return
	}
	if host == "" {
		host = "127.0.0.1"
	}
	c.serve = net.JoinHostPort(host, port)
}
