package telemetry_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/telemetry"
)

// A collector that wants to know its clients is shown the certificate that the environment names, by both protocols.
// gRPC's exporter reads these variables from the process.
func TestClientCertificate(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			cert, key, pool := clientCertificate(t)
			asked := make(chan string, 1)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				asked <- r.URL.Path
				if protocol == "grpc" { // an empty answer, and its status
					w.Header().Set("Content-Type", "application/grpc")
					w.Header().Set("Trailer", "Grpc-Status")
					_, _ = w.Write(make([]byte, 5))
					w.Header().Set("Grpc-Status", "0")
				}
			}))
			server.EnableHTTP2 = true
			server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: pool}
			server.StartTLS()
			defer server.Close()
			for name, value := range map[string]string{
				"MELLEA_TRACES_ENABLED": "true", "MELLEA_TRACES_OTLP": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": server.URL,
				"OTEL_EXPORTER_OTLP_PROTOCOL":    protocol,
				"OTEL_EXPORTER_OTLP_CERTIFICATE": write(t, "ca.pem", "CERTIFICATE", server.Certificate().Raw),
				// Those of the signal are preferred.
				"OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE": cert, "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY": key,
			} {
				t.Setenv(name, value)
			}
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger())))
			_, end := tel.StartCommand(t.Context(), "run", "", nil)
			end(0)
			if err := tel.Shutdown(t.Context()); err != nil {
				t.Fatalf("%v: %q", err, book.lines())
			}
			want := map[string]string{"grpc": "/opentelemetry.proto.collector.trace.v1.TraceService/Export", "http/protobuf": "/v1/traces"}
			if got := <-asked; got != want[protocol] {
				t.Errorf("exported to %s, want %s", got, want[protocol])
			}
			checkWarnings(t, book, nil)
		})
	}
}

// clientCertificate returns the files of a certificate and its key, and a pool that trusts it.
func clientCertificate(t *testing.T) (cert, key string, pool *x509.CertPool) {
	t.Helper()
	private := must[*ecdsa.PrivateKey](t)(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	der := must[[]byte](t)(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))
	pool = x509.NewCertPool()
	pool.AddCert(must[*x509.Certificate](t)(x509.ParseCertificate(der)))
	return write(t, "cert.pem", "CERTIFICATE", der), write(t, "key.pem", "PRIVATE KEY", must[[]byte](t)(x509.MarshalPKCS8PrivateKey(private))), pool
}

func write(t *testing.T, name, kind string, der []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// OTEL_EXPORTER_OTLP_TIMEOUT ends an export that is not answered: Shutdown need not wait for its own limit.
func TestExportTimeout(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TIMEOUT", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			end := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-end }))
			defer server.Close()
			defer close(end)
			book := &logbook{}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ("MELLEA_TRACES_ENABLED=true",
				"MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+server.URL, name+"=50")))
			_, ended := tel.StartCommand(t.Context(), "run", "", nil)
			ended(0)
			err := tel.Shutdown(t.Context())
			if lost := new(telemetry.ExportError); !errors.As(err, &lost) || errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Shutdown: %v, want a loss before its own limit", err)
			}
			checkWarnings(t, book, []string{"spans are lost"})
		})
	}
}

// An endpoint without a scheme is plain on this machine, or where the environment says so.
func TestEndpointWithoutScheme(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ endpoint, insecure, want string }{
		{endpoint: "localhost:4318", want: "http://localhost:4318/v1/traces"},
		{endpoint: "127.0.0.1:4318", want: "http://127.0.0.1:4318/v1/traces"},
		{endpoint: "[::1]:4318", want: "http://[::1]:4318/v1/traces"},
		{endpoint: "collector:4318", want: "https://collector:4318/v1/traces"},
		{endpoint: "collector:4318", insecure: " True ", want: "http://collector:4318/v1/traces"},
		{endpoint: "http://collector:4318", insecure: "false", want: "http://collector:4318/v1/traces"},
	} {
		env := map[string]string{"MELLEA_TRACES_ENABLED": "true", "MELLEA_TRACES_OTLP": "true",
			"OTEL_EXPORTER_OTLP_ENDPOINT": test.endpoint, "OTEL_EXPORTER_OTLP_INSECURE": test.insecure}
		got := telemetry.Inspect(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
		if got.Endpoint != test.want || len(got.Warnings) > 0 {
			t.Errorf("%s, insecure %q: %s, want %s; warnings %q", test.endpoint, test.insecure, got.Endpoint, test.want, got.Warnings)
		}
	}
}

// OTEL_TRACES_SAMPLER and its argument decide which traces are recorded.
func TestSamplers(t *testing.T) {
	t.Parallel()
	remote := remoteSpan(t)
	sampled := trace.ContextWithRemoteSpanContext(t.Context(), remote)
	unsampled := trace.ContextWithRemoteSpanContext(t.Context(), remote.WithTraceFlags(0))
	for _, test := range []struct {
		sampler, arg               string
		root, below, belowUnsample bool
	}{
		{root: true, below: true},
		{sampler: "always_on", root: true, below: true, belowUnsample: true},
		{sampler: "always_off"},
		{sampler: "traceidratio", arg: "1", root: true, below: true, belowUnsample: true},
		{sampler: "traceidratio", arg: "0"},
		{sampler: "parentbased_always_on", root: true, below: true},
		{sampler: "parentbased_always_off", below: true},
		{sampler: "parentbased_traceidratio", arg: "0", below: true},
		{sampler: " ParentBased_TraceIDRatio ", arg: "1", root: true, below: true},
	} {
		tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithSpanExporter(discard{}),
			environ("OTEL_TRACES_SAMPLER="+test.sampler, "OTEL_TRACES_SAMPLER_ARG="+test.arg)))
		for name, c := range map[string]struct {
			ctx  context.Context
			want bool
		}{"a root": {t.Context(), test.root}, "below a sampled span": {sampled, test.below}, "below one that is not": {unsampled, test.belowUnsample}} {
			ctx, end := tel.StartCommand(c.ctx, "run", "", nil)
			if got := trace.SpanContextFromContext(ctx).IsSampled(); got != c.want {
				t.Errorf("%s %s: %s is sampled: %v, want %v", test.sampler, test.arg, name, got, c.want)
			}
			end(0)
		}
		_ = tel.Shutdown(t.Context())
	}
}
