package ollama_test

import (
	"context"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// faultVariable names the fault that a run of TestConformance is to have.
const faultVariable = "MELLEA_TEST_FAULT"

// faults are ways for a backend to be wrong, with the part of the suite that must find each.
var faults = map[string]struct {
	found string
	make  func(backend.Backend) backend.Backend
}{
	"loses the ids of calls": {"Tools", rewriting(func(m content.Message) content.Message {
		var parts []content.Part
		for p := range m.Parts() {
			if c, ok := p.(content.ToolCall); ok {
				c.ID = ""
				p = c
			}
			parts = append(parts, p)
		}
		return content.NewMessage(m.Role(), parts...)
	})},
	"loses images": {"Images", rewriting(func(m content.Message) content.Message {
		return content.NewMessage(m.Role(), slices.DeleteFunc(slices.Collect(m.Parts()), func(p content.Part) bool { _, ok := p.(content.Image); return ok })...)
	})},
	"says it has no tools":      {"Tools", saying(func(c *backend.Capabilities) { c.Tools = false })},
	"says it takes audio":       {"Audio", saying(func(c *backend.Capabilities) { c.Audio = true })},
	"says it has no batches":    {"Batch", saying(func(c *backend.Capabilities) { c.Batch = false })},
	"says it has any JSON only": {"Schema", saying(func(c *backend.Capabilities) { c.Structured = backend.StructuredJSON })},
	"drops the seed": {"Options", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, before: func(r backend.Request) backend.Request { r.Options = r.Options.Without(backend.NeutralSeed); return r }}
	}},
	"takes a broken reply for whole": {"Killed", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, forgive: true}
	}},
	"takes a reply that is cut off for whole": {"CutOff", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, forgive: true}
	}},
	"forgets the usage": {"Usage", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, after: func(g *backend.Generation) { g.Usage = content.Usage{} }}
	}},
	"forgets the server": {"Metadata", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, after: func(g *backend.Generation) { g.ServerPort = 0 }}
	}},
	"leaves a goroutine": {"Concurrent", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, before: func(r backend.Request) backend.Request { go func() { select {} }(); return r }}
	}},
	"keeps what it made": {"Concurrent", func(b backend.Backend) backend.Backend { return faulty{Backend: b, kept: &kept{}} }},
	"turns a batch round": {"Batch", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, batch: func(items []backend.BatchItem) { slices.Reverse(items) }}
	}},
	"hides what failed in a batch": {"Batch", func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, batch: func(items []backend.BatchItem) {
			for i := range items {
				items[i].Err = nil
			}
		}}
	}},
	"has no models": {"Models", func(b backend.Backend) backend.Backend { return noModels{faulty{Backend: b}} }},
}

// A suite that finds nothing proves nothing: each fault is found, by the part of the suite that looks for it.
func TestSuiteFindsFaults(t *testing.T) {
	t.Parallel()
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestConformance$/^"+fault.found+"$")
			cmd.Env = append(os.Environ(), faultVariable+"="+name, "MELLEA_RECORD_CONFORMANCE=0")
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestConformance/"+fault.found) {
				t.Errorf("the suite takes a backend that %s for one that is right, in %s (%v):\n%s", name, fault.found, err, out)
			}
		})
	}
}

// withFault gives a backend the fault that the environment names.
func withFault(b backend.Backend) backend.Backend {
	if fault, ok := faults[os.Getenv(faultVariable)]; ok {
		return fault.make(b)
	}
	return b
}

// faulty is a backend with faults.
type faulty struct {
	backend.Backend

	info    func(*backend.Capabilities)
	before  func(backend.Request) backend.Request
	after   func(*backend.Generation)
	forgive bool
	kept    *kept
	batch   func([]backend.BatchItem)
}

type kept struct {
	mu  sync.Mutex
	all []*backend.Output
}

func saying(change func(*backend.Capabilities)) func(backend.Backend) backend.Backend {
	return func(b backend.Backend) backend.Backend { return faulty{Backend: b, info: change} }
}

func rewriting(change func(content.Message) content.Message) func(backend.Backend) backend.Backend {
	return func(b backend.Backend) backend.Backend {
		return faulty{Backend: b, before: func(r backend.Request) backend.Request {
			var ms []content.Message
			for m := range r.Messages.Values() {
				ms = append(ms, change(m))
			}
			r.Messages = content.NewMessages(ms...)
			return r
		}}
	}
}

func (f faulty) Info(ctx context.Context) (backend.Info, error) {
	info, err := f.Backend.Info(ctx)
	if f.info != nil {
		f.info(&info.Capabilities)
	}
	return info, err
}

func (f faulty) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	if f.before != nil {
		req = f.before(req)
	}
	src, err := f.Backend.Generate(ctx, req.Detached())
	if err != nil {
		return nil, err
	}
	out := backend.Start(ctx, req, backend.Generation{Provider: "ollama"}, func(ctx context.Context, w *backend.Writer) error {
		err := w.Forward(ctx, src)
		if f.after != nil {
			f.after(w.Generation())
		}
		if f.forgive {
			err = nil
		}
		return err
	})
	if f.kept != nil {
		f.kept.mu.Lock()
		defer f.kept.mu.Unlock()
		f.kept.all = append(f.kept.all, out)
	}
	return out, nil
}

func (f faulty) GenerateBatch(ctx context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	reply, err := f.Backend.GenerateBatch(ctx, req)
	if f.batch != nil {
		items := reply.Items.Slice()
		f.batch(items)
		reply.Items = content.ListOf(items...)
	}
	return reply, err
}

// ListModels implements [backend.ModelLister].
func (f faulty) ListModels(ctx context.Context) ([]backend.ModelInfo, error) {
	return f.Backend.(backend.ModelLister).ListModels(ctx)
}

// noModels lists none.
type noModels struct{ faulty }

func (noModels) ListModels(context.Context) ([]backend.ModelInfo, error) { return nil, nil }
