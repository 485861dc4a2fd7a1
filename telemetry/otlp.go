package telemetry

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

const (
	protocolGRPC = "grpc"
	protocolHTTP = "http/protobuf"
)

// A signal is a kind of telemetry, as the variables of its exporter call it.
type signal struct {
	variable string // the part of a variable's name
	path     string // of an HTTP endpoint
	noun     string // what is exported
}

var (
	signalTraces  = signal{"TRACES", "v1/traces", "spans"}
	signalMetrics = signal{"METRICS", "v1/metrics", "metrics"}
	signalLogs    = signal{"LOGS", "v1/logs", "logs"}
)

// names returns the exporter's variables for a setting, that of the signal first.
func (s signal) names(setting string) []string {
	return []string{"OTEL_EXPORTER_OTLP_" + s.variable + "_" + setting, "OTEL_EXPORTER_OTLP_" + setting}
}

// otlpConfig is where and how a signal is exported.
type otlpConfig struct {
	endpoint *url.URL // whole: with the path of the signal for HTTP
	protocol string
	headers  map[string]string
	timeout  time.Duration
	gzip     bool
	tls      *tls.Config // nil is the system's
}

// otlpFrom reads the exporter's variables, signal-specific ones first, and returns nil when there is no endpoint that
// could be used: none is ever guessed.
func otlpFrom(e *environment, of signal) *otlpConfig {
	names := of.names("ENDPOINT")
	raw, name, ok := e.first(names...)
	if !ok {
		e.warnf("%s are not exported, as there is no endpoint: set %s or %s", of.noun, names[0], names[1])
		return nil
	}
	endpoint := endpointURL(e, of, raw)
	if endpoint == nil {
		e.warnf("%s is not a URL such as http://localhost:4318: %s are not exported", name, of.noun)
		return nil
	}
	c := &otlpConfig{endpoint: endpoint, protocol: protocol(e, of, endpoint.Port())}
	if c.protocol == protocolGRPC && endpoint.Port() == "4318" {
		e.warnf("the protocol is grpc but the endpoint's port is 4318, which is that of http/protobuf: set OTEL_EXPORTER_OTLP_PROTOCOL or use port 4317")
	}
	if c.protocol == protocolHTTP {
		switch {
		case name == "OTEL_EXPORTER_OTLP_ENDPOINT":
			c.endpoint = endpoint.JoinPath(of.path)
		case endpoint.Path == "":
			endpoint.Path = "/"
		}
	}
	if name := unprintableHeaders(of); name != "" {
		e.warnf("%s must be of the form name=value,name=value: %s are not exported", name, of.noun)
		return nil
	}
	c.headers = headers(e, of)
	c.timeout = time.Duration(e.number(firstSet(e, of.names("TIMEOUT")...), 10000, 1)) * time.Millisecond
	switch v, name, ok := e.first(of.names("COMPRESSION")...); {
	case v == "gzip":
		c.gzip = true
	case ok && v != "none":
		e.warnf("%s must be gzip or none: the default, none, is used", name)
		e.unusable(name, "none")
	}
	c.tls = clientTLS(e, of)
	return c
}

// firstSet returns the first of the names that is set, the last when none is.
func firstSet(e *environment, names ...string) string {
	if _, name, ok := e.first(names...); ok {
		return name
	}
	return names[len(names)-1]
}

// endpointURL accepts host:port too, as gRPC endpoints are often written.
func endpointURL(e *environment, of signal, raw string) *url.URL {
	if !strings.Contains(raw, "://") {
		scheme := "https://"
		insecure, _ := e.boolean(firstSet(e, of.names("INSECURE")...))
		if insecure || isLoopback(raw) {
			scheme = "http://"
		}
		raw = scheme + raw
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil
	}
	return u
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func protocol(e *environment, of signal, port string) string {
	v, name, ok := e.first(of.names("PROTOCOL")...)
	standard := protocolHTTP
	if port == "4317" {
		standard = protocolGRPC
	}
	switch {
	case !ok:
		return standard
	case v == protocolGRPC, v == protocolHTTP:
		return v
	}
	e.warnf("%s must be grpc or http/protobuf: %s is used", name, standard)
	e.unusable(name, standard)
	return standard
}

// headers parses k=v,k=v with percent-encoded values. A warning never shows one.
func headers(e *environment, of signal) map[string]string {
	v, name, _ := e.first(of.names("HEADERS")...)
	all, ok := pairs(v)
	if !ok {
		e.warnf("%s must be of the form name=value,name=value: what is not is left out", name)
	}
	return all
}

// unprintableHeaders returns the name of a header variable of the process that is malformed, "" when none is. The exporters
// of the SDK read these themselves, whatever they are given, and print what they cannot parse, which may well be a key:
// none is made then.
func unprintableHeaders(of signal) string {
	for _, name := range of.names("HEADERS") {
		v := strings.TrimSpace(os.Getenv(name))
		if v == "" {
			continue
		}
		for member := range strings.SplitSeq(v, ",") {
			k, value, found := strings.Cut(member, "=")
			_, err := url.PathUnescape(value)
			if !found || err != nil || !isHeaderName(strings.TrimSpace(k)) {
				return name
			}
		}
	}
	return ""
}

// isHeaderName reports whether s is a token (RFC 9110, section 5.6.2).
func isHeaderName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return r > '~' || r <= ' ' || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", r)
	})
}

func pairs(list string) (map[string]string, bool) {
	all, ok := map[string]string{}, true
	for member := range strings.SplitSeq(list, ",") {
		if strings.TrimSpace(member) == "" {
			continue
		}
		k, v, found := strings.Cut(member, "=")
		k = strings.TrimSpace(k)
		v, err := url.PathUnescape(strings.TrimSpace(v))
		if !found || k == "" || err != nil {
			ok = false
			continue
		}
		all[k] = v
	}
	return all, ok
}

func clientTLS(e *environment, of signal) *tls.Config {
	var c *tls.Config
	if file, name, ok := e.first(of.names("CERTIFICATE")...); ok {
		pem, err := os.ReadFile(file)
		pool := x509.NewCertPool()
		if err != nil || !pool.AppendCertsFromPEM(pem) {
			e.warnf("%s does not name a file with certificates: those of the system are used", name)
		} else {
			c = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
		}
	}
	cert, name, ok := e.first(of.names("CLIENT_CERTIFICATE")...)
	key, _, keyOK := e.first(of.names("CLIENT_KEY")...)
	if !ok || !keyOK {
		return c
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		e.warnf("%s and its key cannot be loaded: no client certificate is used", name)
		return c
	}
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	c.Certificates = []tls.Certificate{pair}
	return c
}

// resourceAttributes are those of OTEL_RESOURCE_ATTRIBUTES, over them OTEL_SERVICE_NAME, and "mellea" where neither
// names the service.
func resourceAttributes(e *environment) []attribute.KeyValue {
	list, _ := e.get("OTEL_RESOURCE_ATTRIBUTES")
	all, ok := pairs(list)
	if !ok {
		e.warnf("OTEL_RESOURCE_ATTRIBUTES must be of the form name=value,name=value: what is not is left out")
	}
	if name, ok := e.get("OTEL_SERVICE_NAME"); ok {
		all["service.name"] = name
	} else if all["service.name"] == "" {
		all["service.name"] = "mellea"
	}
	attrs := make([]attribute.KeyValue, 0, len(all))
	for k, v := range maps.All(all) {
		attrs = append(attrs, attribute.String(valid(k), valid(v)))
	}
	return attrs
}

// newOTLPExporter makes the exporter; it connects when it exports. Everything the exporter would read from the process
// environment is given, so that the configuration is the one that was resolved. release frees its connections.
//
// Retries are off: queuedExporter makes them, as it knows when the program wants to end.
func newOTLPExporter(ctx context.Context, c *otlpConfig) (e sdktrace.SpanExporter, release func(), err error) {
	if c.protocol == protocolGRPC {
		e, err = otlptracegrpc.New(ctx, grpcOptions(c)...)
		return e, func() {}, err
	}
	client, release := c.client()
	compression := otlptracehttp.NoCompression
	if c.gzip {
		compression = otlptracehttp.GzipCompression
	}
	e, err = otlptracehttp.New(ctx,
		otlptracehttp.WithEndpointURL(c.endpoint.String()),
		otlptracehttp.WithHeaders(c.headers),
		otlptracehttp.WithTimeout(c.timeout),
		otlptracehttp.WithCompression(compression),
		otlptracehttp.WithTLSClientConfig(nil),
		otlptracehttp.WithHTTPClient(client),
		otlptracehttp.WithRetry(otlptracehttp.RetryConfig{Enabled: false}))
	return e, release, err
}

// client returns what an exporter sends by over HTTP, and what frees its connections.
func (c *otlpConfig) client() (client *http.Client, release func()) {
	transport := newTransport(c.tls)
	return &http.Client{Transport: noWebPages{transport}, Timeout: c.timeout}, transport.CloseIdleConnections
}

// newTransport makes a transport of an exporter's own: what a program has put in place of the default one, such as
// something that logs or traces each request, is not to see its exports.
func newTransport(c *tls.Config) *http.Transport {
	t, ok := http.DefaultTransport.(*http.Transport)
	if ok {
		t = t.Clone()
	} else {
		t = &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, MaxIdleConns: 10,
			IdleConnTimeout: 90 * time.Second, TLSHandshakeTimeout: 10 * time.Second}
	}
	t.TLSClientConfig = c
	return t
}

// grpcOptions leaves certificates to the exporter, which reads the same variables.
func grpcOptions(c *otlpConfig) []otlptracegrpc.Option {
	all := []otlptracegrpc.Option{
		otlptracegrpc.WithEndpointURL(c.endpoint.String()),
		otlptracegrpc.WithHeaders(c.headers),
		otlptracegrpc.WithTimeout(c.timeout),
		otlptracegrpc.WithRetry(otlptracegrpc.RetryConfig{Enabled: false}),
	}
	if c.gzip {
		all = append(all, otlptracegrpc.WithCompressor("gzip"))
	}
	return all
}
