package component_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
)

func TestInstructionRenders(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name string
		c    component.Component
		want string
	}{
		{"zero", component.Instruction{}, ""},
		{"description only", component.NewInstruction("Greet."), "Greet."},
		{"description with space around it", component.NewInstruction("\n Greet. \n"), "\n Greet. \n"},
		{"braces are literal", component.NewInstruction("Use {{.x}} and {{y}} and {{"), "Use {{.x}} and {{y}} and {{"},
		{
			"prefix and output prefix",
			component.NewInstruction("Greet.").WithPrefix("You are kind.").WithOutputPrefix("Dear"),
			"You are kind.\n\nGreet.\n\nDear",
		},
		{
			"requirements",
			component.NewInstruction("Greet.").WithRequirements("be brief", "no {{.names}}"),
			"Greet.\n\nYour reply must meet these requirements:\n- be brief\n- no {{.names}}",
		},
		{
			"examples",
			component.NewInstruction("Greet.").WithExamples("Hi!", "Hello\nyou!"),
			"Greet.\n\nExamples of a good reply:\n<example>\nHi!\n</example>\n<example>\nHello\nyou!\n</example>",
		},
		{
			"grounding keeps its order, and an entry its place",
			component.NewInstruction("Greet.").WithGrounding("b", "1").WithGrounding("a", "2").WithGrounding("b", "3"),
			"Greet.\n\nRely on the following:\n[b]\n3\n[a]\n2",
		},
		{
			"repair",
			component.NewInstruction("Greet.").WithRepair("too long", "it says {{.x}}"),
			"Greet.\n\nYour last reply was not accepted, for these reasons:\n- too long\n- it says {{.x}}\n" +
				"Write a new reply that puts this right and meets every requirement.",
		},
		{
			"everything, in order",
			component.NewInstruction("D").WithOutputPrefix("O").WithGrounding("g", "G").WithExamples("E").WithPrefix("P").
				WithRequirements("R").(component.Repairer).WithRepair("X"),
			"P\n\nD\n\nYour reply must meet these requirements:\n- R\n\nExamples of a good reply:\n<example>\nE\n</example>\n\n" +
				"Rely on the following:\n[g]\nG\n\nYour last reply was not accepted, for these reasons:\n- X\n" +
				"Write a new reply that puts this right and meets every requirement.\n\nO",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.want, render(t, component.DefaultFormatter(), tc.c, "any")); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestInstructionForGranitePutsGroundingFirst(t *testing.T) {
	t.Parallel()
	c := component.NewInstruction("D").WithGrounding("g", "G").WithPrefix("P").WithRequirements("R")
	want := "P\n\nHere is the information to use:\n[g]\nG\n\nD\n\nFollow all of these requirements in your response:\n- R"
	if diff := cmp.Diff(want, render(t, component.DefaultFormatter(), c, "ibm/granite4.1:3b")); diff != "" {
		t.Errorf("prompt (-want +got):\n%s", diff)
	}
}

func TestGroundingValues(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name  string
		value any
		want  string
	}{
		{"string", `a "b" <c>`, `a "b" <c>`},
		{"Stringer", 90 * time.Second, "1m30s"},
		{"number", 3, "3"},
		{"nil", nil, "null"},
		{"struct", struct {
			A string `json:"a"`
		}{"<&>"}, `{"a":"<&>"}`},
		{"slice", []int{1, 2}, "[1,2]"},
		{"output", output(t, "made {{.x}}", nil), "made {{.x}}"},
		{"text that looks like a template", "{{.secret}}", "{{.secret}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := component.NewInstruction("D").WithGrounding("g", tc.value).WithVars(map[string]any{"secret": "S"})
			want := "D\n\nRely on the following:\n[g]\n" + tc.want
			if diff := cmp.Diff(want, render(t, component.DefaultFormatter(), c, "")); diff != "" {
				t.Errorf("prompt (-want +got):\n%s", diff)
			}
		})
	}
}

func TestGroundingErrors(t *testing.T) {
	t.Parallel()
	failure := errors.New("server down")
	for _, tc := range []struct {
		name  string
		value any
		want  string
		cause error
	}{
		{"no JSON", math.Inf(1), `grounding entry "g" has no JSON`, nil},
		{"failed output", output(t, "half", failure), `grounding entry "g" has no text: server down`, failure},
		{"nil output", (*backend.Output)(nil), `grounding entry "g" has no text: a nil output`, nil},
		{"running output", running(t), "still runs", nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := component.NewInstruction("D").WithGrounding("g", tc.value)
			_, err := c.Prompt()
			var te *component.TemplateError
			if !errors.As(err, &te) || te.Variable != "g" || !strings.Contains(err.Error(), tc.want) {
				t.Fatalf("Prompt: %v, want a *TemplateError that says %q", err, tc.want)
			}
			if tc.cause != nil && !errors.Is(err, tc.cause) {
				t.Errorf("%v does not wrap the output's error", err)
			}
			if _, err := c.WithGrounding("g", "fine").Prompt(); err != nil {
				t.Errorf("after the entry was replaced: %v", err)
			}
		})
	}
}

func TestPendingListsEachOutputOnce(t *testing.T) {
	t.Parallel()
	a, b, c := output(t, "a", nil), output(t, "b", nil), output(t, "c", nil)
	i := component.NewInstruction("D").
		WithVars(map[string]any{"y": b, "x": a, "z": "text", "n": (*backend.Output)(nil)}).
		WithGrounding("one", a).WithGrounding("two", c)
	got := i.Pending()
	if len(got) != 3 || got[0] != a || got[1] != b || got[2] != c {
		t.Errorf("Pending() = %v, want the three outputs, those of variables by name first", got)
	}
	if got := component.NewInstruction("D").Pending(); got != nil {
		t.Errorf("Pending() = %v for an instruction without outputs", got)
	}
}

func TestInstructionIsImmutable(t *testing.T) {
	t.Parallel()
	vars := map[string]any{"x": "1"}
	examples, shown, reasons := []string{"e {{.x}}"}, []string{"r {{.x}}"}, []string{"why"}
	base := component.NewInstruction("d {{.x}}").WithVars(vars).WithExamples(examples...).WithGrounding("g", "G")
	full := base.WithRequirements(shown...).(component.Repairer).WithRepair(reasons...)
	f := component.DefaultFormatter()
	before, beforeBase := render(t, f, full, ""), render(t, f, base, "")

	vars["x"], examples[0], shown[0], reasons[0] = "2", "changed", "changed", "changed"
	base.WithVars(map[string]any{"x": "3"}).WithGrounding("g", "other").WithGrounding("h", "H").WithPrefix("p")
	full.(component.Requirer).WithRequirements("other")
	full.(component.Requirer).Requirements()[0] = "changed"

	if got := render(t, f, full, ""); got != before {
		t.Errorf("got %q after changes to copies and arguments, want %q", got, before)
	}
	if got := render(t, f, base, ""); got != beforeBase {
		t.Errorf("got %q after changes to copies and arguments, want %q", got, beforeBase)
	}
	if got := base.Description(); got != "d {{.x}}" {
		t.Errorf("Description() = %q, want it as given", got)
	}
}

func TestMediaStandsBehindTheText(t *testing.T) {
	t.Parallel()
	img, err := content.ImageURL("https://example.com/a.png")
	if err != nil {
		t.Fatal(err)
	}
	r, err := component.DefaultFormatter().Render(component.NewInstruction("Describe it.").WithMedia(img), "")
	if err != nil {
		t.Fatal(err)
	}
	want := content.NewMessage(content.RoleUser, content.Text("Describe it."), img)
	if got := r.Messages.At(0); !got.Equal(want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestMessagesAndTextsRenderAsTheyAre(t *testing.T) {
	t.Parallel()
	system := content.System("{{.x}}")
	for _, tc := range []struct {
		name, kind string
		c          component.Component
		want       content.Message
	}{
		{"message", "message", component.FromMessage(system), system},
		{"text", "text", component.Text("{{x}}\n"), content.User("{{x}}\n")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r, err := component.DefaultFormatter().Render(tc.c, "granite")
			if err != nil {
				t.Fatal(err)
			}
			if r.Template != "" || r.Messages.Len() != 1 || !r.Messages.At(0).Equal(tc.want) || r.Length != len(tc.want.Text()) {
				t.Errorf("got %+v, want the message as it is and no template", r)
			}
			if got := tc.c.Kind(); got != tc.kind {
				t.Errorf("Kind() = %q, want %q", got, tc.kind)
			}
			if tc.c.Pending() != nil {
				t.Error("Pending() is not nil")
			}
		})
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	if got := component.NewInstruction("D").Kind(); got != "instruction" {
		t.Errorf("Kind() = %q, want instruction", got)
	}
	reply := content.NewMessage(content.RoleAssistant, content.Reasoning{Text: "hm"}, content.Text("yes"))
	if got, err := component.NewInstruction("D").Parse(reply); got != "yes" || err != nil {
		t.Errorf("Instruction.Parse = %q, %v, want the text", got, err)
	}
	if got, err := component.Text("D").Parse(reply); got != "yes" || err != nil {
		t.Errorf("PlainText.Parse = %q, %v, want the text", got, err)
	}
	if got, err := component.FromMessage(reply).Parse(reply); !got.Equal(reply) || err != nil {
		t.Errorf("Message.Parse = %v, %v, want the reply", got, err)
	}
}

func TestBareInstructionRendersWithFewAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var c component.Component = component.NewInstruction("Write a mail to Alice about the launch.")
	f := component.DefaultFormatter()
	got := testing.AllocsPerRun(100, func() {
		if _, err := f.Render(c, "ibm/granite4.1:3b"); err != nil {
			t.Fatal(err)
		}
	})
	if got > 3 {
		t.Errorf("%v allocations, want at most 3", got)
	}
	t.Logf("%v allocations", got)
}
