package gbnf

import (
	"slices"
)

// flatten makes one schema of s, what its $ref points to and the parts of its allOf.
func (b *builder) flatten(p place, s *value) (*value, place, error) {
	merged := &value{kind: '{'}
	for _, m := range s.members {
		if m.name != "$ref" && m.name != "allOf" {
			merged.members = append(merged.members, m)
		}
	}
	if ref := s.get("$ref"); ref != nil {
		if slices.Contains(p.open, ref.text) {
			return nil, p, p.fail("the reference %q leads back to itself", ref.text)
		}
		target, err := b.resolve(p, ref)
		if err != nil {
			return nil, p, err
		}
		p.open = append(slices.Clone(p.open), ref.text)
		p.depth++
		if merged, err = b.merge(p, target, merged); err != nil {
			return nil, p, err
		}
	}
	for _, part := range s.get("allOf").list() {
		var err error
		if merged, err = b.merge(p, merged, part); err != nil {
			return nil, p, err
		}
	}
	p.depth++
	return merged, p, nil
}

// merge returns a schema of what both ask for.
func (b *builder) merge(p place, x, y *value) (*value, error) {
	switch {
	case x.is('t'):
		return y, nil
	case y.is('t'):
		return x, nil
	case !x.is('{') || !y.is('{'):
		return nil, p.fail("nothing satisfies it")
	case p.depth > deepest:
		return nil, p.fail("it is nested too deeply")
	}
	if b.steps += 1 + len(x.members); b.steps > mostSteps {
		return nil, p.fail("its grammar would be too large")
	}
	out := &value{kind: '{', members: slices.Clone(x.members)}
	for _, m := range y.members {
		i := slices.IndexFunc(out.members, func(o member) bool { return o.name == m.name })
		if i < 0 {
			out.members = append(out.members, m)
			continue
		}
		both, err := b.both(p, m.name, out.members[i].v, m.v)
		if err != nil {
			return nil, err
		}
		out.members[i].v = both
	}
	return out, nil
}

// both returns a keyword's value when two schemas have it.
func (b *builder) both(p place, keyword string, x, y *value) (*value, error) {
	switch keyword {
	case "type":
		var types []*value
		for _, t := range x.types() {
			for _, u := range y.types() {
				switch {
				case t == u, t == "integer" && u == "number":
					types = append(types, &value{kind: '"', text: t})
				case t == "number" && u == "integer":
					types = append(types, &value{kind: '"', text: u})
				}
			}
		}
		if len(types) == 0 {
			return nil, p.fail("nothing is of all its types")
		}
		return &value{kind: '[', items: types}, nil
	case "required", "allOf":
		return &value{kind: '[', items: append(slices.Clone(x.list()), y.list()...)}, nil
	case "properties":
		out := &value{kind: '{', members: slices.Clone(x.members)}
		for _, m := range y.members {
			if i := slices.IndexFunc(out.members, func(o member) bool { return o.name == m.name }); i >= 0 {
				out.members[i].v = &value{kind: '{', members: []member{{"allOf", &value{kind: '[', items: []*value{out.members[i].v, m.v}}}}}
			} else {
				out.members = append(out.members, m)
			}
		}
		return out, nil
	case "minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties":
		return extreme(x, y, 1), nil
	case "maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties":
		return extreme(x, y, -1), nil
	case "items", "additionalProperties":
		return &value{kind: '{', members: []member{{"allOf", &value{kind: '[', items: []*value{x, y}}}}}, nil
	}
	if slices.Contains(annotations, keyword) || x.String() == y.String() {
		return x, nil
	}
	b.loose[keyword] = true
	return x, nil
}

func (v *value) types() []string { return v.strings() }

// extreme returns the larger of two numbers, or with sign -1 the smaller.
func extreme(x, y *value, sign float64) *value {
	f, ok := x.float()
	g, also := y.float()
	if !ok || also && sign*g > sign*f {
		return y
	}
	return x
}

// anyOf is an expression of the alternatives of s, each with what stands beside them.
func (b *builder) anyOf(p place, s *value, keyword string) (string, error) {
	base := &value{kind: '{'}
	for _, m := range s.members {
		if m.name != keyword {
			base.members = append(base.members, m)
		}
	}
	alternatives := s.get(keyword).list()
	if keyword == "oneOf" && !b.apart(p, alternatives) {
		b.loose[keyword] = true
	}
	plain := !b.beside(base, "")
	var all []string
	var last error
	for _, alt := range alternatives {
		merged, q := alt, p.at(keyword)
		var err error
		if !plain {
			if merged, err = b.merge(q, base, alt); err != nil {
				last = err
				continue // it contradicts what stands beside
			}
		}
		expr, err := b.schema(q, merged)
		if err != nil {
			last = err
			if isNothing(err) {
				continue
			}
			return "", err
		}
		if !slices.Contains(all, expr) {
			all = append(all, expr)
		}
	}
	if len(all) == 0 {
		if last == nil {
			last = p.fail("nothing satisfies it")
		}
		return "", last
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return b.define(p, one(all))
}

func isNothing(err error) bool {
	e, ok := err.(*Error) //nolint:errorlint // the package's own, never wrapped
	return ok && (e.Reason == "nothing satisfies it" || e.Reason == "nothing is of all its types")
}

// apart reports whether no document satisfies two of the schemas, as far as that is easy to see: their types differ, or
// they require a member that has a different fixed value in each.
func (b *builder) apart(p place, all []*value) bool {
	for i, x := range all {
		for _, y := range all[:i] {
			if !b.disjoint(p, x, y) {
				return false
			}
		}
	}
	return true
}

func (b *builder) disjoint(p place, x, y *value) bool {
	x, y = b.follow(p, x), b.follow(p, y)
	if xs, ys := fixed(x), fixed(y); xs != nil && ys != nil {
		return !slices.ContainsFunc(xs, func(s string) bool { return slices.Contains(ys, s) })
	}
	xt, yt := x.get("type").types(), y.get("type").types()
	if len(xt) == 0 || len(yt) == 0 {
		return false
	}
	overlap := slices.ContainsFunc(xt, func(t string) bool {
		return slices.Contains(yt, t) || t == "integer" && slices.Contains(yt, "number") || t == "number" && slices.Contains(yt, "integer")
	})
	if !overlap {
		return true
	}
	required := y.get("required").strings()
	for _, name := range x.get("required").strings() {
		if !slices.Contains(required, name) {
			continue
		}
		xs, ys := fixed(x.get("properties").get(name)), fixed(y.get("properties").get(name))
		if xs != nil && ys != nil && !slices.ContainsFunc(xs, func(s string) bool { return slices.Contains(ys, s) }) {
			return true
		}
	}
	return false
}

// follow returns what a chain of references leads to, or s where it leads nowhere.
func (b *builder) follow(p place, s *value) *value {
	for range 10 {
		ref := s.get("$ref")
		if ref == nil {
			break
		}
		next, err := b.resolve(p, ref)
		if err != nil {
			break
		}
		s = next
	}
	return s
}

// fixed returns the values of const or enum as JSON, nil when there is neither.
func fixed(s *value) []string {
	if c := s.get("const"); c != nil {
		return []string{c.String()}
	}
	var all []string
	for _, v := range s.get("enum").list() {
		all = append(all, v.String())
	}
	return all
}
