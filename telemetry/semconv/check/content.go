package check

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"

	"github.com/mellea-go/mellea/schema"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A document is the content schema of one attribute, taken apart. The schemas let a part that fits none of the known
// kinds pass as a generic one, so that a part of a known type with a mistake in it would pass too: here a part is held
// against the definition of its type.
type document struct {
	whole schema.Schema
	item  string                   // the definition of an element, "" when elements are parts or the value is no list
	defs  map[string]any           // the definitions, as JSON
	held  map[string]schema.Schema // the definitions, to validate against
	typed map[string]string        // the definition of parts of that type

	members sync.Map // a definition and a member of it, to func() (schema.Schema, error)
}

// documents are made when they are first needed, by attribute.
var documents sync.Map // string to func() *document

func documentOf(a semconv.Attribute) *document {
	build, _ := documents.LoadOrStore(a.Name, sync.OnceValue(func() *document {
		d, err := newDocument(a)
		if err != nil {
			panic(fmt.Sprintf("check: the content schema of %s: %v", a.Name, err)) // generated, and tested
		}
		return d
	}))
	return build.(func() *document)()
}

// draft07 is what the schema of tool definitions asks of parameters. It is another document, so that it is replaced by
// the types a schema may have, and parameters are held against it by [schema.Parse].
const draft07 = "http://json-schema.org/draft-07/schema#"

func newDocument(a semconv.Attribute) (*document, error) {
	var root map[string]any
	text := strings.ReplaceAll(a.Schema, `"$ref":"`+draft07+`"`, `"type":["object","boolean"]`)
	if err := json.Unmarshal([]byte(text), &root); err != nil {
		return nil, err
	}
	d := &document{held: map[string]schema.Schema{}, typed: map[string]string{}}
	d.defs, _ = root["$defs"].(map[string]any)
	var err error
	if d.whole, err = d.parse(a.Name, root); err != nil {
		return nil, err
	}
	for name, def := range d.defs {
		if d.held[name], err = d.parse(name, def); err != nil {
			return nil, err
		}
		if kind, ok := dig(def, "properties", "type", "const").(string); ok {
			d.typed[kind] = name
		}
	}
	if ref, ok := dig(root, "items", "$ref").(string); ok {
		d.item = strings.TrimPrefix(ref, "#/$defs/")
	}
	return d, nil
}

// parse compiles a part of the document, which may refer to its definitions.
func (d *document) parse(name string, part any) (schema.Schema, error) {
	members := map[string]any{"$defs": d.defs}
	if own, ok := part.(map[string]any); ok {
		maps.Copy(members, own)
	}
	text, err := json.Marshal(members)
	if err != nil {
		return schema.Schema{}, err
	}
	return schema.Parse(name, text)
}

func dig(v any, path ...string) any {
	for _, p := range path {
		m, _ := v.(map[string]any)
		v = m[p]
	}
	return v
}

// A judged document is a content attribute with the digest of its value.
type judged struct {
	attribute string
	digest    [sha256.Size]byte
}

// contentProblem returns what is wrong with the value of a content attribute, "" for nothing. It says where, as a JSON
// pointer, and never quotes the value. The same instructions and tools stand on call after call: they are judged once.
func (c *checker) contentProblem(a semconv.Attribute, v *commonpb.AnyValue) string {
	value := asJSON(v)
	text, encoded := value.(string)
	if !encoded {
		b, err := json.Marshal(value)
		if err != nil {
			return "is nothing that JSON has" // asJSON leaves nothing of that kind
		}
		text = string(b)
	}
	key := judged{a.Name, sha256.Sum256([]byte(text))}
	problem, known := c.contents[key]
	if !known {
		problem = documentOf(a).problem(a.Name, text)
		c.contents[key] = problem
	}
	return problem
}

// problem is what is wrong with a document.
func (d *document) problem(name, text string) string {
	var value any
	if err := json.Unmarshal([]byte(text), &value); err != nil {
		return "is a string that is not JSON"
	}
	if list, ok := value.([]any); ok {
		for i, e := range list {
			if problem := d.element("/"+strconv.Itoa(i), e); problem != "" {
				return problem
			}
		}
	}
	if d.whole.Validate([]byte(text)) != nil {
		return "is not what " + name + " has to be: " + jsonType(value)
	}
	return ""
}

// element checks an element of the list: a message with its parts, or a part.
func (d *document) element(at string, e any) string {
	if d.item == "" {
		return d.part(at, e)
	}
	if parts, ok := dig(e, "parts").([]any); ok && len(d.typed) > 0 {
		for i, p := range parts {
			if problem := d.part(at+"/parts/"+strconv.Itoa(i), p); problem != "" {
				return problem
			}
		}
	}
	return d.holds(at, d.item, e)
}

func (d *document) part(at string, p any) string {
	kind, ok := dig(p, "type").(string)
	if !ok {
		return at + " has no type"
	}
	def, known := d.typed[kind]
	if !known {
		return ""
	}
	if problem := d.holds(at, def, p); problem != "" {
		return problem
	}
	switch def {
	case "UriPart":
		if uri, _ := dig(p, "uri").(string); strings.HasPrefix(strings.ToLower(uri), "data:") {
			return at + "/uri is a data: URL, which a blob part is for"
		}
	case "FunctionToolDefinition":
		if params := dig(p, "parameters"); params != nil {
			text, err := json.Marshal(params)
			if err == nil {
				_, err = schema.Parse("parameters", text)
			}
			if err != nil {
				return at + "/parameters is not a JSON Schema"
			}
		}
	}
	return ""
}

// holds holds v against a definition and says which member is at fault.
func (d *document) holds(at, def string, v any) string {
	if accepts(d.held[def], v) {
		return ""
	}
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Sprintf("%s is not a %s: %s", at, def, jsonType(v))
	}
	required, _ := dig(d.defs[def], "required").([]any)
	for _, r := range required {
		if name, _ := r.(string); !has(members, name) {
			return fmt.Sprintf("%s has no %s, which a %s needs", at, name, def)
		}
	}
	properties, _ := dig(d.defs[def], "properties").(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		if !has(members, name) {
			continue
		}
		member, err := d.member(def, name, properties[name])
		if err == nil && !accepts(member, members[name]) {
			return fmt.Sprintf("%s/%s is not what a %s has there: %s", at, name, def, jsonType(members[name]))
		}
	}
	return at + " is not a " + def
}

// member returns the schema of a member of a definition, made when it is first needed.
func (d *document) member(def, name string, part any) (schema.Schema, error) {
	build, _ := d.members.LoadOrStore([2]string{def, name}, sync.OnceValues(func() (schema.Schema, error) { return d.parse(name, part) }))
	return build.(func() (schema.Schema, error))()
}

func has(m map[string]any, name string) bool {
	_, ok := m[name]
	return ok
}

func accepts(s schema.Schema, v any) bool {
	text, err := json.Marshal(v)
	return err == nil && s.Validate(text) == nil
}

func jsonType(v any) string {
	switch v.(type) {
	case nil:
		return "null"
	case string:
		return "a string"
	case bool:
		return "a boolean"
	case []any:
		return "an array"
	case map[string]any:
		return "an object"
	default:
		return "a number"
	}
}
