// Command run runs a command beside a real Ollama and a real Jaeger:
//
//	go run ./scripts/components/run [-keep] [-grpc] -- COMMAND ARGUMENT…
//
// The command finds the servers by its environment: OLLAMA_HOST, MELLEA_MODEL,
// OTEL_EXPORTER_OTLP_ENDPOINT and OTEL_EXPORTER_OTLP_PROTOCOL, and with
// MELLEA_TRACES_ENABLED and MELLEA_TRACES_OTLP its traces are on;
// JAEGER_QUERY_URL is where they can be read back. It has this
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
	"syscall"
	"time"

	"github.com/mellea-go/mellea/integration/components"
)

const usage = `usage: go run ./scripts/components/run [-keep] [-grpc] -- COMMAND ARGUMENT…

Starts Ollama and Jaeger, runs the command with their addresses in its
environment, and stops them.

`

func main() {
	flag.Usage = func() {
		fmt.Fprint(flag.CommandLine.Output(), usage)
		flag.PrintDefaults()
	}
	keep := flag.Bool("keep", false, "leave the servers up after the command, until interrupted")
	grpc := flag.Bool("grpc", false, "have the command send OTLP over gRPC (default: over HTTP)")
	flag.Parse()
	if flag.NArg() == 0 && !*keep {
		flag.Usage()
		os.Exit(2)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	code, err := run(flag.Args(), *keep, *grpc, signals)
	if err != nil {
		say("%v", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// run starts the servers, runs the command and stops the servers. It returns the
// command's exit code, and an error for what went wrong around the command.
func run(command []string, keep, grpc bool, signals <-chan os.Signal) (code int, err error) {
	s, code, err := start(signals)
	if err != nil {
		return code, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	say("Ollama listens on %s, model %s", s.ollama.URL, s.ollama.Model)
	say("Jaeger takes OTLP on %s (HTTP) and %s (gRPC), answers on %s", s.jaeger.OTLPHTTP, s.jaeger.OTLPGRPC, s.jaeger.QueryURL)
	if len(command) > 0 {
		if code, err = runCommand(command, s.environ(grpc), signals); err != nil {
			return code, err
		}
	}
	if keep {
		for _, v := range s.variables(grpc) {
			say("  %s", v)
		}
		say("the servers stay up; Ctrl-C stops them")
		<-signals
	}
	return code, nil
}

// servers are both servers, running.
type servers struct {
	ollama *components.Ollama
	jaeger *components.Jaeger
	stops  []func() error
}

// start starts both servers. A signal ends the start. With an error it returns
// the exit code to end with, else 0.
func start(signals <-chan os.Signal) (*servers, int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	type result struct {
		s   *servers
		err error
	}
	started := make(chan result, 1)
	go func() {
		s, err := startBoth(ctx)
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

func startBoth(ctx context.Context) (*servers, error) {
	s := &servers{}
	ollama, stop, err := components.RunOllama(ctx)
	if err != nil {
		return nil, err
	}
	s.ollama, s.stops = ollama, append(s.stops, stop)
	jaeger, stop, err := components.RunJaeger(ctx)
	if err != nil {
		return nil, errors.Join(err, s.stop())
	}
	s.jaeger, s.stops = jaeger, append(s.stops, stop)
	return s, nil
}

func (s *servers) stop() error {
	var errs []error
	for _, stop := range s.stops {
		errs = append(errs, stop())
	}
	return errors.Join(errs...)
}

// variables tell a program where the servers are.
func (s *servers) variables(grpc bool) []string {
	endpoint, protocol := s.jaeger.OTLPHTTP, "http/protobuf"
	if grpc {
		endpoint, protocol = "http://"+s.jaeger.OTLPGRPC, "grpc"
	}
	return []string{
		"OLLAMA_HOST=" + s.ollama.URL,
		"MELLEA_MODEL=" + s.ollama.Model,
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint,
		"OTEL_EXPORTER_OTLP_PROTOCOL=" + protocol,
		"MELLEA_TRACES_ENABLED=true",
		"MELLEA_TRACES_OTLP=true",
		"JAEGER_QUERY_URL=" + s.jaeger.QueryURL,
	}
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
