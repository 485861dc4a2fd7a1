package integration_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/schema"
)

type order struct {
	Customer string `json:"customer"        jsonschema:"the name of the customer"`
	Items    []item `json:"items"           jsonschema:"what is ordered"`
	Urgent   bool   `json:"urgent"`
	Note     string `json:"note,omitempty"`
}

type item struct {
	Name  string `json:"name"`
	Count int8   `json:"count"`
	Size  size   `json:"size"`
}

type size string

func (size) Enum() []string { return []string{"small", "medium", "large"} }

// Two hundred calls of a typed function on a small, weak model: each gives a value that is whole by its type, or an error
// that says why. How often the value is the right one is the model's affair. Where components need not be there the test
// makes do with twenty, within the time that go test gives a package.
func TestDefineOnASmallModel(t *testing.T) {
	server := components.StartOllama(t)
	calls := 20
	if os.Getenv("MELLEA_REQUIRE_COMPONENTS") == "1" {
		calls = 200
	}
	extract := mellea.DefineResult[string, order]("Extract the order from the mail.",
		mellea.Example("Hi, Bo here, I need two large shirts today!", order{Customer: "Bo", Items: []item{{"shirt", 2, "large"}}, Urgent: true}),
		mellea.Temperature(0.8), mellea.MaxTokens(80))
	names := []string{"Ann", "Karl", "Mei", "Omar", "Ida"}
	things := []string{"one small lamp", "three large boxes and a medium bag", "five medium cups", "two small chairs, one large table"}
	on := mellea.On(ollama.New(ollama.WithBaseURL(server.URL), ollama.WithModel(server.Model)))
	t.Cleanup(func() { _ = on.Close() })

	var mu sync.Mutex
	var first, repaired, failed, cut, attempts int
	reasons := map[string]int{}
	began := time.Now()
	var wg sync.WaitGroup
	work := make(chan int)
	for range 2 {
		wg.Go(func() {
			for n := range work {
				mail := fmt.Sprintf("Hello, this is %s. Please send me %s. Order number %d.", names[n%len(names)], things[n%len(things)], n)
				res, err := extract(t.Context(), on, mail)
				mu.Lock()
				attempts += len(res.Attempts)
				switch unmet := (*mellea.UnmetError)(nil); {
				case err == nil && len(res.Attempts) == 1:
					first++
				case err == nil:
					repaired++
				case errors.As(err, &unmet):
					failed++
					bad, ok := errors.AsType[*schema.DecodeError](err)
					if !ok || len(bad.Problems) == 0 {
						t.Errorf("call %d failed without a reason: %v", n, err)
						break
					}
					if bad.Truncated {
						cut++
					}
					reasons[bad.Problems[0].Reason]++
				case !errors.Is(err, context.Canceled):
					t.Errorf("call %d: %v", n, err)
				}
				mu.Unlock()
			}
		})
	}
	for n := range calls {
		work <- n
		if mu.Lock(); n%20 == 19 {
			t.Logf("%d asked after %s: %d at once, %d after a repair, %d failed", n, time.Since(began).Round(time.Second), first, repaired, failed)
		}
		mu.Unlock()
	}
	close(work)
	wg.Wait()
	t.Logf("%d calls in %s: %d succeeded at once, %d after a repair, %d failed (%d of them cut off at the limit of tokens); %d attempts",
		calls, time.Since(began).Round(time.Second), first, repaired, failed, cut, attempts)
	for reason, n := range reasons {
		t.Logf("%4d × %s", n, reason)
	}
	if first+repaired+failed != calls {
		t.Errorf("%d calls have an outcome, want %d", first+repaired+failed, calls)
	}
	if first+repaired == 0 {
		t.Error("no call succeeded")
	}
}
