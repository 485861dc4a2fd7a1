package mellea_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/schema"
)

type house struct {
	place

	Owner string   `json:"owner"          jsonschema:"who lives there"`
	Rooms []string `json:"rooms"`
	Key   string   `json:"-"`
	note  string
}

type place struct {
	Street string `json:"street"`
	alarm  string
}

// Price is what the house costs.
func (h *house) Price(_ context.Context, in struct {
	Currency string `json:"currency" enum:"EUR,USD"`
},
) (string, error) {
	if in.Currency == "USD" {
		return "", errors.New("no rate today")
	}
	return fmt.Sprint(len(h.Rooms)*1000, " ", in.Currency), nil
}

func (h *house) Count() int { return len(h.Rooms) }

func (h *house) Sell(a, b string) {}

func home() *house {
	return &house{place: place{"Main St 1", "4711"}, Owner: "Ann", Rooms: []string{"kitchen"}, Key: "under the mat", note: "quiet"}
}

func TestQuery(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("Ann lives there."))
	res, err := mellea.Query(t.Context(), mellea.On(b), home(), "Who lives there?", mellea.Require("be short", mellea.PostCheck(func(any) error { return nil })),
		mellea.Strategy(nil))
	if unmet, ok := errors.AsType[*mellea.UnmetError](err); err != nil && (!ok || unmet == nil) {
		t.Fatal(err)
	}
	if res.Value != "Ann lives there." {
		t.Errorf("value = %q", res.Value)
	}
	want := "user: <data>\nstreet: Main St 1\nowner (who lives there): Ann\nrooms: [\"kitchen\"]\n</data>\n\nAnswer this question about the data: Who lives there?\n\nThe answer must meet these requirements:\n- be short"
	if diff := cmp.Diff(b.Prompt(0), []string{want}); diff != "" {
		t.Errorf("prompt (-got +want):\n%s", diff)
	}
}

func TestTransform(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(melleatest.Say("Done!"), melleatest.Say(`{"street":"Main St 2","owner":"Bo","rooms":[]}`))
	before := home()
	res, err := mellea.Transform(t.Context(), mellea.On(b), before, "Bo moves in at number 2, without rooms.")
	if err != nil {
		t.Fatal(err)
	}
	want := &house{place: place{"Main St 2", "4711"}, Owner: "Bo", Rooms: []string{}, Key: "under the mat", note: "quiet"}
	if diff := cmp.Diff(res.Value, want, cmp.AllowUnexported(house{}, place{})); diff != "" {
		t.Errorf("value (-got +want):\n%s", diff)
	}
	if diff := cmp.Diff(before, home(), cmp.AllowUnexported(house{}, place{})); diff != "" {
		t.Errorf("the object changed (-got +want):\n%s", diff)
	}
	if b.Requests()[0].Format.Name() != "house" || strings.Contains(b.Prompt(0)[0], "under the mat") {
		t.Errorf("asked for %q by:\n%s", b.Requests()[0].Format.Name(), b.Prompt(0)[0])
	}
	var none *house
	if _, err := mellea.Transform(t.Context(), mellea.On(b), none, "x"); err == nil {
		t.Error("changed nil")
	}
	if _, err := mellea.Transform(t.Context(), mellea.On(b), struct{ C chan int }{}, "x"); err == nil {
		t.Error("changed what has no schema")
	} else if _, ok := errors.AsType[*schema.TypeError](err); !ok {
		t.Errorf("got %v, want a *schema.TypeError", err)
	}
	value, err := mellea.Transform(t.Context(), mellea.On(melleatest.NewBackend(melleatest.Say(`{"result":["b"]}`))), []string{"a"}, "the next letter")
	if err != nil || len(value.Value) != 1 || value.Value[0] != "b" {
		t.Errorf("got %v, %v", value.Value, err)
	}
}

func TestMethodsAreTools(t *testing.T) {
	t.Parallel()
	b := melleatest.NewBackend(
		melleatest.Use("Price", `{"currency":"GBP"}`),
		melleatest.Use("Price", `{"currency":"USD"}`),
		melleatest.Use("Price", `{"currency":"EUR"}`),
		melleatest.Use("Count", `{}`),
		melleatest.Say("1000 EUR"))
	methods := mellea.Methods(map[string]string{"Price": "what it costs", "Count": "how many rooms it has"})
	res, err := mellea.Query(t.Context(), mellea.On(b), home(), "What does it cost?", methods)
	if err != nil {
		t.Fatal(err)
	}
	if res.Value != "1000 EUR" {
		t.Errorf("value = %q", res.Value)
	}
	last := b.Requests()[4].Messages
	var said []string
	for m := range last.Values() {
		for p := range m.Parts() {
			said = append(said, fmt.Sprint(p))
		}
	}
	all := strings.Join(said, "\n")
	for _, want := range []string{"GBP", "no rate today", "1000 EUR"} {
		if !strings.Contains(all, want) {
			t.Errorf("the model was not told %q:\n%s", want, all)
		}
	}
	var names []string
	for tool := range b.Requests()[0].Tools.Values() {
		names = append(names, tool.Name+": "+tool.Description)
	}
	if diff := cmp.Diff(names, []string{"Count: how many rooms it has", "Price: what it costs"}); diff != "" {
		t.Errorf("tools (-got +want):\n%s", diff)
	}
}

func TestMethodsRefuses(t *testing.T) {
	t.Parallel()
	on := mellea.On(melleatest.NewBackend(melleatest.Say("x")))
	tests := map[string]struct {
		object any
		method string
		want   string
	}{
		"no method":      {home(), "Burn", "there is no such method"},
		"not a function": {home(), "Sell", "it is a func(string, string)"},
		"not a pointer":  {*home(), "Count", "give a pointer"},
		"no object":      {nil, "Count", "there is no object"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := mellea.Query(t.Context(), on, tc.object, "x", mellea.Methods(map[string]string{tc.method: "d"}))
			usage, ok := errors.AsType[*mellea.UsageError](err)
			if !ok || usage.Option != "Methods" || !strings.Contains(usage.Reason, tc.want) {
				t.Errorf("got %v, want a *UsageError of Methods with %q", err, tc.want)
			}
		})
	}
	if _, err := mellea.Instruct(t.Context(), on, "x", mellea.Methods(map[string]string{"Count": "d"})); err == nil {
		t.Error("an instruction has methods")
	}
}

func TestQueryKinds(t *testing.T) {
	t.Parallel()
	q := component.NewQuery(component.NewInstruction("x"), "text")
	if q.Kind() != "query" || !q.Format().IsZero() {
		t.Errorf("kind %q, format %q", q.Kind(), q.Format().JSON())
	}
}
