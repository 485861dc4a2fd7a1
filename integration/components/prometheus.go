package components

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Prometheus is a running Prometheus with an empty store. It takes metrics by OTLP, keeps exemplars, and scrapes what it
// was told to.
type Prometheus struct {
	URL    string // http://host:port of the query API, /api/v1/…, and of OTLP, /api/v1/otlp/v1/metrics
	server *server
}

// RunPrometheus starts Prometheus and returns when it is ready. targets are host:port of programs whose /metrics it
// scrapes, five times a second. ctx bounds the start only. The stop function ends the server, waits for it and may be
// called more than once; it must be called, and is nil exactly when the error is not.
func RunPrometheus(ctx context.Context, targets ...string) (*Prometheus, func() error, error) {
	p, err := withRetry(func() (*Prometheus, error) { return runPrometheus(ctx, targets) })
	if err != nil {
		return nil, nil, err
	}
	return p, p.server.stop, nil
}

func runPrometheus(ctx context.Context, targets []string) (*Prometheus, error) {
	dir, err := Find(PrometheusServer)
	if err != nil {
		return nil, err
	}
	s, err := newServer(filepath.Dir(dir), PrometheusServer, 1)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{URL: "http://" + s.ports.address(0), server: s}
	config, err := os.ReadFile(filepath.Join(dir, "prometheus.yaml"))
	if err == nil && len(targets) > 0 {
		config = fmt.Appendf(config, "scrape_configs:\n  - job_name: mellea\n    static_configs: [{ targets: [%s] }]\n", strings.Join(targets, ", "))
	}
	file := filepath.Join(s.dir, "prometheus.yaml")
	if err == nil {
		err = os.WriteFile(file, config, 0o600)
	}
	if err == nil {
		err = s.start(s.baseEnv(), filepath.Join(dir, "bin", "prometheus"), "--config.file="+file,
			"--storage.tsdb.path="+filepath.Join(s.dir, "data"), "--web.listen-address="+s.ports.address(0),
			"--web.enable-otlp-receiver", "--enable-feature=exemplar-storage", "--log.level=warn")
	}
	if err == nil {
		err = s.waitReady(ctx, p.URL+"/-/ready")
	}
	if err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return p, nil
}
