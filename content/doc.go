// Package content holds the immutable values that travel between a program and a model: messages, their parts, tool
// specifications and token usage.
//
// Every type is a value. Fields that could be shared are unexported and reached through accessors that copy or
// iterate, so a hook that receives one cannot change what another sees. All of it is safe for concurrent use.
package content
