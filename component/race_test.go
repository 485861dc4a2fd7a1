//go:build race

package component_test

const raceEnabled = true
