package replay

import (
	"math"
	"time"
)

// Timing is how fast a recording is replayed: the factor by which its times are multiplied.
type Timing float64

// The usual timings.
const (
	Instant Timing = 0 // nothing waits
	Real    Timing = 1 // as it was recorded
)

// Scaled replays with all times multiplied by f: 0.5 is twice as fast as it was recorded. A negative f, or one that is
// not a number, is [Instant].
func Scaled(f float64) Timing {
	if !(f > 0) {
		return Instant
	}
	return Timing(f)
}

// scale returns the time that stands for us microseconds of the recording.
func (t Timing) scale(us int64) time.Duration {
	d := float64(us) * float64(t) * float64(time.Microsecond)
	if d >= math.MaxInt64/2 {
		return math.MaxInt64 / 2
	}
	return time.Duration(d)
}
