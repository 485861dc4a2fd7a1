package client_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai/client"
	"github.com/mellea-go/mellea/internal/wire"
	"github.com/mellea-go/mellea/schema"
)

// body is what the tests look at of a request.
type body struct {
	Prompt   any
	Messages []struct{ Role, Content string }
	Format   *struct{ Type string } `json:"response_format"`
}

// newClient returns a client of a server that answers as answer says, and the requests that the server got.
func newClient(t *testing.T, answer func(body) (int, string), change ...func(*client.Config)) (*client.Client, func() []body) {
	t.Helper()
	var mu sync.Mutex
	var seen []body
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var b body
		if err := json.NewDecoder(r.Body).Decode(&b); err != nil {
			t.Error(err)
		}
		mu.Lock()
		seen = append(seen, b)
		mu.Unlock()
		status, text := answer(b)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(web.Close)
	transport := &http.Transport{MaxIdleConnsPerHost: 16}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := client.Config{
		Provider: "test", Server: wire.Config{BaseURL: web.URL + "/v1", Transport: transport, Retry: wire.RetryPolicy{Max: -1}},
		Options: backend.Options{}.WithModel("m"), Names: client.Names(), Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	return client.New(cfg), func() []body {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(seen)
	}
}

func batchOf(prompts ...string) backend.BatchRequest {
	return backend.BatchRequest{Prompts: content.ListOf(prompts...)}
}

// completions answers each prompt with itself in capitals.
func completions(b body) (int, string) {
	var prompts []string
	switch p := b.Prompt.(type) {
	case string:
		prompts = []string{p}
	case []any:
		for _, x := range p {
			prompts = append(prompts, x.(string))
		}
	}
	var choices []string
	for i, p := range prompts {
		choices = append(choices, fmt.Sprintf(`{"index":%d,"text":%q,"finish_reason":"stop"}`, i, strings.ToUpper(p)))
	}
	slices.Reverse(choices)
	return 200, fmt.Sprintf(`{"id":"c","model":"served","choices":[%s],"usage":{"prompt_tokens":%d,"completion_tokens":%d}}`,
		strings.Join(choices, ","), len(prompts), len(prompts))
}

func texts(r backend.BatchReply) (all []string) {
	for it := range r.Items.Values() {
		if it.Err != nil {
			e, _ := errors.AsType[*backend.Error](it.Err)
			all = append(all, "error "+e.Code)
			continue
		}
		all = append(all, it.Text)
	}
	return all
}

func isList(b body) bool { _, ok := b.Prompt.([]any); return ok }

func TestBatch(t *testing.T) {
	t.Parallel()
	const noList = `{"error":{"message":"json: cannot unmarshal array into Go struct field CompletionRequest.prompt of type string","type":"invalid_request_error"}}`
	tests := map[string]struct {
		answer   func(body) (int, string)
		prompts  []string
		want     []string
		code     string
		requests int // of one batch after another
		again    int
	}{
		"a list in one request":  {completions, []string{"a", "b", "c"}, []string{"A", "B", "C"}, "", 1, 1},
		"one prompt is a string": {completions, []string{"a"}, []string{"A"}, "", 1, 1},
		"no prompts":             {completions, nil, nil, "", 0, 0},
		"a server that takes one prompt only, which is remembered": {func(b body) (int, string) {
			if isList(b) {
				return 400, noList
			}
			return completions(b)
		}, []string{"a", "b", "c"}, []string{"A", "B", "C"}, "", 4, 3},
		"a server that makes one prompt of the list": {func(b body) (int, string) {
			if isList(b) {
				return 200, `{"choices":[{"index":0,"text":"all of it","finish_reason":"stop"}]}`
			}
			return completions(b)
		}, []string{"a", "b"}, []string{"A", "B"}, "", 3, 2},
		"a prompt that is refused": {func(b body) (int, string) {
			if isList(b) || b.Prompt == "b" {
				return 400, `{"error":{"message":"no","code":"content_filter"}}`
			}
			return completions(b)
		}, []string{"a", "b", "c"}, []string{"A", "error content_filter", "C"}, "", 4, 4},
		"every prompt is refused": {func(body) (int, string) { return 400, `{"error":{"message":"no","code":"bad"}}` }, []string{"a", "b"}, nil, "bad", 3, 3},
		"a key that is wrong":     {func(body) (int, string) { return 401, `{"error":{"message":"no","code":"key"}}` }, []string{"a", "b"}, nil, "key", 1, 1},
		"an empty completion": {func(body) (int, string) {
			return 200, `{"choices":[{"index":1,"text":"B","finish_reason":"stop"},{"index":0,"text":"","finish_reason":"stop"}]}`
		}, []string{"a", "b"}, []string{"error invalid_response", "B"}, "", 1, 1},
		"a completion that is missing": {func(body) (int, string) {
			return 200, `{"choices":[{"index":2,"text":"C"},{"index":0,"text":"A"}]}`
		}, []string{"a", "b", "c"}, []string{"A", "error invalid_response", "C"}, "", 1, 1},
		"one that is filtered": {func(body) (int, string) {
			return 200, `{"choices":[{"index":0,"text":"A"},{"index":1,"text":"B","finish_reason":"content_filter"}]}`
		}, []string{"a", "b"}, []string{"A", "error content_filter"}, "", 1, 1},
		"without numbers":          {func(body) (int, string) { return 200, `{"choices":[{"text":"A"},{"text":"B"}]}` }, []string{"a", "b"}, []string{"A", "B"}, "", 1, 1},
		"all numbered 0":           {func(body) (int, string) { return 200, `{"choices":[{"index":0,"text":"A"},{"index":0,"text":"B"}]}` }, []string{"a", "b"}, []string{"A", "B"}, "", 1, 1},
		"more than were asked for": {func(body) (int, string) { return 200, `{"choices":[{"text":"A"},{"text":"B"},{"text":"C"}]}` }, []string{"a", "b"}, nil, backend.CodeInvalidResponse, 1, 1},
		"an error in the reply":    {func(body) (int, string) { return 200, `{"error":{"message":"no","code":"broken"}}` }, []string{"a", "b"}, nil, "broken", 1, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, seen := newClient(t, tt.answer)
			for _, requests := range []int{tt.requests, tt.requests + tt.again} {
				r, err := c.GenerateBatch(t.Context(), batchOf(tt.prompts...))
				e, _ := errors.AsType[*backend.Error](err)
				switch {
				case tt.code == "" && err != nil:
					t.Fatal(err)
				case tt.code != "" && (e == nil || e.Code != tt.code || e.Op != "batch" || e.Remedy == ""):
					t.Errorf("got error %v, want a *backend.Error of op batch with code %q and a remedy", err, tt.code)
				}
				if diff := cmp.Diff(texts(r), tt.want); diff != "" {
					t.Errorf("completions (-got +want):\n%s", diff)
				}
				if got := len(seen()); got != requests {
					t.Errorf("got %d requests, want %d", got, requests)
				}
				if g := r.Generation; g.Provider != "test" || g.Model != "m" || g.Started.IsZero() || g.Ended.Before(g.Started) {
					t.Errorf("got metadata %+v, want it complete", g)
				}
			}
		})
	}
}

// A key that is taken back in the middle leaves what had come and tells the rest.
func TestBatchGivenUp(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	n := 0
	c, seen := newClient(t, func(b body) (int, string) {
		if isList(b) {
			return 400, `{"error":{"message":"prompt must be a string"}}`
		}
		mu.Lock()
		defer mu.Unlock()
		if n++; n > 3 {
			return 403, `{"error":{"message":"no","code":"gone"}}`
		}
		return completions(b)
	})
	prompts := slices.Repeat([]string{"a"}, 100)
	r, err := c.GenerateBatch(t.Context(), batchOf(prompts...))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Items.Len() - r.Failed(); got != 3 {
		t.Errorf("got %d completions, want the 3 that came", got)
	}
	for it := range r.Items.Values() {
		if e, ok := errors.AsType[*backend.Error](it.Err); it.Err != nil && (!ok || e.Code != "gone") {
			t.Errorf("got error %v of an item, want the one of the key", it.Err)
		}
	}
	if got := len(seen()); got > 50 {
		t.Errorf("got %d requests, want the rest not to be made", got)
	}
}

func TestBatchOptions(t *testing.T) {
	t.Parallel()
	format, err := schema.Parse("s", []byte(`{"type":"object"}`))
	if err != nil {
		t.Fatal(err)
	}
	none := func(c *client.Config) { c.NoFormatInBatch = true }
	o := func() backend.Options { return backend.Options{} }
	tests := map[string]struct {
		req    backend.BatchRequest
		change func(*client.Config)
		code   string
	}{
		"several completions of a prompt": {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithExtra("n", 2)}, nil, backend.CodeUnsupported},
		"the best of several":             {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithExtra("best_of", 2)}, nil, backend.CodeUnsupported},
		"a prompt as an extra":            {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithExtra("prompt", "x")}, nil, backend.CodeUnsupported},
		"thinking, strictly":              {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithThinking("on").WithStrict(true)}, nil, backend.CodeUnsupported},
		"thinking":                        {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithThinking("on")}, nil, ""},
		"what only a chat has":            {backend.BatchRequest{Prompts: content.ListOf("a"), Options: o().WithExtra("tool_choice", "auto")}, nil, ""},
		"a format":                        {backend.BatchRequest{Prompts: content.ListOf("a"), Format: format}, nil, ""},
		"a format where there is none":    {backend.BatchRequest{Prompts: content.ListOf("a"), Format: format}, none, backend.CodeUnsupported},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var change []func(*client.Config)
			if tt.change != nil {
				change = append(change, tt.change)
			}
			c, seen := newClient(t, completions, change...)
			_, err := c.GenerateBatch(t.Context(), tt.req)
			e, _ := errors.AsType[*backend.Error](err)
			if (err == nil) != (tt.code == "") || e != nil && e.Code != tt.code {
				t.Errorf("got error %v, want code %q", err, tt.code)
			}
			if tt.code != "" && len(seen()) > 0 {
				t.Error("a request was made, want none")
			}
		})
	}
}

func TestStructuredOutputOfServersThatLackIt(t *testing.T) {
	t.Parallel()
	format, err := schema.Parse("person", []byte(`{"type":"object","required":["name"]}`))
	if err != nil {
		t.Fatal(err)
	}
	const good = `{"choices":[{"message":{"content":"{}"},"finish_reason":"stop"}]}`
	refuse := func(message string, kinds ...string) func(body) (int, string) {
		return func(b body) (int, string) {
			if b.Format != nil && slices.Contains(kinds, b.Format.Type) {
				return 400, `{"error":{"message":` + fmt.Sprintf("%q", message) + `,"code":"refused"}}`
			}
			return 200, good
		}
	}
	tests := map[string]struct {
		answer func(body) (int, string)
		strict bool
		want   []string // the formats of the requests of two chats
		code   string
	}{
		"it has it":      {refuse(""), false, []string{"json_schema", "json_schema"}, ""},
		"JSON only":      {refuse("This response_format type is unavailable now", "json_schema"), false, []string{"json_schema", "json_object", "json_object"}, ""},
		"neither":        {refuse("Unknown parameter: response_format is not supported", "json_schema", "json_object"), false, []string{"json_schema", "json_object", "", ""}, ""},
		"text or schema": {refuse("'response_format.type' must be 'json_schema' or 'text'", "json_object"), false, []string{"json_schema", "json_schema"}, ""},
		"strictly":       {refuse("This response_format type is unavailable now", "json_schema"), true, []string{"json_schema", "json_schema"}, "refused"},
		"a schema it does not like": {refuse("Invalid schema for response_format 'person': 'required' is required to be supplied, expected all", "json_schema"), false,
			[]string{"json_schema", "json_schema"}, "refused"},
		"another error": {refuse("the prompt is too long", "json_schema"), false, []string{"json_schema", "json_schema"}, "refused"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var log bytes.Buffer
			c, seen := newClient(t, tt.answer, func(c *client.Config) { c.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			var retries []string
			for range 2 {
				out, err := c.Generate(t.Context(), backend.Request{
					Messages: content.NewMessages(content.System("Be brief."), content.User("Who?")), Format: format,
					Options: backend.Options{}.WithStrict(tt.strict),
				})
				if err != nil {
					t.Fatal(err)
				}
				r, err := out.Reply(t.Context())
				e, _ := errors.AsType[*backend.Error](err)
				if (err == nil) != (tt.code == "") || e != nil && e.Code != tt.code {
					t.Errorf("got error %v, want code %q", err, tt.code)
				}
				for retry := range r.Generation.Retries.Values() {
					retries = append(retries, retry.Reason)
				}
			}
			var got []string
			for _, b := range seen() {
				kind := ""
				if b.Format != nil {
					kind = b.Format.Type
				}
				got = append(got, kind)
				told := strings.Contains(b.Messages[0].Content, format.JSON())
				if told == (kind == "json_schema") || !strings.HasPrefix(b.Messages[0].Content, "Be brief.") || len(b.Messages) != 2 {
					t.Errorf("got messages %q with format %q, want the schema in the system message if and only if it is not in the format", b.Messages, kind)
				}
			}
			if diff := cmp.Diff(got, tt.want); diff != "" {
				t.Errorf("formats (-got +want):\n%s", diff)
			}
			if want := len(tt.want) - 2; len(retries) != want || strings.Count(log.String(), "WARN") != min(want, 1) {
				t.Errorf("got retries %q and log %q, want %d and one line if any", retries, log.String(), want)
			}
		})
	}
}

func TestModels(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status     int
		body, code string
		names      string
	}{
		"a list":          {200, `{"object":"list","data":[{"id":"a","created":1686935002,"owned_by":"o"},{"id":"b"}]}`, "", "a b"},
		"of nothing":      {200, `{"object":"list","data":[]}`, "", ""},
		"that is null":    {200, `{"object":"list","data":null}`, "", ""},
		"bare":            {200, `[{"id":"a","created":"2024-01-01"},{"object":"model"}]`, "", "a"},
		"beside another":  {200, `{"models":[{"name":"x"}],"data":[{"id":"a","created":null,"owned_by":null}]}`, "", "a"},
		"of another kind": {200, `{"models":[]}`, backend.CodeInvalidResponse, ""},
		"with more after": {200, `{"data":[]}{}`, backend.CodeInvalidResponse, ""},
		"a page":          {200, `<html></html>`, backend.CodeInvalidResponse, ""},
		"nothing":         {200, ``, backend.CodeInvalidResponse, ""},
		"refused":         {401, `{"error":{"code":"key"}}`, "key", ""},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method != http.MethodGet || r.URL.Path != "/v1/models" {
					t.Errorf("got %s %s, want GET /v1/models", r.Method, r.URL)
				}
				w.Header().Set("Content-Type", "application/json")
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			}))
			defer web.Close()
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			c := client.New(client.Config{Provider: "test", Server: wire.Config{BaseURL: web.URL + "/v1", Transport: transport}})
			models, err := c.ListModels(t.Context())
			e, _ := errors.AsType[*backend.Error](err)
			if (err == nil) != (tt.code == "") || e != nil && (e.Code != tt.code || e.Op != "models" || e.Remedy == "") {
				t.Errorf("got error %v, want code %q", err, tt.code)
			}
			var names []string
			for _, m := range models {
				names = append(names, m.Name)
			}
			if got := strings.Join(names, " "); got != tt.names {
				t.Errorf("got models %q, want %q", got, tt.names)
			}
		})
	}
}
