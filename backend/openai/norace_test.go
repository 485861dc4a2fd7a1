//go:build !race

package openai_test

// raceEnabled tells tests that count allocations that the race detector adds its own.
const raceEnabled = false
