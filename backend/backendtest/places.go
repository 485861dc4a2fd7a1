package backendtest

import (
	"encoding/json"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// What a request has beside the neutral options, as the table of options calls it.
const (
	placeSystem        = "system prompt"
	placeStream        = "stream"
	placeStreamTimeout = "stream timeout"
	placeTools         = "tools"
	placeToolChoice    = "tool choice"
)

var places = []string{placeSystem, placeStream, placeStreamTimeout, placeTools, placeToolChoice}

// Where something is that no member of a request has.
const (
	inMessages = "the first message"
	inPath     = "the path"
	keptBack   = "kept by the backend"
)

// runPlaces finds where a request has what is no neutral option, by looking at requests with it and without.
func runPlaces(t *testing.T, s Suite) {
	t.Run(placeSystem, func(t *testing.T) {
		t.Parallel()
		req := ask(false)
		req.Messages = content.NewMessages(content.System("Be brief."), content.User(hiddenPrompt))
		got := s.sent(t, req)
		first := got.Messages.At(0)
		if first.Role() != content.RoleSystem || first.Text() != "Be brief." {
			t.Errorf("the first message is %v, want the system's", first)
		}
		s.found(placeSystem, inMessages)
	})
	t.Run(placeStream, func(t *testing.T) {
		t.Parallel()
		whole, pieces := s.sent(t, ask(false)), s.sent(t, ask(true))
		switch changed := changes(t, whole.body, pieces.body); {
		case s.InProcess:
			s.found(placeStream, keptBack)
		case !pieces.Stream || whole.Stream:
			t.Errorf("a stream is asked for by %t, and by %t when it is not wanted", pieces.Stream, whole.Stream)
		case len(changed) == 0:
			s.found(placeStream, inPath)
		default:
			s.found(placeStream, strings.Join(changed, ", "))
		}
	})
	t.Run(placeStreamTimeout, func(t *testing.T) {
		t.Parallel()
		req := ask(true)
		req.Options = req.Options.WithStreamTimeout(2 * silence)
		if changed := changes(t, s.sent(t, ask(true)).body, s.sent(t, req).body); len(changed) > 0 {
			t.Errorf("%q differ with a stream timeout, want it kept by the backend", changed)
		}
		s.found(placeStreamTimeout, keptBack)
	})
	if s.Tools {
		t.Run(placeTools, func(t *testing.T) { t.Parallel(); s.placeTools(t) })
		t.Run(placeToolChoice, func(t *testing.T) { t.Parallel(); s.placeToolChoice(t) })
	}
}

// tooled is a request with a tool.
func tooled() backend.Request {
	req := ask(false)
	req.Tools = content.ListOf(content.ToolSpec{Name: "now", Description: "tells the time", Parameters: mustSchema("now", `{"type":"object"}`)})
	return req
}

func (s Suite) placeTools(t *testing.T) {
	with := s.sent(t, tooled())
	wantTools(t, with.Tools, tooled().Tools)
	if s.InProcess {
		s.found(placeTools, inMessages)
		return
	}
	s.found(placeTools, strings.Join(changes(t, s.sent(t, ask(false)).body, with.body), ", "))
}

// placeToolChoice demands a call. Where the provider has no such demand, that is reported once, and refused under strict
// options.
func (s Suite) placeToolChoice(t *testing.T) {
	req := tooled()
	req.Options = req.Options.WithExtra(backend.ToolChoice, "required")
	without := s.sent(t, tooled())
	if s.NoToolChoice {
		wantUnsupported(t, s, backend.ToolChoice, req)
		req.Options = req.Options.WithExtra(backend.ToolChoice, "auto").WithStrict(true)
		if diff := cmp.Diff(string(s.sent(t, req).body), string(without.body)); diff != "" {
			t.Errorf("with the choice left to the model (-got +want):\n%s", diff)
		}
		req.Options = req.Options.WithExtra(backend.ToolChoice, "none")
		if got := s.sent(t, req).Tools.Len(); got != 0 {
			t.Errorf("got %d tools that must not be called, want none offered", got)
		}
		return
	}
	req.Options = req.Options.WithStrict(true)
	changed := changes(t, without.body, s.sent(t, req).body)
	if len(changed) != 1 {
		t.Errorf("%q differ with a demand for a tool, want one of them", changed)
	}
	s.found(placeToolChoice, strings.Join(changed, ", "))

	plain := ask(false)
	plain.Options = plain.Options.WithExtra(backend.ToolChoice, "auto")
	if changed := changes(t, s.sent(t, ask(false)).body, s.sent(t, plain).body); len(changed) > 0 {
		t.Errorf("%q differ with a choice and no tools, want it left out", changed)
	}
}

// sent returns the request that the server gets for one of the program.
func (s Suite) sent(t *testing.T, req backend.Request) request {
	t.Helper()
	reply := s.reply()
	if s.InProcess && req.Tools.Len() > 0 { // where a demand is a grammar that the model keeps to
		reply.Text, reply.ToolCalls = nil, []content.ToolCall{{ID: "call-a", Name: "now", Arguments: `{}`}}
	}
	srv, b := s.serve(t, always(script{reply: reply}), func(c *Config) { c.Logger = slog.New(slog.DiscardHandler) })
	if _, err := generate(t, b, req); err != nil {
		t.Fatal(err)
	}
	return srv.recorded()[0]
}

// changes returns the members in which two requests differ, by their names joined by dots.
func changes(t *testing.T, a, b []byte) []string {
	t.Helper()
	var x, y map[string]any
	if err := json.Unmarshal(a, &x); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &y); err != nil {
		t.Fatal(err)
	}
	all := map[string]any{}
	maps.Copy(all, x)
	maps.Copy(all, y)
	var names []string
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !cmp.Equal(x[name], y[name]) {
			names = append(names, name)
		}
	}
	return names
}

// found notes where a request has something.
func (s Suite) found(what, place string) {
	if s.board != nil {
		s.board.place(what, place)
	}
}

func (b *board) place(what, place string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.results.Options[what] = place
}
