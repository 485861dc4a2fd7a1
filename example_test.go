package mellea_test

import (
	"context"
	"fmt"
	"log"
	"os"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/replay"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/telemetry"
)

// model stands for ollama.New() of the README's program: what SmolLM2-135M-Instruct said to it, recorded.
func model() backend.Backend {
	b, err := replay.Open("examples/instruct-validate-repair/recording.jsonl")
	if err != nil {
		log.Fatal(err)
	}
	return b
}

// The program of the README. The model's first sentence is too long, so it is asked again, with the reason.
func Example() {
	ctx := context.Background()
	tel, err := telemetry.Setup(ctx, telemetry.WithConsole(os.Stderr))
	if err != nil {
		log.Fatal(err)
	}
	defer tel.Shutdown(ctx)
	s, err := mellea.Start(ctx, model(), mellea.WithHooks(tel))
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()

	otter, err := s.Instruct(ctx, "Describe {{.thing}} in one sentence.",
		mellea.Vars{"thing": "an otter"},
		mellea.Require("at most 20 words", requirement.MaxWords(20)), // shown to the model, judged by code
		mellea.Check(requirement.Contains("otter")),                  // judged, not shown
		mellea.Temperature(0.4), mellea.Seed(2))
	if err != nil {
		log.Fatal(err) // a *mellea.UnmetError when three attempts were not enough
	}
	fmt.Println(otter.Text())
	// Output: The otter is a majestic creature with the body of a mammal but the tail of a fish.
}
