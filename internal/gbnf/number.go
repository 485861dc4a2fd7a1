package gbnf

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

func (v *value) float() (float64, bool) {
	if !v.is('0') {
		return 0, false
	}
	f, err := strconv.ParseFloat(v.text, 64)
	return f, err == nil
}

// widest is the largest whole number that a grammar writes: JSON readers keep whole numbers exact up to 2^53.
const widest = 9_007_199_254_740_991

// limits are the bounds of a number.
type limits struct {
	low, high         float64
	hasLow, hasHigh   bool
	openLow, openHigh bool // the bound itself is not allowed
}

func limitsOf(s *value) limits {
	var l limits
	if f, ok := s.get("minimum").float(); ok {
		l.low, l.hasLow = f, true
	}
	if f, ok := s.get("maximum").float(); ok {
		l.high, l.hasHigh = f, true
	}
	if f, ok := s.get("exclusiveMinimum").float(); ok && (!l.hasLow || f >= l.low) {
		l.low, l.hasLow, l.openLow = f, true, true
	}
	if f, ok := s.get("exclusiveMaximum").float(); ok && (!l.hasHigh || f <= l.high) {
		l.high, l.hasHigh, l.openHigh = f, true, true
	}
	return l
}

// whole returns the whole numbers within the limits.
func (l limits) whole() (low, high int64) {
	low, high = -widest, widest
	if l.hasLow {
		f := math.Ceil(l.low)
		if l.openLow && f == l.low {
			f++
		}
		low = int64(math.Max(f, -widest))
	}
	if l.hasHigh {
		f := math.Floor(l.high)
		if l.openHigh && f == l.high {
			f--
		}
		high = int64(math.Min(f, widest))
	}
	return low, high
}

func (b *builder) number(p place, s *value, integer bool) (string, error) {
	l := limitsOf(s)
	if !l.hasLow && !l.hasHigh {
		if integer {
			return b.basic("integer"), nil
		}
		return b.basic("number"), nil
	}
	if math.Abs(l.low) > widest || math.Abs(l.high) > widest {
		return "", p.fail("its numbers are too large")
	}
	low, high := l.whole()
	var all []string
	if low <= high {
		all = append(all, between(low, high)...)
	}
	if !integer {
		fractions := l.fractions()
		if fractions == nil {
			for _, word := range [...]string{"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"} {
				if s.get(word) != nil {
					b.loose[word] = true
				}
			}
			return b.basic("number"), nil
		}
		all = append(all, fractions...)
	}
	if len(all) == 0 {
		return "", p.fail("nothing satisfies it")
	}
	return b.define(p, one(all))
}

// fractions are expressions of the numbers between whole ones, nil where the limits are not whole themselves. Their
// digits after the point are not all zero, so that none is a limit.
func (l limits) fractions() []string {
	low, high := int64(-widest), int64(widest)
	if l.hasLow {
		if low = int64(l.low); float64(low) != l.low {
			return nil
		}
	}
	if l.hasHigh {
		if high = int64(l.high); float64(high) != l.high {
			return nil
		}
	}
	const digits = ` "." "0"{0,8} [1-9] [0-9]{0,8}`
	all := []string{}
	if from, to := max(low, 0), high-1; from <= to {
		all = append(all, one(between(from, to))+digits)
	}
	if from, to := max(-high, 0), -low-1; from <= to {
		all = append(all, `"-" `+one(between(from, to))+digits)
	}
	return all
}

// between returns expressions that together are the whole numbers from low to high.
func between(low, high int64) []string {
	var all []string
	if low < 0 {
		for _, e := range natural(max(-high, 1), -low) {
			all = append(all, `"-" `+e)
		}
	}
	if high >= 0 {
		all = append(all, natural(max(low, 0), high)...)
	}
	return all
}

// natural is between for numbers that are not negative: those of each length, by their digits.
func natural(low, high int64) []string {
	var all []string
	for low <= high {
		l := strconv.FormatInt(low, 10)
		top := high
		if nines, err := strconv.ParseInt(strings.Repeat("9", len(l)), 10, 64); err == nil && nines < high {
			top = nines
		}
		all = append(all, digits(l, strconv.FormatInt(top, 10)))
		low = top + 1
	}
	return all
}

// digits is an expression of the numbers from low to high, which have the same length.
func digits(low, high string) string {
	if low == high {
		return literal(low)
	}
	if low[0] == high[0] {
		same := 0
		for low[same] == high[same] {
			same++
		}
		return literal(low[:same]) + " " + digits(low[same:], high[same:])
	}
	rest := len(low) - 1
	if rest == 0 {
		return class(low[0], high[0])
	}
	zeros, nines := strings.Repeat("0", rest), strings.Repeat("9", rest)
	var all []string
	from, to := low[0], high[0]
	if low[1:] != zeros {
		all = append(all, literal(low[:1])+" "+digits(low[1:], nines))
		from++
	}
	tail := ""
	if high[1:] != nines {
		tail = literal(high[:1]) + " " + digits(zeros, high[1:])
		to--
	}
	if from <= to {
		all = append(all, fmt.Sprintf("%s [0-9]{%d}", class(from, to), rest))
	}
	if tail != "" {
		all = append(all, tail)
	}
	return one(all)
}

func class(from, to byte) string {
	if from == to {
		return literal(string(from))
	}
	return fmt.Sprintf("[%c-%c]", from, to)
}
