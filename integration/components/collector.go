package components

import (
	"context"
	"net/http"
	"path/filepath"
)

// Collector is a running OpenTelemetry Collector that passes traces on to a Jaeger and metrics to a Prometheus, and
// writes all that it gets to files as well, one JSON document of OTLP a line.
type Collector struct {
	OTLPGRPC string // host:port that takes OTLP over gRPC, without TLS
	OTLPHTTP string // http://host:port that takes OTLP over HTTP, at /v1/traces, /v1/metrics and /v1/logs
	Traces   string // the files of the three signals; each is there once something was received for it
	Metrics  string
	Logs     string

	server *server
	env    []string
	args   []string
}

// RunCollector starts a collector in front of j and p and returns when it takes data. ctx bounds the start only. The
// stop function ends the collector, waits for it and may be called more than once; it must be called, before those of j
// and p, and is nil exactly when the error is not.
func RunCollector(ctx context.Context, j *Jaeger, p *Prometheus) (*Collector, func() error, error) {
	c, err := withRetry(func() (*Collector, error) { return runCollector(ctx, j, p) })
	if err != nil {
		return nil, nil, err
	}
	return c, c.server.stop, nil
}

func runCollector(ctx context.Context, j *Jaeger, p *Prometheus) (*Collector, error) {
	dir, err := Find(CollectorServer)
	if err != nil {
		return nil, err
	}
	s, err := newServer(filepath.Dir(dir), CollectorServer, 2)
	if err != nil {
		return nil, err
	}
	c := &Collector{
		OTLPGRPC: s.ports.address(0),
		OTLPHTTP: "http://" + s.ports.address(1),
		Traces:   filepath.Join(s.dir, "traces.jsonl"),
		Metrics:  filepath.Join(s.dir, "metrics.jsonl"),
		Logs:     filepath.Join(s.dir, "logs.jsonl"),
		server:   s,
		args:     []string{filepath.Join(dir, "bin", "otelcol"), "--config", filepath.Join(dir, "otelcol.yaml")},
	}
	c.env = append(s.baseEnv(),
		"OTELCOL_OTLP_GRPC_ADDR="+s.ports.address(0),
		"OTELCOL_OTLP_HTTP_ADDR="+s.ports.address(1),
		"OTELCOL_JAEGER_ADDR="+j.OTLPGRPC,
		"OTELCOL_PROMETHEUS_URL="+p.URL,
		"OTELCOL_DIR="+s.dir,
	)
	if err := c.start(ctx); err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return c, nil
}

func (c *Collector) start(ctx context.Context) error {
	if err := c.server.start(c.env, c.args[0], c.args[1:]...); err != nil {
		return err
	}
	return c.server.waitFor(ctx, http.MethodPost, c.OTLPHTTP+"/v1/logs")
}

// Kill ends the collector as a crash does, with all that it has not yet passed on, and waits until it is gone.
func (c *Collector) Kill() error { return c.server.kill() }

// Restart starts a collector that was killed, at the same addresses. ctx bounds the start.
func (c *Collector) Restart(ctx context.Context) error { return c.start(ctx) }
