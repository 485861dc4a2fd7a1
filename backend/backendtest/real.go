package backendtest

import (
	"context"
	"errors"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Real says what can be expected of a real model.
type Real struct {
	// Seed and Temperature say that the backend takes the option.
	Seed, Temperature bool
	// RequestID says that the server names its exchanges.
	RequestID bool
	// ModelUnknown names a model that the server does not have; "" skips the check.
	ModelUnknown string
}

// RunReal checks what holds with any model. It runs one generation at a time: the model may be large.
func RunReal(t *testing.T, b backend.Backend, real Real) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	t.Cleanup(cancel)
	request := func(prompt string, stream bool) backend.Request {
		return backend.Request{
			Messages: content.NewMessages(content.System("You are a helpful assistant."), content.User(prompt)),
			Options:  backend.Options{}.WithStream(stream).WithMaxTokens(32),
		}
	}
	info, err := b.Info(ctx)
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	if info.Provider == "" || info.Model == "" || (info.ServerAddress == "") != info.InProcess {
		t.Errorf("got info %+v, want a provider, a model and a server unless it is in process", info)
	}
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run("a reply, "+name, func(t *testing.T) {
			r, err := start(t, ctx, b, request("Name three colours.", stream)).Reply(ctx)
			if err != nil {
				t.Fatal(err)
			}
			if strings.TrimSpace(r.Message.Text()) == "" {
				t.Error("got an empty reply, want some text")
			}
			wantRealMetadata(t, info, real, r.Generation, stream)
		})
	}
	t.Run("chunks add up to the text", func(t *testing.T) {
		out := start(t, ctx, b, request("Count to five.", true))
		var got strings.Builder
		for c, err := range out.Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind == backend.ChunkText {
				got.WriteString(c.Text)
			}
		}
		if text, _ := out.Text(ctx); got.String() != text {
			t.Errorf("got chunks %q, want them to add up to %q", got.String(), text)
		}
	})
	t.Run("options are taken", func(t *testing.T) {
		req := request("Say hello.", false)
		if real.Temperature {
			req.Options = req.Options.WithTemperature(0)
		}
		if real.Seed {
			req.Options = req.Options.WithSeed(1)
		}
		if _, err := start(t, ctx, b, req).Reply(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Run("a bound on the reply holds", func(t *testing.T) {
		req := request("Tell a very long story.", false)
		req.Options = req.Options.WithMaxTokens(4)
		r, err := start(t, ctx, b, req).Reply(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := r.Generation.Usage.OutputTokens; got > 4 {
			t.Errorf("got %d output tokens, want at most 4", got)
		}
	})
	t.Run("cancelled in the middle of a stream", func(t *testing.T) {
		req := request("Tell a very long story.", true)
		req.Options = req.Options.WithMaxTokens(2000)
		out := start(t, ctx, b, req)
		for c, err := range out.Chunks(ctx) {
			if err != nil {
				t.Fatal(err)
			}
			if c.Kind == backend.ChunkText {
				break
			}
		}
		if err := out.Wait(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled in it", err)
		}
		wantNoProducer(t)
	})
	t.Run("a model the server does not have", func(t *testing.T) {
		if real.ModelUnknown == "" {
			t.Skip("not a server of several models")
		}
		req := request("Hello.", false)
		req.Options = req.Options.WithModel(real.ModelUnknown)
		_, err := start(t, ctx, b, req).Reply(ctx)
		var e *backend.Error
		if !errors.As(err, &e) || e.Remedy == "" {
			t.Errorf("got error %v, want a *backend.Error with a remedy", err)
		}
	})
}

func wantRealMetadata(t *testing.T, info backend.Info, real Real, g backend.Generation, stream bool) {
	t.Helper()
	if g.Provider != info.Provider || g.Model != info.Model || g.ResponseModel == "" {
		t.Errorf("got provider %q, model %q, response model %q, want those of %+v", g.Provider, g.Model, g.ResponseModel, info)
	}
	if g.ServerAddress != info.ServerAddress || g.ServerPort != info.ServerPort || g.InProcess != info.InProcess {
		t.Errorf("got server %s:%d, in process %t, want that of %+v", g.ServerAddress, g.ServerPort, g.InProcess, info)
	}
	if g.Usage.InputTokens == 0 || g.Usage.OutputTokens == 0 {
		t.Errorf("got usage %+v, want tokens counted", g.Usage)
	}
	if g.FinishReasons.Len() != 1 {
		t.Errorf("got finish reasons %v, want one", g.FinishReasons.Slice())
	}
	if g.Streaming != stream || g.Sent.Stream() != stream {
		t.Errorf("got streaming %t, want %t", g.Streaming, stream)
	}
	if real.RequestID && g.RequestID == "" {
		t.Error("got no request id, want one")
	}
	if n, ok := g.Sent.MaxTokens(); !ok || n != 32 {
		t.Errorf("got max-tokens %d among the options sent, want 32", n)
	}
	wantTimes(t, g)
}

// wantNoProducer checks that no goroutine still produces an output.
func wantNoProducer(t *testing.T) {
	t.Helper()
	var stacks string
	for range 200 { // Done closes a moment before the goroutine ends
		buf := make([]byte, 1<<20)
		stacks = string(buf[:runtime.Stack(buf, true)])
		if !strings.Contains(stacks, "backend.(*Output).run") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("a generation still runs:\n%s", stacks)
}
