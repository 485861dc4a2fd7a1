package schema

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

var (
	errRemoteRef = errors.New(`a $ref must point into the schema itself, as "#/$defs/name" does`)
	errLoop      = errors.New("a $ref leads back to itself without going into a property or an item, so no value could be checked against it")
)

// inPlace are the keywords whose subschemas apply to the same value as the schema they stand in.
var inPlace = []string{"allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas"}

// checkRefs refuses the schemas whose validation would not end: validators follow $ref and the in-place applicators
// without consuming any of the value, so a loop made of these alone recurses for ever.
func checkRefs(text []byte) error {
	var root any
	if err := json.Unmarshal(text, &root); err != nil {
		return err
	}
	w := walker{root: root, state: map[string]uint8{}}
	return w.everywhere("#", root)
}

type walker struct {
	root  any
	state map[string]uint8 // by JSON pointer: 1 on the current in-place path, 2 found to end
}

// everywhere starts an in-place walk at every subschema.
func (w *walker) everywhere(at string, v any) error {
	switch v := v.(type) {
	case map[string]any:
		if err := w.follow(at, v); err != nil {
			return err
		}
		for k, sub := range v {
			if err := w.everywhere(at+"/"+escape(k), sub); err != nil {
				return err
			}
		}
	case []any:
		for i, sub := range v {
			if err := w.everywhere(fmt.Sprintf("%s/%d", at, i), sub); err != nil {
				return err
			}
		}
	}
	return nil
}

func (w *walker) follow(at string, v any) error {
	obj, ok := v.(map[string]any)
	if !ok || w.state[at] == 2 {
		return nil
	}
	if w.state[at] == 1 {
		return errLoop
	}
	w.state[at] = 1
	for _, k := range inPlace {
		base := at + "/" + k
		switch sub := obj[k].(type) {
		case []any:
			for i, s := range sub {
				if err := w.follow(fmt.Sprintf("%s/%d", base, i), s); err != nil {
					return err
				}
			}
		case map[string]any:
			if k != "dependentSchemas" {
				if err := w.follow(base, sub); err != nil {
					return err
				}
				break
			}
			for name, s := range sub {
				if err := w.follow(base+"/"+escape(name), s); err != nil {
					return err
				}
			}
		}
	}
	for _, k := range []string{"$ref", "$dynamicRef"} {
		ref, ok := obj[k].(string)
		if !ok {
			continue
		}
		if ref != "#" && !strings.HasPrefix(ref, "#/") {
			return errRemoteRef
		}
		if target, ok := w.lookup(ref); ok {
			if err := w.follow(canonical(ref), target); err != nil {
				return err
			}
		}
	}
	w.state[at] = 2
	return nil
}

func (w *walker) lookup(ref string) (any, bool) {
	v := w.root
	for _, token := range strings.Split(ref, "/")[1:] {
		switch c := v.(type) {
		case map[string]any:
			sub, ok := c[unescape(token)]
			if !ok {
				return nil, false
			}
			v = sub
		case []any:
			i, err := strconv.Atoi(token)
			if err != nil || i < 0 || i >= len(c) {
				return nil, false
			}
			v = c[i]
		default:
			return nil, false
		}
	}
	return v, true
}

func canonical(ref string) string {
	tokens := strings.Split(ref, "/")
	for i, t := range tokens[1:] {
		tokens[i+1] = escape(unescape(t))
	}
	return strings.Join(tokens, "/")
}

func escape(s string) string { return strings.NewReplacer("~", "~0", "/", "~1").Replace(s) }

func unescape(s string) string { return strings.NewReplacer("~1", "/", "~0", "~").Replace(s) }
