package local

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/warnonce"
)

// Backend runs models in this process. It is safe for concurrent use; sessions that share it share the weights. Close
// it when the last of them is done.
type Backend struct {
	engine   engine
	settings loadSettings
	model    string // "" when none is configured
	template string

	toolFormat ToolFormat

	options  backend.Options
	contexts int
	window   int
	cache    cache
	folder   string       // for models that had to be converted, "" is that of the user
	problem  error        // what makes the configuration unusable
	warnings warnonce.Log // of options that have no effect

	closing chan struct{}  // closes when Close begins
	running sync.WaitGroup // generations, batches and loads

	mu     sync.Mutex
	closed bool
	models map[string]*model // by the path of their file
}

var (
	_ backend.Backend     = (*Backend)(nil)
	_ backend.ModelLister = (*Backend)(nil)
	_ io.Closer           = (*Backend)(nil)
)

// New returns a backend. It does no I/O: libraries and model are loaded by [Backend.Info], or by the first generation.
// It reads MELLEA_LLAMA_LIB, and HF_HUB_CACHE, HF_HOME and XDG_CACHE_HOME for the place of the hub's cache.
func New(opts ...Option) *Backend {
	c := config{library: os.Getenv("MELLEA_LLAMA_LIB"), contexts: 1, threads: defaultThreads()}
	for _, o := range opts {
		o(&c)
	}
	if c.engine == nil {
		c.engine = cpp{dir: c.library}
	}
	const manyLayers = 1 << 20
	if c.gpuLayers < 0 {
		c.gpuLayers = manyLayers
	}
	b := &Backend{
		engine: c.engine, settings: loadSettings{threads: c.threads, gpuLayers: c.gpuLayers},
		model: c.model, template: c.template, toolFormat: c.tools, options: c.options, contexts: c.contexts, window: c.window,
		cache: findCache(os.Getenv), folder: c.folder, warnings: warnonce.Log{Logger: c.log}, closing: make(chan struct{}), models: map[string]*model{},
	}
	const mostThreads, mostContexts = 1024, 1024
	switch {
	case c.contexts < 1 || c.contexts > mostContexts:
		b.problem = misconfigured("info", fmt.Sprintf("the number of contexts is %d: it goes from 1 to %d", c.contexts, mostContexts), nil)
	case c.threads < 1 || c.threads > mostThreads:
		b.problem = misconfigured("info", fmt.Sprintf("the number of threads is %d: it goes from 1 to %d", c.threads, mostThreads), nil)
	case c.window < 0:
		b.problem = misconfigured("info", "the context window is negative: leave it out for the model's own", nil)
	}
	return b
}

// Format prints the backend, whatever the verb.
func (b *Backend) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "%s backend in process, model %q", provider, b.model) // the printer keeps its own errors
}

// Info describes the backend. With a model configured it loads the library and that model, so that what is wrong with
// either shows; this may take seconds, and once begun it is not cut short. The error is an *[backend.Error], with code
// [backend.CodeConfiguration] for libraries that are missing or of another release, and for a model that is not there.
func (b *Backend) Info(ctx context.Context) (backend.Info, error) {
	info := backend.Info{
		Provider: provider, InProcess: true,
		Capabilities: backend.Capabilities{Tools: true, Batch: true, Structured: backend.StructuredSchema},
	}
	if b.problem != nil {
		return info, b.problem
	}
	set, err := b.options.Resolve(names)
	if err != nil {
		return info, optionError("info", err)
	}
	spec := set.Model()
	if spec == "" {
		spec = b.model
	}
	if spec == "" {
		info.NeedsModel = true
		return info, nil
	}
	if err := ctx.Err(); err != nil {
		return info, context.Cause(ctx)
	}
	if err := b.enter("info"); err != nil {
		return info, err
	}
	defer b.running.Done()
	m, err := b.load(ctx, "info", spec)
	if err != nil {
		return info, err
	}
	info.Model = m.shown
	return info, nil
}

var errClosed = errors.New("the backend is closed")

func closedError(op string) error {
	return &backend.Error{Provider: provider, Op: op, Code: codeClosed, Err: errClosed,
		Remedy: "the backend was closed: close it when the last session that uses it is done, or make another"}
}

const codeClosed = "closed"

// enter begins something that Close waits for. Its end is b.running.Done.
func (b *Backend) enter(op string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return closedError(op)
	}
	b.running.Add(1)
	return nil
}

// Close ends the generations that still run, with an *[backend.Error] of code "closed", waits for them and frees the
// models. It may be called more than once; the error is always nil.
func (b *Backend) Close() error {
	b.mu.Lock()
	first := !b.closed
	b.closed = true
	b.mu.Unlock()
	if first {
		close(b.closing)
	}
	b.running.Wait()
	b.mu.Lock()
	defer b.mu.Unlock()
	for path, m := range b.models {
		m.free()
		delete(b.models, path)
	}
	return nil
}

// report says once that an option has no effect.
func (b *Backend) report(option, why string) {
	b.warnings.Warn(option, why, "option", option, "provider", provider)
}
