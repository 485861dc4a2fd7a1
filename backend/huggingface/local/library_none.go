//go:build nollama

package local

// cpp takes the place of llama.cpp in a program that is built without it.
type cpp struct{ dir string }

func (e cpp) load(string, loadSettings) (weights, error) {
	return nil, unsupported("load", "this program was built with the tag nollama, and so without llama.cpp: build it without the tag, or use an endpoint")
}
