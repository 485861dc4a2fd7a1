// Package melleatest helps to test programs that use mellea: a [Backend] that says what a test scripts, and a
// [Recorder] that notes every hook operation and fails the test when one is left open.
package melleatest
