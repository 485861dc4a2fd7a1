//go:build !race

package telemetry_test

// raceEnabled says that the race detector is on: it allocates, so allocation gates are skipped.
const raceEnabled = false
