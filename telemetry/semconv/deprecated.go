package semconv

import (
	"iter"
	"slices"
)

// Signal is what a name names.
type Signal uint8

// The signals that have names.
const (
	SignalAttribute Signal = iota + 1
	SignalEvent
	SignalMetric
)

// String returns the signal's name.
func (s Signal) String() string {
	switch s {
	case SignalAttribute:
		return "attribute"
	case SignalEvent:
		return "event"
	case SignalMetric:
		return "metric"
	default:
		return "unknown"
	}
}

// Deprecation is a name the GenAI conventions no longer use.
type Deprecation struct {
	Name   string
	Signal Signal

	use []string
}

// Replacements yields the names to use instead; nothing when the name was
// removed without a successor.
func (d Deprecation) Replacements() iter.Seq[string] { return slices.Values(d.use) }

// Deprecated reports whether the conventions once had that name and have given
// it up. It covers the renamings up to version 1.41 of the core conventions,
// from which the GenAI registry was split off, those since, and names of the
// core conventions that went together with them. Lists were once flattened:
// gen_ai.prompt.0.content is gen_ai.prompt.
func Deprecated(signal Signal, name string) (Deprecation, bool) {
	whole := name
	if signal == SignalAttribute {
		whole = unflattened(name)
	}
	for _, d := range deprecations {
		if d.Signal == signal && d.Name == whole {
			d.Name = name
			return d, true
		}
	}
	return Deprecation{}, false
}

// unflattened returns the name without the index of an element and what follows
// it.
func unflattened(name string) string {
	for i := range len(name) - 1 {
		if name[i] == '.' && name[i+1] >= '0' && name[i+1] <= '9' {
			return name[:i]
		}
	}
	return name
}
