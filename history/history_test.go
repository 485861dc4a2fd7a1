package history_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/history"
)

func texts(h history.History) []string {
	var got []string
	for m := range h.View().Values() {
		got = append(got, m.Text())
	}
	return got
}

func TestHistories(t *testing.T) {
	t.Parallel()
	one, two := content.User("one"), content.Assistant("two")
	for _, tc := range []struct {
		name, kind string
		h          history.History
		view       []string
		length     int
	}{
		{"simple", "simple", history.Simple(), nil, 0},
		{"simple with messages", "simple", history.Simple().Append(one, two).Append(one), nil, 3},
		{"simple, fresh", "simple", history.Simple().Append(one).Fresh(), nil, 0},
		{"chat", "chat", history.Chat(), nil, 0},
		{"chat that begins with a message", "chat", history.Chat(one).Append(two), []string{"one", "two"}, 2},
		{"chat, nothing appended", "chat", history.Chat(one).Append(), []string{"one"}, 1},
		{"chat, fresh", "chat", history.Chat(one).Fresh(), nil, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tc.view, texts(tc.h)); diff != "" {
				t.Errorf("view (-want +got):\n%s", diff)
			}
			if got := tc.h.Len(); got != tc.length {
				t.Errorf("Len() = %d, want %d", got, tc.length)
			}
			if got := tc.h.Kind(); got != tc.kind {
				t.Errorf("Kind() = %q, want %q", got, tc.kind)
			}
		})
	}
}

func TestBranchesDoNotSeeEachOther(t *testing.T) {
	t.Parallel()
	given := []content.Message{content.User("trunk")}
	trunk := history.Chat(given...).Append(content.Assistant("more"))
	given[0] = content.User("changed")
	left, right := trunk.Append(content.User("left")), trunk.Append(content.User("right"))
	for _, tc := range []struct {
		name string
		h    history.History
		want []string
	}{
		{"trunk", trunk, []string{"trunk", "more"}},
		{"left", left, []string{"trunk", "more", "left"}},
		{"right", right, []string{"trunk", "more", "right"}},
	} {
		if diff := cmp.Diff(tc.want, texts(tc.h)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tc.name, diff)
		}
	}
}

func TestAppendConcurrentSafe(t *testing.T) {
	t.Parallel()
	trunk := history.Chat(content.User("trunk"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			want := []string{"trunk", fmt.Sprint(i)}
			if diff := cmp.Diff(want, texts(trunk.Append(content.User(fmt.Sprint(i))))); diff != "" {
				t.Errorf("branch %d (-want +got):\n%s", i, diff)
			}
		})
	}
	wg.Wait()
}

func ExampleChat() {
	trunk := history.Chat(content.System("Be brief."), content.User("Hi"))
	left := trunk.Append(content.Assistant("Hello!"))
	right := trunk.Append(content.Assistant("Hey."))
	for _, h := range []history.History{trunk, left, right} {
		last, _ := h.View().Last()
		fmt.Println(h.Len(), last.Role(), last.Text())
	}
	// Output:
	// 2 user Hi
	// 3 assistant Hello!
	// 3 assistant Hey.
}

func ExampleSimple() {
	h := history.Simple().Append(content.User("Hi"), content.Assistant("Hello!"))
	fmt.Println(h.Len(), "appended,", h.View().Len(), "seen")
	// Output: 2 appended, 0 seen
}
