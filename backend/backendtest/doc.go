// Package backendtest is the conformance suite of backends: what a program, the engine and telemetry rely on whatever
// the model server.
//
// [Run] checks a backend against a fake server that the suite scripts. The backend brings a [Dialect], which turns the
// script into its server's bytes; [ChatCompletions] is that of the OpenAI API. A backend whose model is in the program
// runs it with an engine that takes the script from the fake server, see [Suite.InProcess]. [RunReal] checks what holds with any
// model, for a backend that talks to a real server or has its model in process.
//
// What they find is held against recorded [Results], which the scoreboard of the documentation is made of. After a change
// record them anew, those of real servers by the integration tests, and make the page:
//
//	MELLEA_RECORD_CONFORMANCE=1 go test -run Conformance ./backend/...
//	go generate ./backend/backendtest
package backendtest

//go:generate go run ../../internal/scoreboardgen -root ../..
