package wire_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/mellea-go/mellea/internal/wire"
)

var errorBodies = []struct {
	name, body    string
	code, message string
	requestID     string
}{
	{"OpenAI", `{"error":{"message":"m","type":"invalid_request_error","param":null,"code":"invalid_api_key"}}`, "invalid_api_key", "m", ""},
	{"OpenAI without code", `{"error":{"message":"m","type":"invalid_request_error","code":null}}`, "invalid_request_error", "m", ""},
	{"LiteLLM, status as code", `{"error":{"message":"m","type":"auth_error","param":"None","code":"401"}}`, "auth_error", "m", ""},
	{"LiteLLM, no type", `{"error":{"message":"m","type":"None","param":"None","code":"400"}}`, "400", "m", ""},
	{"vLLM", `{"object":"error","message":"m","type":"NotFoundError","param":null,"code":404}`, "NotFoundError", "m", ""},
	{"numeric code only", `{"error":{"message":"m","code":503}}`, "503", "m", ""},
	{"Ollama", `{"error":"model 'x' not found"}`, "", "model 'x' not found", ""},
	{"Anthropic", `{"type":"error","error":{"type":"overloaded_error","message":"m"}}`, "overloaded_error", "m", ""},
	{"Google, in a list", `[{"error":{"code":429,"message":"m","status":"RESOURCE_EXHAUSTED"}}]`, "RESOURCE_EXHAUSTED", "m", ""},
	{"Hugging Face", `{"error":["m","n"],"error_type":"overloaded"}`, "overloaded", "m", ""},
	{"watsonx", `{"errors":[{"code":"authentication_token_expired","message":"m","more_info":"https://x"}],"trace":"t1","status_code":401}`, "authentication_token_expired", "m", "t1"},
	{"IBM IAM", `{"errorCode":"BXNIM0415E","errorMessage":"m","context":{"requestId":"r"}}`, "BXNIM0415E", "m", "r"},
	{"FastAPI text", `{"detail":"m"}`, "", "m", ""},
	{"FastAPI list", `{"detail":[{"type":"missing","loc":["body"],"msg":"m"}]}`, "missing", "m", ""},
	{"message at the top", `{"message":"m"}`, "", "m", ""},
	{"a JSON string", `"m"`, "", "m", ""},
	{"plain text", "404 page not found\n", "", "404 page not found", ""},
	{"empty", ``, "", "", ""},
	{"empty object", `{}`, "", "", ""},
	{"null", `null`, "", "", ""},
	{"unfinished JSON", `{"error":{"mess`, "", `{"error":{"mess`, ""},
	{"error null", `{"error":null,"message":"m"}`, "", "m", ""},
	{"a web page", "<!DOCTYPE html><html><body>Not Found</body></html>", "", "the server answered with a web page", ""},
}

func TestStatusErrorShapes(t *testing.T) {
	t.Parallel()
	for _, tt := range errorBodies {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got := wire.ParseStatusError(404, http.Header{}, []byte(tt.body), time.Now())
			want := &wire.StatusError{Status: 404, Code: tt.code, Message: tt.message, RequestID: tt.requestID}
			if tt.name == "watsonx" {
				want.Trace = tt.requestID
			}
			if tt.name == "a web page" {
				want.Remedy = "the server answered with a web page, not JSON: check the base URL"
			}
			if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(wire.StatusError{})); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
		})
	}
}

func TestStatusErrorText(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		err  wire.StatusError
		want string
	}{
		{"status alone", wire.StatusError{Status: 404, Message: plantedWords}, "HTTP 404 Not Found"},
		{"unknown status", wire.StatusError{Status: 529}, "HTTP 529"},
		{
			"all of it",
			wire.StatusError{Status: 503, Method: "POST", Target: "http://h/p", Code: "overloaded", RetryAfter: 3 * time.Second, RequestID: "r-1", Remedy: "check x"},
			"POST http://h/p: HTTP 503 Service Unavailable (overloaded), retry after 3s, request id r-1: check x",
		},
		{"prose in place of code and id", wire.StatusError{Status: 400, Code: plantedWords, RequestID: plantedWords}, "HTTP 400 Bad Request"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := tt.err.Error(); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestStatusErrorOfACall has a server that echoes everything it was sent.
func TestStatusErrorOfACall(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, contentType, body string
		want                    string
	}{
		{"JSON", "application/json", `{"error":{"message":"bad key ` + plantedKey + `","code":"` + plantedKey + `"}}`, "POST {url}: HTTP 401 Unauthorized"},
		{"web page", "text/html", "<html>" + plantedKey, "POST {url}: HTTP 401 Unauthorized: the server answered with a web page, not JSON: check the base URL"},
		{"endless", "text/plain", strings.Repeat(plantedWords, 100_000), "POST {url}: HTTP 401 Unauthorized"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			srv := newServer(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Content-Type", tt.contentType)
				w.WriteHeader(401)
				io.WriteString(w, tt.body)
			})
			_, err := newClient(t, secretConfig(srv.URL)).Do(context.Background(), post("/v1/chat"))
			e := as[*wire.StatusError](t, err)
			if got, want := err.Error(), strings.ReplaceAll(tt.want, "{url}", srv.URL+"/v1/chat"); got != want {
				t.Errorf("got  %q\nwant %q", got, want)
			}
			if strings.Contains(e.Message+e.Code, plantedKey) || len(e.Message) > 4<<10 {
				t.Errorf("got message %q, code %q", e.Message, e.Code)
			}
			assertNoSecret(t, err.Error())
		})
	}
}

func TestStreamError(t *testing.T) {
	t.Parallel()
	srv := newServer(t, func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X-Litellm-Call-Id", "c-1") })
	res, err := newClient(t, wire.Config{BaseURL: srv.URL}).Do(context.Background(), post("/v1/chat"))
	if err != nil {
		t.Fatal(err)
	}
	defer res.Close()
	late := func(status int, code string) *wire.StatusError {
		return &wire.StatusError{Status: status, Code: code, Message: "m", RequestID: "c-1", Method: "POST", Target: srv.URL + "/v1/chat"}
	}
	for _, tt := range []struct {
		data string
		want *wire.StatusError
	}{
		{`{"error":{"message":"m","type":"server_error"}}`, &wire.StatusError{Status: 200, Code: "server_error", Message: "m", RequestID: "c-1", Method: "POST", Target: srv.URL + "/v1/chat"}},
		{`{"error":"m"}`, &wire.StatusError{Status: 200, Message: "m", RequestID: "c-1", Method: "POST", Target: srv.URL + "/v1/chat"}},
		{`{"error":{"code":500,"message":"m","type":"server_error"}}`, late(500, "server_error")},
		{`{"error":{"code":"429","message":"m"}}`, late(429, "429")},
		{`{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed","status_code":400}}`, late(400, "tool_use_failed")},
		{`{"error":{"message":"m","code":"content_filter","status":400}}`, late(400, "content_filter")},
		{`{"errors":[{"message":"m","code":"downstream"}],"status_code":503}`, late(503, "downstream")},
		{`{"errors":[{"message":"m","code":"503"}]}`, late(503, "503")},
		{`{"error":{"message":"m","code":7}}`, late(200, "7")},
		{`{"choices":[],"error":null}`, nil},
		{`{"choices":[{"delta":{"content":"an \"error\""}}]}`, nil},
		{`[DONE]`, nil},
		{`{"error`, nil},
	} {
		opts := cmp.Options{cmpopts.IgnoreUnexported(wire.StatusError{}), cmpopts.IgnoreFields(wire.StatusError{}, "ContentType")}
		if diff := cmp.Diff(tt.want, res.StreamError([]byte(tt.data)), opts); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.data, diff)
		}
	}
}

func TestRetryAfterHeader(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, tt := range []struct {
		name, header, value string
		want                time.Duration
	}{
		{"seconds", "Retry-After", "20", 20 * time.Second},
		{"fraction", "Retry-After", "1.5", 1500 * time.Millisecond},
		{"date", "Retry-After", "Fri, 02 Jan 2026 03:05:05 GMT", time.Minute},
		{"date in the past", "Retry-After", "Fri, 02 Jan 2026 03:00:00 GMT", 0},
		{"milliseconds", "Retry-After-Ms", "250", 250 * time.Millisecond},
		{"negative", "Retry-After", "-3", 0},
		{"not a number", "Retry-After", "NaN", 0},
		{"huge", "Retry-After", "1e300", 365 * 24 * time.Hour},
		{"nonsense", "Retry-After", "soon", 0},
		{"absent", "X", "", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{tt.header: {tt.value}}
			if got := wire.ParseStatusError(429, h, nil, now).RetryAfter; got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func FuzzStatusError(f *testing.F) {
	for _, s := range errorBodies {
		f.Add(429, "20", "application/json", []byte(s.body))
	}
	f.Add(200, "Fri, 02 Jan 2026 03:05:05 GMT", "text/html", []byte(strings.Repeat("[", 1000)))
	f.Add(-1, "9e999", ";", []byte("\xff\xfe"))
	f.Fuzz(func(t *testing.T, status int, retryAfter, contentType string, body []byte) {
		h := http.Header{"Retry-After": {retryAfter}, "Content-Type": {contentType}, "X-Request-Id": {contentType}}
		e := wire.ParseStatusError(status, h, body, time.Unix(0, 0))
		if e.RetryAfter < 0 {
			t.Errorf("got a negative wait %v", e.RetryAfter)
		}
		if len(e.Message) > 4<<10 || len(e.Code) > 256 || !utf8.ValidString(e.Message) || !utf8.ValidString(e.Code) {
			t.Errorf("got message of %d bytes and code of %d, or invalid UTF-8", len(e.Message), len(e.Code))
		}
		if text := e.Error(); len(text) > 512 || strings.ContainsAny(text, "\n\r") {
			t.Errorf("got text %q", text)
		}
	})
}
