// Package otlpserve receives OTLP: over HTTP as protobuf or JSON, and over gRPC, on one port.
//
// It is for programs that look at what arrives, not for a collector: it keeps nothing, and who takes what arrived may
// refuse it.
package otlpserve

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	collogs "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	colmetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	coltrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	_ "google.golang.org/grpc/encoding/gzip" // senders may compress
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea/internal/otlpfile"
)

// MaxRequest is the most bytes one export may have when it is unpacked.
const MaxRequest = 32 << 20

// A Sink takes what arrives. Its functions may be called by several goroutines at once; what they are given is theirs. An
// error is told to the sender, who is not to try again.
type Sink struct {
	Traces  func(*coltrace.ExportTraceServiceRequest) error
	Metrics func(*colmetrics.ExportMetricsServiceRequest) error
	Logs    func(*collogs.ExportLogsServiceRequest) error
}

// A Server receives until it is closed.
type Server struct {
	listener net.Listener
	web      *http.Server
	rpc      *grpc.Server
	running  sync.WaitGroup
}

// Listen receives at address, host:port. Without a host it is the loopback interface, and with port 0 any port that is
// free.
func Listen(ctx context.Context, address string, sink Sink) (*Server, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, fmt.Errorf("otlpserve: the address must be of the form host:port or :port: %w", err)
	}
	if host == "" {
		host = "127.0.0.1"
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort(host, port))
	if err != nil {
		return nil, fmt.Errorf("otlpserve: %w", err)
	}
	s := &Server{listener: l, rpc: grpc.NewServer(grpc.MaxRecvMsgSize(MaxRequest))}
	coltrace.RegisterTraceServiceServer(s.rpc, traces{sink: sink})
	colmetrics.RegisterMetricsServiceServer(s.rpc, metrics{sink: sink})
	collogs.RegisterLogsServiceServer(s.rpc, logs{sink: sink})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true) // which gRPC is
	s.web = &http.Server{Handler: s.handler(sink), Protocols: protocols, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute,
		IdleTimeout: time.Minute, MaxHeaderBytes: 64 << 10}
	s.running.Go(func() { _ = s.web.Serve(l) })
	return s, nil
}

// Address returns host:port.
func (s *Server) Address() string { return s.listener.Addr().String() }

// Close stops receiving. It waits for what is arriving until ctx ends.
func (s *Server) Close(ctx context.Context) {
	if s.web.Shutdown(ctx) != nil {
		_ = s.web.Close()
	}
	s.rpc.Stop()
	s.running.Wait()
}

func (s *Server) handler(sink Sink) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/traces", receive(sink.Traces, &coltrace.ExportTraceServiceResponse{}, func(r otlpfile.Record, m *coltrace.ExportTraceServiceRequest) bool {
		m.ResourceSpans = append(m.ResourceSpans, r.Spans)
		return r.Spans != nil
	}))
	mux.HandleFunc("POST /v1/metrics", receive(sink.Metrics, &colmetrics.ExportMetricsServiceResponse{}, func(r otlpfile.Record, m *colmetrics.ExportMetricsServiceRequest) bool {
		m.ResourceMetrics = append(m.ResourceMetrics, r.Metrics)
		return r.Metrics != nil
	}))
	mux.HandleFunc("POST /v1/logs", receive(sink.Logs, &collogs.ExportLogsServiceResponse{}, func(r otlpfile.Record, m *collogs.ExportLogsServiceRequest) bool {
		m.ResourceLogs = append(m.ResourceLogs, r.Logs)
		return r.Logs != nil
	}))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			s.rpc.ServeHTTP(w, r)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

var (
	errTooLarge = errors.New("the export is too large")
	errForeign  = errors.New("the export has another signal in it than the path is for")
)

// receive handles the exports of one signal. take puts a record that was read as JSON into the message.
func receive[M any, P interface {
	*M
	proto.Message
}](sink func(P) error, answer proto.Message, take func(otlpfile.Record, P) bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if kind != "application/x-protobuf" && kind != "application/json" {
			http.Error(w, "the content type must be application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
			return
		}
		body, err := unpacked(r)
		m := P(new(M))
		if err == nil {
			err = decode(kind, body, m, take)
		}
		switch {
		case errors.Is(err, errTooLarge):
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		case err != nil:
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := sink(m); err != nil {
			http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
			return
		}
		w.Header().Set("Content-Type", kind)
		if kind == "application/json" {
			_, _ = io.WriteString(w, "{}")
			return
		}
		out, _ := proto.Marshal(answer) // an empty message
		_, _ = w.Write(out)
	}
}

// unpacked reads the body of a request, at most MaxRequest bytes of it when it is unpacked.
func unpacked(r *http.Request) ([]byte, error) {
	var body io.Reader = r.Body
	switch encoding := r.Header.Get("Content-Encoding"); encoding {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, errors.New("the body is not gzip")
		}
		body = z
	default:
		return nil, errors.New("the content encoding must be gzip or none")
	}
	b, err := io.ReadAll(io.LimitReader(body, MaxRequest+1))
	switch {
	case err != nil:
		return nil, errors.New("the body ends too early")
	case len(b) > MaxRequest:
		return nil, errTooLarge
	}
	return b, nil
}

func decode[P proto.Message](kind string, body []byte, m P, take func(otlpfile.Record, P) bool) error {
	if kind != "application/json" {
		if proto.Unmarshal(body, m) != nil {
			return errors.New("the body is not a message of OTLP")
		}
		return nil
	}
	for r, err := range otlpfile.Read(bytes.NewReader(body)) {
		if err != nil {
			return err
		}
		if !take(r, m) {
			return errForeign
		}
	}
	return nil
}

type (
	traces struct {
		coltrace.UnimplementedTraceServiceServer
		sink Sink
	}
	metrics struct {
		colmetrics.UnimplementedMetricsServiceServer
		sink Sink
	}
	logs struct {
		collogs.UnimplementedLogsServiceServer
		sink Sink
	}
)

func (s traces) Export(_ context.Context, m *coltrace.ExportTraceServiceRequest) (*coltrace.ExportTraceServiceResponse, error) {
	return &coltrace.ExportTraceServiceResponse{}, refused(s.sink.Traces(m))
}

func (s metrics) Export(_ context.Context, m *colmetrics.ExportMetricsServiceRequest) (*colmetrics.ExportMetricsServiceResponse, error) {
	return &colmetrics.ExportMetricsServiceResponse{}, refused(s.sink.Metrics(m))
}

func (s logs) Export(_ context.Context, m *collogs.ExportLogsServiceRequest) (*collogs.ExportLogsServiceResponse, error) {
	return &collogs.ExportLogsServiceResponse{}, refused(s.sink.Logs(m))
}

func refused(err error) error {
	if err == nil {
		return nil
	}
	return status.Error(codes.ResourceExhausted, err.Error())
}
