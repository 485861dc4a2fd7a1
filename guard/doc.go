// Package guard has ready-made guards: plugins that deny or rewrite what a model asks for. They are installed with
// mellea.WithHooks, in a session or in a block of it.
//
// A call of a tool that is denied does not end the program's call. The model is told the reason and goes on.
package guard
