// Package engine runs calls: it is the only place that fires hook points and calls backends.
//
// A [Scope] says under what configuration calls run; [Scope.Act] runs one to its end, [Scope.Start] lets its single
// generation outlive the call, [Scope.Validate] checks what is there already. [Session] adds a life: calls that still
// run when it closes are abandoned and awaited.
//
// Everything a strategy, a requirement or a component wants of a model goes through Scope.generate, so that it is
// hooked like any other call.
package engine
