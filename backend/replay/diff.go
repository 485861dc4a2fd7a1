package replay

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
)

// unexpected is the error for a request that no unused exchange answers.
func (b *Backend) unexpected(asked *request, id [32]byte) error {
	e := &backend.Error{Provider: b.header.Provider, Op: "replay", Code: CodeUnexpected}
	times := 0
	for _, x := range b.all {
		if x.canonical == id {
			times++
		}
	}
	if times > 0 {
		e.Remedy = fmt.Sprintf("the recording answers this request %d time(s) and has done so: make it again with the present program", times)
		return e
	}
	candidates := b.left()
	if len(candidates) == 0 {
		candidates = b.all
	}
	if len(candidates) == 0 {
		e.Remedy = "the recording is empty: make it again with the present program"
		return e
	}
	var (
		nearest *exchange
		least   difference
	)
	for _, x := range candidates {
		if d := compare(asked, &x.Request); nearest == nil || d.less(least) {
			nearest, least = x, d
		}
	}
	e.Remedy = fmt.Sprintf("it is not in the recording; compared with the nearest request there (line %d), %s: make the recording again with the present program",
		nearest.line, least)
	return e
}

// difference tells where two requests differ, in words that quote neither.
type difference struct {
	places []string
	common int // bytes of messages alike before the first place
}

func (d difference) less(e difference) bool {
	return cmp.Or(cmp.Compare(len(d.places), len(e.places)), cmp.Compare(e.common, d.common)) < 0
}

// String names the first places.
func (d difference) String() string {
	const most = 3
	if len(d.places) == 0 {
		return "it differs in its encoding"
	}
	s := strings.Join(d.places[:min(len(d.places), most)], ", ")
	if more := len(d.places) - most; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

// compare lists where asked differs from recorded. Messages, parts and bytes count from 1.
func compare(asked, recorded *request) difference {
	var d difference
	add := func(format string, args ...any) { d.places = append(d.places, fmt.Sprintf(format, args...)) }
	if asked.Model != recorded.Model {
		add("the model is another")
	}
	switch batch, recordedBatch := asked.Prompts != nil, recorded.Prompts != nil; {
	case batch && !recordedBatch:
		add("it is a batch")
	case !batch && recordedBatch:
		add("it is not a batch")
	case batch:
		d.prompts(asked.Prompts, recorded.Prompts)
	default:
		d.messages(asked.Messages, recorded.Messages)
	}
	for _, name := range differingOptions(asked.Options, recorded.Options) {
		add("option %s differs", name)
	}
	if !same(asked.Format, recorded.Format) {
		add("the format differs")
	}
	if !same(asked.Tools, recorded.Tools) {
		add("the tools differ")
	}
	return d
}

func (d *difference) messages(asked, recorded []message) {
	add := func(format string, args ...any) { d.places = append(d.places, fmt.Sprintf(format, args...)) }
	alike := true
	for i := range min(len(asked), len(recorded)) {
		a, r := asked[i], recorded[i]
		switch {
		case a.Role != r.Role:
			add("message %d has another role", i+1)
		case a.Text != r.Text:
			n := firstDifference([]byte(a.Text), []byte(r.Text))
			if alike {
				d.common += n
			}
			add("message %d differs at byte %d", i+1, n+1)
		case !slices.Equal(a.Parts, r.Parts):
			add("message %d differs in part %d", i+1, firstDifference(a.Parts, r.Parts)+1)
		default:
			if alike {
				d.common += len(a.Text)
			}
			continue
		}
		alike = false
	}
	if len(asked) != len(recorded) {
		add("it has %d messages, not %d", len(asked), len(recorded))
	}
}

func (d *difference) prompts(asked, recorded []string) {
	if len(asked) != len(recorded) {
		d.places = append(d.places, fmt.Sprintf("it has %d prompts, not %d", len(asked), len(recorded)))
	}
	if i := firstDifference(asked, recorded); i < min(len(asked), len(recorded)) {
		n := firstDifference([]byte(asked[i]), []byte(recorded[i]))
		d.common += n
		d.places = append(d.places, fmt.Sprintf("prompt %d differs at byte %d", i+1, n+1))
	}
}

// firstDifference returns how many elements a and b have in common at their start.
func firstDifference[T comparable](a, b []T) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// differingOptions returns the names of the options that differ, sorted.
func differingOptions(a, b options) []string {
	x, y := members(a), members(b)
	var names []string
	for name, v := range x {
		if w, ok := y[name]; !ok || !bytes.Equal(v, w) {
			names = append(names, name)
		}
	}
	for name := range y {
		if _, ok := x[name]; !ok {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// members returns the options by name, the extras among them, in canonical form.
func members(o options) map[string]jsontext.Value {
	extra := o.Extra
	o.Extra = nil
	all := map[string]jsontext.Value{}
	if text, err := canonical(o); err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	for name, v := range extra {
		all[name], _ = canonical(v)
	}
	return all
}

// same reports whether two parts of requests that have an identity are the same in it.
func same(a, b any) bool {
	x, _ := canonical(a)
	y, _ := canonical(b)
	return bytes.Equal(x, y)
}
