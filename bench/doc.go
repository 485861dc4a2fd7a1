// Package bench measures what a call costs beside the floor of the same exchange over raw net/http. It has no code of
// its own: its tests are the gates, its benchmarks the figures of docs/performance.md.
package bench
