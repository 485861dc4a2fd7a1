package watsonx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/watsonxtest"
	"github.com/mellea-go/mellea/telemetry"
)

// chunks makes a stream of message events of choices, one for each.
func chunks(choices ...string) string {
	var b strings.Builder
	for i, c := range choices {
		fmt.Fprintf(&b, "id: %d\nevent: message\ndata: {\"id\":\"chatcmpl-1\",\"model_id\":\"%s\",\"choices\":[%s]}\n\n", i+1, theModel, c)
	}
	return b.String()
}

func delta(members, finish string) string {
	reason := "null"
	if finish != "" {
		reason = `"` + finish + `"`
	}
	return `{"index":0,"finish_reason":` + reason + `,"delta":{` + members + `}}`
}

func whole(message, finish string) string {
	return `{"id":"chatcmpl-1","model_id":"` + theModel + `","choices":[{"index":0,"message":{` + message + `},"finish_reason":"` + finish + `"}]}`
}

// usageChunk is the last one of a stream.
const usageChunk = "id: 9\nevent: message\ndata: " + `{"id":"chatcmpl-1","model_id":"m","choices":[],"usage":{"completion_tokens":3,"prompt_tokens":38,"total_tokens":41}}` + "\n\n"

const blocked = `"moderations":{"pii":[{"score":0.8,"input":true,"position":{"start":19,"end":29},"entity":"PhoneNumber","word":"SECRET"}]}`

func TestReplies(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body      string
		options   backend.Options
		text      string
		reasoning string
		finish    []string
		usage     int
		code      string // of the error, "" for none
		status    int
		requestID string
		says      string // in the remedy
	}{
		"as IBM streams": {body: chunks(delta(`"role":"assistant","content":""`, ""), delta(`"content":"C"`, ""), delta(`"content":"iao"`, ""), delta(`"content":""`, "stop")) + usageChunk,
			text: "Ciao", finish: []string{"stop"}, usage: 41},
		"without the usage":                  {body: chunks(delta(`"content":"a"`, "stop")), text: "a", finish: []string{"stop"}},
		"without the last blank line":        {body: strings.TrimRight(chunks(delta(`"content":"a"`, "")), "\n") + "\n\n" + strings.TrimRight(chunks(delta(`"content":"b"`, "stop")), "\n"), text: "ab", finish: []string{"stop"}},
		"closed with the usage":              {body: chunks(delta(`"content":"a"`, "")) + strings.Replace(usageChunk, "message", "close", 1), text: "a", usage: 41},
		"closed with nothing":                {body: chunks(delta(`"content":"a"`, "")) + "id: 4\nevent: close\ndata: {}\n\n", text: "a"},
		"closed before anything":             {body: "id: 1\nevent: close\ndata: {}\n\n", code: backend.CodeInvalidResponse, says: "no choices"},
		"comments and unknown fields":        {body: ": hi\nretry: 1\n\n" + chunks(delta(`"content":"a","new":{"x":[1]}`, "stop")), text: "a", finish: []string{"stop"}},
		"nothing after the end is read":      {body: chunks(delta(`"content":"a"`, "stop")) + usageChunk + "id: 10\nevent: error\ndata: {}\n\n", text: "a", finish: []string{"stop"}, usage: 41},
		"neither finish nor usage":           {body: chunks(delta(`"content":"a"`, "")), text: "a", code: backend.CodeInvalidResponse, says: "try again"},
		"reasoning":                          {body: chunks(delta(`"reasoning_content":""`, ""), delta(`"reasoning_content":"We"`, ""), delta(`"content":"a"`, "stop")), text: "a", reasoning: "We", finish: []string{"stop"}},
		"a whole reply to a stream":          {body: whole(`"role":"assistant","content":"a"`, "stop"), options: backend.Options{}.WithStream(true), text: "a", finish: []string{"stop"}},
		"a time limit":                       {body: whole(`"content":"a"`, "time_limit"), text: "a", finish: []string{"time_limit"}},
		"a time limit before the first word": {body: whole(`"content":""`, "time_limit"), finish: []string{"time_limit"}, code: backend.CodeInvalidResponse, says: "time_limit"},
		"a bound before the first word":      {body: whole(`"content":""`, "length"), finish: []string{"length"}, code: backend.CodeInvalidResponse, says: "more tokens"},
		"given up by the service":            {body: chunks(delta(`"content":"a"`, ""), delta(``, "error")), text: "a", finish: []string{"error"}, code: backend.CodeInvalidResponse, says: "gave the reply up"},
		"cancelled by the service":           {body: whole(`"content":"a"`, "cancelled"), text: "a", finish: []string{"cancelled"}, code: backend.CodeInvalidResponse, says: "gave the reply up"},
		"nothing, because of a stop":         {body: whole(`"content":""`, "stop"), options: backend.Options{}.WithStop("x"), finish: []string{"stop"}},
		"a refusal":                          {body: whole(`"refusal":"I cannot."`, "stop"), text: "I cannot.", finish: []string{"refusal"}},
		"blocked, whole": {body: `{"id":"x","model_id":"m","choices":[{"index":0,"finish_reason":null}],` + blocked + `}`,
			code: "content_filter", says: "moderation"},
		"blocked, streamed": {body: "id: 1\nevent: message\ndata: " + `{"id":"x","model_id":"m","choices":[{"index":0,"finish_reason":null}],"usage":{"prompt_tokens":9},` + blocked + "}\n\n",
			code: "content_filter", says: "moderation", usage: 9},
		"blocked, without a choice": {body: `{"id":"x","model_id":"m","choices":[],` + blocked + `}`, code: "content_filter", says: "moderation"},
		"found by a moderation and let through": {body: chunks(delta(`"content":"a"`, "")) + "id: 3\nevent: message\ndata: " + `{"id":"x","choices":[` + delta(``, "stop") + `],` + blocked + "}\n\n",
			text: "a", finish: []string{"stop"}},
		"an error event": {body: chunks(delta(`"content":"a"`, "")) + "id: 2\nevent: error\ndata: " +
			`{"errors":[{"code":"downstream_request_failed","message":"SECRET","more_info":"x"}],"trace":"trace-9","status_code":504}` + "\n\n",
			text: "a", code: "downstream_request_failed", status: 504, requestID: "trace-9", says: "gave up waiting"},
		"an error event of no form":        {body: "id: 1\nevent: error\ndata: SECRET\n\n", code: backend.CodeInvalidResponse, says: "reported an error"},
		"an error in a message":            {body: "id: 1\nevent: message\ndata: " + `{"errors":[{"code":"c1","message":"SECRET"}],"trace":"trace-8"}` + "\n\n", code: "c1", status: 200, requestID: "trace-8", says: "Message has its text"},
		"an error with a status of 200":    {body: `{"errors":[{"code":"rate_limit_reached_requests","message":"SECRET"}],"trace":"trace-7","status_code":429}`, code: "rate_limit_reached_requests", status: 429, requestID: "trace-7", says: "too many"},
		"an error with a status as a word": {body: `{"errors":[{"code":"500","message":"SECRET"}],"status_code":"oops"}`, code: "500", status: 500, requestID: "header-1", says: "failed"},
		"many choices":                     {body: `{"choices":[{"index":1,"message":{"content":"b"},"finish_reason":"stop"},{"index":0,"message":{"content":"a"},"finish_reason":"stop"}]}`, text: "a", finish: []string{"stop"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(tt.body)
			m.service = func(r *http.Request, body string) *http.Response {
				res := says(tt.body)(r, body)
				res.Header.Set("X-Request-Id", "header-1")
				return res
			}
			req := request(strings.HasPrefix(tt.body, "id: ") || strings.HasPrefix(tt.body, ": "))
			if strings.HasPrefix(tt.body, ": ") {
				m.service = func(*http.Request, string) *http.Response { return respond(200, "text/event-stream", tt.body) }
			}
			req.Options = req.Options.Merge(tt.options)
			r, err := chat(t.Context(), newBackend(m), req)
			e, ok := errors.AsType[*backend.Error](err)
			switch {
			case tt.code == "" && err != nil:
				t.Fatal(err)
			case tt.code != "" && !ok:
				t.Fatalf("got error %v, want one with code %q", err, tt.code)
			case tt.code != "" && (e.Code != tt.code || e.Status != tt.status || !strings.Contains(e.Remedy, tt.says) || strings.Contains(err.Error(), "SECRET")):
				t.Errorf("got error %q with code %q and status %d, want code %q, status %d, a remedy with %q and nothing secret", err, e.Code, e.Status, tt.code, tt.status, tt.says)
			case tt.requestID != "" && (e.RequestID != tt.requestID || r.Generation.RequestID != tt.requestID):
				t.Errorf("got request ids %q and %q, want %q", e.RequestID, r.Generation.RequestID, tt.requestID)
			}
			if got := r.Message.Text(); got != tt.text {
				t.Errorf("got text %q, want %q", got, tt.text)
			}
			if got := r.Message.Reasoning(); got != tt.reasoning {
				t.Errorf("got reasoning %q, want %q", got, tt.reasoning)
			}
			if diff := cmp.Diff(r.Generation.FinishReasons.Slice(), tt.finish); diff != "" {
				t.Errorf("finish reasons (-got +want):\n%s", diff)
			}
			if got := r.Generation.Usage.Total(); got != tt.usage {
				t.Errorf("got %d tokens, want %d", got, tt.usage)
			}
			if tt.code == "content_filter" && telemetry.ClassifyError(err) != telemetry.ContentPolicy {
				t.Errorf("got category %s, want %s", telemetry.ClassifyError(err), telemetry.ContentPolicy)
			}
		})
	}
}

// Models behind the service number and write their calls in several ways; what comes of it is the same.
func TestToolCalls(t *testing.T) {
	t.Parallel()
	call := func(members string) string { return delta(`"tool_calls":[`+members+`]`, "") }
	two := []content.ToolCall{{ID: "a", Name: "sum", Arguments: `{"x":1}`}, {ID: "b", Name: "sub", Arguments: `{}`}}
	tests := map[string]struct {
		body   string
		want   []content.ToolCall
		finish string
	}{
		"as granite does": {chunks(call(`{"index":0,"id":"a","type":"function","function":{"name":"sum","arguments":""}}`), call(`{"index":0,"function":{"name":"","arguments":"{\"x\":1}"}}`),
			call(`{"index":1,"id":"b","type":"function","function":{"name":"sub","arguments":""}}`), delta(`"tool_calls":[{"index":1,"function":{"name":"","arguments":"{}"}}]`, "tool_calls")) + usageChunk, two, "tool_calls"},
		"as llama does, without ids": {chunks(call(`{"index":0,"type":"function","function":{"name":"sum","arguments":"{\""}}`), call(`{"index":0,"type":"function","function":{"name":"","arguments":"x\":1}"}}`),
			delta(`"content":""`, "tool_calls")) + usageChunk, []content.ToolCall{{Name: "sum", Arguments: `{"x":1}`}}, "tool_calls"},
		"told to call, without a finish reason": {chunks(call(`{"index":0,"function":{"name":"sum","arguments":"{}"}}`)) + usageChunk, []content.ToolCall{{Name: "sum", Arguments: `{}`}}, "tool_calls"},
		"without numbers":                       {chunks(call(`{"id":"a","function":{"name":"sum","arguments":"{\"x\":"}}`), call(`{"function":{"arguments":"1}"}}`), call(`{"id":"b","function":{"name":"sub","arguments":"{}"}}`)) + usageChunk, two, "tool_calls"},
		"whole": {`{"choices":[{"index":0,"message":{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"sum","arguments":"{\"x\":1}"}},` +
			`{"id":"b","type":"function","function":{"name":"sub","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}`, two, "tool_calls"},
		"arguments in a string of their own": {chunks(call(`{"index":0,"id":"a","function":{"name":"sum","arguments":" \"{\\n \\\"x"}}`),
			call(`{"index":0,"function":{"name":"","arguments":"\\\": 1}\" "}}`)) + usageChunk, []content.ToolCall{{ID: "a", Name: "sum", Arguments: "{\n \"x\": 1}"}}, "tool_calls"},
		"a string that holds no object": {whole(`"tool_calls":[{"id":"a","function":{"name":"sum","arguments":"\"x\""}}]`, "tool_calls"), []content.ToolCall{{ID: "a", Name: "sum", Arguments: `"x"`}}, "tool_calls"},
		"a string that does not end":    {whole(`"tool_calls":[{"id":"a","function":{"name":"sum","arguments":"\"{"}}]`, "tool_calls"), []content.ToolCall{{ID: "a", Name: "sum", Arguments: `"{`}}, "tool_calls"},
		"an object with a string first": {whole(`"tool_calls":[{"id":"a","function":{"name":"sum","arguments":"{\"a\":\"b\"}"}}]`, "tool_calls"), []content.ToolCall{{ID: "a", Name: "sum", Arguments: `{"a":"b"}`}}, "tool_calls"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, err := chat(t.Context(), newBackend(newMemory(tt.body)), request(strings.HasPrefix(tt.body, "id: ")))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(slices.Collect(r.Message.ToolCalls()), tt.want); diff != "" {
				t.Errorf("tool calls (-got +want):\n%s", diff)
			}
			if diff := cmp.Diff(r.Generation.FinishReasons.Slice(), []string{tt.finish}); diff != "" {
				t.Errorf("finish reasons (-got +want):\n%s", diff)
			}
		})
	}
	t.Run("more than any model asks for", func(t *testing.T) {
		t.Parallel()
		for _, n := range []string{"256", "2000000000", "-1"} {
			body := chunks(call(`{"index":`+n+`,"id":"a","function":{"name":"f"}}`)) + usageChunk
			_, err := chat(t.Context(), newBackend(newMemory(body)), request(true))
			if e, ok := errors.AsType[*backend.Error](err); n != "-1" && (!ok || e.Code != backend.CodeInvalidResponse) {
				t.Errorf("call %s: got error %v, want code %s", n, err, backend.CodeInvalidResponse)
			}
		}
	})
}

// Errors carry the trace id that IBM's support asks for, before any id of the header.
func TestErrorsHaveTheTrace(t *testing.T) {
	t.Parallel()
	iam := watsonxtest.NewIAM(t, theKey)
	service := watsonxtest.NewService(t, iam)
	service.Answer = func(w http.ResponseWriter, _ watsonxtest.Request) bool {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write(watsonxtest.Dialect{}.Failure(404, "model_not_supported", "Model 'x' is not supported for this environment"))
		return true
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	b := newBackend(transport, watsonx.WithBaseURL(service.URL), watsonx.WithIAMURL(iam.URL))
	for _, stream := range []bool{false, true} {
		r, err := chat(context.Background(), b, request(stream))
		e, ok := errors.AsType[*backend.Error](err)
		if !ok || e.RequestID != watsonxtest.Trace || r.Generation.RequestID != watsonxtest.Trace {
			t.Errorf("got error %v and request id %q, want the trace %q", err, r.Generation.RequestID, watsonxtest.Trace)
		}
		if want := "ibm.watsonx.ai chat: HTTP 404 (model_not_supported), request " + watsonxtest.Trace + `: the service does not have model "` + theModel + `"`; !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got error %q, want %q", err, want)
		}
	}
}

func TestStatusRemedies(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status     int
		code, says string
	}{
		{400, "model_not_supported", theModel}, {400, "model_no_support_for_function", "another model"}, {429, "token_quota_reached", "quota"},
		{403, "no_associated_service_instance_error", "associate"}, {403, "authorization_rejected", "project or space"}, {403, "user_authorization_failed", "project or space"},
		{400, "invalid_request_entity", "Message"}, {403, "other", "access"}, {404, "other", "base URL"}, {405, "", "base URL"}, {408, "", "shorter"}, {413, "", "too large"},
		{429, "", "too many"}, {500, "", "IBM's support"}, {504, "", "shorter"}, {520, "", "IBM's support"},
	} {
		m := newMemory("")
		m.service = func(*http.Request, string) *http.Response {
			return respond(tt.status, "application/json", string(watsonxtest.Dialect{}.Failure(tt.status, tt.code, "SECRET")))
		}
		_, err := chat(t.Context(), newBackend(m, watsonx.WithRetries(0)), request(false))
		e, ok := errors.AsType[*backend.Error](err)
		if !ok || e.Status != tt.status || e.Code != tt.code || !strings.Contains(e.Remedy, tt.says) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%d %s: got error %v, want a remedy with %q", tt.status, tt.code, err, tt.says)
		}
	}
}
