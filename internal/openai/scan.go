package openai

import (
	"bytes"
	"errors"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"
)

// scanner walks one JSON document at a time. It is used again and again: after it has warmed up it allocates nothing.
type scanner struct {
	dec jsontext.Decoder
	src bytes.Buffer
	// arena holds the unescaped strings of the current document. When it grows, strings cut from it earlier keep the
	// old array, so they stay valid.
	arena []byte
}

// lenient is what servers in the wild need: invalid UTF-8 becomes U+FFFD, and of two members of one name the last wins.
var lenient = []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}

// maxArena is the largest arena kept from one document to the next.
const maxArena = 1 << 20

func (s *scanner) reset(doc []byte) {
	if cap(s.arena) > maxArena {
		s.arena = nil
	}
	s.arena = s.arena[:0]
	s.src = *bytes.NewBuffer(doc)
	s.dec.Reset(&s.src, lenient...)
}

// end checks that nothing follows the document.
func (s *scanner) end() error {
	if _, err := s.dec.ReadToken(); !errors.Is(err, io.EOF) {
		return &FormatError{Reason: "is followed by more text"}
	}
	return nil
}

var errNotJSON = &FormatError{Reason: "is not valid JSON"}

// object calls member for each member of the object that comes next. The name is quoted as it stands in the document;
// member must read or skip the value. A null counts as an empty object.
func (s *scanner) object(field string, member func(name []byte) error) error {
	switch s.dec.PeekKind() {
	case 'n':
		return s.skip()
	case '{':
	case 0:
		return errNotJSON
	default:
		return wrongType(field, "an object")
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotJSON
	}
	for {
		switch s.dec.PeekKind() {
		case '}':
			if _, err := s.dec.ReadToken(); err != nil {
				return errNotJSON
			}
			return nil
		case '"':
		default:
			return errNotJSON
		}
		name, err := s.dec.ReadValue()
		if err != nil {
			return errNotJSON
		}
		if err := member(name); err != nil {
			return err
		}
	}
}

// array calls element for each element of the array that comes next; element must read or skip it. A null counts as an
// empty array.
func (s *scanner) array(field string, element func(i int) error) error {
	switch s.dec.PeekKind() {
	case 'n':
		return s.skip()
	case '[':
	case 0:
		return errNotJSON
	default:
		return wrongType(field, "an array")
	}
	if _, err := s.dec.ReadToken(); err != nil {
		return errNotJSON
	}
	for i := 0; ; i++ {
		switch s.dec.PeekKind() {
		case ']':
			if _, err := s.dec.ReadToken(); err != nil {
				return errNotJSON
			}
			return nil
		case 0:
			return errNotJSON
		}
		if err := element(i); err != nil {
			return err
		}
	}
}

func (s *scanner) skip() error {
	if err := s.dec.SkipValue(); err != nil {
		return errNotJSON
	}
	return nil
}

// raw returns the next value as it stands. It is valid until the next read.
func (s *scanner) raw() (jsontext.Value, error) {
	v, err := s.dec.ReadValue()
	if err != nil {
		return nil, errNotJSON
	}
	return v, nil
}

// bytes reads a string into the arena; null is nil.
func (s *scanner) bytes(field string) ([]byte, error) {
	v, err := s.raw()
	if err != nil {
		return nil, err
	}
	switch v.Kind() {
	case 'n':
		return nil, nil
	case '"':
	default:
		return nil, wrongType(field, "a string")
	}
	start := len(s.arena)
	// The only error of a string the decoder accepted is invalid UTF-8, which has been replaced.
	s.arena, _ = jsontext.AppendUnquote(s.arena, v)
	return s.arena[start:len(s.arena):len(s.arena)], nil
}

// text reads a string that is worth an allocation.
func (s *scanner) text(field string) (string, error) {
	b, err := s.bytes(field)
	return string(b), err
}

// count reads a number of tokens: null and negative numbers are 0, a fraction is cut off.
func (s *scanner) count(field string) (int, error) {
	v, err := s.raw()
	if err != nil {
		return 0, err
	}
	switch v.Kind() {
	case 'n':
		return 0, nil
	case '0':
	default:
		return 0, wrongType(field, "a number")
	}
	if len(v) < 18 { // the usual case, without a conversion to string
		n, whole := 0, true
		for _, c := range v {
			if c < '0' || c > '9' {
				whole = false
				break
			}
			n = n*10 + int(c-'0')
		}
		if whole {
			return n, nil
		}
	}
	// The only error of a number the decoder accepted is that it is too large, and then it is infinite.
	f, _ := strconv.ParseFloat(string(v), 64)
	return int(min(max(f, 0), math.MaxInt32)), nil
}

// same returns old when it is the text of b, which saves the allocation for what every chunk repeats.
func same(old string, b []byte) string {
	if old == string(b) {
		return old
	}
	return string(b)
}
