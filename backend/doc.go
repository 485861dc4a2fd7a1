// Package backend is the contract between the engine and model servers: a [Backend] turns a [Request] into an
// [Output], a running generation that any number of readers may follow.
//
// A backend is done when it fills an Output: it renders nothing, retries inside one generation, fires no hooks and
// knows nothing of telemetry. What happened is in [Generation], the normalised metadata every backend fills.
package backend
