package replay_test

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/content"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script is what a scripted backend does in one generation.
type script struct {
	refuse error // returned by Generate itself
	steps  []step
	finish func(*backend.Generation)
	err    error
}

// step waits and then brings one piece; none of text, reasoning and tool is a sign of life.
type step struct {
	wait            time.Duration
	text, reasoning string
	tool            *backend.ToolDelta
	served          *backend.ServerToolDelta
}

// scripted plays its scripts one after the other.
type scripted struct {
	mu      sync.Mutex
	scripts []script
	info    backend.Info
}

var testInfo = backend.Info{Provider: "test", Model: "tiny", ServerAddress: "box", ServerPort: 99,
	Capabilities: backend.Capabilities{Tools: true, Structured: backend.StructuredSchema}}

func play(scripts ...script) *scripted { return &scripted{scripts: scripts, info: testInfo} }

func (s *scripted) Info(context.Context) (backend.Info, error) { return s.info, nil }

func (s *scripted) Generate(ctx context.Context, req backend.Request) (*backend.Output, error) {
	s.mu.Lock()
	next := s.scripts[0]
	if len(s.scripts) > 1 {
		s.scripts = s.scripts[1:]
	}
	s.mu.Unlock()
	if next.refuse != nil {
		return nil, next.refuse
	}
	model := req.Options.Model()
	if model == "" {
		model = s.info.Model
	}
	g := backend.Generation{Provider: s.info.Provider, Model: model, Sent: req.Options.WithModel(model),
		Streaming: req.Options.Stream(), ServerAddress: s.info.ServerAddress, ServerPort: s.info.ServerPort}
	return backend.Start(ctx, req, g, func(ctx context.Context, w *backend.Writer) error {
		for _, p := range next.steps {
			select {
			case <-time.After(p.wait):
			case <-ctx.Done():
				return context.Cause(ctx)
			}
			switch now := time.Now(); {
			case p.tool != nil:
				if err := w.ToolCall(now, *p.tool); err != nil {
					return err
				}
			case p.served != nil:
				if err := w.ServerTool(now, *p.served); err != nil {
					return err
				}
			case p.reasoning != "":
				w.Reasoning(now, []byte(p.reasoning))
			case p.text != "":
				w.Text(now, []byte(p.text))
			default:
				w.Other(now)
			}
		}
		if next.finish != nil {
			next.finish(w.Generation())
		}
		return next.err
	}), nil
}

func say(text string) script { return script{steps: []step{{text: text}}} }

func ask(text string) backend.Request {
	return backend.Request{Messages: content.NewMessages(content.User(text))}
}

// observed is what a caller sees of one generation.
type observed struct {
	refused bool
	chunks  []backend.Chunk
	reply   backend.Reply
	err     error
}

// observe runs one generation to its end.
func observe(ctx context.Context, b backend.Backend, req backend.Request) observed {
	out, err := b.Generate(ctx, req)
	if err != nil {
		return observed{refused: true, err: err}
	}
	var o observed
	for c, err := range out.Chunks(context.Background()) {
		if err == nil {
			o.chunks = append(o.chunks, c)
		}
	}
	o.reply, o.err = out.Reply(context.Background())
	return o
}

// record makes the requests in turn with b and returns what was seen and the recording.
func record(t *testing.T, b backend.Backend, reqs ...backend.Request) ([]observed, *bytes.Buffer) {
	t.Helper()
	var file bytes.Buffer
	r := replay.Record(b, &file)
	var seen []observed
	for _, req := range reqs {
		seen = append(seen, observe(t.Context(), r, req))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return seen, &file
}

func open(t *testing.T, file *bytes.Buffer, opts ...replay.Option) *replay.Backend {
	t.Helper()
	b, err := replay.New(bytes.NewReader(file.Bytes()), opts...)
	if err != nil {
		t.Fatalf("%v\n%s", err, file)
	}
	return b
}

// GenerateBatch plays one script for each prompt: its texts, and its error as the item's. A refusal is the batch's.
func (s *scripted) GenerateBatch(_ context.Context, req backend.BatchRequest) (backend.BatchReply, error) {
	reply := backend.BatchReply{Generation: backend.Generation{Provider: s.info.Provider, Model: s.info.Model, Sent: req.Options,
		Started: time.Now(), Deployment: "d1", Cost: backend.Cost{Reported: true, USD: 0.25}}}
	for range req.Prompts.Len() {
		s.mu.Lock()
		next := s.scripts[0]
		if len(s.scripts) > 1 {
			s.scripts = s.scripts[1:]
		}
		s.mu.Unlock()
		if next.refuse != nil {
			return reply, next.refuse
		}
		it := backend.BatchItem{Err: next.err, Usage: content.Usage{InputTokens: 2, OutputTokens: 1}}
		for _, step := range next.steps {
			time.Sleep(step.wait)
			it.Text += step.text
		}
		if it.Err == nil {
			it.FinishReason = "stop"
			reply.Generation.FinishReasons = reply.Generation.FinishReasons.Append("stop")
		}
		reply.Generation.Usage = reply.Generation.Usage.Add(it.Usage)
		reply.Items = reply.Items.Append(it)
	}
	reply.Generation.Ended = time.Now()
	return reply, nil
}
