package recorded

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/telemetry"
)

// name is a program that asks its backend nothing but its model.
func name(ctx context.Context, w io.Writer, b backend.Backend, _ *telemetry.Telemetry) error {
	info, err := b.Info(ctx)
	fmt.Fprint(w, info.Model)
	return err
}

const recording = `{"format":"mellea-recording","version":1,"made":"2026-11-23T02:00:00Z","provider":"ollama","model":"m-1"}` + "\n"

func TestRun(t *testing.T) {
	t.Parallel()
	failing := func(context.Context, io.Writer, backend.Backend, *telemetry.Telemetry) error {
		return errors.New("no luck")
	}
	for _, test := range []struct {
		name, recording string
		program         Program
		want            string
	}{
		{"a recording", recording, name, "m-1"},
		{"no recording", "hello", name, "error: "},
		{"a program that fails", recording, failing, "error: no luck\n"},
	} {
		var out bytes.Buffer
		Run(&out, []byte(test.recording), test.program)
		if got := out.String(); !strings.HasPrefix(got, test.want) {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}

func TestFlags(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "recording.jsonl")
	if err := run(t.Context(), []byte(recording), name, mode{record: path}, nil); err == nil {
		t.Error("-record without -live is no error")
	}
	nothing := func(context.Context, io.Writer, backend.Backend, *telemetry.Telemetry) error { return nil }
	if err := run(t.Context(), nil, nothing, mode{live: true, record: path}, nil); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), nil, func(_ context.Context, _ io.Writer, b backend.Backend, _ *telemetry.Telemetry) error {
		if _, ok := b.(*replay.Recorder); ok {
			return errors.New("-live alone records")
		}
		return nil
	}, mode{live: true}, nil); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("-live -record left no file: %v", err)
	}
}
