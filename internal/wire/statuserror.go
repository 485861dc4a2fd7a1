package wire

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

const (
	maxErrorBody    = 64 << 10
	maxErrorMessage = 4 << 10
	maxErrorCode    = 256
)

func itoa(n int) string { return strconv.Itoa(n) }

// ParseStatusError reads an error reply: OpenAI's {"error":{…}} and the shapes its imitators, Ollama,
// FastAPI servers, Hugging Face and watsonx use, plain text, or a web page. It never fails: what it cannot
// read it leaves empty. Target and Method are the caller's to fill; now resolves a Retry-After date.
func ParseStatusError(status int, h http.Header, body []byte, now time.Time) *StatusError {
	e := &StatusError{
		Status:     status,
		RetryAfter: retryAfter(h, now),
		RequestID:  requestID(h),
		retryable:  retryableStatus(status, h),
	}
	e.ContentType = mediaType(h)
	body = body[:min(len(body), maxErrorBody)]
	var doc any
	switch {
	case json.Unmarshal(body, &doc) == nil:
		e.fill(doc, 0)
	case isHTML(e.ContentType, body):
		e.Message = "the server answered with a web page"
		if status < 500 { // gateways in front of the right server answer so too
			e.Remedy = "the server answered with a web page, not JSON: check the base URL"
		}
	default:
		e.Message = strings.TrimSpace(string(body))
	}
	if status == http.StatusBadRequest && strings.Contains(e.Message, "HTTP request to an HTTPS server") {
		e.Remedy = "the server expects TLS: begin the base URL with https://"
	}
	e.Message = clip(e.Message, maxErrorMessage)
	e.Code = clip(e.Code, maxErrorCode)
	e.RequestID, e.Trace = clip(e.RequestID, maxErrorCode), clip(e.Trace, maxErrorCode)
	return e
}

// fill takes what it finds in doc; what is already set stays.
func (e *StatusError) fill(doc any, depth int) {
	if depth > 4 {
		return
	}
	switch v := doc.(type) {
	case string:
		setIfEmpty(&e.Message, v)
	case []any: // [{"error":{…}}] of Google, {"detail":[{…}]} of FastAPI, ["text"] of Hugging Face
		if len(v) > 0 {
			e.fill(v[0], depth+1)
		}
	case map[string]any:
		for _, k := range []string{"error", "errors", "detail"} {
			if inner, ok := v[k]; ok && inner != nil {
				e.fill(inner, depth+1)
			}
		}
		for _, k := range []string{"message", "msg", "errorMessage", "error_description"} {
			if s, ok := v[k].(string); ok {
				setIfEmpty(&e.Message, s)
			}
		}
		setIfEmpty(&e.Code, codeOf(v))
		if trace, ok := v["trace"].(string); ok {
			setIfEmpty(&e.Trace, trace)
			setIfEmpty(&e.RequestID, trace)
		}
		if about, ok := v["context"].(map[string]any); ok { // IBM Cloud IAM
			if id, ok := about["requestId"].(string); ok {
				setIfEmpty(&e.RequestID, id)
			}
		}
	}
}

// parseStreamError is ParseStatusError for data inside a stream: nil unless data has an error of its own. A status that
// came too late for the header is taken from the data, where servers put it under several names.
func parseStreamError(status int, h http.Header, data []byte) *StatusError {
	var doc map[string]any
	_ = json.Unmarshal(data, &doc) // what is not an object has no error in it
	if doc["error"] == nil && doc["errors"] == nil {
		return nil
	}
	e := &StatusError{Status: status, RequestID: requestID(h), ContentType: mediaType(h)}
	e.fill(doc, 0)
	if late := statusIn(doc, 0); status < http.StatusBadRequest && late != 0 {
		e.Status = late
	}
	e.Message, e.Code = clip(e.Message, maxErrorMessage), clip(e.Code, maxErrorCode)
	e.RequestID, e.Trace = clip(e.RequestID, maxErrorCode), clip(e.Trace, maxErrorCode)
	return e
}

// statusIn returns the error status in doc, 0 for none.
func statusIn(doc any, depth int) int {
	v, ok := doc.(map[string]any)
	if !ok || depth > 4 {
		return 0
	}
	for _, k := range []string{"status_code", "status", "code"} {
		n := 0
		switch c := v[k].(type) {
		case string:
			n, _ = strconv.Atoi(c)
		case float64:
			n = int(c)
		}
		if n >= http.StatusBadRequest && n < 600 {
			return n
		}
	}
	for _, k := range []string{"error", "errors"} {
		inner := v[k]
		if list, ok := inner.([]any); ok && len(list) > 0 {
			inner = list[0]
		}
		if n := statusIn(inner, depth+1); n != 0 {
			return n
		}
	}
	return 0
}

// codeOf prefers a word over a number: some servers put the status into code and the word into type.
func codeOf(v map[string]any) string {
	var number string
	for _, k := range []string{"code", "errorCode", "status", "type", "error_type"} {
		switch c := v[k].(type) {
		case string:
			if _, err := strconv.Atoi(c); err != nil && c != "" && c != "None" && c != "error" {
				return c
			} else if err == nil && number == "" {
				number = c
			}
		case float64:
			if number == "" {
				number = strconv.FormatFloat(c, 'f', -1, 64)
			}
		}
	}
	return number
}

func setIfEmpty(dst *string, v string) {
	if *dst == "" {
		*dst = strings.TrimSpace(v)
	}
}

// clip cuts s to n bytes of valid UTF-8.
func clip(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// requestID returns the id servers give a call, for their support and their logs.
func requestID(h http.Header) string {
	for _, k := range []string{"X-Litellm-Call-Id", "X-Request-Id", "X-Global-Transaction-Id", "Request-Id", "Apim-Request-Id"} {
		if id := h[k]; len(id) > 0 && id[0] != "" {
			return id[0]
		}
	}
	return ""
}

func mediaType(h http.Header) string {
	ct := h["Content-Type"]
	if len(ct) == 0 {
		return ""
	}
	t, _, _ := strings.Cut(ct[0], ";") // on the way of every call: mime.ParseMediaType allocates
	return strings.ToLower(strings.TrimSpace(t))
}

func isHTML(mediaType string, body []byte) bool {
	if mediaType == "text/html" || mediaType == "application/xhtml+xml" {
		return true
	}
	head := strings.ToLower(strings.TrimSpace(string(body[:min(len(body), 256)])))
	return strings.HasPrefix(head, "<!doctype html") || strings.HasPrefix(head, "<html")
}
