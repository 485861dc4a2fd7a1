package telemetry_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

const (
	jsonMedia = "application/json"
	sseMedia  = "text/event-stream"
)

// What servers say that is no reply, as each provider says it. The label of the metric is the type of the span, but for
// codes that no provider is known to use.
func TestClassifyReplies(t *testing.T) {
	t.Parallel()
	oai := func(typ, code string) string {
		return fmt.Sprintf(`{"error":{"message":"planted","type":%q,"param":null,"code":%s}}`, typ, code)
	}
	proxy := func(typ, code string) string {
		return fmt.Sprintf(`{"error":{"message":"planted","type":%q,"param":"None","code":%q}}`, typ, code)
	}
	ibm := func(code string, status int) string {
		return fmt.Sprintf(`{"errors":[{"code":%q,"message":"planted","more_info":"https://cloud.ibm.com/"}],"trace":"t-1","status_code":%d}`, code, status)
	}
	azure := func(outer string) string {
		return fmt.Sprintf(`{"error":{"message":"planted","type":null,"param":"prompt","code":%q,"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, outer)
	}
	reply := func(message, finish string) string {
		return fmt.Sprintf(`{"id":"1","model":"m","choices":[{"index":0,"message":%s,"finish_reason":%q}]}`, message, finish)
	}
	event := func(doc string) string { return "data: " + doc + "\n\n" }
	ended := func(finish string) string {
		return firstPiece + event(fmt.Sprintf(`{"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":%q}]}`, finish)) + event("[DONE]")
	}
	type answer struct {
		d        dialect
		status   int
		media    string
		body     string
		category telemetry.Category
		typ      string
		label    string // of the metric; "" is typ
	}
	whole := func(d dialect, status int, body string, c telemetry.Category, typ string) answer {
		return answer{d, status, jsonMedia, body, c, typ, ""}
	}
	stream := func(d dialect, body string, c telemetry.Category, typ string) answer {
		return answer{d, 200, sseMedia, body, c, typ, ""}
	}
	ollama := dialects[len(dialects)-1]
	tests := map[string]answer{
		"openai 400":                   whole(openAI, 400, oai("invalid_request_error", "null"), telemetry.InvalidRequest, "invalid_request_error"),
		"openai 401":                   whole(openAI, 401, oai("invalid_request_error", `"invalid_api_key"`), telemetry.Auth, "invalid_api_key"),
		"openai 403":                   whole(openAI, 403, oai("request_forbidden", `"unsupported_country_region_territory"`), telemetry.Auth, "unsupported_country_region_territory"),
		"openai 404":                   whole(openAI, 404, oai("invalid_request_error", `"model_not_found"`), telemetry.InvalidRequest, "model_not_found"),
		"openai 408":                   whole(openAI, 408, `{}`, telemetry.Timeout, "408"),
		"openai 409":                   whole(openAI, 409, `{}`, telemetry.InvalidRequest, "409"),
		"openai 413":                   {openAI, 413, "text/html", `<html>planted</html>`, telemetry.InvalidRequest, "413", ""},
		"openai 422":                   {openAI, 422, jsonMedia, `{"detail":[{"loc":["body"],"msg":"planted","type":"missing"}]}`, telemetry.InvalidRequest, "missing", "422"},
		"openai 429":                   whole(openAI, 429, oai("requests", `"rate_limit_exceeded"`), telemetry.RateLimit, "rate_limit_exceeded"),
		"openai without quota":         whole(openAI, 429, oai("insufficient_quota", `"insufficient_quota"`), telemetry.RateLimit, "insufficient_quota"),
		"openai 500":                   whole(openAI, 500, oai("server_error", "null"), telemetry.ServerError, "server_error"),
		"openai 502":                   {openAI, 502, "text/html", `<html>planted</html>`, telemetry.ServerError, "502", ""},
		"openai 503":                   {openAI, 503, jsonMedia, oai("service_unavailable", "null"), telemetry.ServerError, "service_unavailable", "503"},
		"openai 504":                   {openAI, 504, "text/plain", `upstream request timeout`, telemetry.Timeout, "504", ""},
		"openai 529":                   {openAI, 529, jsonMedia, `{"error":{"type":"overloaded_error","message":"planted"}}`, telemetry.ServerError, "overloaded_error", "529"},
		"a code that nobody knows":     {openAI, 400, jsonMedia, oai("x", `"planted_code"`), telemetry.InvalidRequest, "planted_code", "400"},
		"a code that is a sentence":    whole(openAI, 400, oai("x", `"planted and long"`), telemetry.InvalidRequest, "400"),
		"openai's policy":              whole(openAI, 400, oai("image_generation_user_error", `"content_policy_violation"`), telemetry.ContentPolicy, "content_policy_violation"),
		"openai's filter":              whole(openAI, 200, reply(`{"role":"assistant","content":"He"}`, "content_filter"), telemetry.ContentPolicy, "content_filter"),
		"openai's filter in a stream":  stream(openAI, ended("content_filter"), telemetry.ContentPolicy, "content_filter"),
		"azure's filter of the prompt": whole(openAI, 400, azure("content_filter"), telemetry.ContentPolicy, "content_filter"),
		"azure's policy":               whole(openAI, 400, azure("ResponsibleAIPolicyViolation"), telemetry.ContentPolicy, "ResponsibleAIPolicyViolation"),
		"azure 401":                    whole(openAI, 401, `{"error":{"code":"401","message":"planted"}}`, telemetry.Auth, "401"),
		"azure 404":                    whole(openAI, 404, `{"error":{"code":"DeploymentNotFound","message":"planted"}}`, telemetry.InvalidRequest, "DeploymentNotFound"),

		"malformed":                       whole(openAI, 200, `{"choices":[`, telemetry.ServerError, "invalid_response"),
		"empty":                           whole(openAI, 200, ``, telemetry.ServerError, "invalid_response"),
		"a web page":                      {openAI, 200, "text/html", `<html>planted</html>`, telemetry.ServerError, "invalid_response", ""},
		"no choices":                      whole(openAI, 200, `{"id":"1","choices":[]}`, telemetry.ServerError, "invalid_response"),
		"an empty reply":                  whole(openAI, 200, reply(`{"role":"assistant","content":""}`, "stop"), telemetry.ServerError, "invalid_response"),
		"a malformed chunk":               stream(openAI, firstPiece+event(`{"choices":[`), telemetry.ServerError, "invalid_response"),
		"an error in a stream":            stream(openAI, firstPiece+event(oai("server_error", "null")), telemetry.ServerError, "server_error"),
		"one with its status as a number": stream(openAI, firstPiece+event(`{"error":{"code":500,"message":"planted","type":"server_error"}}`), telemetry.ServerError, "server_error"),
		"one of the request":              stream(openAI, firstPiece+event(oai("invalid_request_error", "null")), telemetry.InvalidRequest, "invalid_request_error"),
		"one of the rate":                 stream(openAI, firstPiece+event(oai("requests", `"rate_limit_exceeded"`)), telemetry.RateLimit, "rate_limit_exceeded"),
		"one of the filter":               stream(openAI, firstPiece+event(azure("content_filter")), telemetry.ContentPolicy, "content_filter"),
		"one that says nothing":           stream(openAI, firstPiece+event(`{"error":{"message":"planted"}}`), telemetry.ServerError, "200"),

		"litellm 401":                  whole(liteLLM, 401, proxy("expired_key", "401"), telemetry.Auth, "expired_key"),
		"litellm 403":                  whole(liteLLM, 403, proxy("key_model_access_denied", "403"), telemetry.Auth, "key_model_access_denied"),
		"litellm 429":                  whole(liteLLM, 429, proxy("throttling_error", "429"), telemetry.RateLimit, "throttling_error"),
		"litellm's budget":             whole(liteLLM, 400, proxy("budget_exceeded", "400"), telemetry.InvalidRequest, "budget_exceeded"),
		"litellm without its database": whole(liteLLM, 400, proxy("no_db_connection", "400"), telemetry.InvalidRequest, "no_db_connection"),
		"litellm's policy": whole(liteLLM, 400, `{"error":{"message":"litellm.BadRequestError: litellm.ContentPolicyViolationError: AzureException - planted","type":null,"param":null,"code":"400"}}`,
			telemetry.ContentPolicy, "content_policy_violation"),
		"litellm 500":               whole(liteLLM, 500, proxy("internal_server_error", "500"), telemetry.ServerError, "internal_server_error"),
		"litellm 408":               whole(liteLLM, 408, proxy("timeout_error", "408"), telemetry.Timeout, "timeout_error"),
		"litellm fails in a stream": stream(liteLLM, firstPiece+event(proxy("internal_server_error", "500")), telemetry.ServerError, "internal_server_error"),

		"watsonx 400":               whole(watsonX, 400, ibm("invalid_input_argument", 400), telemetry.InvalidRequest, "invalid_input_argument"),
		"watsonx 401":               whole(watsonX, 401, ibm("authentication_token_expired", 401), telemetry.Auth, "authentication_token_expired"),
		"watsonx 403":               whole(watsonX, 403, ibm("authorization_rejected", 403), telemetry.Auth, "authorization_rejected"),
		"watsonx 404":               whole(watsonX, 404, ibm("model_not_supported", 404), telemetry.InvalidRequest, "model_not_supported"),
		"watsonx 429":               whole(watsonX, 429, ibm("rate_limit_reached_requests", 429), telemetry.RateLimit, "rate_limit_reached_requests"),
		"watsonx 500":               whole(watsonX, 500, ibm("downstream_request_failed", 500), telemetry.ServerError, "downstream_request_failed"),
		"watsonx fails in a stream": stream(watsonX, firstPiece+event(ibm("downstream_request_failed", 503)), telemetry.ServerError, "downstream_request_failed"),
		"watsonx's moderation": whole(watsonX, 200, `{"id":"1","model_id":"m","choices":[],"moderations":{"hap":[{"score":0.9,"input":true,"position":{"start":0,"end":3},"entity":"has_HAP"}]}}`,
			telemetry.ContentPolicy, "content_filter"),

		"ollama 404":               whole(ollama, 404, `{"error":"model 'm' not found"}`, telemetry.InvalidRequest, "model_not_found"),
		"ollama 500":               whole(ollama, 500, `{"error":"planted"}`, telemetry.ServerError, "500"),
		"ollama 503":               whole(ollama, 503, `{"error":"server busy, please try again. maximum pending requests exceeded"}`, telemetry.ServerError, "503"),
		"ollama fails in a stream": {ollama, 200, ollama.media, ollama.piece + `{"error":"planted"}` + "\n", telemetry.ServerError, "stream_error", ""},
		"ollama is another server": whole(ollama, 200, `{"hello":1}`, telemetry.ServerError, "invalid_response"),
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			address := answering(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", tt.media)
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.body)
			})
			var opts []mellea.CallOption
			if tt.media == sseMedia || tt.media == ollama.media {
				opts = append(opts, streaming)
			}
			got, err := asked(t, t.Context(), tt.d.open(address, network()), "chat m", opts...)
			want := agreed(tt.category, tt.typ)
			if tt.label != "" {
				want["metric"] = signal{string(tt.category), tt.label}
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("of %v (-got +want):\n%s", err, diff)
			}
		})
	}
}

// A key that IBM Cloud's IAM does not know is an error of the key, though IAM says 400.
func TestClassifyRefusedKey(t *testing.T) {
	t.Parallel()
	iam := answering(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", jsonMedia)
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"errorCode":"BXNIM0415E","errorMessage":"planted","context":{"requestId":"r-1"}}`)
	})
	b := watsonx.New(watsonx.WithBaseURL(iam), watsonx.WithIAMURL(iam), watsonx.WithAPIKey("planted-key"), watsonx.WithProject("p"), watsonx.WithModel("m"),
		watsonx.WithRetries(0), watsonx.WithTransport(network()))
	got, err := asked(t, t.Context(), b, "chat m")
	if diff := cmp.Diff(got, agreed(telemetry.Auth, backend.CodeAuthentication)); diff != "" {
		t.Errorf("of %v (-got +want):\n%s", err, diff)
	}
}

// What a program does to its own calls is told apart from what happens to them.
func TestClassifyProgramFailures(t *testing.T) {
	t.Parallel()
	says := func(t *testing.T, docs ...string) backend.Backend {
		n := 0
		return openAI.open(answering(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header().Set("Content-Type", jsonMedia)
			_, _ = io.WriteString(w, docs[min(n, len(docs)-1)])
			n++
		}), network())
	}
	const hello = `{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"hello"},"finish_reason":"stop"}]}`
	call := func(name, arguments string) string {
		return fmt.Sprintf(`{"id":"1","model":"m","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":%q,"arguments":%q}}]},"finish_reason":"tool_calls"}]}`, name, arguments)
	}
	silentOnes := func(category telemetry.Category) map[string]signal { // no error.type, and counted as no failure
		return map[string]signal{"span": {Category: string(category)}}
	}
	failed := func(category telemetry.Category, typ string) map[string]signal {
		said := signal{string(category), typ}
		return map[string]signal{"span": said, "metric": said}
	}
	tests := map[string]struct {
		backend  func(*testing.T) backend.Backend
		span     string
		opts     []mellea.CallOption
		run      func(context.Context, *mellea.Session) error // in place of an instruction with opts
		hooks    []hook.Source
		cancel   bool // while the model is silent
		category telemetry.Category
		want     map[string]signal // of spans and metrics
		fine     bool              // the call itself succeeds: the model is told of what its tool made
	}{
		"a tool fails": {backend: func(t *testing.T) backend.Backend { return says(t, call("weather", `{"city":"planted-error"}`), hello) },
			span: "execute_tool weather", opts: []mellea.CallOption{mellea.Tools(weather)}, fine: true, want: failed(telemetry.ToolError, "*tool.Error")},
		"a tool panics": {backend: func(t *testing.T) backend.Backend { return says(t, call("weather", `{"city":"planted-panic"}`), hello) },
			span: "execute_tool weather", opts: []mellea.CallOption{mellea.Tools(weather)}, fine: true, want: failed(telemetry.ToolError, "panic")},
		"arguments that are none": {backend: func(t *testing.T) backend.Backend { return says(t, call("weather", `planted`), hello) },
			span: "execute_tool weather", opts: []mellea.CallOption{mellea.Tools(weather)}, fine: true, want: failed(telemetry.ToolError, "*tool.ArgumentError")},
		"a check that gives no verdict": {backend: func(t *testing.T) backend.Backend { return says(t, hello) }, span: "requirement",
			opts: []mellea.CallOption{mellea.Check(requirement.New("planted", func(context.Context, requirement.Env) (requirement.Verdict, error) {
				return requirement.Verdict{}, errors.New("planted")
			}))}, category: telemetry.ValidationError, want: failed(telemetry.ValidationError, "*requirement.CheckError")},
		"a reply that is not the value asked for": {backend: func(t *testing.T) backend.Backend { return says(t, hello) }, span: "action",
			run: func(ctx context.Context, s *mellea.Session) error {
				_, err := mellea.Act(ctx, s, number{})
				return err
			}, category: telemetry.ValidationError, want: failed(telemetry.ValidationError, "*component.ParseError")},
		"a guard rejects": {backend: func(t *testing.T) backend.Backend { return says(t, hello) }, span: "chat m",
			hooks:    []hook.Source{hookpoint.Generation.Check(func(context.Context, hookpoint.GenerationStart) error { return hook.Reject("over_budget", "planted") }, hook.Name("budget"))},
			category: telemetry.Rejected, want: silentOnes(telemetry.Rejected)},
		"the caller gives up": {backend: func(t *testing.T) backend.Backend { return openAI.open(mute(t), network()) }, span: "chat m",
			cancel: true, category: telemetry.Cancelled, want: silentOnes(telemetry.Cancelled)},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tt.cancel {
				tt.hooks = append(tt.hooks, hookpoint.Generation.Observe(func(context.Context, hookpoint.GenerationStart) { cancel() }))
			}
			var err error
			series, spans := measured(t, tt.backend(t), func(s *mellea.Session) {
				if block := s.With(mellea.WithHooks(tt.hooks...)); tt.run != nil {
					err = tt.run(ctx, block)
				} else {
					_, err = block.Instruct(ctx, "planted-prompt", tt.opts...)
				}
			}, nil)
			if category := telemetry.ClassifyError(err); category != tt.category || tt.fine != (err == nil) {
				t.Errorf("%v is of category %q, want %q", err, category, tt.category)
			}
			if diff := cmp.Diff(signals(t, nil, tt.span, spans, series), tt.want); diff != "" {
				t.Errorf("of %v (-got +want):\n%s", err, diff)
			}
		})
	}
}
