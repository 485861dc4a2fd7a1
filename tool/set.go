package tool

import (
	"iter"

	"github.com/mellea-go/mellea/content"
)

// Set is an immutable set of tools with unique names, in the order they were given. The zero Set is empty.
type Set struct{ s *tools }

type tools struct {
	all    []Tool
	byName map[string]Tool
	specs  content.List[content.ToolSpec]
}

// NewSet returns the set of tools. The error, a [*NameError], says that two have the same name, or that one is the zero
// Tool.
func NewSet(all ...Tool) (Set, error) {
	if len(all) == 0 {
		return Set{}, nil
	}
	s := &tools{byName: make(map[string]Tool, len(all))}
	specs := make([]content.ToolSpec, 0, len(all))
	for _, t := range all {
		if t.IsZero() {
			return Set{}, &NameError{Reason: "it is the zero Tool: make tools with tool.New"}
		}
		if _, twice := s.byName[t.Name()]; twice {
			return Set{}, &NameError{Name: t.Name(), Reason: "another tool beside it has the same name"}
		}
		s.byName[t.Name()] = t
		s.all = append(s.all, t)
		specs = append(specs, t.Spec())
	}
	s.specs = content.ListOf(specs...)
	return Set{s}, nil
}

// Merge returns the tools of s and over. Of two with the same name over's takes the place of the other.
func (s Set) Merge(over Set) Set {
	switch {
	case over.s == nil:
		return s
	case s.s == nil:
		return over
	}
	all := make([]Tool, 0, len(s.s.all)+len(over.s.all))
	for _, t := range s.s.all {
		if o, replaced := over.s.byName[t.Name()]; replaced {
			t = o
		}
		all = append(all, t)
	}
	for _, t := range over.s.all {
		if _, done := s.s.byName[t.Name()]; !done {
			all = append(all, t)
		}
	}
	merged, _ := NewSet(all...) // names of both are unique, and so are those of the union
	return merged
}

// Len returns how many tools there are.
func (s Set) Len() int {
	if s.s == nil {
		return 0
	}
	return len(s.s.all)
}

// All iterates over the tools, in order.
func (s Set) All() iter.Seq[Tool] {
	return func(yield func(Tool) bool) {
		if s.s == nil {
			return
		}
		for _, t := range s.s.all {
			if !yield(t) {
				return
			}
		}
	}
}

// Lookup returns the tool of a name. Upper and lower case differ.
func (s Set) Lookup(name string) (Tool, bool) {
	if s.s == nil {
		return Tool{}, false
	}
	t, ok := s.s.byName[name]
	return t, ok
}

// Offered returns the tools of s that specs name: those a model was offered.
func (s Set) Offered(specs content.List[content.ToolSpec]) Set {
	offered := make(map[string]bool, specs.Len())
	for spec := range specs.Values() {
		offered[spec.Name] = true
	}
	var all []Tool
	for t := range s.All() {
		if offered[t.Name()] {
			all = append(all, t)
		}
	}
	if len(all) == s.Len() {
		return s
	}
	some, _ := NewSet(all...) // names are unique in s
	return some
}

// Specs returns the tools as a model is shown them, in order.
func (s Set) Specs() content.List[content.ToolSpec] {
	if s.s == nil {
		return content.List[content.ToolSpec]{}
	}
	return s.s.specs
}
