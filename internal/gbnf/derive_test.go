package gbnf_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// A reader of GBNF that is independent of the writer: it derives random texts of a grammar and tells whether a text is
// one of it.

type node any

type (
	ref string
	lit string
	set struct {
		not    bool
		ranges [][2]rune
	}
	seq    []node
	alt    []node
	repeat struct {
		of          node
		least, most int // most below 0 is no bound
	}
)

type grammar map[string]node

type reader struct {
	t    testing.TB
	text string
}

func readGrammar(t testing.TB, text string) grammar {
	t.Helper()
	g := grammar{}
	first := ""
	for line := range strings.Lines(text) {
		name, body, ok := strings.Cut(strings.TrimSuffix(line, "\n"), " ::= ")
		if !ok || g[name] != nil {
			t.Fatalf("rule %q is malformed or there twice", line)
		}
		if first == "" {
			first = name
		}
		r := &reader{t, body}
		g[name] = r.alternatives()
		if r.text != "" {
			t.Fatalf("rule %q has %q left", line, r.text)
		}
	}
	if first != "root" {
		t.Fatalf("the first rule is %q, want root", first)
	}
	var check func(n node)
	check = func(n node) {
		switch n := n.(type) {
		case ref:
			if g[string(n)] == nil {
				t.Fatalf("there is no rule %s in\n%s", n, text)
			}
		case seq:
			for _, x := range n {
				check(x)
			}
		case alt:
			for _, x := range n {
				check(x)
			}
		case repeat:
			check(n.of)
		}
	}
	for _, n := range g {
		check(n)
	}
	return g
}

func (r *reader) space() { r.text = strings.TrimLeft(r.text, " ") }

func (r *reader) next(prefix string) bool {
	r.space()
	rest, ok := strings.CutPrefix(r.text, prefix)
	if ok {
		r.text = rest
	}
	return ok
}

func (r *reader) alternatives() node {
	all := alt{r.sequence()}
	for r.next("|") {
		all = append(all, r.sequence())
	}
	return all
}

func (r *reader) sequence() node {
	var all seq
	for {
		r.space()
		if r.text == "" || r.text[0] == '|' || r.text[0] == ')' {
			if len(all) == 0 {
				r.t.Fatalf("an empty sequence before %q", r.text)
			}
			return all
		}
		n := r.item()
		switch {
		case strings.HasPrefix(r.text, "*"):
			n, r.text = repeat{n, 0, -1}, r.text[1:]
		case strings.HasPrefix(r.text, "+"):
			n, r.text = repeat{n, 1, -1}, r.text[1:]
		case strings.HasPrefix(r.text, "?"):
			n, r.text = repeat{n, 0, 1}, r.text[1:]
		case strings.HasPrefix(r.text, "{"):
			inside, rest, _ := strings.Cut(r.text[1:], "}")
			least, most, comma := strings.Cut(inside, ",")
			x := repeat{of: n, most: -1}
			x.least = r.number(least)
			if !comma {
				x.most = x.least
			} else if most != "" {
				x.most = r.number(most)
			}
			n, r.text = x, rest
		}
		all = append(all, n)
	}
}

func (r *reader) number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n > 2000 {
		r.t.Fatalf("a repetition of %q, want a number up to 2000", s)
	}
	return n
}

func (r *reader) item() node {
	switch r.text[0] {
	case '(':
		r.text = r.text[1:]
		n := r.alternatives()
		if !r.next(")") {
			r.t.Fatalf("no ) before %q", r.text)
		}
		return n
	case '"':
		r.text = r.text[1:]
		var b strings.Builder
		for !strings.HasPrefix(r.text, `"`) {
			b.WriteRune(r.char())
		}
		r.text = r.text[1:]
		return lit(b.String())
	case '[':
		r.text = r.text[1:]
		var s set
		if s.not = strings.HasPrefix(r.text, "^"); s.not {
			r.text = r.text[1:]
		}
		for !strings.HasPrefix(r.text, "]") {
			from := r.char()
			to := from
			if strings.HasPrefix(r.text, "-") && !strings.HasPrefix(r.text, "-]") {
				r.text = r.text[1:]
				to = r.char()
			}
			s.ranges = append(s.ranges, [2]rune{from, to})
		}
		r.text = r.text[1:]
		return s
	}
	n := 0
	for n < len(r.text) && (r.text[n] == '-' || r.text[n] >= '0' && r.text[n] <= '9' || r.text[n] >= 'a' && r.text[n] <= 'z') {
		n++
	}
	if n == 0 {
		r.t.Fatalf("cannot read %q", r.text)
	}
	name := r.text[:n]
	r.text = r.text[n:]
	return ref(name)
}

func (r *reader) char() rune {
	c, n := utf8.DecodeRuneInString(r.text)
	if n == 0 {
		r.t.Fatal("the rule ends in the middle")
	}
	r.text = r.text[n:]
	if c != '\\' {
		return c
	}
	c = rune(r.text[0])
	r.text = r.text[1:]
	switch c {
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	case 'x':
		x, err := strconv.ParseUint(r.text[:2], 16, 8)
		if err != nil {
			r.t.Fatal(err)
		}
		r.text = r.text[2:]
		return rune(x)
	case '"', '\\', '[', ']':
		return c
	}
	r.t.Fatalf("unknown escape %q", c)
	return 0
}

func (s set) has(c rune) bool {
	for _, r := range s.ranges {
		if c >= r[0] && c <= r[1] {
			return !s.not
		}
	}
	return s.not
}

// match reports whether text is one of the grammar.
func (g grammar) match(text string) bool {
	steps := 0
	return g.walk(g["root"], text, &steps, func(rest string) bool { return rest == "" })
}

func (g grammar) walk(n node, text string, steps *int, then func(string) bool) bool {
	if *steps++; *steps > 2_000_000 {
		return false
	}
	switch n := n.(type) {
	case ref:
		return g.walk(g[string(n)], text, steps, then)
	case lit:
		rest, ok := strings.CutPrefix(text, string(n))
		return ok && then(rest)
	case set:
		c, size := utf8.DecodeRuneInString(text)
		return size > 0 && n.has(c) && then(text[size:])
	case alt:
		for _, x := range n {
			if g.walk(x, text, steps, then) {
				return true
			}
		}
		return false
	case seq:
		if len(n) == 0 {
			return then(text)
		}
		return g.walk(n[0], text, steps, func(rest string) bool { return g.walk(n[1:], rest, steps, then) })
	case repeat:
		if n.most != 0 {
			less := repeat{n.of, max(n.least-1, 0), n.most - 1}
			if n.most < 0 {
				less.most = -1
			}
			again := func(rest string) bool { return len(rest) < len(text) && g.walk(less, rest, steps, then) }
			if g.walk(n.of, text, steps, again) {
				return true
			}
		}
		return n.least == 0 && then(text)
	}
	panic(fmt.Sprintf("%T", n))
}

// derive appends a random text of n. The deeper it is, the shorter it tries to be.
func (g grammar) derive(b *strings.Builder, r *rand.Rand, n node, depth int) {
	switch n := n.(type) {
	case ref:
		g.derive(b, r, g[string(n)], depth+1)
	case lit:
		b.WriteString(string(n))
	case set:
		for {
			c := rune(r.IntN(0x17F))
			if r.IntN(8) == 0 {
				c = rune(0x1F600 + r.IntN(40))
			}
			if len(n.ranges) > 0 && !n.not {
				x := n.ranges[r.IntN(len(n.ranges))]
				c = x[0] + rune(r.IntN(int(x[1]-x[0])+1))
			}
			if n.has(c) {
				b.WriteRune(c)
				return
			}
		}
	case alt:
		i := r.IntN(len(n))
		if depth > 12 {
			i = len(n) - 1 // in the rule value that is null
		}
		g.derive(b, r, n[i], depth)
	case seq:
		for _, x := range n {
			g.derive(b, r, x, depth)
		}
	case repeat:
		times := n.least
		if depth <= 12 {
			extra := 4
			if n.most >= 0 {
				extra = min(extra, n.most-n.least)
			}
			times += r.IntN(extra + 1)
		}
		for range times {
			g.derive(b, r, n.of, depth)
		}
	}
}
