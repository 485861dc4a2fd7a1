package component_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/component"
)

func TestVars(t *testing.T) {
	t.Parallel()
	type user struct{ Name string }
	vars := map[string]any{
		"name": "Alice", "n": 3, "d": 90 * time.Second, "none": nil, "user": user{"Bob"},
		"nested": map[string]any{"city": "Bonn"}, "list": []string{"a", "b"},
		"made": output(t, "made up", nil), "hostile": "{{.secret}}{{name}}", "secret": "S", "größe": "XL",
	}
	for _, tc := range []struct{ name, text, want string }{
		{"field", "Hi {{.name}}", "Hi Alice"},
		{"shorthand", "Hi {{name}}, {{ n }}", "Hi Alice, 3"},
		{"shorthand that trims", "Hi {{- name -}} !", "HiAlice!"},
		{"letters beyond ASCII", "{{größe}} {{.größe}}", "XL XL"},
		{"Stringer", "{{d}}", "1m30s"},
		{"nil", "[{{none}}]", "[]"},
		{"field of a struct", "{{.user.Name}}", "Bob"},
		{"key of a map", "{{.nested.city}}", "Bonn"},
		{"control structures", "{{if .name}}{{range .list}}<{{.}}>{{end}}{{else}}no{{end}}", "<a><b>"},
		{"functions", `{{printf "%05.1f %s" 2.5 .name}} {{len .list}} {{html "<"}} {{print "a" 2024}}`, "002.5 Alice 2 &lt; a2024"},
		{"year in a format", `{{printf "%s 2024" .name}}`, "Alice 2024"},
		{"output", "{{made}}", "made up"},
		{"values are not templates", "{{hostile}} {{.hostile}}", "{{.secret}}{{name}} {{.secret}}{{name}}"},
		{"no action", "plain }} text", "plain }} text"},
		{"comment", "a{{/* {{x}} */}}b", "ab"},
		{"quoted", `{{"{{name}}"}}`, "{{name}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got := render(t, component.DefaultFormatter(), component.NewInstruction(tc.text).WithVars(vars), "")
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestVarsGoIntoEveryTextButData(t *testing.T) {
	t.Parallel()
	c := component.NewInstruction("D{{x}}").WithPrefix("P{{x}}").WithOutputPrefix("O{{x}}").WithExamples("E{{x}}").
		WithGrounding("g", "G{{x}}").WithVars(map[string]any{"x": 1}).
		WithRequirements("R{{x}}").(component.Repairer).WithRepair("X{{x}}")
	p, err := c.Prompt()
	if err != nil {
		t.Fatal(err)
	}
	want := &component.InstructionData{
		Prefix: "P1", Description: "D1", OutputPrefix: "O1", Examples: []string{"E1"}, Requirements: []string{"R1"},
		Grounding: []component.GroundingEntry{{Name: "g", Text: "G{{x}}"}}, Repair: []string{"X{{x}}"},
	}
	if diff := cmp.Diff(want, p.Data); diff != "" {
		t.Errorf("data (-want +got):\n%s", diff)
	}
}

func TestNilVarsMakeTextLiteral(t *testing.T) {
	t.Parallel()
	c := component.NewInstruction("{{x}}").WithVars(map[string]any{"x": 1}).WithVars(nil)
	if got := render(t, component.DefaultFormatter(), c, ""); got != "{{x}}" {
		t.Errorf("got %q, want the text as it is", got)
	}
	if _, err := component.NewInstruction("{{x}}").WithVars(map[string]any{}).Prompt(); err == nil {
		t.Error("an empty map left the text literal, want a missing variable")
	}
}

func TestVariables(t *testing.T) {
	t.Parallel()
	c := component.NewInstruction("D").WithVars(map[string]any{
		"b": 90 * time.Second, "a": "x", "none": nil, "out": output(t, "made", nil), "later": running(t),
	})
	got := map[string]string{}
	var names []string
	for name, value := range c.Variables() {
		names = append(names, name)
		got[name] = value
	}
	if diff := cmp.Diff([]string{"a", "b", "later", "none", "out"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]string{"a": "x", "b": "1m30s", "later": "", "none": "", "out": "made"}, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
	for range c.Variables() {
		break
	}
	for name := range component.NewInstruction("D").Variables() {
		t.Errorf("got a variable %q of an instruction without any", name)
	}
}

func TestExpand(t *testing.T) {
	t.Parallel()
	plain := component.NewInstruction("D")
	if got, err := plain.Expand("be about {{topic}}"); got != "be about {{topic}}" || err != nil {
		t.Errorf("without variables: %q, %v, want the text as it is", got, err)
	}
	withVars := plain.WithVars(map[string]any{"topic": "{{.x}}"})
	if got, err := withVars.Expand("be about {{topic}}"); got != "be about {{.x}}" || err != nil {
		t.Errorf("with variables: %q, %v, want them filled in once", got, err)
	}
	var te *component.TemplateError
	if _, err := withVars.Expand("be about {{it}}"); !errors.As(err, &te) || te.Variable != "it" {
		t.Errorf("got %v, want a *TemplateError that names the variable", err)
	}
	if _, err := plain.WithVars(map[string]any{"topic": output(t, "", errors.New("no"))}).Expand("x"); !errors.As(err, &te) {
		t.Errorf("got %v, want a *TemplateError that names the output", err)
	}
}

func TestVariableErrors(t *testing.T) {
	t.Parallel()
	failure := errors.New("server down")
	const secret = "s3cret-value"
	vars := map[string]any{"name": secret, "user": map[string]any{"a": secret}, "f": func() {}}
	for _, tc := range []struct {
		name     string
		c        component.Instruction
		template string
		variable string
		want     string
	}{
		{"missing", component.NewInstruction("Write about {{.topic}}").WithVars(vars), "description", "topic",
			"variable {{.topic}} is not set: pass it in mellea.Vars"},
		{"missing, shorthand", component.NewInstruction("Write about {{topic}}").WithVars(vars), "description", "topic",
			"variable {{.topic}} is not set: pass it in mellea.Vars"},
		{"missing below", component.NewInstruction("{{.user.b}}").WithVars(vars), "description", "user.b",
			"variable {{.user.b}} is not set"},
		{"missing, with a long name", component.NewInstruction("{{.a_name_of_more_than_twenty_letters}}").WithVars(vars), "description",
			"a_name_of_more_than_twenty_letters", "variable {{.a_name_of_more_than_twenty_letters}} is not set"},
		{"missing in the prefix", component.NewInstruction("").WithPrefix("{{a}}").WithVars(vars), "prefix", "a", ""},
		{"missing in the output prefix", component.NewInstruction("").WithOutputPrefix("{{a}}").WithVars(vars), "output prefix", "a", ""},
		{"missing in an example", component.NewInstruction("").WithExamples("", "{{a}}").WithVars(vars), "example 2", "a", ""},
		{"missing in a requirement",
			component.NewInstruction("").WithVars(vars).WithRequirements("{{a}}").(component.Instruction), "requirement 1", "a", ""},
		{"bare name in a condition", component.NewInstruction("{{if topic}}x{{end}}").WithVars(vars), "description", "topic",
			`"topic" is not a function: if it is a variable, write {{.topic}}`},
		{"not a template", component.NewInstruction("one\ntwo {{.name").WithVars(vars), "description", "", "line 2"},
		{"not printable", component.NewInstruction("{{.f}}").WithVars(vars), "description", "", "line 1"},
		{"wrong type", component.NewInstruction("{{.name.x}}").WithVars(vars), "description", "", "line 1"},
		{"failed output", component.NewInstruction("").WithVars(map[string]any{"o": output(t, "", failure)}), "instruction", "o",
			"variable {{.o}} has no text: server down"},
		{"running output", component.NewInstruction("").WithVars(map[string]any{"o": running(t)}), "instruction", "o", "still runs"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := tc.c.Prompt()
			var te *component.TemplateError
			if !errors.As(err, &te) {
				t.Fatalf("Prompt: %v, want a *TemplateError", err)
			}
			if te.Template != tc.template || te.Variable != tc.variable || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got template %q, variable %q, text %q; want %q, %q and %q", te.Template, te.Variable, err, tc.template, tc.variable, tc.want)
			}
			if te.Unwrap() == nil {
				t.Error("the error has no cause")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("%v holds a value", err)
			}
		})
	}
}

func TestHostileTemplatesEnd(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text string }{
		{"endless loop", `{{range 1000000000000}}{{end}}`},
		{"loops in loops", `{{range 100000}}{{range 100000}}{{if true}}{{end}}{{end}}{{end}}`},
		{"loop in an else", `{{if false}}{{else}}{{range 1000000000000}}{{end}}{{end}}`},
		{"loop in a with", `{{with 1}}{{range 1000000000000}}{{end}}{{end}}`},
		{"much output", `{{range 1000000000}}{{.}} and more of the same text{{end}}`},
		{"recursion", `{{define "a"}}{{template "a"}}{{end}}{{template "a"}}`},
		{"branching recursion", `{{define "a"}}{{if .}}{{template "a" (slice . 1)}}{{template "a" (slice . 1)}}{{end}}{{end}}{{template "a" "0123456789012345678901234567890123456789"}}`},
		{"doubling", `{{$x := "aaaaaaaa"}}{{range 60}}{{$x = print $x $x}}{{end}}`},
		{"doubling by printf", `{{$x := "aaaaaaaa"}}{{range 60}}{{$x = printf "%s%[1]s%[1]s" $x}}{{end}}`},
		{"doubling by escapes", `{{$x := "<<<<<<<<"}}{{range 60}}{{$x = js (html $x $x)}}{{end}}`},
		{"wide padding", `{{printf "%1000000d%1000000d" 1 1}}`},
		{"wide padding by argument", `{{printf "%*d" 1000000 1}}`},
		{"wide precision", `{{printf "%.100000f" 1.0}}`},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := component.NewInstruction(tc.text).WithVars(map[string]any{}).Prompt()
			if _, ok := errors.AsType[*component.TemplateError](err); !ok {
				t.Errorf("got %v, want a *TemplateError", err)
			}
		})
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("Hi {{a}}", "x")
	f.Add("{{range 1000000000}}{{end}}", "{{a}}")
	f.Add(`{{$x := .a}}{{range 50}}{{$x = printf "%s%s" $x $x}}{{end}}`, "{{.b}}")
	f.Fuzz(func(t *testing.T, text, value string) {
		if len(text) > 500 {
			return
		}
		c := component.NewInstruction("").WithVars(map[string]any{"a": value})
		got, err := c.Expand(text)
		var te *component.TemplateError
		if err != nil && (!errors.As(err, &te) || te.Error() == "") {
			t.Errorf("%q: %v, want a *TemplateError", text, err)
		}
		if len(got) > 16<<20 {
			t.Errorf("%q made %d bytes", text, len(got))
		}
		if !strings.Contains(text, "{{") && got != text {
			t.Errorf("%q became %q without any action", text, got)
		}
	})
}

func ExampleInstruction_WithVars() {
	mail := component.NewInstruction("Write a mail to {{.name}} about {{topic}}.").
		WithVars(map[string]any{"name": "Alice", "topic": "the launch"})
	r, err := component.DefaultFormatter().Render(mail, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Messages.At(0).Text())

	_, err = component.NewInstruction("Write about {{topic}}.").WithVars(map[string]any{}).Prompt()
	fmt.Println(err)
	// Output:
	// Write a mail to Alice about the launch.
	// template description: variable {{.topic}} is not set: pass it in mellea.Vars
}
