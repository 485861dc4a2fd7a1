package components

import (
	"runtime"
	"testing"
)

// recorder notes how a test ended instead of ending it.
type recorder struct {
	testing.TB
	ended, text string
}

func (r *recorder) Helper() {}

func (r *recorder) Skip(args ...any) { r.end("skip", args[0].(error).Error()) }

func (r *recorder) Fatalf(_ string, args ...any) { r.end("fatal", args[0].(error).Error()) }

func (r *recorder) end(how, text string) {
	r.ended, r.text = how, text
	runtime.Goexit()
}
