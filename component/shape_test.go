package component_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

type city struct {
	Name   string   `json:"name"             jsonschema:"in English"`
	Rivers []string `json:"rivers,omitempty"`
	Since  *int     `json:"since"`
	secret string
}

func TestShape(t *testing.T) {
	t.Parallel()
	t.Run("an object", func(t *testing.T) {
		t.Parallel()
		s := shapeOf[city](t)
		got, err := s.Parse(content.Assistant("```json\n{\"name\":\"Rome\",\"rivers\":[\"Tiber\"],\"since\":null}\n```"))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(got, city{Name: "Rome", Rivers: []string{"Tiber"}}, cmp.AllowUnexported(city{})); diff != "" {
			t.Errorf("value (-got +want):\n%s", diff)
		}
	})
	t.Run("a value is wrapped", func(t *testing.T) {
		t.Parallel()
		s := shapeOf[[]string](t)
		want := `{"type":"object","properties":{"result":{"type":"array","items":{"type":"string"}}},"required":["result"],"additionalProperties":false}`
		if got := s.Format().JSON(); got != want {
			t.Errorf("format = %s, want %s", got, want)
		}
		for _, reply := range []string{`{"result":["a","b"]}`, `["a","b"]`} {
			got, err := s.Parse(content.Assistant(reply))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, []string{"a", "b"}); diff != "" {
				t.Errorf("value of %s (-got +want):\n%s", reply, diff)
			}
		}
		text, err := s.Text([]string{"<a>"})
		if err != nil || text != `{"result":["<a>"]}` {
			t.Errorf("text = %s, %v", text, err)
		}
	})
	t.Run("what is wrong", func(t *testing.T) {
		t.Parallel()
		_, err := shapeOf[city](t).Parse(content.Assistant(`{"name":3}`))
		bad, ok := errors.AsType[*component.ParseError](err)
		if !ok || bad.Reason != "The reply is not the JSON that was asked for: name: want a string, got a number." {
			t.Errorf("got %v (%+v)", err, bad)
		}
		if _, ok := errors.AsType[*schema.DecodeError](err); !ok {
			t.Errorf("the cause is a %T", errors.Unwrap(err))
		}
		_, err = shapeOf[int](t).Parse(content.Assistant(`{"result":1`))
		if bad, ok := errors.AsType[*component.ParseError](err); !ok || !strings.HasSuffix(bad.Reason, "Write a shorter reply.") {
			t.Errorf("cut off: got %v", err)
		}
	})
	t.Run("no schema", func(t *testing.T) {
		t.Parallel()
		_, err := component.ShapeOf[chan int]()
		if _, ok := errors.AsType[*schema.TypeError](err); !ok {
			t.Errorf("got %v, want a *schema.TypeError", err)
		}
	})
}

func shapeOf[T any](t *testing.T) component.Shape[T] {
	t.Helper()
	s, err := component.ShapeOf[T]()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestFields(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		in   any
		want []component.InputField
	}{
		"a string":  {"x\ny", []component.InputField{{Text: "x\ny"}}},
		"a struct":  {city{Name: "Rome", Rivers: []string{"<T>"}}, []component.InputField{{"name", "in English", "Rome"}, {"rivers", "", `["<T>"]`}}},
		"a pointer": {&city{Name: "Rome"}, []component.InputField{{"name", "in English", "Rome"}}},
		"a map":     {map[string]int{"a": 1}, []component.InputField{{Text: `{"a":1}`}}},
		"a time":    {time.Unix(0, 0).UTC(), []component.InputField{{Text: "1970-01-01T00:00:00Z"}}},
		"nothing":   {struct{}{}, nil},
		"nil":       {nil, []component.InputField{{Text: "null"}}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := component.Fields(tc.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, tc.want); diff != "" {
				t.Errorf("fields (-got +want):\n%s", diff)
			}
		})
	}
	if _, err := component.Fields(make(chan int)); err == nil {
		t.Error("a channel has JSON")
	}
}

func TestFunctionPrompt(t *testing.T) {
	t.Parallel()
	f := component.NewFunction(component.NewInstruction("Describe the city in {{lang}}.").WithVars(map[string]any{"lang": "{{French}}"}), shapeOf[city](t)).
		WithInput(city{Name: "Rome {{x}}"}).
		WithShots(component.Shot{Input: []component.InputField{{Text: "Paris"}}, Output: `{"name":"Paris","since":null}`})
	var c component.Component = f
	c = c.(component.Requirer).WithRequirements("be short in {{lang}}")
	c = c.(component.Repairer).WithRepair("name: is {{missing}}")
	c = c.(component.Formatted).WithFormat(`{"type":"object"}`)
	r, err := component.DefaultFormatter().Render(c, "")
	if err != nil {
		t.Fatal(err)
	}
	want := `Describe the city in {{French}}.

The result must meet these requirements:
- be short in {{French}}

Reply with one JSON document that matches this JSON Schema, and with nothing else:
{"type":"object"}

Example:
<input>
Paris
</input>
<output>
{"name":"Paris","since":null}
</output>

<input>
name (in English): Rome {{x}}
</input>

Your last reply was not accepted, for these reasons:
- name: is {{missing}}
Write a new reply that puts this right.`
	if diff := cmp.Diff(r.Messages.At(0).Text(), want); diff != "" {
		t.Errorf("prompt (-got +want):\n%s", diff)
	}
	if r.Template != "function" || c.Kind() != "function" {
		t.Errorf("template %q of a %q", r.Template, c.Kind())
	}
	if _, err := f.WithInput(func() {}).Prompt(); err == nil {
		t.Error("an input without JSON was shown")
	}
	if v, err := f.Parse(content.Assistant(`{"name":"x"}`)); err != nil || v.Name != "x" || v.secret != "" {
		t.Errorf("parsed %+v, %v", v, err)
	}
}
