package cli

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/mellea-go/mellea/internal/otlpfile"
)

// mostComplaints bounds the lines about what is broken in one file.
const mostComplaints = 10

// readTelemetry hands the records of a file, - for standard input, to take, whose error ends it. Each broken part is told to
// the user, up to a few, and counted.
func (a *app) readTelemetry(ctx context.Context, file string, take func(otlpfile.Record) error) (broken int, err error) {
	from := a.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return 0, err
		}
		defer f.Close() // it was only read
		from = f
	}
	name := inputName(file)
	for r, err := range otlpfile.Read(untilDone(ctx, from)) {
		if ctx.Err() != nil {
			return broken, context.Cause(ctx)
		}
		if bad, ok := errors.AsType[*otlpfile.Error](err); ok {
			if broken++; broken <= mostComplaints {
				a.warn("%s: %v", name, bad)
			}
			continue
		}
		if err == nil {
			err = take(r)
		}
		if err != nil {
			return broken, fmt.Errorf("%s: %w", name, err)
		}
	}
	if broken > mostComplaints {
		a.warn("%s: %d more parts cannot be read", name, broken-mostComplaints)
	}
	return broken, nil
}

// inputName is what messages call a file.
func inputName(file string) string {
	if file == "-" {
		return "standard input"
	}
	return oneLine(file)
}
