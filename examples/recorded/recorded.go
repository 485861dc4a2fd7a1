// Package recorded runs the examples of this project: on a recording of a real model, so that nothing has to be
// installed, or with -live on a model that Ollama serves. What of their telemetry is switched on, the environment says, as
// MELLEA_TRACES_ENABLED=true MELLEA_TRACES_CONSOLE=true for the trace.
//
// The recordings were made with SmolLM2-135M-Instruct, a small and weak model. To make them again:
//
//	scripts/components/install.sh
//	go run ./scripts/components/run -- go generate ./examples/...
package recorded

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/telemetry"
)

// Program is an example: it asks b, writes to w and installs tel.
type Program func(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error

// Main is the main function of an example: it reads the flags, runs p and exits with 1 when p fails. An interrupt ends
// the context of p.
func Main(recording []byte, p Program) {
	live := flag.Bool("live", false, "ask the model that Ollama serves at $OLLAMA_HOST, $MELLEA_MODEL or the newest")
	record := flag.String("record", "", "record the exchanges with the live model to `file`")
	speed := flag.Float64("speed", 1, "`times` as fast as the model was; 0 waits for nothing")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := traced(ctx, recording, p, mode{*live, *record, *speed})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Run runs p on the recording without waiting as the model did, for tests. What goes wrong is written to w.
func Run(w io.Writer, recording []byte, p Program) {
	b, err := replay.New(bytes.NewReader(recording))
	ctx := context.Background()
	off, setup := telemetry.Setup(ctx, telemetry.WithEnviron(nil))
	if err = errors.Join(err, setup); err == nil {
		err = p(ctx, w, b, off)
	}
	if err != nil {
		fmt.Fprintln(w, "error:", err)
	}
}

// mode is what the flags say.
type mode struct {
	live   bool
	record string
	speed  float64
}

func traced(ctx context.Context, recording []byte, p Program, m mode) error {
	tel, err := telemetry.Setup(ctx)
	if err != nil {
		return err
	}
	return errors.Join(run(ctx, recording, p, m, tel), tel.Shutdown(context.WithoutCancel(ctx)))
}

func run(ctx context.Context, recording []byte, p Program, m mode, tel *telemetry.Telemetry) error {
	switch {
	case m.live && m.record != "":
		r, err := replay.RecordFile(server(), m.record, replay.WithNote("go generate ./examples/..."))
		if err != nil {
			return err
		}
		return errors.Join(p(ctx, os.Stdout, r, tel), r.Close())
	case m.live:
		return p(ctx, os.Stdout, server(), tel)
	case m.record != "":
		return errors.New("-record needs -live: there is nothing to record of a recording")
	default:
		timing := replay.Instant
		if m.speed > 0 {
			timing = replay.Timing(1 / m.speed)
		}
		b, err := replay.New(bytes.NewReader(recording), replay.WithTiming(timing))
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "(a recording of %s, made on %s; -live asks a model)\n", model(ctx, b), b.Made().Format("2006-01-02"))
		return p(ctx, os.Stdout, b, tel)
	}
}

func server() backend.Backend {
	return ollama.New(ollama.WithModel(os.Getenv("MELLEA_MODEL")))
}

func model(ctx context.Context, b backend.Backend) string {
	info, _ := b.Info(ctx) // a recording always knows
	return info.Model
}
