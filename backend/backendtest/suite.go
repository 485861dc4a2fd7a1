package backendtest

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Suite says how a backend is checked.
type Suite struct {
	// New returns a backend that talks to cfg.URL. It must use everything cfg has.
	New func(t testing.TB, cfg Config) backend.Backend
	// Dialect is the server's side.
	Dialect Dialect
	// Provider is the value of gen_ai.provider.name.
	Provider string

	// Options maps neutral options to where a request has them, as member names joined by dots, for example
	// "options.num_predict". One that is not listed is taken to be unsupported.
	Options map[backend.Neutral]string
	// NativeMaxTokens is the provider's own name for the bound on the reply.
	NativeMaxTokens string
	// Extra is a parameter of the provider's own, and ExtraPath where a request has it.
	Extra, ExtraPath string
	// SchemaPath is where a request has the schema of its format; "" when the backend has none.
	SchemaPath string
	// Usage is what the fake server reports: set the counts that the dialect has.
	Usage content.Usage
	// NoResponseID says that the dialect's replies have no id.
	NoResponseID bool
	// Reasoning says that replies may have reasoning, Tools that they may have tool calls.
	Reasoning, Tools bool
	// ModelUnknown is the code of the 404 for a model the server does not know.
	ModelUnknown string
}

// Config is what one backend of the suite is made with.
type Config struct {
	// URL is the root of the server, without a slash at its end.
	URL string
	// Model is the backend's own model.
	Model string
	// Key authenticates; it must never show in an error.
	Key string
	// Retries is how often a failed request is made again.
	Retries int
	// ReplyLimit bounds a reply, in bytes.
	ReplyLimit int64
	// Transport carries the requests. The suite closes its connections.
	Transport *http.Transport
	// Logger gets what the backend warns of.
	Logger *slog.Logger
}

// What must not show in the text of an error.
const (
	hiddenKey     = "sk-very-hidden-4f1c9"
	hiddenPrompt  = "PROMPT-that-is-hidden-8d2e"
	hiddenReply   = "REPLY-that-is-hidden"
	hiddenMessage = "MESSAGE-of-the-provider-that-is-hidden"
)

// Model names that the suite uses.
const (
	ownModel    = "own-model"
	calledModel = "called-model"
)

// Run runs the suite as subtests of t. They run in parallel with each other.
func Run(t *testing.T, s Suite) {
	t.Helper()
	for _, group := range []struct {
		name string
		run  func(*testing.T, Suite)
	}{
		{"Chat", runChat},
		{"Stream", runStream},
		{"Metadata", runMetadata},
		{"Options", runOptions},
		{"Cancel", runCancel},
		{"BadInput", runBadInput},
		{"Retry", runRetry},
		{"CutOff", runCutOff},
		{"Concurrent", runConcurrent},
	} {
		t.Run(group.name, func(t *testing.T) {
			t.Parallel()
			group.run(t, s)
		})
	}
}

// backendAt returns a backend that talks to url.
func (s Suite) backendAt(t *testing.T, url string, change ...func(*Config)) backend.Backend {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{
		URL: url, Model: ownModel, Key: hiddenKey, ReplyLimit: 1 << 20, Transport: transport,
		Logger: slog.New(slog.DiscardHandler),
	}
	for _, c := range change {
		c(&cfg)
	}
	return s.New(t, cfg)
}

// serve returns a fake server that follows plan and a backend that talks to it.
func (s Suite) serve(t *testing.T, plan func(int, Received) script, change ...func(*Config)) (*server, backend.Backend) {
	t.Helper()
	srv := newServer(t, s.Dialect, plan)
	return srv, s.backendAt(t, srv.url, change...)
}

// reply is what the fake server answers unless a check needs something else.
func (s Suite) reply() Reply {
	return Reply{
		ID: "reply-1", Model: "served-model", Text: []string{hiddenReply + " ", "in ", "\"three\"\n", "pieces ✓"}, Finish: "stop", Usage: s.Usage,
	}
}

// ask is a request of the suite.
func ask(stream bool) backend.Request {
	return backend.Request{
		Messages: content.NewMessages(content.User(hiddenPrompt)),
		Options:  backend.Options{}.WithStream(stream),
	}
}

// both runs f for a whole reply and for a streamed one.
func both(t *testing.T, f func(t *testing.T, stream bool)) {
	t.Helper()
	for name, stream := range map[string]bool{"whole": false, "streamed": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, stream)
		})
	}
}
