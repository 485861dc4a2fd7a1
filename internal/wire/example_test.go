package wire_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"

	"github.com/mellea-go/mellea/internal/wire"
)

// A backend builds its request in a pooled buffer and reads the reply as it comes.
func ExampleClient_Do() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, "data: {\"word\":\"Hello\"}\n\ndata: [DONE]\n\n")
	}))
	defer srv.Close()
	client, err := wire.New(wire.Config{
		BaseURL: srv.URL + "/v1",
		Header:  http.Header{"Authorization": {"Bearer secret"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()

	body := wire.GetBuffer()
	defer wire.PutBuffer(body) // runs after Close below
	body.WriteString(`{"stream":true}`)
	res, err := client.Do(context.Background(), wire.Call{
		Path:       "/chat/completions",
		Body:       body.Bytes(),
		Stream:     true,
		SetHeaders: func(set func(key, value string)) { set("traceparent", "00-…") },
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer res.Close()
	for events := res.SSE(); ; {
		e, err := events.Next()
		if err != nil || string(e.Data) == "[DONE]" {
			break
		}
		fmt.Println(string(e.Data), !res.LastRead().IsZero())
	}
	// Output: {"word":"Hello"} true
}

// The text of an error is safe to log; what the server wrote is in Message.
func ExampleStatusError() {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"error":{"message":"no model 'gpt-9' for prompt …","code":"model_not_found"}}`)
	}))
	defer srv.Close()
	client, err := wire.New(wire.Config{BaseURL: srv.URL})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer client.CloseIdleConnections()
	_, err = client.Do(context.Background(), wire.Call{Path: "/chat/completions", Body: []byte("{}")})
	if status, ok := errors.AsType[*wire.StatusError](err); ok {
		fmt.Println(strings.ReplaceAll(err.Error(), srv.URL, "http://server"))
		fmt.Println(status.Message)
	}
	// Output:
	// POST http://server/chat/completions: HTTP 404 Not Found (model_not_found)
	// no model 'gpt-9' for prompt …
}

func ExampleSSE() {
	events := wire.NewSSE(strings.NewReader("event: delta\ndata: one\ndata: two\n\ndata: cut o"), 0)
	for {
		e, err := events.Next()
		if err != nil {
			fmt.Println(err, "truncated:", events.Truncated())
			return
		}
		fmt.Printf("%s %q\n", e.Name, e.Data)
	}
	// Output:
	// delta "one\ntwo"
	// EOF truncated: true
}

func ExampleNDJSON() {
	lines := wire.NewNDJSON(strings.NewReader("{\"done\":false}\n\n{\"done\":true}"), 0)
	for {
		line, err := lines.Next()
		if err != nil {
			return
		}
		fmt.Println(string(line))
	}
	// Output:
	// {"done":false}
	// {"done":true}
}
