package schema

import (
	"fmt"
	"slices"
	"strings"
)

// StrictError says that a schema has no strict form.
type StrictError struct {
	// Name is that of the schema.
	Name string
	// Path leads to the part at fault: "addresses[].zip", with {} for the values of a map, #name for a definition; "" is
	// the root.
	Path string
	// Reason says what is wrong with the part, and what to do about it.
	Reason string
}

func (e *StrictError) Error() string {
	at := ""
	if e.Path != "" {
		at = " at " + e.Path
	}
	return "schema " + e.Name + at + ": has no strict form: " + e.Reason
}

// Strict returns the form of the schema that strict structured output takes (the rules are OpenAI's): each object is
// closed and requires all its properties, those that were optional may be null instead, and keywords that servers refuse
// are told in the description where they stand. oneOf becomes anyOf. So what a model writes by the strict form need not
// match s; hold it against s, which takes null for the absence of an optional property ([Schema.Decode] does).
//
// Maps, values of any type and a root that is no object cannot be strict: the error is a *[StrictError]. The form is made
// once; that of the zero Schema is the zero Schema.
func (s Schema) Strict() (Schema, error) {
	if s.s == nil {
		return Schema{}, nil
	}
	s.s.once.Do(func() { s.s.strict, s.s.strictErr = s.makeStrict() })
	return s.s.strict, s.s.strictErr
}

func (s Schema) makeStrict() (Schema, error) {
	root := s.s.root.clone()
	t := tightener{name: s.s.name}
	if root.get("$ref") == nil && !root.get("type").is("object") && root.get("properties") == nil {
		return Schema{}, t.fail("", "the root must be an object: wrap the value in one")
	}
	if root.get("anyOf") != nil || root.get("oneOf") != nil || root.get("$ref") != nil {
		return Schema{}, t.fail("", "the root must be an object, not a choice or a reference: wrap the value in one")
	}
	if err := t.tighten(root, ""); err != nil {
		return Schema{}, err
	}
	return Parse(s.s.name, root.append(nil))
}

type tightener struct{ name string }

func (t tightener) fail(path, format string, args ...any) error {
	return &StrictError{Name: t.name, Path: path, Reason: fmt.Sprintf(format, args...)}
}

// understood are the keywords of the strict form.
var understood = []string{"type", "description", "title", "enum", "const", "properties", "required", "additionalProperties", "items",
	"anyOf", "$ref", "$defs", "definitions", "pattern", "format", "multipleOf", "minimum", "maximum", "exclusiveMinimum",
	"exclusiveMaximum", "minItems", "maxItems"}

// formats are the values of "format" in the strict form.
var formats = []string{"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}

// silent are the keywords that say nothing about a value.
var silent = []string{"$schema", "$id", "$comment", "$anchor", "$vocabulary", "deprecated", "readOnly", "writeOnly", "propertyOrdering"}

// tighten makes a schema strict in place.
func (t tightener) tighten(n *node, path string) error {
	if n.kind != object {
		return t.fail(path, "the schema is %s: say which type the value has", n.kind.name())
	}
	if err := t.rewrite(n, path); err != nil {
		return err
	}
	for _, defs := range []string{"$defs", "definitions"} {
		if d := n.get(defs); d != nil {
			for _, m := range d.members {
				if err := t.tighten(m.v, join(path, "#"+m.name)); err != nil {
					return err
				}
			}
		}
	}
	switch options := n.get("anyOf"); {
	case n.get("$ref") != nil:
		return t.reference(n, path)
	case options != nil:
		for _, option := range options.list {
			if err := t.tighten(option, path); err != nil {
				return err
			}
		}
	case has(n, "object"), n.get("properties") != nil:
		return t.object(n, path)
	case has(n, "array"):
		items := n.get("items")
		if items == nil || items.kind != object {
			return t.fail(path, "the array does not say with one schema what its items are")
		}
		return t.tighten(items, path+"[]")
	case n.get("type") == nil && n.get("enum") == nil && n.get("const") == nil:
		return t.fail(path, "the value may be of any type: say which")
	}
	return nil
}

// has reports whether the type of a schema is, or may be, the named one.
func has(n *node, name string) bool {
	t := n.get("type")
	return t.is(name) || t.holds(name)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// rewrite says the keywords that are not understood in words.
func (t tightener) rewrite(n *node, path string) error {
	if one := n.get("oneOf"); one != nil && n.get("anyOf") == nil {
		n.drop("oneOf")
		n.set("anyOf", one)
	}
	if all := n.get("allOf"); all != nil {
		if len(all.list) != 1 || all.list[0].kind != object {
			return t.fail(path, "allOf cannot be expressed: write its schemas as one")
		}
		n.drop("allOf")
		for _, m := range all.list[0].members {
			if n.get(m.name) != nil && m.name != "description" {
				return t.fail(path, "allOf cannot be expressed: write its schemas as one")
			}
			n.set(m.name, m.v)
		}
		return t.rewrite(n, path)
	}
	var said []string
	for _, m := range slices.Clone(n.members) {
		switch {
		case m.name == "format" && !slices.Contains(formats, m.v.text):
		case slices.Contains(understood, m.name):
			continue
		case m.name == "prefixItems", m.name == "patternProperties", m.name == "$dynamicRef":
			return t.fail(path, "%s cannot be expressed", m.name)
		}
		n.drop(m.name)
		if !slices.Contains(silent, m.name) {
			said = append(said, m.name+": "+m.v.String())
		}
	}
	if len(said) == 0 {
		return nil
	}
	words := "(" + strings.Join(said, "; ") + ")"
	if d := n.get("description"); d != nil && d.text != "" {
		words = d.text + " " + words
	}
	n.set("description", textNode(words))
	return nil
}

// reference makes a schema that says more than a reference a choice of one, as nothing may stand beside a reference.
func (t tightener) reference(n *node, path string) error {
	target := n.get("$ref")
	ok := target.is("#")
	for _, defs := range []string{"#/$defs/", "#/definitions/"} {
		name, found := strings.CutPrefix(target.text, defs)
		ok = ok || found && !strings.Contains(name, "/")
	}
	if !ok {
		return t.fail(path, "the reference %s leads into a schema: refer to a definition in $defs", target.text)
	}
	if len(n.members) == 1 {
		return nil
	}
	for _, m := range n.members {
		if m.name != "$ref" && m.name != "description" && m.name != "title" {
			return t.fail(path, "%s stands beside a reference: write it into what is referred to", m.name)
		}
	}
	n.drop("$ref")
	n.set("anyOf", list(record(member{"$ref", target})))
	return nil
}

func (t tightener) object(n *node, path string) error {
	if rest := n.get("additionalProperties"); rest != nil && (rest.kind != boolean || rest.text != "false") {
		return t.fail(path, "the object has properties of any name: name them, or use an array of objects with a name and a value")
	}
	properties := n.get("properties")
	if properties == nil || len(properties.members) == 0 {
		if n.get("additionalProperties") == nil {
			return t.fail(path, "the object names no properties: name them")
		}
		properties = record()
		n.set("properties", properties)
	}
	required := n.get("required")
	all := list()
	for i := range properties.members {
		p := &properties.members[i]
		if err := t.tighten(p.v, join(path, p.name)); err != nil {
			return err
		}
		if !required.holds(p.name) {
			p.v = nullable(p.v)
		}
		all.list = append(all.list, textNode(p.name))
	}
	if required != nil {
		for _, r := range required.list {
			if properties.get(r.text) == nil {
				return t.fail(path, "it requires the property %q and does not say what that is", r.text)
			}
		}
	}
	n.set("required", all)
	n.set("additionalProperties", falseNode)
	return nil
}
