package openai

import (
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, which is the only error there could be.
func appendString[T ~string | ~[]byte](dst []byte, s T) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}

// appendName appends a comma and the name of the next member. Names are this package's own and need no escaping.
func appendName(dst []byte, name string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	return append(dst, '"', ':')
}

func appendIntMember(dst []byte, name string, n int64) []byte {
	return strconv.AppendInt(appendName(dst, name), n, 10)
}

// appendFloatMember returns an error for what JSON has no number for.
func appendFloatMember(dst []byte, name string, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return dst, &ValueError{Name: name, Reason: "is not a finite number"}
	}
	return strconv.AppendFloat(appendName(dst, name), f, 'g', -1, 64), nil
}

// appendValue appends any value with its members in a fixed order.
func appendValue(dst []byte, name string, v any) ([]byte, error) {
	text, err := json.Marshal(v, json.Deterministic(true))
	if err != nil {
		return dst, &ValueError{Name: name, Reason: "cannot be encoded as JSON", Err: err}
	}
	return append(dst, text...), nil
}

// ValueError says that something cannot be sent in this dialect. Its text does not quote the value.
type ValueError struct {
	// Name is the parameter, or the kind of content.
	Name string
	// Reason is a fixed phrase.
	Reason string
	Err    error
}

func (e *ValueError) Error() string { return "openai: " + e.Name + " " + e.Reason }

// Unwrap returns the cause.
func (e *ValueError) Unwrap() error { return e.Err }
