// Package backendtest is the conformance suite of backends: what a program, the engine and telemetry rely on whatever
// the model server.
//
// [Run] checks a backend against a fake server that the suite scripts. The backend brings a [Dialect], which turns the
// script into its server's bytes; [ChatCompletions] is that of the OpenAI API. [RunReal] checks what holds with any
// model, for a backend that talks to a real server or has its model in process.
package backendtest
