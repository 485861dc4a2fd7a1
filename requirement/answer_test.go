package requirement

import "testing"

func TestParseYesNo(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		yes, ok      bool
		reason       string
	}{
		{"yes", "yes", true, true, ""},
		{"Yes.", "Yes.", true, true, ""},
		{"bold", "**No**", false, true, ""},
		{"labelled", "Answer: yes", true, true, ""},
		{"upper case", "NO!", false, true, ""},
		{"tagged", "<answer>no</answer>", false, true, ""},
		{"reason after", "No. It says \"ASAP\".", false, true, `It says "ASAP".`},
		{"reason after bold", "**No** - the tone is casual.", false, true, "the tone is casual."},
		{"reason on the next line", "No\n\nIt is too long.\n", false, true, "It is too long."},
		{"quoted reason", "No, \"ASAP\" is there", false, true, `"ASAP" is there`},
		{"reason before", "The mail is casual. Answer: no", false, true, "The mail is casual."},
		{"label alone is no reason", "My answer is no", false, true, ""},
		{"one word is no reason", "No. Casual", false, true, ""},
		{"the first word wins", "Yes, there is no doubt", true, true, "there is no doubt"},
		{"part of a word does not count", "Not known, yesterday. No", false, true, "Not known, yesterday."},
		{"thinking does not count", "<think>yes or no?</think>\nno", false, true, ""},
		{"neither", "It depends.", false, false, ""},
		{"empty", "", false, false, ""},
		{"not UTF-8", "\xff\xfeyes\xff", true, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, ok := parseYesNo(tc.answer)
			if got.yes != tc.yes || ok != tc.ok || got.reason != tc.reason {
				t.Errorf("got %+v, %v; want yes %v, reason %q, %v", got, ok, tc.yes, tc.reason, tc.ok)
			}
		})
	}
}

func TestParseScore(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, answer string
		most, want   float64
		ok           bool
		reason       string
	}{
		{"number", "7", 10, 7, true, ""},
		{"decimal", "0.85", 1, 0.85, true, ""},
		{"decimal comma", "7,5", 10, 7.5, true, ""},
		{"with reason", "8. It is quite formal.", 10, 8, true, "It is quite formal."},
		{"labelled", "Score: 7", 10, 7, true, ""},
		{"after other numbers", "It has 3 lines and 12 words. Rating: 4", 10, 4, true, ""},
		{"bold", "**9**", 10, 9, true, ""},
		{"share", "8/10", 10, 8, true, ""},
		{"share on another scale", "4 out of 5", 1, 0.8, true, ""},
		{"percentage", "85 %", 10, 8.5, true, ""},
		{"repeats the scale", "On a scale of 0 to 10, 6.", 10, 6, true, ""},
		{"repeats the scale with a dash", "Score (0-10): 6", 10, 6, true, ""},
		{"thinking does not count", "<think>3?</think>5", 10, 5, true, ""},
		{"label without a number", "7, a good score", 10, 7, true, "a good score"},
		{"beyond", "11", 10, 0, false, ""},
		{"negative", "-1", 10, 0, false, ""},
		{"on the wrong scale", "7", 1, 0, false, ""},
		{"share of nothing", "1/0", 10, 0, false, ""},
		{"none", "very good", 10, 0, false, ""},
		{"empty", "", 10, 0, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			got, reason, ok := parseScore(tc.answer, tc.most)
			if got != tc.want || ok != tc.ok || reason != tc.reason {
				t.Errorf("got %v, %q, %v; want %v, %q, %v", got, reason, ok, tc.want, tc.reason, tc.ok)
			}
		})
	}
}

func FuzzParseAnswer(f *testing.F) {
	for _, s := range []string{"yes", "**No**. Because.", "8/10", "7 out of 10", "-1", "0-10: 5", "</think>no", "1/0", "\xff9%"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		if a, ok := parseYesNo(answer); !ok && a != (yesNo{}) {
			t.Errorf("%q: got %+v without an answer", answer, a)
		}
		for _, most := range []float64{1, 10} {
			if score, _, ok := parseScore(answer, most); ok && !(score >= 0 && score <= most) {
				t.Errorf("%q: got %v, want from 0 to %v", answer, score, most)
			}
		}
	})
}
