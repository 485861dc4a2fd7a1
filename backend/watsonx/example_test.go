package watsonx_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/watsonx"
	"github.com/mellea-go/mellea/content"
)

// answers stands for IAM and the service: it answers a path with a body.
type answers map[string]string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_, _ = io.Copy(io.Discard, r.Body)
		r.Body.Close()
	}
	body, ok := a[r.URL.Path]
	res := &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), ContentLength: -1}
	switch {
	case !ok:
		res.StatusCode = http.StatusNotFound
	case strings.HasPrefix(body, `{"errorCode"`):
		res.StatusCode = http.StatusBadRequest
	case strings.HasPrefix(body, "id: "):
		res.Header.Set("Content-Type", "text/event-stream;charset=utf-8")
	}
	return res, nil
}

const anAccessToken = `{"access_token":"eyJraWQiOiI","token_type":"Bearer","expires_in":3600,"expiration":1900000000}`

func Example() {
	// The program sets WATSONX_URL, WATSONX_API_KEY and WATSONX_PROJECT_ID instead, and no transport.
	b := watsonx.New(
		watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("key"), watsonx.WithProject("project"),
		watsonx.WithModel("ibm/granite-4-h-small"),
		watsonx.WithTransport(answers{
			"/identity/token": anAccessToken,
			"/ml/v1/text/chat": `{"id":"chatcmpl-1","model_id":"ibm/granite-4-h-small","choices":[{"index":0,
				"message":{"role":"assistant","content":"Bonjour."},"finish_reason":"stop"}],"usage":{"prompt_tokens":12,"completion_tokens":3}}`,
		}))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.System("Answer in French."), content.User("Hello!")),
		Options:  backend.Options{}.WithTemperature(0).WithMaxTokens(20),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	reply, err := out.Reply(ctx)
	if err != nil {
		fmt.Println(err)
		return
	}
	g := reply.Generation
	fmt.Println(reply.Message.Text())
	fmt.Println(g.Provider, g.ServerAddress, g.ResponseModel, g.FinishReasons.At(0), g.Usage.InputTokens, g.Usage.OutputTokens)
	// Output:
	// Bonjour.
	// ibm.watsonx.ai us-south.ml.cloud.ibm.com ibm/granite-4-h-small stop 12 3
}

func Example_streaming() {
	b := watsonx.New(
		watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("key"), watsonx.WithProject("project"),
		watsonx.WithModel("ibm/granite-4-h-small"),
		watsonx.WithTransport(answers{
			"/identity/token": anAccessToken,
			"/ml/v1/text/chat_stream": `id: 1
event: message
data: {"id":"chatcmpl-1","model_id":"ibm/granite-4-h-small","choices":[{"index":0,"finish_reason":null,"delta":{"role":"assistant","content":"one"}}]}

id: 2
event: message
data: {"id":"chatcmpl-1","model_id":"ibm/granite-4-h-small","choices":[{"index":0,"finish_reason":"stop","delta":{"content":", two"}}]}

id: 3
event: message
data: {"id":"chatcmpl-1","model_id":"ibm/granite-4-h-small","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"total_tokens":13}}

`,
		}))

	ctx := context.Background()
	out, err := b.Generate(ctx, backend.Request{
		Messages: content.NewMessages(content.User("Count to two.")),
		Options:  backend.Options{}.WithStream(true),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for chunk, err := range out.Chunks(ctx) {
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Printf("%s %q\n", chunk.Kind, chunk.Text)
	}
	// Output:
	// text "one"
	// text ", two"
}

// Each prompt of a batch is a request of its own, and what fails for one leaves the others alone.
func ExampleBackend_GenerateBatch() {
	b := watsonx.New(
		watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("key"), watsonx.WithSpace("space"),
		watsonx.WithModel("ibm/granite-3-8b-base"),
		watsonx.WithTransport(answers{
			"/identity/token": anAccessToken,
			"/ml/v1/text/generation": `{"model_id":"ibm/granite-3-8b-base","created_at":"2026-08-11T12:00:00.000Z","results":[
				{"generated_text":" 4,000 km","generated_token_count":4,"input_token_count":12,"stop_reason":"eos_token"}]}`,
		}))
	reply, err := b.GenerateBatch(context.Background(), backend.BatchRequest{Prompts: content.ListOf("How far is it?", "And back?")})
	if err != nil {
		fmt.Println(err)
		return
	}
	for i, item := range reply.Items.All() {
		fmt.Println(i, item.Text, item.FinishReason, item.Err)
	}
	fmt.Println(reply.Generation.Usage.Total(), "tokens")
	// Output:
	// 0  4,000 km stop <nil>
	// 1  4,000 km stop <nil>
	// 32 tokens
}

// An API key that IAM does not know is an error of its own code, which shows neither the key nor what IAM said of it.
func Example_errors() {
	b := watsonx.New(
		watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("key"), watsonx.WithProject("project"),
		watsonx.WithModel("ibm/granite-4-h-small"),
		watsonx.WithTransport(answers{
			"/identity/token": `{"errorCode":"BXNIM0415E","errorMessage":"Provided API key could not be found.","context":{"requestId":"aXBi-7"}}`,
		}))
	out, err := b.Generate(context.Background(), backend.Request{Messages: content.NewMessages(content.User("Hello!"))})
	if err == nil {
		err = out.Wait(context.Background())
	}
	if failed, ok := errors.AsType[*backend.Error](err); ok {
		fmt.Println(failed)
		fmt.Println(failed.Code)
	}
	// Output:
	// ibm.watsonx.ai token: HTTP 400 (authentication), request aXBi-7: IBM Cloud IAM does not accept the API key: check WATSONX_API_KEY or WithAPIKey
	// authentication
}

// A configuration that cannot work says what to set.
func ExampleBackend_Info() {
	_, err := watsonx.New(watsonx.WithBaseURL("https://us-south.ml.cloud.ibm.com"), watsonx.WithAPIKey("key")).Info(context.Background())
	fmt.Println(err)
	// Output:
	// ibm.watsonx.ai info: configuration: neither a project nor a space: set WATSONX_PROJECT_ID or WithProject (--project) to the id of a project, or WATSONX_SPACE_ID or WithSpace (--space) to that of a deployment space
}
