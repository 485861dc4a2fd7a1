package schema_test

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/schema"
)

type mood string

func (mood) Enum() []string { return []string{"happy", "sad"} }

type level int

func (level) Enum() []level { return []level{1, 2} }

func (l level) MarshalText() ([]byte, error) { return []byte{'L', byte('0' + l)}, nil }
func (l *level) UnmarshalText(b []byte) error {
	if len(b) != 2 || b[0] != 'L' {
		return errors.New("no level")
	}
	*l = level(b[1] - '0')
	return nil
}

type address struct {
	Street string `json:"street"         jsonschema:"street and number"`
	Zip    string `json:"zip,omitempty"`
}

type node struct {
	Value    int      `json:"value"`
	Children []node   `json:"children"`
	Left     *node    `json:"left,omitempty"`
	Right    *node    `json:"right" jsonschema:"the other side"`
	By       nodeMap  `json:"by"`
	Other    *another `json:"other,omitempty"`
}

type nodeMap map[string]node

type another struct {
	Next *another `json:"next,omitempty"`
}

type chain []chain

type base struct {
	ID   int64
	Name string `json:"name"`
}

type Promoted struct{ Deep bool }

type embedding struct {
	base
	*Promoted
	Name  string `json:"name"` // nearer than that of base
	inner int    //nolint:unused // unexported fields have no JSON
	Skip  string `json:"-"`
}

type moody struct {
	mood
	X int
}

type pair[A, B any] struct {
	First  A
	Second B
}

func TestFor(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		got  func() (schema.Schema, error)
		name string
		want string
	}{
		"kinds": {forOf[struct {
			S   string
			B   bool
			I   int
			I8  int8
			U   uint
			U16 uint16
			F   float32
			A   any
			R   json.RawMessage
			N   json.Number
			T   time.Time
			D   time.Duration
			Big big.Int
			L   slog.Level
			IP  netip.Addr
			By  []byte
			Arr [2]bool
		}], "response", `{"type":"object","properties":{"S":{"type":"string"},"B":{"type":"boolean"},"I":{"type":"integer"},
			"I8":{"type":"integer","minimum":-128,"maximum":127},"U":{"type":"integer","minimum":0},
			"U16":{"type":"integer","minimum":0,"maximum":65535},"F":{"type":"number"},"A":{},"R":{},"N":{"type":"number"},
			"T":{"type":"string","format":"date-time"},"D":{"type":"integer","description":"a duration in nanoseconds"},
			"Big":{"type":"integer"},"L":{"type":"string"},"IP":{"type":"string"},"By":{"type":"string","contentEncoding":"base64"},
			"Arr":{"type":"array","items":{"type":"boolean"},"minItems":2,"maxItems":2}},
			"required":["S","B","I","I8","U","U16","F","A","R","N","T","D","Big","L","IP","By","Arr"],"additionalProperties":false}`},
		"descriptions, optional fields and nesting": {forOf[address], "address",
			`{"type":"object","properties":{"street":{"type":"string","description":"street and number"},"zip":{"type":"string"}},
			"required":["street"],"additionalProperties":false}`},
		"slices and maps are not null": {forOf[map[string][]*address], "response",
			`{"type":"object","additionalProperties":{"type":"array","items":{"type":"object","properties":{
			"street":{"type":"string","description":"street and number"},"zip":{"type":"string"}},
			"required":["street"],"additionalProperties":false}}}`},
		"maps of numbers": {forOf[map[int]string], "response",
			`{"type":"object","propertyNames":{"pattern":"^-?(0|[1-9][0-9]*)$"},"additionalProperties":{"type":"string"}}`},
		"pointers": {forOf[struct {
			A *int `json:"a"`
			B *int `json:"b,omitzero"`
			C *any `json:"c"`
		}], "response", `{"type":"object","properties":{"a":{"type":["integer","null"]},"b":{"type":"integer"},"c":{}},
			"additionalProperties":false}`},
		"enums": {forOf[struct {
			M  mood  `jsonschema:"how it feels"`
			P  *mood `json:"P"`
			L  []level
			T  string   `enum:"a, b"`
			Ts []string `enum:"c"`
			N  float64  `enum:"1,2.5"`
		}], "response", `{"type":"object","properties":{"M":{"type":"string","enum":["happy","sad"],"description":"how it feels"},
			"P":{"type":["string","null"],"enum":["happy","sad",null]},
			"L":{"type":"array","items":{"type":"string","enum":["L1","L2"]}},"T":{"type":"string","enum":["a","b"]},
			"Ts":{"type":"array","items":{"type":"string","enum":["c"]}},"N":{"type":"number","enum":[1,2.5]}},
			"required":["M","L","T","Ts","N"],"additionalProperties":false}`},
		"embedded structs": {forOf[embedding], "embedding",
			`{"type":"object","properties":{"ID":{"type":"integer"},"Deep":{"type":"boolean"},"name":{"type":"string"}},
			"required":["ID","name"],"additionalProperties":false}`},
		"an embedded enum does not make an enum": {forOf[moody], "moody",
			`{"type":"object","properties":{"X":{"type":"integer"}},"required":["X"],"additionalProperties":false}`},
		"recursive, at the root": {forOf[node], "node", `{"type":"object","properties":{"value":{"type":"integer"},
			"children":{"type":"array","items":{"$ref":"#"}},"left":{"$ref":"#"},
			"right":{"anyOf":[{"$ref":"#"},{"type":"null"}],"description":"the other side"},
			"by":{"type":"object","additionalProperties":{"$ref":"#"}},"other":{"$ref":"#/$defs/another"}},
			"required":["value","children","by"],"additionalProperties":false,
			"$defs":{"another":{"type":"object","properties":{"next":{"$ref":"#/$defs/another"}},"additionalProperties":false}}}`},
		"recursive, below the root": {forOf[[]another], "response", `{"type":"array","items":{"$ref":"#/$defs/another"},
			"$defs":{"another":{"type":"object","properties":{"next":{"$ref":"#/$defs/another"}},"additionalProperties":false}}}`},
		"a slice of itself": {forOf[chain], "chain", `{"type":"array","items":{"$ref":"#"}}`},
		"generic types":     {forOf[pair[string, address]], "pair_string_address", ""},
		"named":             {func() (schema.Schema, error) { return schema.For[int](schema.Named("age")) }, "age", `{"type":"integer"}`},
		"a given schema": {func() (schema.Schema, error) {
			return schema.For[struct{ R io.Reader }](schema.Type[io.Reader](`{"type":"string"}`))
		}, "response", `{"type":"object","properties":{"R":{"type":"string"}},"required":["R"],"additionalProperties":false}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, err := tc.got()
			if err != nil {
				t.Fatal(err)
			}
			if s.Name() != tc.name {
				t.Errorf("name = %q, want %q", s.Name(), tc.name)
			}
			want := strings.NewReplacer("\n", "", "\t", "").Replace(tc.want)
			if diff := cmp.Diff(s.JSON(), want); diff != "" && want != "" {
				t.Errorf("schema (-got +want):\n%s", diff)
			}
		})
	}
}

func forOf[T any]() (schema.Schema, error) { return schema.For[T]() }

type selfMade struct{}

func (selfMade) MarshalJSON() ([]byte, error) { return []byte("{}"), nil }

type a0 struct{ L, R a1 }
type a1 struct{ L, R a2 }
type a2 struct{ L, R a3 }
type a3 struct{ L, R a4 }
type a4 struct{ L, R a5 }
type a5 struct{ L, R a6 }
type a6 struct{ L, R [4][4]a7 }
type a7 struct{ A, B, C, D, E, F, G, H, I, J, K, M a8 }
type a8 struct{ A, B, C, D, E, F, G, H, I, J, K, M int }

type unreadable struct{ *base }

func TestForRefuses(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		err  error
		path string
		want string
	}{
		"a function":         {refused[struct{ A []struct{ F func() } }](), "A[].F", `JSON has no func(): leave the field out with json:"-"`},
		"a channel in a map": {refused[struct{ M map[string]chan int }](), "M{}", "JSON has no chan int"},
		"a complex number":   {refused[complex128](), "", "JSON has no complex128"},
		"an interface":       {refused[struct{ R io.Reader }](), "R", "io.Reader is an interface"},
		"a key":              {refused[map[float64]int](), "", "a map whose key is a float64 has no JSON"},
		"a JSON of its own":  {refused[struct{ S selfMade }](), "S", "schema_test.selfMade encodes itself to JSON"},
		"the string option": {refused[struct {
			N int `json:"n,string"`
		}](), "n", "has no schema"},
		"a bad enum tag": {refused[struct {
			N int `enum:"1,x"`
		}](), "N", `the value "x" of its enum tag is no integer`},
		"an enum of structs": {refused[struct {
			A address `enum:"1"`
		}](), "A", "an enum tag is for strings and numbers"},
		"too large":             {refused[a0](), "", "has more than 10000 parts"},
		"an unreadable pointer": {refused[unreadable](), "", "the embedded pointer base is to an unexported struct"},
		"a bad given schema":    {refused[int](schema.Type[int]("nope")), "", "the schema given for int is none"},
		"a reference given":     {refused[int](schema.Type[int](`{"$ref":"#"}`)), "", "has a $ref"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terr, ok := errors.AsType[*schema.TypeError](tc.err)
			if !ok {
				t.Fatalf("got %v, want a *schema.TypeError", tc.err)
			}
			if terr.Path != tc.path && name != "too large" {
				t.Errorf("path = %q, want %q", terr.Path, tc.path)
			}
			if !strings.Contains(terr.Error(), tc.want) {
				t.Errorf("error = %q, want it to have %q", terr, tc.want)
			}
		})
	}
}

func refused[T any](opts ...schema.Option) error {
	_, err := schema.For[T](opts...)
	return err
}

// What encoding/json makes of a value is what its schema accepts.
func TestForAcceptsWhatGoEncodes(t *testing.T) {
	t.Parallel()
	five := 5
	for name, v := range map[string]any{
		"tree":      node{Children: []node{{Children: []node{}, By: nodeMap{}}}, By: nodeMap{"x": {Children: []node{}, By: nodeMap{}}}},
		"embedding": embedding{base: base{ID: 1}, Promoted: &Promoted{}},
		"pointers":  struct{ A, B *int }{A: &five},
		"levels":    []level{1, 2},
		"times":     map[string]time.Time{"now": time.Unix(0, 0)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			s, err := schema.ForType(reflect.TypeOf(v))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(b); err != nil {
				t.Errorf("%s: %v", b, err)
			}
		})
	}
}

func TestMustForPanics(t *testing.T) {
	t.Parallel()
	defer func() {
		if _, ok := recover().(*schema.TypeError); !ok {
			t.Error("did not panic with a *schema.TypeError")
		}
	}()
	schema.MustFor[func()]()
}
