//go:build !race

package hook_test

// raceEnabled is set when the race detector is, which allocates on its own.
const raceEnabled = false
