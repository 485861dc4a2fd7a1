//go:build !llama

package local

// cpp takes the place of llama.cpp in a program that is built without it.
type cpp struct{ dir string }

func (e cpp) load(string, loadSettings) (weights, error) {
	return nil, unsupported("load", "this program was built without llama.cpp: build it with -tags llama, or use an endpoint")
}
