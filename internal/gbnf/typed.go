package gbnf

import (
	"fmt"
	"slices"
	"strings"
)

// keywords say which type a schema is about that names none.
var keywords = []struct {
	typ   string
	words []string
}{
	{"object", []string{"properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties", "propertyNames", "unevaluatedProperties"}},
	{"array", []string{"items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains", "additionalItems", "unevaluatedItems"}},
	{"string", []string{"minLength", "maxLength", "pattern", "format"}},
	{"number", []string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}},
}

// typed is an expression of the types that s allows.
func (b *builder) typed(p place, s *value) (string, error) {
	types := s.get("type").types()
	if len(types) == 0 && s.get("type") != nil {
		return "", p.fail("its type is neither a name nor a list of names")
	}
	if len(types) == 0 {
		for _, k := range keywords {
			if slices.ContainsFunc(k.words, func(w string) bool { return s.get(w) != nil }) {
				types = []string{k.typ}
				break
			}
		}
	}
	if len(types) == 0 {
		return b.basic("value"), nil
	}
	var all []string
	for _, t := range types {
		expr, err := b.typeOf(p, s, t)
		if err != nil {
			return "", err
		}
		if !slices.Contains(all, expr) {
			all = append(all, expr)
		}
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return b.define(p, one(all))
}

func (b *builder) typeOf(p place, s *value, t string) (string, error) {
	switch t {
	case "object":
		return b.object(p, s)
	case "array":
		return b.array(p, s)
	case "string":
		return b.string(p, s)
	case "integer", "number":
		return b.number(p, s, t == "integer")
	case "boolean", "null":
		return b.basic(t), nil
	}
	return "", p.fail("there is no type %q", t)
}

// repeat is an expression of between least and most of expr; most below 0 is no bound. What is too often for a grammar is
// loosened, under the names of the keywords that say it.
func (b *builder) repeat(expr string, least, most int, leastWord, mostWord string) string {
	if least > mostRepeats {
		b.loose[leastWord] = true
		least = mostRepeats
	}
	if most > mostRepeats {
		b.loose[mostWord] = true
		most = -1
	}
	switch {
	case most == 0:
		return ""
	case least == 0 && most < 0:
		return expr + "*"
	case least == 1 && most < 0:
		return expr + "+"
	case least == 1 && most == 1:
		return expr
	case least == 0 && most == 1:
		return expr + "?"
	case most < 0:
		return fmt.Sprintf("%s{%d,}", expr, least)
	case least == most:
		return fmt.Sprintf("%s{%d}", expr, least)
	}
	return fmt.Sprintf("%s{%d,%d}", expr, least, most)
}

// bounds returns the values of two keywords that bound a number of things, -1 for no upper bound.
func (b *builder) bounds(p place, s *value, leastWord, mostWord string) (least, most int, err error) {
	least, _ = s.get(leastWord).count()
	most, bounded := s.get(mostWord).count()
	if !bounded {
		most = -1
	}
	if bounded && least > most {
		return 0, 0, p.fail("nothing satisfies it")
	}
	return least, most, nil
}

func (b *builder) string(p place, s *value) (string, error) {
	least, most, err := b.bounds(p, s, "minLength", "maxLength")
	if err != nil {
		return "", err
	}
	if f := s.get("format"); f.is('"') {
		expr := ""
		switch f.text {
		case "date":
			expr = b.basic("date")
		case "time":
			expr = b.basic("clock")
		case "date-time":
			expr = b.basic("date") + ` "T" ` + b.basic("clock")
		case "uuid":
			expr = b.basic("uuid")
		}
		if expr != "" {
			for _, word := range [...]string{"minLength", "maxLength"} {
				if s.get(word) != nil {
					b.loose[word] = true
				}
			}
			return `"\"" ` + expr + ` "\""`, nil
		}
	}
	if least == 0 && most < 0 {
		return b.basic("string"), nil
	}
	return strings.Join(strings.Fields(`"\"" `+b.repeat(b.basic("char"), least, most, "minLength", "maxLength")+` "\""`), " "), nil
}

func (b *builder) array(p place, s *value) (string, error) {
	least, most, err := b.bounds(p, s, "minItems", "maxItems")
	if err != nil {
		return "", err
	}
	if s.get("uniqueItems").is('t') && (most < 0 || most > 1) {
		b.loose["uniqueItems"] = true
	}
	first, rest, restWord := s.get("prefixItems").list(), s.get("items"), "items"
	if s.get("items").is('[') { // draft-07
		first, rest, restWord = s.get("items").list(), s.get("additionalItems"), "additionalItems"
	}
	ws := b.basic("ws")
	var parts []string // each with what separates it from the one before
	for i, item := range first {
		if most >= 0 && i >= most {
			break
		}
		expr, err := b.schema(p.inside("prefixItems", fmt.Sprint(i)), item)
		if err != nil {
			return "", err
		}
		parts = append(parts, expr+" "+ws)
	}
	body := strings.Join(parts, ` "," `+ws+` `)
	if rest.is('f') || len(first) > 0 && rest == nil { // a list of fixed items ends with the last
		if least > len(parts) {
			if rest.is('f') {
				return "", p.fail("nothing satisfies it")
			}
		} else {
			return b.define(p, joined(`"["`, ws, body, `"]"`))
		}
	}
	item := b.basic("value")
	if rest != nil {
		if item, err = b.schema(p.inside(restWord), rest); err != nil {
			return "", err
		}
	}
	least = max(least-len(parts), 0)
	if most >= 0 {
		most -= len(parts)
	}
	if len(parts) > 0 {
		more := b.repeat(fmt.Sprintf(`( "," %s %s %s )`, ws, item, ws), least, most, "minItems", "maxItems")
		return b.define(p, joined(`"["`, ws, body, more, `"]"`))
	}
	return b.define(p, joined(`"["`, ws, b.separated(item, least, most, "minItems", "maxItems"), `"]"`))
}

// separated is an expression of between least and most of expr with commas between them.
func (b *builder) separated(expr string, least, most int, leastWord, mostWord string) string {
	ws := b.basic("ws")
	if most == 0 {
		return ""
	}
	if most > 0 {
		most--
	}
	more := b.repeat(fmt.Sprintf(`( "," %s %s %s )`, ws, expr, ws), max(least-1, 0), most, leastWord, mostWord)
	list := joined(expr, ws, more)
	if least > 0 {
		return list
	}
	return "( " + list + " )?"
}

func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), " ")
}

// object is an expression of the members that s names, in its order.
func (b *builder) object(p place, s *value) (string, error) {
	least, most, err := b.bounds(p, s, "minProperties", "maxProperties")
	if err != nil {
		return "", err
	}
	ws := b.basic("ws")
	required := s.get("required").strings()
	additional := s.get("additionalProperties")
	var members []objectMember
	if props := s.get("properties"); props.is('{') {
		for _, m := range props.members {
			must := slices.Contains(required, m.name)
			expr, err := b.schema(p.inside("properties", m.name), m.v)
			if err != nil {
				if !must && isNothing(err) {
					continue // it can only be absent
				}
				return "", err
			}
			members = append(members, objectMember{m.name, expr, must})
		}
	}
	other := ""
	if !additional.is('f') {
		if additional == nil || additional.is('t') {
			other = "value"
		} else if other, err = b.schema(p.inside("additionalProperties"), additional); err != nil && !isNothing(err) {
			return "", err
		}
	}
	for i, name := range required {
		if slices.Contains(required[:i], name) || slices.ContainsFunc(members, func(m objectMember) bool { return m.name == name }) {
			continue
		}
		if other == "" {
			return "", p.fail("nothing satisfies it")
		}
		if other == "value" {
			b.basic("value")
		}
		members = append(members, objectMember{name, other, true})
	}
	if len(members) == 0 && other != "" && s.get("properties").size() == 0 {
		if other == "value" {
			b.basic("value")
		}
		pair := joined(b.basic("string"), ws, `":"`, ws, other)
		return b.define(p, joined(`"{"`, ws, b.separated(pair, least, most, "minProperties", "maxProperties"), `"}"`))
	}
	if n := fewest(members); least > n {
		b.loose["minProperties"] = true
	}
	if most >= 0 && most < len(members) {
		b.loose["maxProperties"] = true
	}
	body, err := b.members(p, members)
	if err != nil {
		return "", err
	}
	return b.define(p, joined(`"{"`, ws, body, `"}"`))
}

func (v *value) size() int {
	if v == nil {
		return 0
	}
	return len(v.members)
}

type objectMember struct {
	name, expr string
	must       bool
}

func fewest(members []objectMember) int {
	n := 0
	for _, m := range members {
		if m.must {
			n++
		}
	}
	return n
}

// members is an expression of members of which some may be absent, with commas where they belong: the ones after the
// first that is there have one before them.
func (b *builder) members(p place, members []objectMember) (string, error) {
	if len(members) == 0 {
		return "", nil
	}
	ws := b.basic("ws")
	pair := func(m objectMember) string {
		quoted := &value{kind: '"', text: m.name}
		return joined(literal(quoted.String()), ws, `":"`, ws, m.expr, ws)
	}
	rest := "" // of what follows, when something came before
	var start string
	for i, m := range slices.Backward(members) {
		this := pair(m)
		switch {
		case m.must:
			start = joined(this, rest)
		case i == len(members)-1:
			start = "( " + joined(this, rest) + " )?"
		case start == "":
			start = "( " + joined(this, rest) + " )?"
		default:
			start = "( " + joined(this, rest) + " | " + start + " )"
		}
		more := joined(`"," `+ws, this)
		if !m.must {
			more = "( " + more + " )?"
		}
		name, err := b.define(p, joined(more, rest))
		if err != nil {
			return "", err
		}
		rest = name
	}
	return start, nil
}
