package tooltext

import (
	"bytes"
	"regexp"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// scanner tells where in JSON it is. A string with a control character, which JSON has none of, breaks it: from there on
// nothing counts as a string, so that one that is never closed does not swallow the rest of a reply.
type scanner struct {
	depth                         int
	begun, quoted, escape, broken bool
}

func (s *scanner) read(c byte) {
	switch {
	case s.broken:
	case s.quoted:
		switch {
		case c < ' ':
			s.broken, s.quoted = true, false
		case s.escape:
			s.escape = false
		case c == '\\':
			s.escape = true
		case c == '"':
			s.quoted = false
		}
	case c == '"':
		s.quoted = s.depth > 0
	case c == '{', c == '[':
		s.depth++
		s.begun = true
	case c == '}', c == ']':
		s.depth--
	}
}

func (s *scanner) inString() bool { return s.quoted }

// complete says that an object or a list has ended.
func (s *scanner) complete() bool { return s.begun && s.depth <= 0 && !s.broken }

// parse returns the calls that a model wrote in the place of one: an object, several, or a list of them.
func parse(written []byte) []Call {
	var all []Call
	for {
		written = bytes.TrimLeft(written, space+",;")
		if len(written) == 0 {
			return all
		}
		v, n := value(written)
		if n == 0 {
			if len(all) == 0 || len(bytes.Trim(written, space+",;]}")) > 0 { // a bracket too many is no call
				all = append(all, broken(written))
			}
			return all
		}
		written = written[n:]
		var items []jsontext.Value
		if v.Kind() != '[' || json.Unmarshal(v, &items, lenient) != nil || len(items) == 0 {
			items = []jsontext.Value{v}
		}
		for _, item := range items {
			c, _ := object(item)
			if c.Name == "" {
				c = broken(item)
			}
			all = append(all, c)
		}
	}
}

var lenient = jsontext.AllowDuplicateNames(true)

// value returns the JSON value at the start of b, and its length; 0 is for none.
func value(b []byte) (jsontext.Value, int) {
	d := jsontext.NewDecoder(bytes.NewReader(b), lenient)
	v, err := d.ReadValue()
	if err != nil {
		return nil, 0
	}
	return bytes.Clone(v), int(d.InputOffset())
}

// object reads a call, as the conventions have it or as OpenAI's API does. Its name is "" when there is none; whole says
// that it has arguments too.
func object(v jsontext.Value) (c Call, whole bool) {
	var members map[string]jsontext.Value
	if v.Kind() != '{' || json.Unmarshal(v, &members, lenient) != nil {
		return Call{}, false
	}
	if f := members["function"]; f.Kind() == '{' {
		members = nil
		if json.Unmarshal(f, &members, lenient) != nil {
			return Call{}, false
		}
	}
	if json.Unmarshal(members["name"], &c.Name) != nil {
		return Call{}, false
	}
	arguments, whole := members["arguments"]
	if !whole {
		arguments, whole = members["parameters"]
	}
	switch {
	case !whole, arguments.Kind() == 'n':
		c.Arguments = "{}"
	case arguments.Kind() == '"' && json.Unmarshal(arguments, &c.Arguments) == nil:
	default:
		c.Arguments = string(arguments)
	}
	return c, whole && c.Name != ""
}

var (
	nameMember      = regexp.MustCompile(`"name"\s*:\s*("(?:[^"\\]|\\.)+")`)
	argumentsMember = regexp.MustCompile(`"(?:arguments|parameters)"\s*:\s*`)
)

// isBroken says that an object which is not complete was going to be a call.
func isBroken(b []byte) bool { return nameMember.Match(b) && argumentsMember.Match(b) }

// broken is a call that is no JSON: its name if that can be read, and as arguments what stands in their place, or else all
// of it. Either is no JSON object, or complete: a call that was cut off is not taken for one without arguments.
func broken(b []byte) Call {
	var name string
	if m := nameMember.FindSubmatch(b); m == nil || json.Unmarshal(m[1], &name) != nil {
		return Call{Arguments: string(b)}
	}
	if at := argumentsMember.FindIndex(b); at != nil {
		if rest := bytes.TrimSpace(b[at[1]:]); len(rest) > 0 {
			return Call{Name: name, Arguments: string(rest)}
		}
	}
	return Call{Name: name, Arguments: string(b)}
}
