package schema

import (
	"math/big"
	"strings"
)

// integral returns a number that is written with a fraction or an exponent as the integer it is: 3.0, 12e2. It is false
// for one that is no integer, or too long to be meant.
func integral(literal string) (string, bool) {
	if !strings.ContainsAny(literal, ".eE") {
		return literal, true
	}
	if len(literal) > 64 {
		return "", false
	}
	if _, exponent, ok := strings.Cut(strings.ToLower(literal), "e"); ok && len(strings.TrimLeft(exponent, "+-0")) > 2 {
		return "", false // a power of ten that would fill memory
	}
	r, ok := new(big.Rat).SetString(literal)
	if !ok || !r.IsInt() {
		return "", false
	}
	return r.Num().String(), true
}
