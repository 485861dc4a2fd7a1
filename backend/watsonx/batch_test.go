package watsonx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
)

func completion(text, reason string) string {
	return fmt.Sprintf(`{"model_id":"served","created_at":"2023-07-21T16:52:32.190Z","results":[{"generated_text":%q,"generated_token_count":4,"input_token_count":12,"stop_reason":%q}]}`, text, reason)
}

func prompts(n int) content.List[string] {
	var all []string
	for i := range n {
		all = append(all, fmt.Sprintf("prompt-%d", i))
	}
	return content.ListOf(all...)
}

func TestCompletions(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body, text, finish string
		code               string
		status             int
	}{
		"the end of the sequence": {body: completion("a", "eos_token"), text: "a", finish: "stop"},
		"a stop sequence":         {body: completion("a", "STOP_SEQUENCE"), text: "a", finish: "stop"},
		"the bound":               {body: completion("a", "max_tokens"), text: "a", finish: "length"},
		"the context":             {body: completion("a", "token_limit"), text: "a", finish: "length"},
		"the time":                {body: completion("a", "time_limit"), text: "a", finish: "time_limit"},
		"nothing is a completion": {body: completion("", "eos_token"), finish: "stop"},
		"given up":                {body: completion("a", "error"), code: backend.CodeInvalidResponse},
		"cancelled":               {body: completion("a", "cancelled"), code: backend.CodeInvalidResponse},
		"blocked":                 {body: `{"results":[{"generated_text":"","stop_reason":"not_finished","moderations":{"hap":[{"score":1}]}}]}`, code: "content_filter"},
		"no results":              {body: `{"results":[]}`, code: backend.CodeInvalidResponse},
		"wrong types":             {body: `{"results":[{"generated_text":3}]}`, code: backend.CodeInvalidResponse},
		"an error inside":         {body: `{"errors":[{"code":"c","message":"SECRET"}],"trace":"t","status_code":500}`, code: "c", status: 500},
		"odd counts":              {body: `{"results":[{"generated_text":"a","stop_reason":"eos_token","generated_token_count":-3,"input_token_count":1e300}]}`, text: "a", finish: "stop"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reply, err := newBackend(newMemory(tt.body)).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(1)})
			if tt.code != "" {
				e, ok := errors.AsType[*backend.Error](err)
				if !ok || e.Code != tt.code || e.Status != tt.status || e.Op != "batch" || strings.Contains(err.Error(), "SECRET") {
					t.Errorf("got error %v, want code %q", err, tt.code)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if it := reply.Items.At(0); it.Text != tt.text || it.FinishReason != tt.finish || it.Err != nil {
				t.Errorf("got %+v, want %q ended by %q", it, tt.text, tt.finish)
			}
			if u := reply.Generation.Usage; u.InputTokens < 0 || u.OutputTokens < 0 {
				t.Errorf("got usage %+v, want no negative counts", u)
			}
		})
	}
}

// Many prompts keep their order, are bounded in number and overlap.
func TestBatchConcurrency(t *testing.T) {
	for name, tt := range map[string]struct {
		options []watsonx.Option
		most    int64
		took    time.Duration
	}{
		"default":  {nil, 8, 13 * time.Second},
		"3":        {[]watsonx.Option{watsonx.WithBatchConcurrency(3)}, 3, 34 * time.Second},
		"as it is": {[]watsonx.Option{watsonx.WithBatchConcurrency(-1)}, 8, 13 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var open, most atomic.Int64
				m := newMemory("")
				m.service = func(_ *http.Request, body string) *http.Response {
					now := open.Add(1)
					defer open.Add(-1)
					for top := most.Load(); now > top && !most.CompareAndSwap(top, now); top = most.Load() {
					}
					time.Sleep(time.Second)
					_, prompt, _ := strings.Cut(body, `"input":"`)
					return respond(200, "application/json", completion("of "+strings.TrimSuffix(prompt, `"}`), "eos_token"))
				}
				began := time.Now()
				reply, err := newBackend(m, tt.options...).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(100)})
				if err != nil {
					t.Fatal(err)
				}
				for i, it := range reply.Items.All() {
					if want := fmt.Sprintf("of prompt-%d", i); it.Text != want {
						t.Errorf("got %q as item %d, want %q", it.Text, i, want)
					}
				}
				if got := most.Load(); got != tt.most {
					t.Errorf("got %d requests at once, want %d", got, tt.most)
				}
				if got := time.Since(began); got != tt.took {
					t.Errorf("got them after %v, want %v", got, tt.took)
				}
				g := reply.Generation
				if g.Usage.Total() != 1600 || g.FinishReasons.Len() != 100 || g.ResponseModel != "served" || m.exchanges() != 1 || g.Ended.Sub(g.Started) != tt.took {
					t.Errorf("got %+v after %d exchanges, want the sum of all", g, m.exchanges())
				}
			})
		})
	}
}

// An error that would fail the others too ends the batch early; one that would not is its item's alone.
func TestBatchFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status   int
		code     string
		early    bool
		category telemetry.Category
	}{
		"no access":      {403, "authorization_rejected", true, telemetry.Auth},
		"no such model":  {400, "model_not_supported", true, telemetry.InvalidRequest},
		"no such path":   {404, "", true, telemetry.InvalidRequest},
		"a bad prompt":   {400, "invalid_input_argument", false, telemetry.InvalidRequest},
		"a failure":      {501, "", false, telemetry.ServerError},
		"a quota, spent": {429, "token_quota_reached", false, telemetry.RateLimit},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory("")
			m.service = func(*http.Request, string) *http.Response {
				return respond(tt.status, "application/json", fmt.Sprintf(`{"errors":[{"code":%q,"message":"m"}],"trace":"t-1","status_code":%d}`, tt.code, tt.status))
			}
			reply, err := newBackend(m, watsonx.WithRetries(0)).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(200)})
			e, ok := errors.AsType[*backend.Error](err)
			if !ok || e.Status != tt.status || e.RequestID != "t-1" || reply.Generation.RequestID != "t-1" || reply.Items.Len() != 0 {
				t.Errorf("got error %v and %d items, want that of the first and none", err, reply.Items.Len())
			}
			if got := len(m.seen()); (got < 50) != tt.early || !tt.early && got != 200 {
				t.Errorf("got %d requests for 200 prompts, want an early end: %t", got, tt.early)
			}
			if got := telemetry.ClassifyError(err); got != tt.category {
				t.Errorf("got category %s, want %s", got, tt.category)
			}
			if g := reply.Generation; g.Provider == "" || g.Model == "" || g.ServerAddress == "" || g.Ended.IsZero() {
				t.Errorf("got metadata %+v, want it complete after an error too", g)
			}
		})
	}
	t.Run("no token", func(t *testing.T) {
		t.Parallel()
		m := newMemory("")
		m.iam = func(*http.Request, string) *http.Response {
			return respond(400, "application/json", `{"errorCode":"BXNIM0415E"}`)
		}
		_, err := newBackend(m).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(200)})
		if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeAuthentication {
			t.Errorf("got error %v, want code %s", err, backend.CodeAuthentication)
		}
		if got := m.exchanges(); got > watsonx.DefaultBatchConcurrency {
			t.Errorf("got %d exchanges, want no more than work at once", got)
		}
	})
}

// What was complete when the program gave up is kept; the rest says why it is not there.
func TestBatchCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory("")
		m.service = func(r *http.Request, _ string) *http.Response {
			select {
			case <-time.After(time.Second):
			case <-r.Context().Done():
			}
			return respond(200, "application/json", completion("a", "eos_token"))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		reply, err := newBackend(m).GenerateBatch(ctx, backend.BatchRequest{Prompts: prompts(100)})
		if err != nil {
			t.Fatal(err)
		}
		if got := reply.Items.Len() - reply.Failed(); reply.Items.Len() != 100 || got != 16 {
			t.Errorf("got %d of %d completions, want 16 of 100", got, reply.Items.Len())
		}
		for it := range reply.Items.Values() {
			if it.Err == nil {
				continue
			}
			if e, ok := errors.AsType[*backend.Error](it.Err); !ok || e.Code != "timeout" || !errors.Is(it.Err, context.DeadlineExceeded) {
				t.Errorf("got error %v of an item, want the deadline", it.Err)
			}
		}
		if got := len(m.seen()); got > 24 {
			t.Errorf("got %d requests, want none after the end", got)
		}
	})
}

func TestBatchRetries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response {
			if n.Add(1)%2 == 1 {
				return respond(429, "application/json", `{}`)
			}
			return respond(200, "application/json", completion("a", "eos_token"))
		}
		reply, err := newBackend(m, watsonx.WithBatchConcurrency(1)).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(3)})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		var last time.Time
		for r := range reply.Generation.Retries.Values() {
			got = append(got, r.Reason)
			if r.At.Before(last) {
				t.Errorf("got a retry at %v after one at %v, want them in order", r.At, last)
			}
			last = r.At
		}
		if diff := cmp.Diff(got, []string{"rate_limit", "rate_limit", "rate_limit"}); diff != "" {
			t.Errorf("retries (-got +want):\n%s", diff)
		}
	})
}

// A transport that panics fails the prompts, not the program.
func TestBatchSurvivesAPanic(t *testing.T) {
	t.Parallel()
	m := newMemory("")
	m.service = func(*http.Request, string) *http.Response { panic("SECRET") }
	_, err := newBackend(m).GenerateBatch(t.Context(), backend.BatchRequest{Prompts: prompts(20)})
	if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodePanic || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("got error %v, want code %s", err, backend.CodePanic)
	}
}

func TestEmptyBatch(t *testing.T) {
	t.Parallel()
	m := newMemory("")
	reply, err := newBackend(m).GenerateBatch(t.Context(), backend.BatchRequest{})
	if err != nil || reply.Items.Len() != 0 || m.exchanges() != 0 {
		t.Errorf("got %d items, %v, after %d exchanges, want nothing done", reply.Items.Len(), err, m.exchanges())
	}
}
