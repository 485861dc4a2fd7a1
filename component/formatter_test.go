package component_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

// card is a user's own component, with its own template.
type card struct {
	template string
	role     content.Role
}

func (card) Kind() string               { return "card" }
func (card) Pending() []*backend.Output { return nil }
func (c card) Prompt() (component.Prompt, error) {
	return component.Prompt{Template: c.template, Role: c.role, Data: map[string]any{"Name": "Ann"}}, nil
}

func files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

func TestTemplateForAModel(t *testing.T) {
	t.Parallel()
	theirs := files(
		"default/card.tmpl", "default\n",
		"granite/card.tmpl", "granite\n",
		"granite/Code-Instruct/card.tmpl", "granite code\n",
		"granite/code-instruct/v2/other.tmpl", "other\n",
		"llama-3.1/card.tmpl", "llama\n",
		"llama/card.tmpl", "any llama\n",
		"readme.md", "not a template",
	)
	for _, tc := range []struct{ name, model, text, template string }{
		{"no model", "", "default", "card"},
		{"another model", "gpt-5", "default", "card"},
		{"a family", "ibm/granite4.1:3b", "granite", "granite/card"},
		{"in any case", "IBM/GRANITE", "granite", "granite/card"},
		{"punctuation aside", "Meta-Llama_3.1:8b", "llama", "llama-3.1/card"},
		{"the longer name first", "llama31", "llama", "llama-3.1/card"},
		{"the shorter name when the longer is not there", "llama3.2", "any llama", "llama/card"},
		{"the deepest", "granite-8b-code-instruct", "granite code", "granite/Code-Instruct/card"},
		{"the next when the deepest lacks it", "granite-code-instruct-v2", "granite code", "granite/Code-Instruct/card"},
		{"all directories count", "code-instruct", "default", "card"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := component.NewFormatter(component.WithTemplates(theirs))
			if err != nil {
				t.Fatal(err)
			}
			r, err := f.Render(card{template: "card"}, tc.model)
			if err != nil {
				t.Fatal(err)
			}
			if got := r.Messages.At(0).Text(); got != tc.text || r.Template != tc.template {
				t.Errorf("got %q by template %q, want %q by %q", got, r.Template, tc.text, tc.template)
			}
		})
	}
}

func TestOverrides(t *testing.T) {
	t.Parallel()
	first := files("default/instruction.tmpl", "first: {{.Description}}")
	second := files("default/instruction.tmpl", "second: {{.Description}}", "granite/judge.tmpl", "J")
	greet := component.NewInstruction("Greet.")
	for _, tc := range []struct {
		name, model, want string
		opts              []component.FormatterOption
	}{
		{"none", "x", "Greet.", nil},
		{"none, for granite", "granite", "Greet.", nil},
		{"one", "x", "first: Greet.", []component.FormatterOption{component.WithTemplates(first)}},
		{"its default before our granite", "granite", "first: Greet.", []component.FormatterOption{component.WithTemplates(first)}},
		{"the first given goes first", "x", "first: Greet.",
			[]component.FormatterOption{component.WithTemplates(first), component.WithTemplates(second)}},
		{"ours where it has none", "x", "Greet.",
			[]component.FormatterOption{component.WithTemplates(files("default/other.tmpl", ""))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			f, err := component.NewFormatter(tc.opts...)
			if err != nil {
				t.Fatal(err)
			}
			if got := render(t, f, greet, tc.model); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func TestRole(t *testing.T) {
	t.Parallel()
	f, err := component.NewFormatter(component.WithTemplates(files("default/card.tmpl", "{{.Name}}\r\n\r\n")))
	if err != nil {
		t.Fatal(err)
	}
	for role, want := range map[content.Role]content.Role{"": content.RoleUser, content.RoleSystem: content.RoleSystem} {
		r, err := f.Render(card{"card", role}, "")
		if err != nil {
			t.Fatal(err)
		}
		if m := r.Messages.At(0); m.Role() != want || m.Text() != "Ann\n" {
			t.Errorf("got role %q and text %q, want %q and all but the newline that ends the file", m.Role(), m.Text(), want)
		}
	}
}

func TestFormatterErrors(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, file, text, template, want string }{
		{"does not parse", "granite/card.tmpl", "one\n{{end}} secret", "granite/card", "line 2"},
		{"at the top", "card.tmpl", "", "card.tmpl", "default/NAME.tmpl"},
		{"one level too deep", "templates/default/card.tmpl", "", "templates/default/card.tmpl", "fs.Sub"},
		{"below default", "default/granite/card.tmpl", "", "default/granite/card.tmpl", "no model finds it"},
		{"a family without a name", "--/card.tmpl", "", "--/card.tmpl", "no model finds it"},
		{"none at all", "default/card.txt", "", "*.tmpl", "there is none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := component.NewFormatter(component.WithTemplates(files(tc.file, tc.text)))
			var te *component.TemplateError
			if !errors.As(err, &te) || te.Template != tc.template || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a *TemplateError about %q that says %q", err, tc.template, tc.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("%v holds text of the template", err)
			}
		})
	}
}

func TestRenderErrors(t *testing.T) {
	t.Parallel()
	f, err := component.NewFormatter(component.WithTemplates(files(
		"default/missing.tmpl", "{{.Nobody}}", "default/loop.tmpl", "{{range 1000000000}}{{end}}")))
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		c    component.Component
		want string
	}{
		{"unknown template", card{template: "nosuch"}, "template nosuch: there is no template of this name: add default/nosuch.tmpl"},
		{"unknown field", card{template: "missing"}, "template missing: line 1"},
		{"endless", card{template: "loop"}, "template loop: renders more than 16 MiB"},
		{"error of Prompt", component.NewInstruction("{{x}}").WithVars(map[string]any{}), "variable {{.x}} is not set"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			_, err := f.Render(tc.c, "")
			var te *component.TemplateError
			if !errors.As(err, &te) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want a *TemplateError that says %q", err, tc.want)
			}
		})
	}
}

func TestFormatterConcurrentSafe(t *testing.T) {
	t.Parallel()
	c := component.NewInstruction("Hi {{name}}").WithVars(map[string]any{"name": "Ann"}).WithGrounding("g", 1).
		WithRequirements("be kind")
	want := render(t, component.DefaultFormatter(), c, "granite")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			r, err := component.DefaultFormatter().Render(c, "granite")
			if err != nil || r.Messages.At(0).Text() != want {
				t.Errorf("got %v, %v, want what one goroutine got", r, err)
			}
		})
	}
	wg.Wait()
}

func TestParseErrorHoldsNothingOfTheReply(t *testing.T) {
	t.Parallel()
	cause := errors.New("bad: secret")
	err := error(&component.ParseError{Kind: "json", Reason: "not JSON: secret", Err: cause})
	if got, want := err.Error(), "the reply cannot be read as json"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the error does not wrap its cause")
	}
}

func ExampleNewInstruction() {
	mail := component.NewInstruction("Write a mail about the launch.").
		WithRequirements("be formal", "at most 100 words").(component.Instruction).
		WithGrounding("date", "1 May")
	r, err := component.DefaultFormatter().Render(mail, "gpt-5")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("template:", r.Template)
	fmt.Println(r.Messages.At(0).Text())
	// Output:
	// template: instruction
	// Write a mail about the launch.
	//
	// Your reply must meet these requirements:
	// - be formal
	// - at most 100 words
	//
	// Rely on the following:
	// [date]
	// 1 May
}

func ExampleInstruction_WithRepair() {
	c := component.NewInstruction("Write a haiku.").WithRepair("has 4 lines, 3 are wanted")
	r, err := component.DefaultFormatter().Render(c, "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Messages.At(0).Text())
	// Output:
	// Write a haiku.
	//
	// Your last reply was not accepted, for these reasons:
	// - has 4 lines, 3 are wanted
	// Write a new reply that puts this right and meets every requirement.
}

func ExampleWithTemplates() {
	// A program embeds its templates; the directory names the models they are for.
	theirs := fstest.MapFS{
		"qwen/instruction.tmpl": {Data: []byte("/no_think {{.Description}}{{range .Requirements}}\n* {{.}}{{end}}\n")},
	}
	f, err := component.NewFormatter(component.WithTemplates(theirs))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, model := range []string{"qwen3:8b", "gpt-5"} {
		r, err := f.Render(component.NewInstruction("Greet."), model)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(r.Template+":", r.Messages.At(0).Text())
	}
	// Output:
	// qwen/instruction: /no_think Greet.
	// instruction: Greet.
}

func ExampleText() {
	r, err := component.DefaultFormatter().Render(component.Text("Hello, {{you}}"), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Messages.At(0).Role(), r.Messages.At(0).Text())
	// Output: user Hello, {{you}}
}

func ExampleFromMessage() {
	r, err := component.DefaultFormatter().Render(component.FromMessage(content.System("Be brief.")), "")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(r.Messages.At(0).Role(), r.Messages.At(0).Text())
	// Output: system Be brief.
}
