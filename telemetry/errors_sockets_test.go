package telemetry_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// signal is what one part of telemetry says of a failure.
type signal struct{ Category, Type string }

// signals are what the parts say of a call that ended with err, by the part. A part that says nothing is not there.
func signals(t *testing.T, err error, span string, spans []otlptest.Span, series []otlptest.Series) map[string]signal {
	t.Helper()
	said := map[string]signal{}
	if err != nil {
		said["error"] = signal{string(telemetry.ClassifyError(err)), telemetry.ErrorType(err)}
	}
	for _, s := range spans {
		if s.Name == span {
			said["span"] = signalOf(s.Attributes)
		}
	}
	for _, s := range series {
		if s.Name != "mellea.llm.errors" {
			continue
		}
		if _, twice := said["metric"]; twice || s.Value != 1 {
			t.Errorf("%s counts %v for %s, want one failure once", s.Name, s.Value, s.Labels())
		}
		said["metric"] = signalOf(s.Attributes)
	}
	return said
}

func signalOf(attributes map[string]any) signal {
	category, _ := attributes["mellea.error.category"].(string)
	typ, _ := attributes["error.type"].(string)
	return signal{category, typ}
}

// agreed are signals that all say the same.
func agreed(category telemetry.Category, typ string) map[string]signal {
	said := signal{string(category), typ}
	return map[string]signal{"error": said, "span": said, "metric": said, "event": said}
}

// asked runs one call and returns what telemetry says of it, and its error.
func asked(t *testing.T, ctx context.Context, b backend.Backend, span string, opts ...mellea.CallOption) (map[string]signal, error) {
	t.Helper()
	var err error
	server := received(t, b, func(s *mellea.Session) { _, err = s.Instruct(ctx, "planted-prompt", opts...) }, []string{"MELLEA_LOGS_OTLP=true"})
	said := signals(t, err, span, server.Spans(t, 0), server.Series())
	for _, r := range otlptest.Events(server.Records(t, 0), "gen_ai.client.inference.operation.details") {
		if _, twice := said["event"]; twice {
			t.Errorf("the failure of one call is two events")
		}
		said["event"] = signalOf(r.Attributes)
	}
	return said, err
}

var streaming = mellea.Options(backend.Options{}.WithStream(true))

// Failures of the network, provoked over real sockets: every backend classifies them alike, and so does every signal.
func TestClassifyNetworkFailures(t *testing.T) {
	t.Parallel()
	type failure struct {
		address   string
		transport *http.Transport // nil is [network]
		deadline  bool
		opts      []mellea.CallOption
	}
	tests := map[string]struct {
		provoke  func(t *testing.T, d dialect) failure
		category telemetry.Category
		typ      string
	}{
		"refused": {func(t *testing.T, _ dialect) failure { return failure{address: nobody(t)} }, telemetry.TransportError, "unreachable"},
		"reset": {func(t *testing.T, _ dialect) failure { return failure{address: answering(t, reset)} },
			telemetry.TransportError, "unreachable"},
		"reset in a stream": {func(t *testing.T, d dialect) failure {
			return failure{address: beginning(t, d, reset), opts: []mellea.CallOption{streaming}}
		}, telemetry.TransportError, "unreachable"},
		"closed without a reply": {func(t *testing.T, _ dialect) failure {
			return failure{address: answering(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })}
		}, telemetry.TransportError, "unreachable"},
		"a certificate nobody signed": {func(t *testing.T, _ dialect) failure { return failure{address: secure(t, nil).URL} },
			telemetry.TransportError, "unreachable"},
		"a server that wants a certificate": {func(t *testing.T, _ dialect) failure {
			s := secure(t, &tls.Config{ClientAuth: tls.RequireAnyClientCert})
			rt := network()
			rt.TLSClientConfig = s.Client().Transport.(*http.Transport).TLSClientConfig
			return failure{address: s.URL, transport: rt}
		}, telemetry.TransportError, "unreachable"},
		"no TLS where there should be": {func(t *testing.T, _ dialect) failure {
			return failure{address: strings.Replace(mute(t), "http://", "https://", 1)}
		}, telemetry.TransportError, "unreachable"},
		"no such name": {func(t *testing.T, _ dialect) failure {
			return failure{address: "http://models.invalid", transport: unnamed(t)}
		}, telemetry.TransportError, "unreachable"},
		"no header within the deadline": {func(t *testing.T, _ dialect) failure { return failure{address: mute(t), deadline: true} },
			telemetry.Timeout, "timeout"},
		"no header within the transport's time": {func(t *testing.T, _ dialect) failure {
			rt := network()
			rt.ResponseHeaderTimeout = within
			return failure{address: mute(t), transport: rt}
		}, telemetry.Timeout, "unreachable"},
		"a stream that stops within the deadline": {func(t *testing.T, d dialect) failure {
			return failure{address: beginning(t, d, silent), deadline: true, opts: []mellea.CallOption{streaming}}
		}, telemetry.Timeout, "timeout"},
		"a stream that falls silent": {func(t *testing.T, d dialect) failure {
			return failure{address: beginning(t, d, silent), opts: []mellea.CallOption{mellea.Options(backend.Options{}.WithStream(true).WithStreamTimeout(within))}}
		}, telemetry.Timeout, "timeout"},
		"a stream that is cut": {func(t *testing.T, d dialect) failure {
			return failure{address: beginning(t, d, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }), opts: []mellea.CallOption{streaming}}
		}, telemetry.TransportError, "invalid_response"},
		"a stream that ends too early": {func(t *testing.T, d dialect) failure {
			return failure{address: beginning(t, d, func(http.ResponseWriter, *http.Request) {}), opts: []mellea.CallOption{streaming}}
		}, telemetry.TransportError, "invalid_response"},
	}
	for name, tt := range tests {
		for _, d := range dialects {
			t.Run(name+"/"+d.name, func(t *testing.T) {
				t.Parallel()
				f := tt.provoke(t, d)
				if f.transport == nil {
					f.transport = network()
				}
				ctx := t.Context()
				if f.deadline {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, within)
					defer cancel()
				}
				got, err := asked(t, ctx, d.open(f.address, f.transport), "chat m", f.opts...)
				if diff := cmp.Diff(got, agreed(tt.category, tt.typ)); diff != "" {
					t.Errorf("of %v (-got +want):\n%s", err, diff)
				}
				wrapped := fmt.Errorf("a program: %w", errors.Join(io.ErrClosedPipe, fmt.Errorf("a step: %w", err)))
				if got := telemetry.ClassifyError(wrapped); got != tt.category {
					t.Errorf("wrapped and joined it is %q, want %q", got, tt.category)
				}
			})
		}
	}
}
