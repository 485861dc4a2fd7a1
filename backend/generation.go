package backend

import (
	"time"

	"github.com/mellea-go/mellea/content"
)

// Generation is the normalised metadata of one generation: every backend fills it, every plugin reads it. Fields a
// provider does not tell are zero.
type Generation struct {
	// Provider and Model are what was asked for; ResponseModel and ResponseID are what the provider says it used.
	Provider, Model           string
	ResponseModel, ResponseID string
	// RequestID is the id the server gave the HTTP exchange, for support requests.
	RequestID string
	// SystemFingerprint and ServiceTier say what answered, where the provider tells.
	SystemFingerprint, ServiceTier string
	// Deployment is a gateway's id of what it passed the request on to, for example LiteLLM's model id.
	Deployment string
	// Cost is what the provider says the generation cost.
	Cost          Cost
	FinishReasons content.List[string]
	Usage         content.Usage

	// Sent holds the parameters as resolved and sent, provider names already mapped back to the neutral ones.
	Sent Options
	// Streaming says that the reply was asked for in pieces.
	Streaming bool

	ServerAddress string
	ServerPort    int
	InProcess     bool
	// Retries lists the attempts before the one that answered, oldest first.
	Retries content.List[Retry]

	// The times are taken where bytes arrive and carry a monotonic reading. Started is when the generation began,
	// FirstChunk when its first piece of any kind arrived, FirstToken the first text, reasoning or tool-call piece, and
	// Ended when the last byte did. FirstChunk and FirstToken are zero when nothing arrived.
	Started, FirstChunk, FirstToken, Ended time.Time
	// Chunks counts the pieces that arrived.
	Chunks int

	// Logits and RawLogits are the scores that were asked for by [Options.WithLogits] and [Options.WithRawLogits]: one for
	// each token of the reply, in order, and one for the token that ended it. Nothing else keeps them.
	Logits, RawLogits content.List[Scores]
}

// TimeToFirstChunk returns how long the first piece took, and false when none arrived.
func (g Generation) TimeToFirstChunk() (time.Duration, bool) {
	return g.FirstChunk.Sub(g.Started), !g.FirstChunk.IsZero()
}

// TimeToFirstToken returns how long the first text, reasoning or tool-call piece took, and false when none arrived.
func (g Generation) TimeToFirstToken() (time.Duration, bool) {
	return g.FirstToken.Sub(g.Started), !g.FirstToken.IsZero()
}

// Retry is one attempt that failed before its first byte and was made again.
type Retry struct {
	At     time.Time     // when it failed
	Delay  time.Duration // how long the next attempt waited
	Status int           // the HTTP status, 0 when no reply came
	Reason string        // a short, fixed word such as "rate_limit" or "connection_reset"
}

// Cost is a price that a provider reported, in US dollars. Reported tells a price of nothing from none.
type Cost struct {
	USD      float64
	Reported bool
}
