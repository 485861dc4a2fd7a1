package watsonx_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
)

// canned is a transport that costs next to nothing, so that a measurement sees the backend.
type canned struct {
	header http.Header
	body   string
}

func (c *canned) RoundTrip(r *http.Request) (*http.Response, error) {
	body := c.body
	if r.URL.Host == "iam.cloud.ibm.com" {
		body = anAccessToken
	}
	r.Body.Close()
	return &http.Response{StatusCode: http.StatusOK, Header: c.header, ContentLength: -1, Body: io.NopCloser(strings.NewReader(body))}, nil
}

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("allocations are not counted under the race detector")
	}
	measure := func(contentType, body string, stream bool) float64 {
		b := newBackend(&canned{http.Header{"Content-Type": {contentType}}, body})
		req := request(stream)
		req.Options = backend.Options{}.WithTemperature(0.5).WithMaxTokens(100).WithStream(stream)
		run := func() {
			if _, err := chat(t.Context(), b, req); err != nil {
				t.Fatal(err)
			}
		}
		run() // gets the token, warms the buffers
		return testing.AllocsPerRun(200, run)
	}
	streamed := func(n int) float64 {
		return measure("text/event-stream", strings.Repeat(chunks(delta(`"content":" word"`, "")), n)+chunks(delta(`"content":""`, "stop"))+usageChunk, true)
	}
	t.Run("chunk", func(t *testing.T) {
		if got := (streamed(200) - streamed(1)) / 199; got > 0.5 {
			t.Errorf("got %.2f allocations a chunk, want at most 0.5", got)
		}
	})
	t.Run("chat", func(t *testing.T) {
		const most = 50
		if got := measure("application/json", aReply, false); got > most {
			t.Errorf("got %v allocations, want at most %d", got, most)
		} else {
			t.Logf("%v allocations", got)
		}
	})
}
