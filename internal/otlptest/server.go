package otlptest

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/protobuf/proto"
)

// A Server receives OTLP. Its methods may be called by several goroutines at once.
type Server struct {
	// GRPC is the endpoint for gRPC and HTTP that for HTTP with protobuf, both as URLs without a path.
	GRPC, HTTP string

	mu      sync.Mutex
	spans   []Span
	traces  []*coltrace.ExportTraceServiceRequest
	logs    []*collogs.ExportLogsServiceRequest
	metrics []*colmetrics.ExportMetricsServiceRequest
	raw     bytes.Buffer
	headers []map[string][]string
	paths   []string
	arrived chan struct{} // closed and replaced when something arrives
}

// Start runs a server until the test has ended.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{arrived: make(chan struct{})}
	var running sync.WaitGroup
	listen := func() net.Listener {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatalf("otlptest: %v", err)
		}
		return l
	}

	rpc := grpc.NewServer(grpc.StatsHandler(encodings{}))
	coltrace.RegisterTraceServiceServer(rpc, traces{s: s})
	collogs.RegisterLogsServiceServer(rpc, logs{s: s})
	colmetrics.RegisterMetricsServiceServer(rpc, metrics{s: s})
	l := listen()
	s.GRPC = "http://" + l.Addr().String()
	running.Go(func() { _ = rpc.Serve(l) })

	web := &http.Server{Handler: s.handler(), ReadHeaderTimeout: time.Minute}
	w := listen()
	s.HTTP = "http://" + w.Addr().String()
	running.Go(func() {
		if err := web.Serve(w); !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("otlptest: %v", err)
		}
	})
	t.Cleanup(func() {
		rpc.Stop()
		_ = web.Close()
		running.Wait()
	})
	return s
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", receive(s, s.addTraces, &coltrace.ExportTraceServiceResponse{}))
	mux.HandleFunc("POST /v1/logs", receive(s, s.addLogs, &collogs.ExportLogsServiceResponse{}))
	mux.HandleFunc("POST /v1/metrics", receive(s, s.addMetrics, &colmetrics.ExportMetricsServiceResponse{}))
	// An endpoint for one signal is used as it is, so traces may come to any path.
	mux.HandleFunc("POST /", receive(s, s.addTraces, &coltrace.ExportTraceServiceResponse{}))
	return mux
}

func receive[M any, P interface {
	*M
	proto.Message
}](s *Server, add func(P), answer proto.Message) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var body io.Reader = r.Body
		if r.Header.Get("Content-Encoding") == "gzip" {
			z, err := gzip.NewReader(body)
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			body = z
		}
		b, err := io.ReadAll(body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		m := P(new(M))
		if err := proto.Unmarshal(b, m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		s.note(r.Header, r.URL.Path, func() { add(m) })
		w.Header().Set("Content-Type", "application/x-protobuf")
		out, _ := proto.Marshal(answer)
		_, _ = w.Write(out)
	}
}

// note records one export and wakes those who wait.
func (s *Server) note(headers map[string][]string, path string, add func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.headers = append(s.headers, headers)
	s.paths = append(s.paths, path)
	add()
	close(s.arrived)
	s.arrived = make(chan struct{})
}

func (s *Server) keep(m proto.Message) {
	b, _ := proto.Marshal(m)
	s.raw.Write(b)
}

func (s *Server) addTraces(m *coltrace.ExportTraceServiceRequest) {
	s.keep(m)
	s.traces = append(s.traces, m)
	s.spans = append(s.spans, flatten(m)...)
}

func (s *Server) addLogs(m *collogs.ExportLogsServiceRequest) {
	s.keep(m)
	s.logs = append(s.logs, m)
}

func (s *Server) addMetrics(m *colmetrics.ExportMetricsServiceRequest) {
	s.keep(m)
	s.metrics = append(s.metrics, m)
}

// encodings keeps how each gRPC message is compressed, which is no part of its metadata, in its context.
type encodings struct{}

type encodingKey struct{}

func (encodings) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	return context.WithValue(ctx, encodingKey{}, new(string))
}

func (encodings) HandleRPC(ctx context.Context, s stats.RPCStats) {
	if in, ok := s.(*stats.InHeader); ok {
		*ctx.Value(encodingKey{}).(*string) = in.Compression
	}
}

func (encodings) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (encodings) HandleConn(context.Context, stats.ConnStats)                       {}

// sent returns the metadata of a gRPC request and, as grpc-encoding, how it was compressed.
func sent(ctx context.Context) metadata.MD {
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	if encoding, ok := ctx.Value(encodingKey{}).(*string); ok && *encoding != "" {
		md.Set("grpc-encoding", *encoding)
	}
	return md
}

type traces struct {
	coltrace.UnimplementedTraceServiceServer
	s *Server
}

func (r traces) Export(ctx context.Context, m *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	r.s.note(sent(ctx), coltrace.TraceService_Export_FullMethodName, func() { r.s.addTraces(m) })
	return &coltrace.ExportTraceServiceResponse{}, nil
}

type logs struct {
	collogs.UnimplementedLogsServiceServer
	s *Server
}

func (r logs) Export(ctx context.Context, m *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	r.s.note(sent(ctx), collogs.LogsService_Export_FullMethodName, func() { r.s.addLogs(m) })
	return &collogs.ExportLogsServiceResponse{}, nil
}

type metrics struct {
	colmetrics.UnimplementedMetricsServiceServer
	s *Server
}

func (r metrics) Export(ctx context.Context, m *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	r.s.note(sent(ctx), colmetrics.MetricsService_Export_FullMethodName, func() { r.s.addMetrics(m) })
	return &colmetrics.ExportMetricsServiceResponse{}, nil
}

// Spans waits until at least n spans have arrived and returns all, in the order they started. It fails the test when its
// deadline, or 20 s, passes first.
func (s *Server) Spans(t testing.TB, n int) []Span {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience(t))
	defer cancel()
	for {
		s.mu.Lock()
		spans, arrived := append([]Span(nil), s.spans...), s.arrived
		s.mu.Unlock()
		if len(spans) >= n {
			sortSpans(spans)
			return spans
		}
		select {
		case <-arrived:
		case <-ctx.Done():
			t.Fatalf("otlptest: %d spans have arrived, want %d:\n%s", len(spans), n, Tree(spans))
		}
	}
}

func patience(t testing.TB) time.Duration {
	if d, ok := t.(interface{ Deadline() (time.Time, bool) }); ok {
		if at, ok := d.Deadline(); ok {
			return min(time.Until(at)/2, 20*time.Second)
		}
	}
	return 20 * time.Second
}

// Raw returns the bytes of everything that has arrived, uncompressed, for tests that look for what must not be in it.
func (s *Server) Raw() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.raw.Bytes())
}

// Headers returns the headers of each export that has arrived, or its gRPC metadata and grpc-encoding.
func (s *Server) Headers() []map[string][]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string][]string(nil), s.headers...)
}

// Paths returns the URL path, or the gRPC method, of each export that has arrived.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.paths...)
}

// Traces returns the exports of spans that have arrived.
func (s *Server) Traces() []*coltrace.ExportTraceServiceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*coltrace.ExportTraceServiceRequest(nil), s.traces...)
}

// Logs returns the exports of logs that have arrived.
func (s *Server) Logs() []*collogs.ExportLogsServiceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*collogs.ExportLogsServiceRequest(nil), s.logs...)
}

// Metrics returns the exports of metrics that have arrived.
func (s *Server) Metrics() []*colmetrics.ExportMetricsServiceRequest {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]*colmetrics.ExportMetricsServiceRequest(nil), s.metrics...)
}
