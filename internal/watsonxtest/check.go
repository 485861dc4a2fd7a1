package watsonxtest

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Paths of the service.
const (
	pathChat       = "/ml/v1/text/chat"
	pathStream     = "/ml/v1/text/chat_stream"
	pathGeneration = "/ml/v1/text/generation"
	pathModels     = "/ml/v1/foundation_model_specs"
	pathToken      = "/identity/token"
)

var (
	version = regexp.MustCompile(`^\d{4}-\d{2}-\d{2}$`)
	bearer  = regexp.MustCompile(`^Bearer [!-~]+$`)
)

// headers that a client may send, beside those of one resource. Trace context is the program's.
var headers = []string{"Accept-Encoding", "Content-Length", "User-Agent", "Traceparent", "Tracestate", "Connection"}

// CheckRequest judges method, address and header of a request to the service, and leaves its body alone.
func CheckRequest(r *http.Request) error {
	accept, method := "application/json", http.MethodPost
	query := []string{"version"}
	switch r.URL.Path {
	case pathChat, pathGeneration:
	case pathStream:
		accept = "text/event-stream"
	case pathModels:
		method = http.MethodGet
		query = []string{"version", "limit", "start", "filters"}
	default:
		return fmt.Errorf("no such resource: %s", r.URL.Path)
	}
	want := map[string]string{"Accept": accept}
	if method == http.MethodPost {
		want["Content-Type"] = "application/json"
	}
	if err := checkHead(r, method, want, append([]string{"Authorization"}, headers...)); err != nil {
		return err
	}
	if !bearer.MatchString(r.Header.Get("Authorization")) {
		return fmt.Errorf("the authorization is not a bearer token")
	}
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("query: %w", err)
	}
	for name, values := range q {
		if !slices.Contains(query, name) || len(values) != 1 {
			return fmt.Errorf("query: %s is not known or given twice", name)
		}
	}
	if !version.MatchString(q.Get("version")) {
		return fmt.Errorf("query: version %q is not a date", q.Get("version"))
	}
	return nil
}

func checkHead(r *http.Request, method string, want map[string]string, allowed []string) error {
	if r.Method != method {
		return fmt.Errorf("method %s, want %s", r.Method, method)
	}
	for name, value := range want {
		if got := r.Header.Values(name); len(got) != 1 || got[0] != value {
			return fmt.Errorf("header %s: %q, want %q", name, got, value)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		if _, ok := want[name]; !ok && !slices.Contains(allowed, name) {
			return fmt.Errorf("header %s is not known", name)
		}
		if strings.ContainsAny(strings.Join(r.Header[name], ""), "\r\n") {
			return fmt.Errorf("header %s has a line break", name)
		}
	}
	return nil
}

// checkTokenRequest judges a request to IAM and returns the API key in it.
func checkTokenRequest(r *http.Request, body []byte) (key string, err error) {
	if r.URL.Path != pathToken || r.URL.RawQuery != "" {
		return "", fmt.Errorf("no such resource: %s", r.URL)
	}
	want := map[string]string{"Accept": "application/json", "Content-Type": "application/x-www-form-urlencoded"}
	allowed := []string{"Accept-Encoding", "Content-Length", "User-Agent", "Connection"} // the token is no business of a trace
	if err := checkHead(r, http.MethodPost, want, allowed); err != nil {
		return "", err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return "", fmt.Errorf("form: %w", err)
	}
	if names := slices.Sorted(maps.Keys(form)); !slices.Equal(names, []string{"apikey", "grant_type"}) {
		return "", fmt.Errorf("form: members %q", names)
	}
	if got := form["grant_type"]; len(got) != 1 || got[0] != "urn:ibm:params:oauth:grant-type:apikey" {
		return "", fmt.Errorf("form: grant type %q", got)
	}
	if len(form["apikey"]) != 1 {
		return "", fmt.Errorf("form: %d API keys", len(form["apikey"]))
	}
	return form.Get("apikey"), nil
}
