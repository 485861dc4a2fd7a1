package backendtest

import (
	"log/slog"
	"net/http"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// Suite says how a backend is checked. What the backend says of itself, by [backend.Info], decides which checks apply:
// what it says it can do must work, and what it says it cannot do must be an error with [backend.CodeUnsupported] that
// sends nothing.
type Suite struct {
	// Name is the backend's row on the scoreboard; the results are held against testdata/conformance/NAME.json of the
	// package under test. "" keeps the suite off the scoreboard.
	Name string
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
	// BatchMaxTokens is where a request for raw completions has the bound on each; "" is where a chat has it.
	// BatchSchemaPath is where it has the schema of its format; "" when it has none.
	BatchMaxTokens, BatchSchemaPath string
	// Usage is what the fake server reports: set the counts that the dialect has.
	Usage content.Usage
	// NoResponseID says that the dialect's replies have no id.
	NoResponseID bool
	// Reasoning says that replies may have reasoning.
	Reasoning bool
	// Tools says that replies may have tool calls; it must agree with what the backend says of itself.
	Tools bool
	// NoToolChoice says that the provider has no way to demand a call of a tool.
	NoToolChoice bool
	// Lacks says why the server or its models do not have a feature, by its ID, where there is nothing that a backend could
	// refuse. A suite that is configured without such a feature must say so.
	Lacks map[string]string
	// ModelUnknown is the code of the 404 for a model the server does not know.
	ModelUnknown string

	// InProcess is for a backend whose model is in the program. New makes it with an engine of the test, which has the
	// script from cfg.URL as a client would have it: what the engine is asked is the request, what it says the reply. Checks
	// of what only a server or a network does are left out, a schema is taken for a grammar at SchemaPath, and every setting
	// of a request may be filled in.
	InProcess bool
	// Kept lists options that the backend sees to itself: no request has them. In Options they have the name that
	// they have in the backend.
	Kept []backend.Neutral
	// NoCallIDs says that the dialect has no ids of tool calls: the backend makes them up, and results go back in the order of
	// their calls.
	NoCallIDs bool

	board *board
}

// cannot is the outcome of a feature that the suite is configured without, for which it must give the reason.
func (s Suite) cannot(t *testing.T, feature string) Outcome {
	t.Helper()
	if s.Lacks[feature] == "" {
		t.Errorf("the suite is configured without %s: give it what that needs, or the reason in Lacks[%q]", feature, feature)
	}
	return Cannot
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
	// Calls is how many generations must run at the same time.
	Calls int
	// FetchLocal lets a backend that fetches images by their URL do so from this machine, which it must not otherwise.
	FetchLocal bool
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
	calledModel = "maker/called-model"
)

// Run runs the suite as subtests of t, one for each [Feature]. They run in parallel with each other. When all have, what
// they found is compared with the recorded results; see [Results].
func Run(t *testing.T, s Suite) {
	t.Helper()
	board := newBoard(t, s)
	s.board = board
	for _, f := range features {
		if !f.checkedBy(s) {
			continue
		}
		t.Run(f.test, func(t *testing.T) {
			t.Parallel()
			outcome := Fail
			t.Cleanup(func() { board.add(t, f.ID, outcome) }) // after the subtests, the parallel ones too
			outcome = f.fake(t, s)
		})
	}
}

// backendAt returns a backend that talks to url.
func (s Suite) backendAt(t *testing.T, url string, change ...func(*Config)) backend.Backend {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: 256}
	t.Cleanup(transport.CloseIdleConnections)
	cfg := Config{
		URL: url, Model: ownModel, Key: hiddenKey, ReplyLimit: 1 << 20, Transport: transport, Calls: 8,
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

// capabilities are what the backend says of itself.
func (s Suite) capabilities(t *testing.T) backend.Capabilities {
	t.Helper()
	_, b := s.serve(t, always(script{}))
	info, err := b.Info(patient(t))
	if err != nil {
		t.Fatalf("Info: %v", err)
	}
	return info.Capabilities
}

// wantRefused checks that a backend refuses what it says it cannot do, and sends nothing.
func (s Suite) wantRefused(t *testing.T, call func(backend.Backend) error) Outcome {
	t.Helper()
	srv, b := s.serve(t, always(script{reply: s.reply()}))
	if got := wantError(t, s, call(b)).Code; got != backend.CodeUnsupported {
		t.Errorf("got code %q for what the backend says it cannot do, want %q", got, backend.CodeUnsupported)
	}
	if n := len(srv.recorded()); n != 0 {
		t.Errorf("got %d requests, want none", n)
	}
	return Cannot
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
