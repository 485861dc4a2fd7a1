// Package batch does the lines of a file, each once, however often the run that does them is cut off.
//
// What a line came to is appended to a [Journal] in one write before the line counts as done. A run that is killed at
// any byte leaves a journal that the next one repairs and reads, and goes on from. Lines that were under way when it
// was killed are done again: what they came to was never written.
//
// The package knows nothing of models. It bounds how many lines are under way at once, and how many requests and
// tokens they take a minute.
package batch
