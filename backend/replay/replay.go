package replay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// CodeUnexpected is the code of the *[backend.Error] for a request that was not recorded.
const CodeUnexpected = "unexpected_request"

// Backend answers from a recording. It is safe for concurrent use; each exchange is replayed once.
type Backend struct {
	header header
	timing Timing
	cut    bool
	all    []*exchange // in the order of their requests

	mu     sync.Mutex
	unused map[[32]byte][]*exchange
}

var _ backend.Backend = (*Backend)(nil)

// Option changes how a recording is replayed.
type Option func(*Backend)

// WithTiming says when the pieces of a reply arrive. The default is [Instant].
func WithTiming(t Timing) Option { return func(b *Backend) { b.timing = t } }

// Open returns a backend that replays the recording at path. The error is a *[FormatError] or that of reading.
func Open(path string, opts ...Option) (*Backend, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("replay: %w", err)
	}
	defer f.Close()
	b, err := New(f, opts...)
	if bad, ok := errors.AsType[*FormatError](err); ok {
		bad.Name = path
	}
	return b, err
}

// New returns a backend that replays the recording r, which it reads to the end. The error is a *[FormatError] or that
// of reading.
func New(r io.Reader, opts ...Option) (*Backend, error) {
	rec, err := read(r)
	if err != nil {
		return nil, err
	}
	b := &Backend{header: rec.header, cut: rec.cut, all: rec.exchanges, unused: map[[32]byte][]*exchange{}}
	for _, e := range rec.exchanges {
		b.unused[e.canonical] = append(b.unused[e.canonical], e)
	}
	for _, o := range opts {
		o(b)
	}
	return b, nil
}

// Info returns what the recorded backend said of itself. It never fails.
func (b *Backend) Info(context.Context) (backend.Info, error) {
	h := b.header
	return backend.Info{
		Provider: h.Provider, Model: h.Model, ServerAddress: h.ServerAddress, ServerPort: h.ServerPort, InProcess: h.InProcess,
		Capabilities: backend.Capabilities{
			Images: h.Capabilities.Images, Audio: h.Capabilities.Audio, Tools: h.Capabilities.Tools, Batch: h.Capabilities.Batch,
			Structured: backend.Structured(max(0, slices.Index(structured, h.Capabilities.Structured))), //nolint:gosec // an index of a short list
		},
	}, nil
}

// Made returns when the recording was made.
func (b *Backend) Made() time.Time { return b.header.Made }

// Note returns what its author wrote about the recording.
func (b *Backend) Note() string { return b.header.Note }

// Truncated reports whether the recording ends in the middle of a line: the program that made it was killed, and one
// exchange is lost.
func (b *Backend) Truncated() bool { return b.cut }

// Exchange names an exchange of a recording.
type Exchange struct {
	Line     int    // in the file, from 1
	Model    string // the model asked for
	Messages int    // how many messages the request had
	Prompts  int    // how many prompts a batch had
}

// Unused returns the exchanges that were not replayed yet, in the order in which they were recorded.
func (b *Backend) Unused() []Exchange {
	var list []Exchange
	for _, e := range b.left() {
		list = append(list, Exchange{Line: e.line, Model: e.Request.Model, Messages: len(e.Request.Messages), Prompts: len(e.Request.Prompts)})
	}
	return list
}

func (b *Backend) left() []*exchange {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []*exchange
	for _, e := range b.all {
		if slices.Contains(b.unused[e.canonical], e) {
			list = append(list, e)
		}
	}
	return list
}

// Generate replays the first exchange not yet replayed that asked for the same as req. When there is none, the error is
// an *[backend.Error] with [CodeUnexpected] whose remedy says where req differs from the nearest recorded request.
func (b *Backend) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	e, err := b.find(recordRequest(req, b.header.Model))
	if err != nil {
		return nil, err
	}
	return b.start(ctx, req, e)
}

// find takes the exchange that answers a request. Err is that of recording the request.
func (b *Backend) find(asked request, err error) (*exchange, error) {
	if err == nil {
		var id [32]byte
		if id, err = asked.identity(); err == nil {
			if e := b.take(id); e != nil {
				return e, nil
			}
			return nil, b.unexpected(&asked, id)
		}
	}
	return nil, &backend.Error{Provider: b.header.Provider, Op: "replay", Code: backend.CodeConfiguration,
		Remedy: "an option of the request cannot be encoded as JSON", Err: err}
}

func (b *Backend) take(id [32]byte) *exchange {
	b.mu.Lock()
	defer b.mu.Unlock()
	queue := b.unused[id]
	if len(queue) == 0 {
		return nil
	}
	b.unused[id] = queue[1:]
	return queue[0]
}

func (b *Backend) start(ctx context.Context, req backend.Request, e *exchange) (*backend.Output, error) {
	if e.Refused {
		return nil, e.Error.err(b.header.Provider)
	}
	started := time.Now()
	out := b.generation(e.Generation, started, req.Options.Stream())
	p := player{exchange: e, timing: b.timing, started: started, provider: b.header.Provider}
	return backend.Start(ctx, req, out, p.play), nil
}

// generation returns recorded metadata as that of a generation that starts now.
func (b *Backend) generation(g generation, started time.Time, stream bool) backend.Generation {
	sent := g.Sent.values()
	if stream = stream || g.Streaming; stream {
		sent = sent.WithStream(true)
	}
	out := backend.Generation{
		Provider: g.Provider, Model: g.Model, ResponseModel: g.ResponseModel, ResponseID: g.ResponseID, RequestID: g.RequestID,
		SystemFingerprint: g.Fingerprint, ServiceTier: g.ServiceTier, Deployment: g.Deployment,
		FinishReasons: content.ListOf(g.FinishReasons...), Usage: g.Usage.usage(), Sent: sent, Streaming: stream,
		ServerAddress: g.ServerAddress, ServerPort: g.ServerPort, InProcess: g.InProcess, Started: started,
	}
	if g.Cost != nil {
		out.Cost = backend.Cost{USD: *g.Cost, Reported: true}
	}
	for _, r := range g.Retries {
		out.Retries = out.Retries.Append(backend.Retry{At: started.Add(b.timing.scale(r.At)), Delay: b.timing.scale(r.Delay),
			Status: r.Status, Reason: r.Reason})
	}
	return out
}

// player replays one exchange.
type player struct {
	*exchange
	timing   Timing
	started  time.Time
	provider string
}

func (p player) play(ctx context.Context, w *backend.Writer) error {
	for i := range p.Chunks {
		c := &p.Chunks[i]
		if err := p.wait(ctx, c.At); err != nil {
			return err
		}
		piece, err := c.chunk(time.Now())
		if err == nil {
			err = write(w, piece)
		}
		if err != nil {
			return err // not reached: the file was checked
		}
	}
	if err := p.wait(ctx, p.Generation.Ended); err != nil {
		return err
	}
	w.End(time.Now())
	return p.Error.err(p.provider)
}

// wait returns when the offset has been reached, or with the cause of ctx.
func (p player) wait(ctx context.Context, offset int64) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	d := time.Until(p.started.Add(p.timing.scale(offset)))
	if p.timing == Instant || d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
