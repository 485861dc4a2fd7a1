//go:build llama && (linux || darwin)

package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"unsafe"

	"github.com/hybridgroup/yzma/pkg/llama"
	"github.com/hybridgroup/yzma/pkg/loader"

	"github.com/mellea-go/mellea/backend"
)

// layoutFolder names the folder of libraries that the test's own program, started again, is to load.
const layoutFolder = "MELLEA_TEST_LLAMA_LAYOUT"

// Libraries of another release, whose structures have other lengths, are refused before any of their functions can write
// past what this package holds for them, and so are those that are no llama.cpp. A process can load libraries once, so
// each case has one of its own.
func TestLibraryOfAnotherLayout(t *testing.T) {
	if dir := os.Getenv(layoutFolder); dir != "" {
		var e *backend.Error
		if err := openLibrary(dir); !errors.As(err, &e) || e.Code != backend.CodeConfiguration {
			t.Fatalf("got %v, want a configuration error", err)
		}
		fmt.Println("refused:", e.Remedy, "because", e.Err)
		return
	}
	t.Parallel()
	cc, err := exec.LookPath("cc")
	if err != nil {
		t.Fatalf("a C compiler is needed, as for the race detector: %v", err)
	}
	const context, model = unsafe.Sizeof(llama.ContextParams{}), unsafe.Sizeof(llama.ModelParams{})
	for name, test := range map[string]struct {
		context, model uintptr // bytes of the structures
		want           []string
	}{
		"a longer context":  {context + 8, model, []string{"another layout", LibraryVersion, fmt.Sprintf("llama_context_default_params returns %d bytes, want %d", context+8, context)}},
		"a shorter context": {context - 16, model, []string{"another layout", fmt.Sprintf("want %d", context)}},
		"a longer model":    {context, model + 16, []string{"another layout", fmt.Sprintf("llama_model_default_params returns %d bytes, want %d", model+16, model)}},
		"nothing else":      {context, model, []string{"not those of llama.cpp " + LibraryVersion, "MELLEA_LLAMA_LIB"}},
		"no such function":  {0, 0, []string{"not those of llama.cpp " + LibraryVersion}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for _, part := range parts {
				source := "int unused;\n"
				if part == "llama" && test.context > 0 {
					source = structure("context", test.context) + structure("model", test.model)
				}
				c := filepath.Join(dir, part+".c")
				if err := os.WriteFile(c, []byte(source), 0o600); err != nil {
					t.Fatal(err)
				}
				compile := exec.CommandContext(t.Context(), cc, "-shared", "-fPIC", "-o", loader.GetLibraryFilename(dir, part), c)
				if out, err := compile.CombinedOutput(); err != nil {
					t.Fatalf("%v: %s", err, out)
				}
			}
			again := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestLibraryOfAnotherLayout$", "-test.v")
			again.Env = append(os.Environ(), layoutFolder+"="+dir)
			out, err := again.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range append(test.want, "refused: ") {
				if !strings.Contains(string(out), want) {
					t.Errorf("got %s, want %q in it", out, want)
				}
			}
		})
	}
}

// structure is C for a function that returns a structure of so many bytes, all of them set.
func structure(of string, size uintptr) string {
	return fmt.Sprintf(`struct %[1]s { unsigned char bytes[%[2]d]; };
struct %[1]s llama_%[1]s_default_params(void) {
	struct %[1]s s;
	for (int i = 0; i < %[2]d; i++) s.bytes[i] = 1;
	return s;
}
`, of, size)
}
