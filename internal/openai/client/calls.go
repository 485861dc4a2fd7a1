package client

import (
	"strings"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/openai"
)

// calls tells the calls of a streamed reply apart. Most servers number them; some number none, and some number all of
// them 0 and tell them apart by id.
type calls struct {
	seen []seenCall
	last int // in seen
	own  int // of seen, those that are not served
}

type seenCall struct {
	number int
	id     string
	// served is a call that the provider ran itself. It is one by its first delta, which has the id.
	served bool
	place  int // among those that are not served, from 0
}

// find returns the call of the reply that c adds to. One of too many has a place that the writer refuses.
func (s *calls) find(c *openai.ToolCall) seenCall {
	i := len(s.seen) - 1
	for ; i >= 0; i-- {
		if s.adds(c, i) {
			break
		}
	}
	if i < 0 {
		one := seenCall{number: c.Index, id: c.ID, served: c.Served(), place: s.own}
		i = len(s.seen)
		if i >= 2*backend.MaxToolCalls {
			one.place = i
			return one
		}
		s.seen = append(s.seen, one)
		if !one.served {
			s.own++
		}
	}
	if c.ID != "" {
		s.seen[i].id = c.ID
	}
	s.last = i
	return s.seen[i]
}

// adds reports whether c adds to call i.
func (s *calls) adds(c *openai.ToolCall, i int) bool {
	known := s.seen[i]
	switch {
	case c.Index >= 0:
		return known.number == c.Index && (c.ID == "" || known.id == "" || known.id == c.ID)
	case c.ID != "":
		return known.id == c.ID
	}
	return c.Name == "" && i == s.last
}

// served tells apart the tools of a reply that the provider ran itself.
type served struct{ seen []servedTool }

type servedTool struct {
	id        string
	number    int // -1 of a tool that is known by its id
	arguments string
	answered  bool
	result    string
}

// identified returns the place of the tool with an id.
func (s *served) identified(id string) int {
	for i := range s.seen {
		if s.seen[i].number < 0 && s.seen[i].id == id {
			return i
		}
	}
	return s.add(servedTool{id: id, number: -1})
}

// add returns a place that the writer refuses for one of too many.
func (s *served) add(t servedTool) int {
	if len(s.seen) < backend.MaxToolCalls {
		s.seen = append(s.seen, t)
		return len(s.seen) - 1
	}
	return len(s.seen)
}

// delta returns what t says beyond what is known, and whether that is anything: what was said is said again in each chunk.
func (s *served) delta(t *openai.ServerTool) (d backend.ServerToolDelta, news bool) {
	if t.Index < 0 {
		d.Index, d.ID = s.identified(t.ID), t.ID
	} else {
		d.Index = s.numbered(t, &d)
	}
	if d.Index >= len(s.seen) {
		return d, true // the writer refuses it
	}
	known := &s.seen[d.Index]
	if result := string(t.Result); t.ResultType != "" && (!known.answered || known.number >= 0 && known.result != result) {
		known.answered, known.result = true, result
		d.ResultType, d.Result = t.ResultType, result
	}
	return d, d.Name != "" || d.Arguments != "" || d.ResultType != ""
}

// numbered returns the place of a tool with a number, and puts what is new of its call into d. A number that stands for
// another call once the first has its result is that of a tool of its own.
func (s *served) numbered(t *openai.ServerTool, d *backend.ServerToolDelta) int {
	arguments := string(t.Arguments)
	for i := len(s.seen) - 1; i >= 0; i-- {
		known := &s.seen[i]
		if known.number != t.Index {
			continue
		}
		rest, longer := strings.CutPrefix(arguments, known.arguments)
		switch {
		case longer && !known.answered:
			d.Arguments, known.arguments = rest, arguments
		case known.answered && arguments != "" && arguments != known.arguments:
			d.Name, d.Type, d.Arguments = t.Name, t.Type, arguments
			return s.add(servedTool{number: t.Index, arguments: arguments})
		}
		return i
	}
	d.Name, d.Type, d.Arguments = t.Name, t.Type, arguments
	return s.add(servedTool{number: t.Index, arguments: arguments})
}
