// Package recorded runs the examples of this project: on a recording of a real model, so that nothing has to be
// installed, or with -live on a model that Ollama serves.
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
)

// Program is an example: it asks b and writes to w.
type Program func(ctx context.Context, w io.Writer, b backend.Backend) error

// Main is the main function of an example: it reads the flags, runs p and exits with 1 when p fails. An interrupt ends
// the context of p.
func Main(recording []byte, p Program) {
	live := flag.Bool("live", false, "ask the model that Ollama serves at $OLLAMA_HOST, $MELLEA_MODEL or the newest")
	record := flag.String("record", "", "record the exchanges with the live model to `file`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, recording, p, *live, *record)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// Run runs p on the recording without waiting as the model did, for tests. What goes wrong is written to w.
func Run(w io.Writer, recording []byte, p Program) {
	b, err := replay.New(bytes.NewReader(recording))
	if err == nil {
		err = p(context.Background(), w, b)
	}
	if err != nil {
		fmt.Fprintln(w, "error:", err)
	}
}

func run(ctx context.Context, recording []byte, p Program, live bool, record string) error {
	switch {
	case live && record != "":
		r, err := replay.RecordFile(server(), record, replay.WithNote("go generate ./examples/..."))
		if err != nil {
			return err
		}
		return errors.Join(p(ctx, os.Stdout, r), r.Close())
	case live:
		return p(ctx, os.Stdout, server())
	case record != "":
		return errors.New("-record needs -live: there is nothing to record of a recording")
	default:
		b, err := replay.New(bytes.NewReader(recording), replay.WithTiming(replay.Real))
		if err != nil {
			return err
		}
		fmt.Fprintf(os.Stderr, "(a recording of %s, made on %s; -live asks a model)\n", model(ctx, b), b.Made().Format("2006-01-02"))
		return p(ctx, os.Stdout, b)
	}
}

func server() backend.Backend {
	return ollama.New(ollama.WithModel(os.Getenv("MELLEA_MODEL")))
}

func model(ctx context.Context, b backend.Backend) string {
	info, _ := b.Info(ctx) // a recording always knows
	return info.Model
}
