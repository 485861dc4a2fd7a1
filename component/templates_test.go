package component

import "testing"

// The formatter does not run our templates for an instruction that is nothing but a description.
func TestEveryTemplateOfOursShowsABareInstructionAsItsDescription(t *testing.T) {
	t.Parallel()
	lib, err := ours()
	if err != nil {
		t.Fatal(err)
	}
	const want = " Greet {{them}}.\n"
	tested := 0
	for _, f := range lib.families {
		tmpl, ok := f.templates["instruction"]
		if !ok {
			continue
		}
		tested++
		if got, err := execute(tmpl.Template, &InstructionData{Description: want}); got != want || err != nil {
			t.Errorf("%s: got %q, %v, want %q", tmpl.full, got, err, want)
		}
	}
	if tested < 2 {
		t.Errorf("tested %d templates, want those of default and granite at least", tested)
	}
}

func TestMentions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		model, dir string
		want       bool
	}{
		{"ibm/granite4.1:3b", "granite", true},
		{"Gra-Ni-Te", "granite", true},
		{"granit", "granite", false},
		{"llama3.1", "Llama-3.1", true},
		{"llama-31", "llama3.1", true},
		{"", "granite", false},
		{"ÉLAN-7b", "élan", true},
		{"aab", "ab", true},
	} {
		if got := mentions(tc.model, squeeze(tc.dir)); got != tc.want {
			t.Errorf("mentions(%q, %q) = %v, want %v", tc.model, tc.dir, got, tc.want)
		}
	}
}
