package hook_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mellea-go/mellea/hook"
)

// Search is the payload of a point that an application of its own declares.
type Search struct{ Query string }

// Hits is what the search found.
type Hits struct{ Count int }

// searching is the point: a package variable of whoever runs the searches.
var searching = hook.NewPoint[Search, Hits]("search")

// search is a step that announces itself.
func search(ctx context.Context, set *hook.Set, query string) (Hits, error) {
	return searching.Do(ctx, set, Search{query}, func(_ context.Context, s Search) (Hits, error) {
		return Hits{len(s.Query)}, nil
	})
}

// A point is declared once and fired around each step; whoever is interested binds to it.
func ExamplePoint() {
	set := (*hook.Set)(nil).With(
		searching.Observe(func(_ context.Context, s Search) { fmt.Println("searching for", s.Query) }),
		searching.Review(func(_ context.Context, _ Search, h Hits) (Hits, error) { return Hits{min(h.Count, 3)}, nil }),
	)
	hits, err := search(context.Background(), set, "otters")
	fmt.Println(hits.Count, err)

	hits, err = search(context.Background(), nil, "otters") // nobody listens
	fmt.Println(hits.Count, err)
	// Output:
	// searching for otters
	// 3 <nil>
	// 6 <nil>
}

// A guard edits the payload or rejects the call.
func ExamplePoint_Guard() {
	set := (*hook.Set)(nil).With(searching.Guard(func(_ context.Context, s Search) (Search, error) {
		if strings.Contains(s.Query, "password") {
			return s, hook.Reject("forbidden_word", "the query asks for a password")
		}
		s.Query = strings.ToLower(s.Query)
		return s, nil
	}, hook.Name("words")))

	_, err := search(context.Background(), set, "my password")
	fmt.Println(err)
	if rejection, ok := errors.AsType[*hook.Rejection](err); ok {
		fmt.Println(rejection.Code+":", rejection.Reason)
	}
	// Output:
	// hook: search rejected by words (forbidden_word)
	// forbidden_word: the query asks for a password
}

// A bracket sees the beginning and the end of each operation, however it ends.
func ExamplePoint_Bracket() {
	set := (*hook.Set)(nil).With(searching.Bracket(func(ctx context.Context, s Search) (context.Context, func(hook.Outcome[Search, Hits])) {
		fmt.Println("begin", s.Query)
		return ctx, func(o hook.Outcome[Search, Hits]) {
			fmt.Println("end", o.Ending, o.Post.Count, o.End.Sub(o.Start) < time.Hour)
		}
	}))
	_, _ = search(context.Background(), set, "otters")
	_, _ = search(context.Background(), set.With(searching.Check(func(context.Context, Search) error {
		return hook.Reject("closed", "")
	})), "badgers")
	// Output:
	// begin otters
	// end ok 6 true
	// begin badgers
	// end rejected 0 true
}

// A check rejects only, and several run at the same time.
func ExamplePoint_Check() {
	allowed := func(word string) hook.Binding {
		return searching.Check(func(_ context.Context, s Search) error {
			if strings.Contains(s.Query, word) {
				return hook.Reject("forbidden_word", word)
			}
			return nil
		}, hook.Timeout(time.Second), hook.Name("words"))
	}
	_, err := search(context.Background(), (*hook.Set)(nil).With(allowed("eels"), allowed("newts")), "newts")
	fmt.Println(errors.AsType[*hook.Rejection](err))
	// Output:
	// hook: search rejected by words (forbidden_word) true
}

// Begin is for an operation that ends later than the function that begins it, such as a stream.
func ExamplePoint_Begin() {
	set := (*hook.Set)(nil).With(searching.OnError(func(_ context.Context, o hook.Outcome[Search, Hits]) {
		fmt.Println(o.Ending, "after", o.Post.Count)
	}))
	stream := func(ctx context.Context) (func(yield func(int) bool), error) {
		_, op, err := searching.Begin(ctx, set, Search{"otters"})
		if err != nil {
			return nil, err
		}
		return func(yield func(int) bool) {
			var hits Hits
			defer func() { _, _ = op.End(hits, context.Canceled) }() // unless it ended before, the reader left
			for ; hits.Count < 100; hits.Count++ {
				if !yield(hits.Count) {
					return
				}
			}
			_, _ = op.End(hits, nil)
		}, nil
	}
	hits, err := stream(context.Background())
	if err != nil {
		fmt.Println(err)
		return
	}
	for n := range hits {
		if n == 2 {
			break
		}
	}
	// Output:
	// cancelled after 2
}

// An Async writes in the background and in order; closing the Set waits for it.
func ExamplePoint_Async() {
	set := (*hook.Set)(nil).With(searching.Async(func(_ context.Context, o hook.Outcome[Search, Hits]) {
		fmt.Println("audit:", o.Pre.Query, o.Ending)
	}, hook.QueueSize(1000)))
	_, _ = search(context.Background(), set, "otters")
	_, _ = search(context.Background(), set, "newts")

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	fmt.Println(set.Close(ctx))
	// Output:
	// audit: otters ok
	// audit: newts ok
	// <nil>
}

// Accept says which edits of a guard count; another is an error of the call.
func ExampleAccept() {
	fetching := hook.NewPoint("fetch", hook.Accept[Search, Hits](func(old, edited Search) (Search, error) {
		if len(edited.Query) > len(old.Query) {
			return old, errors.New("a query can only be shortened")
		}
		return edited, nil
	}))
	set := (*hook.Set)(nil).With(fetching.Guard(func(_ context.Context, s Search) (Search, error) {
		return Search{s.Query + " and everything else"}, nil
	}, hook.Name("greedy"))).Report(func(f hook.Failure) { fmt.Println(f.Plugin, "failed:", f.Err) })
	_, err := fetching.Do(context.Background(), set, Search{"otters"}, func(context.Context, Search) (Hits, error) {
		return Hits{}, nil
	})
	fmt.Println(err)
	// Output:
	// greedy failed: a query can only be shortened
	// hook: fetch rejected by greedy (forbidden_edit)
}

// A signal is an instant rather than an operation.
func ExampleSignal() {
	found := hook.NewSignal[string]("found")
	set := (*hook.Set)(nil).With(found.On(func(_ context.Context, what string) { fmt.Println("found", what) }))
	if found.Active(set) { // worth asking only when the payload is costly to make
		found.Emit(context.Background(), set, "an otter")
	}
	found.Emit(context.Background(), nil, "nothing anybody hears of")
	// Output:
	// found an otter
}

// A plugin is a named group of bindings, and is what a package of guards or of telemetry offers.
func ExamplePlugin() {
	limits := hook.Plugin{Name: "limits", Sources: []hook.Source{
		searching.Guard(func(_ context.Context, s Search) (Search, error) { return s, nil }, hook.Priority(-10)),
		searching.Async(func(context.Context, hook.Outcome[Search, Hits]) {}),
	}}
	program := (*hook.Set)(nil).With(limits)
	session := program.WithScope(hook.ScopeSession, searching.Observe(func(context.Context, Search) {}, hook.Name("log")))
	for _, b := range session.Bindings() {
		fmt.Println(b.Point(), b.Role(), b.Plugin(), b.Priority(), b.Scope())
	}
	// Output:
	// search guard limits -10 program
	// search observe log 0 session
	// search async limits 0 program
}

// A reporter sees what plugins do wrong, which a call never does.
func ExampleSet_Report() {
	set := (*hook.Set)(nil).With(searching.Observe(func(context.Context, Search) { panic("oh no") }, hook.Name("fragile"))).
		Report(func(f hook.Failure) { fmt.Println(f.Plugin, f.Role, f.Panic) })
	hits, err := search(context.Background(), set, "otters")
	fmt.Println(hits.Count, err, set.Stats().PluginFailures)
	// Output:
	// fragile observe oh no
	// 6 <nil> 1
}
