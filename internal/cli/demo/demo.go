// Package demo is the program that mellea demo runs, its source, and a recording of what a real model replied to it.
package demo

import (
	_ "embed"
	"strings"

	"github.com/mellea-go/mellea/backend/replay"
)

// Source is the file that holds [Explain], for showing.
//
//go:embed program.go
var Source string

// recording is made by `make record-demo` and nothing else.
//
//go:embed recording.jsonl
var recording string

// Replay returns a backend that replies to [Explain] what the model replied when the recording was made.
func Replay(t replay.Timing) (*replay.Backend, error) {
	return replay.New(strings.NewReader(recording), replay.WithTiming(t))
}
