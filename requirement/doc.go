// Package requirement holds what a reply must meet: checks by code, checks by a model, and their verdicts.
//
// A [Requirement] is an immutable value with a [Checker]. The checker gets an [Env]: the reply, what led to it, and
// Ask, its only way to a model.
package requirement
