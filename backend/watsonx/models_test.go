package watsonx_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/internal/watsonxtest"
)

func TestListModels(t *testing.T) {
	t.Parallel()
	iam := watsonxtest.NewIAM(t, theKey)
	service := watsonxtest.NewService(t, iam)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	got, err := newBackend(transport, watsonx.WithBaseURL(service.URL), watsonx.WithIAMURL(iam.URL)).ListModels(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	since := time.Date(2025, 2, 3, 0, 0, 0, 0, time.UTC)
	want := []backend.ModelInfo{{Name: "ibm/one", Owner: "the-provider", Modified: since}, {Name: "ibm/two", Owner: "the-provider", Modified: since}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("models (-got +want):\n%s", diff)
	}
	var queries []string
	for _, r := range service.Requests() {
		queries = append(queries, r.Query)
	}
	const first = "version=2026-08-11&limit=200&filters=function_text_chat%2C%21lifecycle_withdrawn%3Aand"
	if diff := cmp.Diff(queries, []string{first, first + "&start=p2"}); diff != "" {
		t.Errorf("queries (-got +want):\n%s", diff)
	}
}

func TestListModelsOfABadServer(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		body  string
		code  string
		names int
		pages int
	}{
		"nothing":                        {body: ``, code: backend.CodeInvalidResponse, pages: 1},
		"another document":               {body: `{"models":[]}`, code: backend.CodeInvalidResponse, pages: 1},
		"wrong types":                    {body: `{"resources":[{"model_id":1}]}`, code: backend.CodeInvalidResponse, pages: 1},
		"no models":                      {body: `{"resources":[]}`, pages: 1},
		"models without a name":          {body: `{"resources":[{},{"model_id":"a","lifecycle":[{"id":"available","start_date":"soon"}]}]}`, names: 1, pages: 1},
		"a next page that is no address": {body: `{"resources":[{"model_id":"a"}],"next":{"href":":%"}}`, names: 1, pages: 1},
		"pages without end":              {body: `{"resources":[{"model_id":"a"}],"next":{"href":"https://evil.example/?start=x%26y"}}`, names: 50, pages: 50},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := newMemory(tt.body)
			models, err := newBackend(m).ListModels(t.Context())
			e, ok := errors.AsType[*backend.Error](err)
			if (tt.code != "") != ok || ok && e.Code != tt.code || len(models) != tt.names {
				t.Errorf("got %d models and error %v, want %d and code %q", len(models), err, tt.names, tt.code)
			}
			if got := len(m.seen()); got != tt.pages {
				t.Errorf("got %d requests, want %d", got, tt.pages)
			}
			for _, r := range m.seen() {
				if r.path != "/ml/v1/foundation_model_specs" || strings.Contains(r.query, "start=x&y") {
					t.Errorf("got request %s?%s, want it to the service, with the position encoded", r.path, r.query)
				}
			}
		})
	}
}

func TestListModelsCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	m := newMemory("")
	m.service = func(*http.Request, string) *http.Response { cancel(cause); return respond(200, "application/json", "") }
	if _, err := newBackend(m).ListModels(ctx); !errors.Is(err, cause) {
		t.Errorf("got error %v, want the cause of the context", fmt.Sprint(err))
	}
}
