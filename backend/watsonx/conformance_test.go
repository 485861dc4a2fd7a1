package watsonx_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
	"github.com/mellea-go/mellea/internal/watsonxtest"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

// strict judges the head of each request to the service before it is sent, as the suite's server sees only the body.
type strict struct {
	*http.Transport

	t   testing.TB
	iam string
}

func (s strict) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.String(), s.iam) {
		if err := watsonxtest.CheckRequest(r); err != nil {
			s.t.Errorf("the service refuses the request: %v", err)
		}
	}
	return s.Transport.RoundTrip(r)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	var once sync.Once
	var iam *watsonxtest.IAM
	backendtest.Run(t, backendtest.Suite{
		Name: "watsonx",
		New: func(tb testing.TB, cfg backendtest.Config) backend.Backend {
			once.Do(func() { iam = watsonxtest.NewIAM(t, cfg.Key) }) // it outlives the part of the suite that asks first
			return semconvtest.Traced(tb, watsonx.New(watsonx.WithBaseURL(cfg.URL), watsonx.WithModel(cfg.Model), watsonx.WithAPIKey(cfg.Key),
				watsonx.WithProject("a-project"), watsonx.WithIAMURL(iam.URL), watsonx.WithRetries(cfg.Retries),
				watsonx.WithReplyLimit(cfg.ReplyLimit), watsonx.WithTransport(strict{cfg.Transport, tb, iam.URL}), watsonx.WithLogger(cfg.Logger)),
				melleatest.Allow(check.RecommendedAttributeNotPresent, "gen_ai.response.id", "completions of watsonx have no id"))
		},
		Dialect:  watsonxtest.Dialect{},
		Provider: "ibm.watsonx.ai",
		Options: map[backend.Neutral]string{
			backend.NeutralModel:            "model_id",
			backend.NeutralTemperature:      "temperature",
			backend.NeutralTopP:             "top_p",
			backend.NeutralFrequencyPenalty: "frequency_penalty",
			backend.NeutralPresencePenalty:  "presence_penalty",
			backend.NeutralMaxTokens:        "max_completion_tokens",
			backend.NeutralSeed:             "seed",
			backend.NeutralStop:             "stop",
			backend.NeutralThinking:         "reasoning_effort",
		},
		NativeMaxTokens: "max_completion_tokens",
		BatchMaxTokens:  "parameters.max_new_tokens",
		Extra:           "guided_regex", ExtraPath: "guided_regex",
		SchemaPath: "response_format.json_schema.schema",
		Usage:      content.Usage{InputTokens: 31, OutputTokens: 12},
		Lacks: map[string]string{
			"cached_usage":    "the service does not report a cache",
			"reasoning_usage": "the service counts what a model thought among the tokens of its reply",
		},
		Reasoning: true, Tools: true,
		ModelUnknown: watsonxtest.ModelUnknown,
	})
}
