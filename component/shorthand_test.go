package component

import (
	"strings"
	"testing"
	"text/template"
)

func TestExpandShorthand(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, text, want string }{
		{"name", "{{name}}", "{{.name}}"},
		{"space", "a {{ name\t}} b", "a {{ .name\t}} b"},
		{"over lines", "{{\n name\n}}", "{{\n .name\n}}"},
		{"trimming", "{{- name -}}", "{{- .name -}}"},
		{"trimming left", "{{- name}}", "{{- .name}}"},
		{"several", "{{a}}{{b}} {{a}}", "{{.a}}{{.b}} {{.a}}"},
		{"underscore and digits", "{{_a1}}", "{{._a1}}"},
		{"letters beyond ASCII", "{{größe}}", "{{.größe}}"},
		{"field", "{{.name}}", "{{.name}}"},
		{"variable", "{{$x}}", "{{$x}}"},
		{"two words", "{{name other}}", "{{name other}}"},
		{"pipeline", "{{name | len}}", "{{name | len}}"},
		{"dash in it", "{{my-name}}", "{{my-name}}"},
		{"digit first", "{{1a}}", "{{1a}}"},
		{"dash without space", "{{-name}}", "{{-name}}"},
		{"empty", "{{}} {{ }}", "{{}} {{ }}"},
		{"keywords", "{{if .a}}{{else}}{{end}}{{break}}{{continue}}", "{{if .a}}{{else}}{{end}}{{break}}{{continue}}"},
		{"constants", "{{true}}{{false}}{{nil}}", "{{true}}{{false}}{{nil}}"},
		{"functions", "{{print}}{{html}}", "{{print}}{{html}}"},
		{"names that begin like keywords", "{{ending}}{{iffy}}", "{{.ending}}{{.iffy}}"},
		{"quoted", `{{"{{a}}"}}{{b}}`, `{{"{{a}}"}}{{.b}}`},
		{"escaped quote", `{{"\"{{a}}"}}{{b}}`, `{{"\"{{a}}"}}{{.b}}`},
		{"raw quoted", "{{`{{a}}\\`}}{{b}}", "{{`{{a}}\\`}}{{.b}}"},
		{"character", `{{'"'}}{{b}}`, `{{'"'}}{{.b}}`},
		{"comment", "{{/* {{a}} */}}{{b}}", "{{/* {{a}} */}}{{.b}}"},
		{"trimming comment", "{{- /* ' */ -}}{{b}}", "{{- /* ' */ -}}{{.b}}"},
		{"open", "{{a}} {{b", "{{.a}} {{b"},
		{"open quote", `{{"a}} {{b}}`, `{{"a}} {{b}}`},
		{"open comment", "{{/* a}} {{b}}", "{{/* a}} {{b}}"},
		{"no action", "a } b }} c", "a } b }} c"},
		{"three braces", "{{{a}}}", "{{{a}}}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if got := expandShorthand(tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

func FuzzExpandShorthand(f *testing.F) {
	for _, s := range []string{
		"{{a}}", "{{- a -}}", "{{if .a}}{{b}}{{end}}", `{{"{{a}}"}}`, "{{`{{a}}`}}", "{{/* {{a}} */}}{{b}}", "{{'\\''}}{{b}}", "{{{{a}}",
		"{{/*/}}{{A}}*/}}", "{{print}}", "{{define \"x\"}}{{a}}{{end}}{{template \"x\" .}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := expandShorthand(text)
		if again := expandShorthand(got); again != got {
			t.Errorf("%q became %q, and that %q: want it to stay", text, got, again)
		}
		if !strings.Contains(text, "{{") && got != text {
			t.Errorf("%q became %q without any action", text, got)
		}
		// What text/template understands has no bare names, so there is nothing to do.
		if _, err := template.New("").Funcs(boundedFuncs).Parse(text); err == nil && got != text {
			t.Errorf("%q is a template and became %q", text, got)
		}
	})
}
