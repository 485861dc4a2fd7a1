package telemetry

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/internal/otlpfile"
)

// WithTracesFile appends spans to the file at path, and switches tracing on: a line of OTLP's JSON for each batch, as the
// file exporter of the OpenTelemetry Collector writes them, so that its file receiver, mellea cost and others read them.
// The file is made with mode 0600, as it may hold content. It is never cut, and several processes may append to it. Setup
// fails when it cannot be opened. MELLEA_TRACES_FILE names one too; what is wrong with that is a warning.
func WithTracesFile(path string) Option { return func(o *options) { o.tracesFile = &path } }

// newFileExporter opens the file that spans are appended to.
func newFileExporter(ctx context.Context, path string) (sdktrace.SpanExporter, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if errors.Is(err, os.ErrPermission) { // a file may be for writing only
		f, err = os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	}
	if err != nil {
		return nil, err
	}
	return otlptrace.New(ctx, &fileClient{f: f, broken: endsWithin(f)})
}

// endsWithin reports whether a file ends within a line, as one does whose writer was killed.
func endsWithin(f *os.File) bool {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Size() == 0 {
		return false
	}
	var last [1]byte
	_, err = f.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] != '\n'
}

// A fileClient is what the SDK's OTLP exporter sends by, here into a file.
type fileClient struct {
	mu  sync.Mutex
	f   *os.File // nil when it has been closed
	buf []byte

	broken bool // the file ends within a line: the next batch is not to go on with it
}

// Start implements [otlptrace.Client].
func (*fileClient) Start(context.Context) error { return nil }

// Stop implements [otlptrace.Client].
func (c *fileClient) Stop(context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f == nil {
		return nil
	}
	err := c.f.Close()
	c.f = nil
	return err
}

// UploadTraces writes a batch by one call, so that lines of several processes do not mix.
func (c *fileClient) UploadTraces(_ context.Context, spans []*tracepb.ResourceSpans) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f == nil {
		return os.ErrClosed
	}
	start := c.buf[:0]
	if c.broken {
		start = append(start, '\n')
	}
	line, err := otlpfile.AppendSpans(start, spans...)
	if err != nil {
		return err
	}
	c.buf = line[:0]
	_, err = c.f.Write(line)
	c.broken = err != nil
	return err
}

// fileExporter returns the exporter to a file, nil where there is none. A file that an option names is the program's own business.
func (c config) fileExporter(ctx context.Context, o options, w *warner) (sdktrace.SpanExporter, error) {
	if c.file == "" {
		return nil, nil //nolint:nilnil // no file
	}
	e, err := newFileExporter(ctx, c.file)
	switch {
	case err == nil:
		return e, nil
	case o.tracesFile != nil:
		return nil, fmt.Errorf("telemetry: traces cannot be written to a file: %w", err)
	case errors.Is(err, os.ErrPermission):
		w.warn(ctx, "MELLEA_TRACES_FILE may not be written: spans are not exported there")
	default:
		w.warn(ctx, "MELLEA_TRACES_FILE cannot be opened, so spans are not exported there: "+exportError(err))
	}
	return nil, nil //nolint:nilnil // a warning is all there is
}
