//go:build !race

package watsonx_test

const raceEnabled = false
