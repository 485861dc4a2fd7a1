package backendtest

import (
	"iter"
	"testing"
)

// Outcome is what became of one [Feature].
type Outcome string

// The outcomes.
const (
	Pass   Outcome = "pass"   // it works
	Cannot Outcome = "cannot" // the backend does not have it, and says so
	Fail   Outcome = "fail"   // it does not do what it says
)

// Feature is one thing that a backend does, and the part of the suite that checks it.
type Feature struct {
	// ID names it in recorded results.
	ID string
	// Title says what is checked.
	Title string

	test    string // name of the subtest
	fake    func(*testing.T, Suite) Outcome
	real    func(*testing.T, *realRun) Outcome
	network bool // it is about servers that are far away
}

// checkedBy says that Run checks the feature.
func (f Feature) checkedBy(s Suite) bool { return f.fake != nil && (!s.InProcess || !f.network) }

// Features iterates over all features, in the order of the scoreboard.
func Features() iter.Seq[Feature] {
	return func(yield func(Feature) bool) {
		for _, f := range features {
			if !yield(f) {
				return
			}
		}
	}
}

// must makes a check of something that every backend has.
func must(f func(*testing.T, Suite)) func(*testing.T, Suite) Outcome {
	return func(t *testing.T, s Suite) Outcome {
		f(t, s)
		return Pass
	}
}

var features = []Feature{
	{ID: "chat", Title: "chat: the model sees the conversation, the program its reply", test: "Chat", fake: must(runChat), real: realChat},
	{ID: "stream", Title: "streaming: each piece as it arrives", test: "Stream", fake: must(runStream), real: realStream},
	{ID: "cancel", Title: "cancelled in the middle of a stream, by the context, the output or by leaving", test: "Cancel", fake: must(runCancel), real: realCancel},
	{ID: "reasoning", Title: "reasoning apart from the text", test: "Reasoning", fake: runReasoning, real: realReasoning},
	{ID: "tools", Title: "tools: calls and their results, under the ids of the calls", test: "Tools", fake: runTools, real: realTools},
	{ID: "schema", Title: "replies constrained to a JSON Schema by the provider", test: "Schema", fake: runSchema, real: realSchema},
	{ID: "images", Title: "images as bytes", test: "Images", fake: runImages, real: realImages},
	{ID: "image_urls", Title: "images by their URL", test: "ImageURLs", fake: runImageURLs, real: realImageURLs},
	{ID: "audio", Title: "audio", test: "Audio", fake: runAudio},
	{ID: "batch", Title: "batches of raw completions: in order, each failing for itself", test: "Batch", fake: runBatch, real: realBatch},
	{ID: "options", Title: "options: sent, reported once when they cannot be, refused when strict", test: "Options", fake: must(runOptions), real: realOptions},
	{ID: "usage", Title: "tokens counted", test: "Usage", fake: runUsage, real: realUsage},
	{ID: "cached_usage", Title: "cached tokens counted", test: "CachedUsage", fake: runCachedUsage},
	{ID: "reasoning_usage", Title: "reasoning tokens counted", test: "ReasoningUsage", fake: runReasoningUsage},
	{ID: "metadata", Title: "metadata: server, model, ids, finish reasons, parameters as sent, trace context", test: "Metadata", fake: must(runMetadata), real: realMetadata},
	{ID: "errors", Title: "typed errors with a remedy for everything a server may answer", test: "BadInput", fake: must(runBadInput), real: realErrors},
	{ID: "retries", Title: "retries before the first byte, and none after it", test: "Retry", fake: must(runRetry), network: true},
	{ID: "cut_off", Title: "a reply cut off after each of its bytes", test: "CutOff", fake: must(runCutOff), network: true},
	{ID: "killed", Title: "the server killed 500 times in the middle of a stream", test: "Killed", fake: must(runKilled), network: true},
	{ID: "concurrent", Title: "1000 calls at once, nothing left behind", test: "Concurrent", fake: must(runConcurrent)},
	{ID: "models", Title: "a list of the models", test: "Models", fake: runModels, real: realModels},
}
