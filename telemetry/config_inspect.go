package telemetry

import (
	"net/url"
	"slices"
	"strings"
)

// An Origin says where a setting comes from.
type Origin string

// The origins.
const (
	FromOption      Origin = "option"
	FromEnvironment Origin = "environment"
	FromDeprecated  Origin = "deprecated variable"
	FromDefault     Origin = "default"
)

// A Setting is one variable and what it comes to.
type Setting struct {
	Name string
	// Value is what is set, or the default; "" where there is neither. Headers and keys are masked, and of an endpoint
	// user name, password and query are left out.
	Value  string
	Origin Origin
	// Pillar is "traces", "metrics", "logs" or "command line".
	Pillar string
	// Note says what there is to know about it, "" for nothing.
	Note string
}

// Effective is the configuration that [Setup] would work with.
type Effective struct {
	// Settings has every known variable, those of traces first.
	Settings []Setting
	// Endpoint and Protocol are where spans are exported to by OTLP, "" when they are not. Headers are never part of it.
	Endpoint, Protocol string
	// MetricsEndpoint and MetricsProtocol are the same for metrics.
	MetricsEndpoint, MetricsProtocol string
	// LogsEndpoint and LogsProtocol are the same for logs.
	LogsEndpoint, LogsProtocol string
	// Warnings are what Setup would warn of.
	Warnings []string
}

// Inspect returns the configuration that Setup would work with in the environment given, without opening anything.
// environ, in the form of [os.Environ], is searched for unknown names; it may be nil.
func Inspect(lookup func(name string) (string, bool), environ []string, opts ...Option) Effective {
	o := newOptions(append([]Option{WithLookupEnv(lookup)}, opts...))
	o.environ = environ
	c, e := resolve(o)
	var out Effective
	for _, v := range variables {
		out.Settings = append(out.Settings, setting(v, e))
	}
	if c.otlp != nil {
		out.Endpoint, out.Protocol = safeURL(c.otlp.endpoint.String()), c.otlp.protocol
	}
	if m := c.metrics.otlp; m != nil {
		out.MetricsEndpoint, out.MetricsProtocol = safeURL(m.endpoint.String()), m.protocol
	}
	if l := c.logs.otlp; l != nil {
		out.LogsEndpoint, out.LogsProtocol = safeURL(l.endpoint.String()), l.protocol
	}
	out.Warnings = slices.Clone(e.warnings)
	return out
}

func setting(v variable, e *environment) Setting {
	s := Setting{Name: v.name, Pillar: v.pillar, Value: v.standard, Origin: FromDefault}
	if set, ok := e.get(v.name); ok {
		s.Value, s.Origin = shown(v, set), FromEnvironment
	}
	d, decided := e.decided[v.name]
	if decided {
		s.Value, s.Origin, s.Note = d.value, d.origin, d.note
	}
	switch {
	case s.Note != "":
	case v.replacement != "":
		s.Note = "deprecated: use " + v.replacement
	}
	return s
}

func shown(v variable, value string) string {
	switch {
	case v.secret:
		return "****"
	case strings.HasSuffix(v.name, "_ENDPOINT"):
		return safeURL(value)
	}
	return value
}

// safeURL leaves out what may be secret in a URL, or in an endpoint without a scheme.
func safeURL(raw string) string {
	whole := raw
	if !strings.Contains(raw, "://") {
		whole = "//" + raw
	}
	u, err := url.Parse(whole)
	if err != nil || strings.Contains(u.Path, "@") { // a password may hold a slash
		return "****"
	}
	safe := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return strings.TrimPrefix(safe.String(), strings.TrimSuffix(whole, raw))
}
