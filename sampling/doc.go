// Package sampling decides what to try next when a reply does not meet its requirements, and which attempt to keep.
//
// A [Strategy] is pure: it gets the attempts made so far and says what the next one is. It calls no model, does no I/O
// and keeps no state; the engine runs what it asks for.
package sampling
