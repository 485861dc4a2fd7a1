package replay

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/mellea-go/mellea/backend"
)

// Recorder is a backend that passes everything on to another one and writes down each exchange when it has ended. It
// is safe for concurrent use. A failure to write never disturbs a generation: [Recorder.Close] returns it.
type Recorder struct {
	inner backend.Backend
	note  string

	running sync.WaitGroup

	mu     sync.Mutex
	info   *backend.Info // what inner said, once it did
	w      io.Writer
	closer io.Closer // nil unless the recorder opened w
	begun  bool      // the header is written
	next   int       // index of the next exchange
	closed bool
	err    error // the first
}

var _ backend.Backend = (*Recorder)(nil)

// RecordOption changes how a recording is made.
type RecordOption func(*Recorder)

// WithNote puts a text of the author's into the header.
func WithNote(note string) RecordOption { return func(r *Recorder) { r.note = note } }

// Record returns a backend that records what inner does to w. Each line is one call of Write. What w holds is as
// private as the prompts; see [RecordFile] for a file.
func Record(inner backend.Backend, w io.Writer, opts ...RecordOption) *Recorder {
	r := &Recorder{inner: inner, w: w}
	for _, o := range opts {
		o(r)
	}
	return r
}

// RecordFile records to the file at path, with mode 0600. A recording that is there is replaced; any other file that
// is not empty is left alone, with an error that wraps [ErrNotRecording]. [Recorder.Close] closes the file.
func RecordFile(inner backend.Backend, path string, opts ...RecordOption) (*Recorder, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("replay: record: %w", err)
	}
	if err := claim(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("replay: record to %s: %w", path, err)
	}
	r := Record(inner, f, opts...)
	r.closer = f
	return r, nil
}

// claim empties f, if what it holds may be lost, and makes it private.
func claim(f *os.File) error {
	head := make([]byte, 4096)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
		return err
	}
	if n > 0 && !looksLikeHeader(head[:n]) {
		return fmt.Errorf("the file exists and would be lost: choose another path: %w", ErrNotRecording)
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Truncate(0)
}

// looksLikeHeader tells whether a file that begins with head is a recording of any version.
func looksLikeHeader(head []byte) bool {
	return bytes.HasPrefix(head, []byte(`{"format":"`+formatName+`",`))
}

// Info returns what the recorded backend says.
func (r *Recorder) Info(ctx context.Context) (backend.Info, error) {
	info, err := r.inner.Info(ctx)
	if err == nil {
		r.mu.Lock()
		r.info = &info
		r.mu.Unlock()
	}
	return info, err
}

// infoTime bounds the question after a backend that was used without being asked.
const infoTime = 10 * time.Second

// describe returns what the header says of the backend, which is what the exchange tells when the backend does not.
func (r *Recorder) describe(ctx context.Context, g generation) backend.Info {
	r.mu.Lock()
	known, begun := r.info, r.begun
	r.mu.Unlock()
	if known != nil {
		return *known
	}
	if !begun {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), infoTime)
		defer cancel()
		if info, err := r.Info(ctx); err == nil {
			return info
		}
	}
	return backend.Info{Provider: g.Provider, Model: g.Model, ServerAddress: g.ServerAddress, ServerPort: g.ServerPort, InProcess: g.InProcess}
}

// Generate starts the generation with the recorded backend. The exchange is written before the output is done.
func (r *Recorder) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	index, ok := r.begin()
	if !ok {
		return r.inner.Generate(ctx, req)
	}
	asked := func(model string) (request, error) { return recordRequest(req, model) }
	started := time.Now()
	tap := &tap{wake: make(chan struct{}, 1)}
	src, err := r.inner.Generate(ctx, req.Detached().WithLifecycle(tap, false))
	if err != nil {
		defer r.running.Done()
		r.record(ctx, &exchange{Index: index, Error: recordFailure(err), Refused: true}, asked)
		return nil, err
	}
	return backend.Start(ctx, req, backend.Generation{Started: started}, func(ctx context.Context, w *backend.Writer) error {
		defer r.running.Done()
		chunks, err := tap.forward(ctx, src, w)
		r.record(ctx, recordExchange(index, *w.Generation(), chunks, err), asked)
		return err
	}), nil
}

// begin counts an exchange in; ok is false when the recorder is closed.
func (r *Recorder) begin() (index int, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		r.fail(errors.New("replay: record: a request was made after the recorder was closed, and not recorded"))
		return 0, false
	}
	r.running.Add(1)
	r.next++
	return r.next - 1, true
}

// recordExchange describes a generation that has ended.
func recordExchange(index int, g backend.Generation, chunks []backend.Chunk, err error) *exchange {
	e := &exchange{Index: index, Generation: recordGeneration(g), Error: recordFailure(err)}
	for _, c := range chunks {
		e.Chunks = append(e.Chunks, recordChunk(c, g.Started))
	}
	return e
}

func recordChunk(c backend.Chunk, started time.Time) chunk {
	r := chunk{At: offset(c.At, started)}
	text := c.Text
	if r.Base64 = !utf8.ValidString(text); r.Base64 {
		text = base64.StdEncoding.EncodeToString([]byte(text))
	}
	switch c.Kind {
	case backend.ChunkReasoning:
		r.Reasoning = text
	case backend.ChunkToolCall:
		r.ToolCall = &delta{c.Tool.Index, c.Tool.ID, c.Tool.Name, c.Tool.Arguments}
	case backend.ChunkServerTool:
		d := serverDelta(c.ServerTool)
		r.Served = &d
	default:
		r.Text = text
	}
	return r
}

// offset is the time from started to t in microseconds, 0 when one of them is not known.
func offset(t, started time.Time) int64 {
	if t.IsZero() || started.IsZero() {
		return 0
	}
	return max(0, min(t.Sub(started).Microseconds(), maxOffset))
}

func recordGeneration(g backend.Generation) generation {
	r := generation{
		Provider: g.Provider, Model: g.Model, ResponseModel: g.ResponseModel, ResponseID: g.ResponseID, RequestID: g.RequestID,
		Fingerprint: g.SystemFingerprint, ServiceTier: g.ServiceTier, Deployment: g.Deployment, Cost: optional(g.Cost.USD, g.Cost.Reported),
		FinishReasons: g.FinishReasons.Slice(), Usage: recordUsage(g.Usage), Streaming: g.Streaming,
		ServerAddress: g.ServerAddress, ServerPort: g.ServerPort, InProcess: g.InProcess,
		Ended: offset(g.Ended, g.Started),
	}
	r.Sent.Model = g.Sent.Model()
	r.Sent.options, _ = recordOptions(g.Sent) // the request's own options tell of what cannot be encoded
	for t := range g.Retries.Values() {
		r.Retries = append(r.Retries, retry{offset(t.At, g.Started), t.Delay.Microseconds(), t.Status, t.Reason})
	}
	return r
}

// record completes e with the request, which it asks for with the backend's own model, and writes it.
func (r *Recorder) record(ctx context.Context, e *exchange, asked func(model string) (request, error)) {
	info := r.describe(ctx, e.Generation)
	var err error
	e.Request, err = asked(cmp.Or(info.Model, e.Generation.Model))
	var line []byte
	if err == nil {
		line, err = encodeLine(e)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.fail(fmt.Errorf("replay: record: request %d: %w", e.Index, err))
		return
	}
	r.writeHeader(info)
	r.write(line)
}

// writeHeader runs under mu.
func (r *Recorder) writeHeader(info backend.Info) {
	if r.begun {
		return
	}
	r.begun = true
	c := info.Capabilities
	h := header{
		Format: formatName, Version: version, Contains: contains, Made: time.Now().UTC().Truncate(time.Second), Note: r.note,
		Provider: info.Provider, Model: info.Model,
		ServerAddress: info.ServerAddress, ServerPort: info.ServerPort, InProcess: info.InProcess,
		Capabilities: capabilities{Images: c.Images, Audio: c.Audio, Tools: c.Tools, Batch: c.Batch},
	}
	if int(c.Structured) < len(structured) {
		h.Capabilities.Structured = structured[c.Structured]
	}
	line, err := encodeLine(h)
	if err != nil {
		r.fail(fmt.Errorf("replay: record: header: %w", err))
		return
	}
	r.write(line)
}

// write runs under mu. After a failure nothing more is written: behind half a line it would be damage.
func (r *Recorder) write(line []byte) {
	if r.err != nil {
		return
	}
	if n, err := r.w.Write(line); err != nil {
		r.fail(fmt.Errorf("replay: record: %w", err))
	} else if n < len(line) {
		r.fail(fmt.Errorf("replay: record: %w", io.ErrShortWrite))
	}
}

// fail runs under mu.
func (r *Recorder) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// Close waits for the exchanges that still run, closes the file of [RecordFile] and returns the first failure to
// record, if there was one. It may be called twice. Requests made later are passed on and not recorded.
func (r *Recorder) Close() error {
	r.mu.Lock()
	first := !r.closed
	r.closed = true
	r.mu.Unlock()
	r.running.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if first && r.closer != nil {
		if err := r.closer.Close(); err != nil {
			r.fail(fmt.Errorf("replay: record: %w", err))
		}
	}
	return r.err
}
