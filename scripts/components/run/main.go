// Command run runs a command beside a real Ollama and a real Jaeger:
//
//	go run ./scripts/components/run [-keep] [-grpc] [-collector] [-litellm] [-transformers] -- COMMAND ARGUMENT…
//
// The command finds the servers by its environment: OLLAMA_HOST, MELLEA_MODEL,
// OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL, and with
// MELLEA_TRACES_ENABLED and MELLEA_TRACES_OTLP its traces are on;
// JAEGER_QUERY_URL is where they can be read back. MELLEA_LLAMA_LIB and
// MELLEA_GGUF name the llama.cpp libraries and the model's file, where they are
// installed. With -collector traces, metrics and logs go to an OpenTelemetry
// Collector, which passes them on to Jaeger and to a Prometheus, whose queries are
// answered at PROMETHEUS_URL. With -litellm a LiteLLM proxy stands in front of Ollama, named by
// LITELLM_PROXY_API_BASE and LITELLM_PROXY_API_KEY; with -transformers there is a
// `transformers serve`, at TRANSFORMERS_URL with the model TRANSFORMERS_MODEL.
//
// The command has this
// program's standard input and outputs; what this program itself says goes to
// standard error. When the command ends the servers are stopped and this program
// exits with its code (which "go run" shows, and turns to 1). With -keep the
// servers stay up after the command, or without one, until an interrupt.
//
// The components come from scripts/components/install.sh.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/mellea-go/mellea/integration/components"
)

const usage = `usage: go run ./scripts/components/run [-keep] [-grpc] [-collector] [-litellm] [-transformers] -- COMMAND ARGUMENT…

Starts Ollama, Jaeger and what the flags name, runs the command with their addresses in its
environment, and stops them.

`

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	var o options
	flag.BoolVar(&o.keep, "keep", false, "leave the servers up after the command, until interrupted")
	flag.BoolVar(&o.grpc, "grpc", false, "have the command send OTLP over gRPC (default: over HTTP)")
	flag.BoolVar(&o.collector, "collector", false, "send telemetry to a collector, in front of Jaeger and Prometheus")
	flag.BoolVar(&o.litellm, "litellm", false, "start a LiteLLM proxy in front of Ollama, too")
	flag.BoolVar(&o.transformers, "transformers", false, "start 'transformers serve', too")
	flag.Parse()
	if flag.NArg() == 0 && !o.keep {
		flag.Usage()
		os.Exit(2)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	code, err := run(flag.Args(), o, signals)
	if err != nil {
		say("%v", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// options say which servers run, and how long.
type options struct {
	keep, grpc, collector, litellm, transformers bool
}

// run starts the servers, runs the command and stops the servers. It returns the
// command's exit code, and an error for what went wrong around the command.
func run(command []string, o options, signals <-chan os.Signal) (code int, err error) {
	s, code, err := start(o, signals)
	if err != nil {
		return code, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	say("Ollama listens on %s, model %s", s.ollama.URL, s.ollama.Model)
	if s.litellm != nil {
		say("LiteLLM listens on %s", s.litellm.URL)
	}
	if s.transformers != nil {
		say("transformers serve listens on %s", s.transformers.URL)
	}
	say("Jaeger takes OTLP on %s (HTTP) and %s (gRPC), answers on %s", s.jaeger.OTLPHTTP, s.jaeger.OTLPGRPC, s.jaeger.QueryURL)
	if s.collector != nil {
		say("a collector takes OTLP on %s (HTTP) and %s (gRPC); Prometheus answers on %s", s.collector.OTLPHTTP, s.collector.OTLPGRPC, s.prometheus.URL)
	}
	if len(command) > 0 {
		if code, err = runCommand(command, s.environ(o.grpc), signals); err != nil {
			return code, err
		}
	}
	if o.keep {
		for _, v := range s.variables(o.grpc) {
			say("  %s", v)
		}
		say("the servers stay up; Ctrl-C stops them")
		<-signals
	}
	return code, nil
}

// servers are the servers, running; those not asked for are nil.
type servers struct {
	ollama       *components.Ollama
	jaeger       *components.Jaeger
	prometheus   *components.Prometheus
	collector    *components.Collector
	litellm      *components.LiteLLM
	transformers *components.TransformersServer
	stops        []func() error
}

// start starts the servers. A signal ends the start. With an error it returns
// the exit code to end with, else 0.
func start(o options, signals <-chan os.Signal) (*servers, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	type result struct {
		s   *servers
		err error
	}
	started := make(chan result, 1)
	go func() {
		s, err := startAll(ctx, o)
		started <- result{s, err}
	}()
	select {
	case r := <-started:
		if r.err != nil {
			return nil, 1, r.err
		}
		return r.s, 0, nil
	case sig := <-signals:
		cancel()
		r := <-started
		code := 1
		if n, ok := sig.(syscall.Signal); ok {
			code = 128 + int(n)
		}
		if r.s != nil { // it had just started
			r.err = r.s.stop()
		} else if errors.Is(r.err, context.Canceled) {
			r.err = nil
		}
		return nil, code, errors.Join(fmt.Errorf("stopped by the signal %v", sig), r.err)
	}
}

func startAll(ctx context.Context, o options) (_ *servers, err error) {
	s := &servers{}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.stop())
		}
	}()
	var stop func() error
	if s.ollama, stop, err = components.RunOllama(ctx); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, stop)
	if s.jaeger, stop, err = components.RunJaeger(ctx); err != nil {
		return nil, err
	}
	s.stops = append(s.stops, stop)
	if o.collector {
		if s.prometheus, stop, err = components.RunPrometheus(ctx); err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
		if s.collector, stop, err = components.RunCollector(ctx, s.jaeger, s.prometheus); err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
	}
	if o.litellm {
		if s.litellm, stop, err = components.RunLiteLLM(ctx, s.ollama); err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
	}
	if o.transformers {
		if s.transformers, stop, err = components.RunTransformers(ctx, ""); err != nil {
			return nil, err
		}
		s.stops = append(s.stops, stop)
	}
	return s, nil
}

// stop stops the servers, the last one first.
func (s *servers) stop() error {
	var errs []error
	for _, stop := range slices.Backward(s.stops) {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// variables tell a program where the servers are.
func (s *servers) variables(grpc bool) []string {
	overHTTP, overGRPC := s.jaeger.OTLPHTTP, s.jaeger.OTLPGRPC
	if s.collector != nil {
		overHTTP, overGRPC = s.collector.OTLPHTTP, s.collector.OTLPGRPC
	}
	endpoint, protocol := overHTTP, "http/protobuf"
	if grpc {
		endpoint, protocol = "http://"+overGRPC, "grpc"
	}
	all := []string{
		"OLLAMA_HOST=" + s.ollama.URL,
		"MELLEA_MODEL=" + s.ollama.Model,
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
		"MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true",
		"JAEGER_QUERY_URL=" + s.jaeger.QueryURL,
	}
	if s.collector != nil {
		all = append(all, "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true", "MELLEA_LOGS_OTLP=true", "PROMETHEUS_URL="+s.prometheus.URL)
	}
	if dir, err := components.Find(components.LlamaCPP); err == nil {
		all = append(all, "MELLEA_LLAMA_LIB="+filepath.Join(dir, "lib"))
	}
	if dir, err := components.Find(components.SmolLM2); err == nil {
		all = append(all, "MELLEA_GGUF="+filepath.Join(dir, components.SmolLM2File))
	}
	if s.litellm != nil {
		all = append(all, "LITELLM_PROXY_API_BASE="+s.litellm.URL, "LITELLM_PROXY_API_KEY="+s.litellm.Key)
	}
	if s.transformers != nil {
		all = append(all, "TRANSFORMERS_URL="+s.transformers.URL+"/v1", "TRANSFORMERS_MODEL="+s.transformers.Model)
	}
	return all
}

func (s *servers) environ(grpc bool) []string {
	return append(os.Environ(), s.variables(grpc)...)
}

// runCommand runs the command to its end and returns its exit code, by the
// shell's convention: 127 when it cannot be started, 128 and the signal's number
// when a signal ended it. An interrupt at the terminal reaches the command by
// itself, as it does without this program; a SIGTERM is passed on.
func runCommand(command, env []string, signals <-chan os.Signal) (int, error) {
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = env
	if err := cmd.Start(); err != nil {
		return 127, fmt.Errorf("run the command: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case sig := <-signals:
			if sig != os.Interrupt {
				cmd.Process.Signal(sig) // it fails only when the command has just ended
			}
		case err := <-ended:
			return exitCode(err)
		}
	}
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if err == nil {
		return 0, nil
	}
	if !errors.As(err, &exit) {
		return 1, fmt.Errorf("run the command: %w", err)
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return exit.ExitCode(), nil
}

func say(format string, args ...any) { fmt.Fprintf(os.Stderr, "components: "+format+"\n", args...) }
