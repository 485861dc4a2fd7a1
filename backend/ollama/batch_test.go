package ollama_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// completing returns a backend whose server answers /api/generate.
func completing(t *testing.T, handler http.HandlerFunc, opts ...ollama.Option) *ollama.Backend {
	t.Helper()
	transport := &http.Transport{}
	web := httptest.NewServer(handler)
	t.Cleanup(func() { transport.CloseIdleConnections(); web.Close() })
	all := []ollama.Option{ollama.WithBaseURL(web.URL), ollama.WithTransport(transport), ollama.WithModel("m"), ollama.WithRetries(0)}
	return ollama.New(append(all, opts...)...)
}

func batchOf(prompts ...string) backend.BatchRequest {
	return backend.BatchRequest{Prompts: content.ListOf(prompts...)}
}

const completed = `{"model":"m:latest","response":"done","done":true,"done_reason":"stop","prompt_eval_count":3,"eval_count":2}`

func TestBatchRequest(t *testing.T) {
	t.Parallel()
	bodies := make(chan string, 1)
	b := completing(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		bodies <- r.URL.Path + " " + string(body)
		io.WriteString(w, completed)
	}, ollama.WithKeepAlive(-1))
	req := batchOf("say \"hi\"\n")
	req.Format = must(schema.Parse("answer", []byte(`{"type":"object"}`)))
	req.Options = backend.Options{}.WithMaxTokens(9).WithThinking("off").WithExtra("min_p", 0.1).WithStream(true)
	if _, err := b.GenerateBatch(t.Context(), req); err != nil {
		t.Fatal(err)
	}
	const want = `/api/generate {"raw":true,"stream":false,"format":{"type":"object"},"keep_alive":-1,"think":false,` +
		`"options":{"num_predict":9,"min_p":0.1},"prompt":"say \"hi\"\n","model":"m"}`
	if diff := cmp.Diff(<-bodies, want); diff != "" {
		t.Errorf("request (-got +want):\n%s", diff)
	}
}

func TestBatchIsBounded(t *testing.T) {
	t.Parallel()
	for given, want := range map[int]int64{0: ollama.DefaultBatchConcurrency, 1: 1, 7: 7} {
		var open, most atomic.Int64
		full := make(chan struct{})
		b := completing(t, func(w http.ResponseWriter, _ *http.Request) {
			now := open.Add(1)
			defer open.Add(-1)
			for top := most.Load(); now > top && !most.CompareAndSwap(top, now); top = most.Load() {
			}
			if now == want { // as many as there may be: let all go
				select {
				case <-full:
				default:
					close(full)
				}
			}
			<-full
			io.WriteString(w, completed)
		}, ollama.WithBatchConcurrency(given))
		prompts := make([]string, 40)
		if _, err := b.GenerateBatch(t.Context(), batchOf(prompts...)); err != nil {
			t.Fatal(err)
		}
		if got := most.Load(); got != want {
			t.Errorf("WithBatchConcurrency(%d): %d requests at a time, want %d", given, got, want)
		}
	}
}

// What fails for every prompt alike is not asked for each of them.
func TestBatchGivesUp(t *testing.T) {
	t.Parallel()
	t.Run("a model that is not installed", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		b := completing(t, func(w http.ResponseWriter, _ *http.Request) {
			asked.Add(1)
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, `{"error":"model 'm' not found"}`)
		})
		reply, err := b.GenerateBatch(t.Context(), batchOf(make([]string, 1000)...))
		wantError(t, err, backend.Error{Status: 404, Code: "model_not_found"}, "`ollama pull m`")
		if n := asked.Load(); n > ollama.DefaultBatchConcurrency {
			t.Errorf("the server was asked %d times, want at most %d", n, ollama.DefaultBatchConcurrency)
		}
		if reply.Items.Len() != 0 || reply.Generation.Model != "m" || reply.Generation.Ended.IsZero() {
			t.Errorf("got %d items and %+v, want no items and what is known", reply.Items.Len(), reply.Generation)
		}
	})
	t.Run("a key that is withdrawn in the middle", func(t *testing.T) {
		t.Parallel()
		var asked atomic.Int64
		b := completing(t, func(w http.ResponseWriter, _ *http.Request) {
			if asked.Add(1) > 1 {
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			io.WriteString(w, completed)
		}, ollama.WithBatchConcurrency(1))
		reply, err := b.GenerateBatch(t.Context(), batchOf("a", "b", "c", "d"))
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Items.At(0); got.Text != "done" || got.Err != nil {
			t.Errorf("item 0 = %q, %v, want its completion", got.Text, got.Err)
		}
		for i := 1; i < 4; i++ {
			wantError(t, reply.Items.At(i).Err, backend.Error{Status: 401})
		}
		if n := asked.Load(); n != 2 {
			t.Errorf("the server was asked %d times, want 2", n)
		}
	})
}

func TestBatchKeepsWhatCameBeforeTheCancel(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	b := completing(t, func(w http.ResponseWriter, r *http.Request) {
		var req struct{ Prompt string }
		json.NewDecoder(r.Body).Decode(&req)
		if req.Prompt == "b" {
			cancel(why)
			<-r.Context().Done()
			return
		}
		io.WriteString(w, completed)
	}, ollama.WithBatchConcurrency(1))
	reply, err := b.GenerateBatch(ctx, batchOf("a", "b", "c"))
	if err != nil {
		t.Fatal(err)
	}
	if got := reply.Items.At(0); got.Text != "done" || got.Err != nil {
		t.Errorf("item 0 = %q, %v, want its completion", got.Text, got.Err)
	}
	for i := 1; i < 3; i++ {
		if err := reply.Items.At(i).Err; !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
			t.Errorf("item %d: %v, want context.Canceled and the cause", i, err)
		}
	}
}

func TestBatchOfAnEmptyCompletion(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		`{"model":"m","response":"","done":true,"done_reason":"stop"}`: "",
		`{"model":"m","done":true}`:                                    backend.CodeInvalidResponse,
		`{"model":"m","response":"half","done":false}`:                 backend.CodeInvalidResponse,
		`{"model":"m","message":{"content":"chat"},"done":true}`:       backend.CodeInvalidResponse,
		`{"error":"it broke"}`:                                         "stream_error",
	} {
		b := completing(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, body) })
		reply, err := b.GenerateBatch(t.Context(), batchOf("a"))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if e, ok := errors.AsType[*backend.Error](reply.Items.At(0).Err); ok {
			got = e.Code
		}
		if got != want {
			t.Errorf("reply %s: code %q, want %q", body, got, want)
		}
	}
}

func TestListModels(t *testing.T) {
	t.Parallel()
	f := newFake(t, `[{"name":"a:1","size":7,"modified_at":"2026-01-02T03:04:05Z"},{"name":""},{"name":"b:latest","remote_model":"b"}]`, nil)
	models, err := f.backend().ListModels(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range models {
		got = append(got, fmt.Sprint(m.Name, " ", m.Size, " ", m.Modified.Year()))
	}
	if diff := cmp.Diff(got, []string{"a:1 7 2026", "b:latest 0 1"}); diff != "" {
		t.Errorf("models (-got +want):\n%s", diff)
	}
}
