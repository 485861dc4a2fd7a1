// Package melleatest helps to test programs that use mellea: a [Backend] that says what a test scripts, a [Recorder] that
// notes every hook operation and fails the test when one is left open, and [CheckSemconv], which holds telemetry against the
// OpenTelemetry conventions.
package melleatest
