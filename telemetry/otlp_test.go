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
	"io"
	"log"
	"log/slog"
	"maps"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// exportedSignals are the signals as their variables call them, with what switches the export of each on, alone.
var exportedSignals = map[string][]string{
	"TRACES":  {"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_LOGS_CONSOLE=false"},
	"METRICS": {"MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "MELLEA_LOGS_CONSOLE=false"},
	"LOGS":    {"MELLEA_LOGS_OTLP=true", "MELLEA_LOGS_CONSOLE=false"},
}

// exportPath is where an export of a signal goes to, by protocol.
func exportPath(protocol, signal string) string {
	if protocol == "grpc" {
		service := map[string]string{"TRACES": "trace.v1.TraceService", "METRICS": "metrics.v1.MetricsService", "LOGS": "logs.v1.LogsService"}[signal]
		return "/opentelemetry.proto.collector." + service + "/Export"
	}
	return "/v1/" + strings.ToLower(signal)
}

// exportSome has something of each signal to export, and shuts down.
func exportSome(ctx context.Context, tel *telemetry.Telemetry) error {
	ctx, end := tel.StartCommand(ctx, "run", "", nil)
	slog.New(tel.LogHandler()).InfoContext(ctx, "a line")
	end(0)
	return tel.Shutdown(ctx)
}

// A collector that wants to know its clients is shown the certificate that the environment names for the signal, by both
// protocols. gRPC's exporters read these variables from the process.
func TestClientCertificate(t *testing.T) {
	for signal, on := range exportedSignals {
		for _, protocol := range []string{"http/protobuf", "grpc"} {
			t.Run(signal+" "+protocol, func(t *testing.T) {
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
				none := filepath.Join(t.TempDir(), "none.pem")
				for _, kv := range append([]string{
					"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
					"OTEL_EXPORTER_OTLP_CERTIFICATE=" + write(t, "ca.pem", "CERTIFICATE", server.Certificate().Raw),
					// Those of the signal are preferred.
					"OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE=" + none, "OTEL_EXPORTER_OTLP_CLIENT_KEY=" + none,
					"OTEL_EXPORTER_OTLP_" + signal + "_CLIENT_CERTIFICATE=" + cert, "OTEL_EXPORTER_OTLP_" + signal + "_CLIENT_KEY=" + key,
				}, on...) {
					name, value, _ := strings.Cut(kv, "=")
					t.Setenv(name, value)
				}
				book := &logbook{}
				tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger())))
				if err := exportSome(t.Context(), tel); err != nil {
					t.Fatalf("%v: %q", err, book.lines())
				}
				select {
				case got := <-asked:
					if want := exportPath(protocol, signal); got != want {
						t.Errorf("exported to %s, want %s", got, want)
					}
				default:
					t.Error("nothing was exported")
				}
				checkWarnings(t, book, nil)
			})
		}
	}
}

// A collector is trusted by the certificate that the environment names for the signal, and not without it.
func TestCollectorCertificate(t *testing.T) {
	t.Parallel()
	for signal, on := range exportedSignals {
		for _, trusted := range []bool{true, false} {
			var asked atomic.Int64
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
			server.Config.ErrorLog = log.New(io.Discard, "", 0) // that a client refused it
			server.StartTLS()
			defer server.Close()
			vars := append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + server.URL}, on...)
			if trusted {
				vars = append(vars, "OTEL_EXPORTER_OTLP_"+signal+"_CERTIFICATE="+write(t, "ca.pem", "CERTIFICATE", server.Certificate().Raw))
			}
			tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(vars...), telemetry.WithLogger(slog.New(slog.DiscardHandler))))
			_ = exportSome(t.Context(), tel)
			if got := asked.Load() > 0; got != trusted {
				t.Errorf("%s: exported: %v, and the certificate is named: %v", signal, got, trusted)
			}
		}
	}
}

// Headers and compression are those of the signal, or else those of all signals, by both protocols.
func TestExporterVariables(t *testing.T) {
	t.Parallel()
	for signal, on := range exportedSignals {
		for _, protocol := range []string{"http/protobuf", "grpc"} {
			for name, test := range map[string]struct {
				vars      []string
				key, gzip []string // what arrives
			}{
				"of all signals": {[]string{"HEADERS=x-key=all%20of%20them", "COMPRESSION=gzip"}, []string{"all of them"}, []string{"gzip"}},
				"of the signal": {[]string{"HEADERS=x-other=1", signal + "_HEADERS=x-key=its%20own", "COMPRESSION=none", signal + "_COMPRESSION=gzip"},
					[]string{"its own"}, []string{"gzip"}},
				"off for the signal": {[]string{"COMPRESSION=gzip", signal + "_COMPRESSION=none"}, nil, nil},
			} {
				t.Run(signal+" "+protocol+" "+name, func(t *testing.T) {
					t.Parallel()
					server := otlptest.Start(t)
					endpoint := map[string]string{"grpc": server.GRPC, "http/protobuf": server.HTTP}[protocol]
					vars := append([]string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol}, on...)
					for _, v := range test.vars {
						vars = append(vars, "OTEL_EXPORTER_OTLP_"+v)
					}
					book := &logbook{}
					tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(vars...), telemetry.WithLogger(book.logger())))
					if err := exportSome(t.Context(), tel); err != nil {
						t.Fatal(err)
					}
					checkWarnings(t, book, nil)
					if diff := cmp.Diff([]string{exportPath(protocol, signal)}, server.Paths()); diff != "" {
						t.Fatalf("exports (-want +got):\n%s", diff)
					}
					got := server.Headers()[0]
					key, encoding := got["X-Key"], got["Content-Encoding"]
					if protocol == "grpc" {
						key, encoding = got["x-key"], got["grpc-encoding"]
					}
					if diff := cmp.Diff(test.key, key); diff != "" {
						t.Errorf("x-key (-want +got):\n%s", diff)
					}
					if diff := cmp.Diff(test.gzip, encoding); diff != "" {
						t.Errorf("encoding (-want +got):\n%s", diff)
					}
					if got["X-Other"] != nil || got["x-other"] != nil {
						t.Error("the headers of all signals were sent beside those of the signal")
					}
				})
			}
		}
	}
}

// Each variable that is read is a known one, which Inspect shows.
func TestEveryVariableReadIsListed(t *testing.T) {
	t.Parallel()
	env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4318"} // without a scheme: whether it is insecure is asked
	for _, on := range exportedSignals {
		for _, kv := range on {
			name, value, _ := strings.Cut(kv, "=")
			env[name] = value
		}
	}
	asked := map[string]bool{}
	got := telemetry.Inspect(func(name string) (string, bool) { asked[name] = true; v, ok := env[name]; return v, ok }, nil)
	for _, s := range got.Settings {
		delete(asked, s.Name)
	}
	if len(asked) > 0 {
		t.Errorf("read and not listed: %q", slices.Sorted(maps.Keys(asked)))
	}
	listed := map[string]telemetry.Setting{}
	for _, s := range got.Settings {
		listed[s.Name] = s
	}
	for signal := range exportedSignals {
		for _, setting := range []string{"ENDPOINT", "PROTOCOL", "HEADERS", "TIMEOUT", "COMPRESSION", "INSECURE", "CERTIFICATE", "CLIENT_CERTIFICATE", "CLIENT_KEY"} {
			name := "OTEL_EXPORTER_OTLP_" + signal + "_" + setting
			if got, want := listed[name].Pillar, strings.ToLower(signal); got != want {
				t.Errorf("%s is of the pillar %q, want %q", name, got, want)
			}
		}
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

// The timeout, of all signals or of one, ends an export that is not answered: Shutdown need not wait for its own limit.
func TestExportTimeout(t *testing.T) {
	t.Parallel()
	lost := map[string]string{"TRACES": "spans are lost", "METRICS": "metrics could not be exported", "LOGS": "log records are lost"}
	for signal, on := range exportedSignals {
		for _, protocol := range []string{"http/protobuf", "grpc"} {
			for _, vars := range [][]string{
				{"OTEL_EXPORTER_OTLP_TIMEOUT=50"},
				{"OTEL_EXPORTER_OTLP_" + signal + "_TIMEOUT=50", "OTEL_EXPORTER_OTLP_TIMEOUT=3600000"},
			} {
				t.Run(protocol+" "+vars[0], func(t *testing.T) {
					t.Parallel()
					l := must[net.Listener](t)((&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0"))
					defer func() { _ = l.Close() }() // it connects, and never answers
					book := &logbook{}
					tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), telemetry.WithLogger(book.logger()), environ(slices.Concat(on, vars,
						[]string{"OTEL_EXPORTER_OTLP_ENDPOINT=http://" + l.Addr().String(), "OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol})...)))
					if err := exportSome(t.Context(), tel); errors.Is(err, context.DeadlineExceeded) || (err == nil) != (signal == "METRICS") {
						t.Errorf("Shutdown: %v, want a loss before its own limit", err)
					}
					checkWarnings(t, book, []string{lost[signal]})
				})
			}
		}
	}
}

// An endpoint without a scheme is plain on this machine, or where the environment says so, for all signals or for one.
func TestEndpointWithoutScheme(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ endpoint, insecure, want string }{
		{endpoint: "localhost:4318", want: "http://localhost:4318/v1/"},
		{endpoint: "127.0.0.1:4318", want: "http://127.0.0.1:4318/v1/"},
		{endpoint: "[::1]:4318", want: "http://[::1]:4318/v1/"},
		{endpoint: "collector:4318", want: "https://collector:4318/v1/"},
		{endpoint: "collector:4318", insecure: " True ", want: "http://collector:4318/v1/"},
		{endpoint: "http://collector:4318", insecure: "false", want: "http://collector:4318/v1/"},
	} {
		for signal, on := range exportedSignals {
			for _, name := range []string{"OTEL_EXPORTER_OTLP_INSECURE", "OTEL_EXPORTER_OTLP_" + signal + "_INSECURE"} {
				env := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": test.endpoint, name: test.insecure}
				for _, kv := range on {
					k, v, _ := strings.Cut(kv, "=")
					env[k] = v
				}
				got := telemetry.Inspect(func(name string) (string, bool) { v, ok := env[name]; return v, ok }, nil)
				endpoint := map[string]string{"TRACES": got.Endpoint, "METRICS": got.MetricsEndpoint, "LOGS": got.LogsEndpoint}[signal]
				if want := test.want + strings.ToLower(signal); endpoint != want || len(got.Warnings) > 0 {
					t.Errorf("%s, %s=%q: %s, want %s; warnings %q", test.endpoint, name, test.insecure, endpoint, want, got.Warnings)
				}
			}
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
