package watsonx_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
)

// options are settings of a backend by the name of its option or of its variable.
func TestConfiguration(t *testing.T) {
	const url = "https://us-south.ml.cloud.ibm.com"
	good := map[string]string{"WATSONX_URL": url, "WATSONX_API_KEY": theKey, "WATSONX_PROJECT_ID": "p"}
	tests := map[string]struct {
		env     map[string]string // over good; "" unsets
		options []watsonx.Option
		says    []string // of the error; none for a configuration that works
	}{
		"all by the environment":       {},
		"the key by its other name":    {env: map[string]string{"WATSONX_API_KEY": "", "WATSONX_APIKEY": theKey}},
		"a space":                      {env: map[string]string{"WATSONX_PROJECT_ID": "", "WATSONX_SPACE_ID": "s"}},
		"an option wins over both":     {env: map[string]string{"WATSONX_SPACE_ID": "s"}, options: []watsonx.Option{watsonx.WithSpace("o")}},
		"a token":                      {env: map[string]string{"WATSONX_API_KEY": ""}, options: []watsonx.Option{watsonx.WithToken("t")}},
		"a Zen API key":                {env: map[string]string{"WATSONX_API_KEY": "", "WATSONX_URL": "https://cpd.example.com/"}, options: []watsonx.Option{watsonx.WithZenAPIKey("u", "k")}},
		"an IAM of its own":            {env: map[string]string{"WATSONX_IAM_URL": "https://private.iam.cloud.ibm.com/identity/token"}},
		"an IAM on this machine":       {env: map[string]string{"WATSONX_IAM_URL": "http://localhost:1/"}},
		"no address":                   {env: map[string]string{"WATSONX_URL": " "}, says: []string{"WATSONX_URL", "WithBaseURL", "--base-url"}},
		"an address that is none":      {env: map[string]string{"WATSONX_URL": "SECRET"}, says: []string{"base URL"}},
		"an address with user-info":    {env: map[string]string{"WATSONX_URL": "https://u:SECRET@h.example"}, says: []string{"user-info", "WATSONX_URL"}},
		"an address with a query":      {env: map[string]string{"WATSONX_URL": url + "?version=SECRET"}, says: []string{"query", "WATSONX_URL"}},
		"no key":                       {env: map[string]string{"WATSONX_API_KEY": ""}, says: []string{"WATSONX_API_KEY", "WithAPIKey"}},
		"a key with a newline":         {env: map[string]string{"WATSONX_API_KEY": "SECRET\n"}, says: []string{"WATSONX_API_KEY", "control"}},
		"a token with a newline":       {options: []watsonx.Option{watsonx.WithToken("SECRET\n")}, says: []string{"header Authorization"}},
		"neither project nor space":    {env: map[string]string{"WATSONX_PROJECT_ID": ""}, says: []string{"WATSONX_PROJECT_ID", "WATSONX_SPACE_ID", "WithProject", "WithSpace"}},
		"project and space":            {env: map[string]string{"WATSONX_SPACE_ID": "s"}, says: []string{"both", "WATSONX_PROJECT_ID and WATSONX_SPACE_ID"}},
		"project and space by options": {options: []watsonx.Option{watsonx.WithProject("p"), watsonx.WithSpace("s")}, says: []string{"both", "WithProject and WithSpace"}},
		"a version that is no date":    {env: map[string]string{"WATSONX_API_VERSION": "2024-3-1&x"}, says: []string{"WATSONX_API_VERSION", "YYYY-MM-DD"}},
		"a version of the wrong form":  {env: map[string]string{"WATSONX_API_VERSION": "2024/03/14"}, says: []string{"WATSONX_API_VERSION", "YYYY-MM-DD"}},
		"an IAM without TLS":           {env: map[string]string{"WATSONX_IAM_URL": "http://iam.example.com"}, says: []string{"https://", "WATSONX_IAM_URL"}},
		"an IAM that is no URL":        {env: map[string]string{"WATSONX_IAM_URL": "iam.cloud.ibm.com"}, says: []string{"WATSONX_IAM_URL"}},
		"an IAM with a query":          {env: map[string]string{"WATSONX_IAM_URL": "https://iam.example.com?k=SECRET"}, says: []string{"WATSONX_IAM_URL"}},
		"an IAM with a wrong port":     {env: map[string]string{"WATSONX_IAM_URL": "https://iam.example.com:99999"}, says: []string{"port"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			for k, v := range good {
				t.Setenv(k, v)
			}
			for k, v := range tt.env {
				t.Setenv(k, v)
			}
			b := watsonx.New(append([]watsonx.Option{watsonx.WithModel("m")}, tt.options...)...)
			info, err := b.Info(t.Context())
			if len(tt.says) == 0 {
				if err != nil {
					t.Fatal(err)
				}
				want := backend.Capabilities{Images: true, Audio: true, Tools: true, Batch: true, Structured: backend.StructuredSchema}
				if info.Provider != "ibm.watsonx.ai" || info.Model != "m" || info.NeedsModel || info.ServerAddress == "" || info.ServerPort != 443 || info.Capabilities != want {
					t.Errorf("got %+v, want a description of the service", info)
				}
				return
			}
			_, chatErr := b.Generate(t.Context(), request(false))
			_, batchErr := b.GenerateBatch(t.Context(), backend.BatchRequest{Prompts: content.ListOf("p")})
			_, listErr := b.ListModels(t.Context())
			for _, err := range []error{err, chatErr, batchErr, listErr} {
				e, ok := errors.AsType[*backend.Error](err)
				if !ok || e.Code != backend.CodeConfiguration {
					t.Fatalf("got error %v, want one with code %s", err, backend.CodeConfiguration)
				}
				for _, word := range tt.says {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("got error %q, want it to speak of %s", err, word)
					}
				}
				if strings.Contains(err.Error(), "SECRET") {
					t.Errorf("got error %q, want nothing secret in it", err)
				}
			}
		})
	}
}

func TestNoModel(t *testing.T) {
	t.Parallel()
	b := watsonx.New(watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("k"), watsonx.WithProject("p"))
	if info, err := b.Info(t.Context()); err != nil || !info.NeedsModel {
		t.Errorf("got %+v, %v, want an Info that needs a model", info, err)
	}
	_, err := b.Generate(t.Context(), request(false))
	if e, ok := errors.AsType[*backend.Error](err); !ok || e.Code != backend.CodeConfiguration || !strings.Contains(e.Remedy, "--model") {
		t.Errorf("got error %v, want a configuration error that names --model", err)
	}
}

// What authorises requests, by which header, and what scope and version they have.
func TestRequestHead(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		options       []watsonx.Option
		authorization string
		query, scope  string
		exchanges     int
	}{
		"an API key":    {nil, "Bearer eyJraWQiOiI", "version=2026-08-11", `"project_id":"a-project"`, 1},
		"a token":       {[]watsonx.Option{watsonx.WithToken("t")}, "Bearer t", "version=2026-08-11", `"project_id":"a-project"`, 0},
		"a Zen API key": {[]watsonx.Option{watsonx.WithZenAPIKey("user", "key")}, "ZenApiKey dXNlcjprZXk=", "version=2026-08-11", `"project_id":"a-project"`, 0},
		"another date":  {[]watsonx.Option{watsonx.WithAPIVersion("2024-03-14")}, "Bearer eyJraWQiOiI", "version=2024-03-14", `"project_id":"a-project"`, 1},
		"a space":       {[]watsonx.Option{watsonx.WithProject(""), watsonx.WithSpace(`s"1`)}, "Bearer eyJraWQiOiI", "version=2026-08-11", `"space_id":"s\"1"`, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(aReply)
			if _, err := chat(t.Context(), newBackend(m, tt.options...), request(false)); err != nil {
				t.Fatal(err)
			}
			got := m.seen()[0]
			if got.authorization != tt.authorization || got.query != tt.query || !strings.Contains(got.body, tt.scope) || m.exchanges() != tt.exchanges {
				t.Errorf("got %+v after %d exchanges, want %+v", got, m.exchanges(), tt)
			}
		})
	}
}

// A 401 of a token that the program brought is an error: there is nothing to renew it with.
func TestOwnTokenIsNotRenewed(t *testing.T) {
	t.Parallel()
	m := newMemory("")
	m.service = func(*http.Request, string) *http.Response { return respond(401, "application/json", `{}`) }
	_, err := chat(t.Context(), newBackend(m, watsonx.WithToken("eyJ-own")), request(false))
	if e, ok := errors.AsType[*backend.Error](err); !ok || e.Status != 401 {
		t.Errorf("got error %v, want the 401", err)
	}
	wantClean(t, err)
	if len(m.seen()) != 1 || m.exchanges() != 0 {
		t.Errorf("got %d requests and %d exchanges, want 1 and none", len(m.seen()), m.exchanges())
	}
}

func TestOptionsOfTheBackend(t *testing.T) {
	t.Parallel()
	m := newMemory(aReply)
	b := newBackend(m, watsonx.WithOptions(backend.Options{}.WithSeed(1).WithMaxTokens(10)), watsonx.WithOptions(backend.Options{}.WithTopP(0.5)))
	req := request(false)
	req.Options = req.Options.WithSeed(2).WithModel("called")
	r, err := chat(t.Context(), b, req)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rest(t, m), `,"max_completion_tokens":10,"top_p":0.5,"seed":2`); diff != "" {
		t.Errorf("rest of the request (-got +want):\n%s", diff)
	}
	if r.Generation.Model != "called" || !strings.HasPrefix(m.seen()[0].body, `{"model_id":"called"`) {
		t.Errorf("got model %q and request %s, want the call's", r.Generation.Model, m.seen()[0].body)
	}
}

func TestPrintsMasked(t *testing.T) {
	t.Parallel()
	m := newMemory(aReply)
	used := newBackend(m)
	if _, err := chat(t.Context(), used, request(false)); err != nil {
		t.Fatal(err)
	}
	for _, b := range []*watsonx.Backend{
		used, newBackend(m, watsonx.WithToken("eyJ-own")), newBackend(m, watsonx.WithHeader("X-Team", theKey)), newBackend(m, watsonx.WithBaseURL(theKey)),
	} {
		var log bytes.Buffer
		slog.New(slog.NewTextHandler(&log, nil)).Info("made", "backend", b)
		for _, text := range []string{fmt.Sprint(b), fmt.Sprintf("%+v %#v %s %q", b, b, b, b), log.String()} {
			if strings.Contains(text, theKey) || strings.Contains(text, "eyJ") {
				t.Errorf("got %q, want no secret in it", text)
			}
		}
	}
}

func TestHTTPClientsTransportIsUsed(t *testing.T) {
	t.Parallel()
	m := newMemory(aReply)
	if _, err := chat(t.Context(), newBackend(nil, watsonx.WithHTTPClient(&http.Client{Transport: m})), request(false)); err != nil {
		t.Fatal(err)
	}
	if len(m.seen()) != 1 || m.exchanges() != 1 {
		t.Errorf("got %d requests and %d exchanges, want the client's transport to carry one each", len(m.seen()), m.exchanges())
	}
}
