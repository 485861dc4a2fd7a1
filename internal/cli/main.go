package cli

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"go.opentelemetry.io/otel"
	"golang.org/x/term"
)

// Main runs the command of this process and returns its exit code.
//
// The first SIGINT or SIGTERM cancels what runs, so that it ends in order and telemetry is flushed. The second one ends
// the process as if nobody had listened. A SIGINT that the command takes for something less, as a chat does for the end
// of a reply, counts as none.
func Main() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	listener := make(chan struct{})
	interrupts := &Interrupts{}
	go func() {
		defer close(listener)
		for {
			select {
			case s := <-signals:
				if s == os.Interrupt && interrupts.Deliver() {
					continue
				}
				signal.Stop(signals) // before anybody can see that this one has arrived
				cancel(interrupted(s))
			case <-done:
				signal.Stop(signals)
			}
			return
		}
	}()
	defer func() {
		close(done)
		<-listener
	}()
	sys := System{
		Stdin:      os.Stdin,
		Stdout:     Output{Writer: os.Stdout, Terminal: terminal(os.Stdout)},
		Stderr:     Output{Writer: os.Stderr, Terminal: terminal(os.Stderr)},
		Environ:    os.Environ(),
		Interrupts: interrupts,
		logs:       &logSinks{},
	}
	quiet(sys)
	return failing(sys, func() int { return Run(ctx, sys, os.Args[1:]...) })
}

// failing runs the command. A panic is a failure of the program like any other, told apart from wrong usage by its exit
// code, which Go's own way of ending is not.
func failing(sys System, run func() int) (code int) {
	defer func() {
		if p := recover(); p != nil {
			_, _ = fmt.Fprintf(sys.Stderr, "mellea: internal error: %v\n%s", p, debug.Stack())
			code = ExitFailed
		}
	}()
	return run()
}

// quiet keeps libraries from printing lines of their own. The OpenTelemetry SDK reads the environment too, and quotes what
// it cannot use, the keys in a header list included; what is wrong there is a warning of telemetry.Setup already, which
// quotes nothing. Warnings that go to the default logger become lines of the command.
func quiet(sys System) {
	silence(otel.SetLogger)
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(error) {}))
	a := &app{System: sys}
	slog.SetDefault(a.warnings())
}

// silence sets the zero logger, which drops everything, without a dependency on the package of its type.
func silence[Logger any](set func(Logger)) {
	var none Logger
	set(none)
}

// terminal reports whether f is a terminal that understands escape sequences.
func terminal(f *os.File) bool {
	if !term.IsTerminal(int(f.Fd())) {
		return false
	}
	// A Windows console understands them only where it was told to; Windows Terminal, which sets this, always does.
	return runtime.GOOS != "windows" || os.Getenv("WT_SESSION") != ""
}

// interrupted returns the cause for a signal.
func interrupted(s os.Signal) error {
	if n, ok := s.(syscall.Signal); ok {
		return &Interrupted{Signal: int(n), name: s.String()}
	}
	return &Interrupted{Signal: int(syscall.SIGINT), name: s.String()}
}
