// Package telemetry turns the hook points of a generative program into OpenTelemetry traces, metrics and log events, and tells
// the log lines of the program which step they are written in.
//
// [Setup] reads MELLEA_* and OTEL_* variables when it is called, and options in code win over them. What it returns is a
// [hook.Source]: install it where a session or a call is made, and each step becomes a span. With nothing switched on it
// has no bindings, and the program pays nothing.
//
//	tel, err := telemetry.Setup(ctx)
//	if err != nil { … }
//	defer tel.Shutdown(context.Background())
//	s, err := mellea.Start(ctx, b, mellea.WithHooks(tel))
//	log := slog.New(tel.LogHandler())
//
// Names of spans and attributes are in package semconv. No prompt, reply, requirement text or error text of others is
// recorded unless content capture is on, and none of it on a metric ever. What a program
// logs itself is its own.
package telemetry
