package semconvtest_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/semconvtest"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/telemetry/semconv/check"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A failing is a test that ends when it is told to.
type failing struct {
	testing.TB

	cleanup []func()
	errors  []string
}

func (f *failing) Helper()           {}
func (f *failing) Cleanup(fn func()) { f.cleanup = append(f.cleanup, fn) }
func (f *failing) Errorf(format string, a ...any) {
	f.errors = append(f.errors, fmt.Sprintf(format, a...))
}

func (f *failing) end() []string {
	for i := range f.cleanup {
		f.cleanup[len(f.cleanup)-1-i]()
	}
	return f.errors
}

// call makes one generation and one batch of what is to be said.
func call(t *testing.T, tb testing.TB, say melleatest.Reply, exceptions ...melleatest.SemconvOption) {
	t.Helper()
	b := semconvtest.Traced(tb, melleatest.NewBackend(say), exceptions...)
	out, err := b.Generate(t.Context(), backend.Request{Messages: content.NewMessages(content.User("hi"))})
	if err != nil {
		t.Fatal(err)
	}
	if err := out.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := b.GenerateBatch(context.Background(), backend.BatchRequest{Prompts: content.ListOf("hi")}); err != nil {
		t.Error(err)
	}
}

// What a backend says wrong of a call fails its test, and what it says right does not.
func TestTraced(t *testing.T) {
	t.Parallel()
	noID := melleatest.Allow(check.RecommendedAttributeNotPresent, "gen_ai.response.id", "batches of the scripted backend have none")
	usage := content.Usage{InputTokens: 3, OutputTokens: 2}
	right := &failing{}
	call(t, right, melleatest.Reply{Pieces: []string{"hello"}, ResponseID: "r1", ResponseModel: "m", Usage: usage}, noID)
	if got := right.end(); len(got) != 0 {
		t.Errorf("failures %q, want none", got)
	}
	wrong := &failing{}
	usage.CacheReadTokens = 4
	call(t, wrong, melleatest.Reply{Pieces: []string{"hello"}, ResponseID: "r1", ResponseModel: "m", Usage: usage}, noID)
	got := wrong.end()
	slices.Sort(got) // calls end when they do
	if len(got) != 2 || !strings.Contains(got[0], `count_inconsistent: span "chat script-1"`) || !strings.Contains(got[1], `count_inconsistent: span "text_completion script-1"`) {
		t.Errorf("failures %q, want that more was cached than sent, of the call and of the batch", got)
	}
}

// A test in which nothing is called has nothing to check.
func TestTracedAndNotCalled(t *testing.T) {
	t.Parallel()
	f := &failing{}
	b := semconvtest.Traced(f, melleatest.NewBackend())
	if _, lists := b.(backend.ModelLister); lists {
		t.Error("the scripted backend has no models to list")
	}
	if got := f.end(); len(got) != 0 {
		t.Errorf("failures %q, want none", got)
	}
}
