package components

import (
	"context"
	"path/filepath"
)

// Jaeger is a running Jaeger with an empty store of traces in memory.
type Jaeger struct {
	OTLPGRPC string // host:port that takes OTLP over gRPC, without TLS
	OTLPHTTP string // http://host:port that takes OTLP over HTTP, at /v1/traces
	QueryURL string // http://host:port of the query API: /api/v3/…, /api/traces
	server   *server
}

// RunJaeger starts Jaeger and returns when it is ready. ctx bounds the start
// only. The stop function ends the server, waits for it and may be called more
// than once; it must be called, and is nil exactly when the error is not.
//
// Jaeger takes up to a few hundred milliseconds from the receipt of a span until
// a query finds it: poll.
func RunJaeger(ctx context.Context) (*Jaeger, func() error, error) {
	j, err := withRetry(func() (*Jaeger, error) { return runJaeger(ctx) })
	if err != nil {
		return nil, nil, err
	}
	return j, j.server.stop, nil
}

func runJaeger(ctx context.Context) (*Jaeger, error) {
	dir, err := Find(JaegerServer)
	if err != nil {
		return nil, err
	}
	s, err := newServer(filepath.Dir(dir), JaegerServer, 5)
	if err != nil {
		return nil, err
	}
	j := &Jaeger{
		OTLPGRPC: s.ports.address(0),
		OTLPHTTP: "http://" + s.ports.address(1),
		QueryURL: "http://" + s.ports.address(2),
		server:   s,
	}
	env := append(s.baseEnv(),
		"JAEGER_OTLP_GRPC_ADDR="+s.ports.address(0),
		"JAEGER_OTLP_HTTP_ADDR="+s.ports.address(1),
		"JAEGER_QUERY_ADDR="+s.ports.address(2),
		"JAEGER_QUERY_GRPC_ADDR="+s.ports.address(3),
		"JAEGER_HEALTH_ADDR="+s.ports.address(4),
	)
	err = s.start(env, filepath.Join(dir, "bin", "jaeger"), "--config", filepath.Join(dir, "jaeger.yaml"))
	if err == nil {
		err = s.waitReady(ctx, "http://"+s.ports.address(4)+"/status")
	}
	if err == nil {
		err = s.waitReady(ctx, j.QueryURL+"/api/v3/services")
	}
	if err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return j, nil
}
