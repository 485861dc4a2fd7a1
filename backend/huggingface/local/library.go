//go:build llama

package local

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"unsafe"

	"github.com/ebitengine/purego"
	"github.com/hybridgroup/yzma/pkg/llama"
	"github.com/hybridgroup/yzma/pkg/loader"
	"github.com/jupiterrider/ffi"

	"github.com/mellea-go/mellea/backend"
)

// library is llama.cpp in this process. A process can have it once, so it is one variable and not a value of a backend.
var library struct {
	sync.Mutex
	dir string // where it was loaded from, "" before that

	logMu sync.Mutex
	log   []string // the last problems it told of, oldest first
}

const remedyInstall = "get the libraries of llama.cpp " + LibraryVersion + ", for example those of the npm package " +
	"@node-llama-cpp/linux-x64 3.22.1 (docs/huggingface.md says how), and name their folder by WithLibrary or MELLEA_LLAMA_LIB"

// parts are the libraries that are loaded by name; they find the others in their own folder.
var parts = [...]string{"ggml-base", "ggml", "llama"}

// openLibrary loads llama.cpp from a folder, once. The error is an *[backend.Error].
func openLibrary(dir string) error {
	library.Lock()
	defer library.Unlock()
	dir, err := filepath.Abs(dir)
	if err != nil {
		return misconfigured("info", "the folder of llama.cpp's libraries has no absolute path", err)
	}
	switch library.dir {
	case dir:
		return nil
	case "":
	default:
		return misconfigured("info", fmt.Sprintf("llama.cpp is loaded from %s already, and a program can have it once: name the same folder", library.dir), nil)
	}
	if err := findParts(dir); err != nil {
		return err
	}
	if err := checkLayout(dir); err != nil {
		return err
	}
	if err := llama.Load(dir); err != nil {
		return misconfigured("info", "the libraries in "+dir+" are not those of llama.cpp "+LibraryVersion+": "+remedyInstall, err)
	}
	if err := checkDefaults(dir, llama.ContextDefaultParams()); err != nil {
		return err
	}
	llama.LogSet(purego.NewCallback(keepLog))
	llama.Init()
	if llama.GGMLBackendDeviceCount() == 0 {
		return misconfigured("info", "the folder "+dir+" has nothing that computes: libggml-cpu-… belongs beside the others", nil)
	}
	library.dir = dir
	return nil
}

// findParts says which libraries a folder lacks, before the loader does in its own words.
func findParts(dir string) error {
	for _, part := range parts {
		path := loader.GetLibraryFilename(dir, part)
		if _, err := os.Stat(path); err == nil { //nolint:gosec // who runs the program names the folder
			continue
		}
		ext := filepath.Ext(path)
		versioned, err := filepath.Glob(strings.TrimSuffix(path, ext) + ".*" + ext)
		if err == nil && len(versioned) > 0 {
			return misconfigured("info", fmt.Sprintf("%s is missing: link it to what is there: ln -s %s %s", path, filepath.Base(versioned[0]), path), os.ErrNotExist)
		}
		return misconfigured("info", fmt.Sprintf("%s is missing: %s", path, remedyInstall), os.ErrNotExist)
	}
	return nil
}

// A structure of another release is longer or shorter than this package's idea of it, and a function that returns one
// would write past it. So the functions that return the two important ones are first called with room for a much longer
// one, which shows how much they write.
const (
	room    = 64 // words
	pattern = 0xA5
)

func checkLayout(dir string) error {
	for _, c := range []struct {
		function  string
		last, end uintptr // where the last member begins, where the structure ends
	}{
		{"llama_context_default_params", unsafe.Offsetof(llama.ContextParams{}.CtxOther), unsafe.Sizeof(llama.ContextParams{})},
		{"llama_model_default_params", unsafe.Offsetof(llama.ModelParams{}.LoadMTP), unsafe.Sizeof(llama.ModelParams{})},
	} {
		n, err := written(dir, c.function)
		if err != nil {
			return misconfigured("info", "the libraries in "+dir+" are not those of llama.cpp "+LibraryVersion+": "+remedyInstall, err)
		}
		if n <= c.last || n > c.end {
			return mismatch(dir, fmt.Errorf("%s returns %d bytes, want %d", c.function, n, c.end))
		}
	}
	return nil
}

// written returns how many bytes of its result a function writes.
func written(dir, function string) (n uintptr, err error) {
	lib, err := loader.LoadLibrary(dir, "llama")
	if err != nil {
		return 0, err
	}
	words := make([]*ffi.Type, room)
	for i := range words {
		words[i] = &ffi.TypeUint64
	}
	long := ffi.NewType(words...)
	f, err := lib.Prep(function, &long)
	if err != nil {
		return 0, err
	}
	var result [room * 8]byte
	for i := range result {
		result[i] = pattern
	}
	f.Call(unsafe.Pointer(&result)) //nolint:gosec // the room that C writes into
	runtime.KeepAlive(words)
	for i, x := range slices.Backward(result[:]) {
		if x != pattern {
			return uintptr(i) + 1, nil
		}
	}
	return 0, nil
}

// checkDefaults compares what is known of the release with what the library says: members that moved have other values.
func checkDefaults(dir string, p llama.ContextParams) error {
	got := [...]int64{int64(p.NCtx), int64(p.NBatch), int64(p.NUbatch), int64(p.NSeqMax), int64(p.NThreads), int64(p.NThreadsBatch)}
	want := [...]int64{512, 2048, 512, 1, 4, 4}
	if got != want {
		return mismatch(dir, fmt.Errorf("the default context is %v, want %v", got, want))
	}
	return nil
}

func mismatch(dir string, cause error) error {
	return misconfigured("info", "the libraries in "+dir+" are of another release of llama.cpp than "+LibraryVersion+", whose structures have another layout: "+remedyInstall, cause)
}

// keepLog is called by llama.cpp, on any thread, for each line it has to say.
func keepLog(level int32, text *byte, _ uintptr) uintptr {
	if l := llama.LogLevel(level); l != llama.LogLevelWarn && l != llama.LogLevelError || text == nil {
		return 0
	}
	const longest, most = 500, 8
	n := 0
	for n < longest && *(*byte)(unsafe.Add(unsafe.Pointer(text), n)) != 0 { //nolint:gosec // a C string, up to its end
		n++
	}
	line := string(unsafe.Slice(text, n)) //nolint:gosec // the same
	line = strings.TrimSpace(strings.ToValidUTF8(line, "?"))
	library.logMu.Lock()
	defer library.logMu.Unlock()
	library.log = append(library.log, line)
	if len(library.log) > most {
		library.log = slices.Delete(library.log, 0, 1)
	}
	return 0
}

// takeLog returns what llama.cpp has said since the last call.
func takeLog() string {
	library.logMu.Lock()
	defer library.logMu.Unlock()
	text := strings.Join(library.log, "\n")
	library.log = nil
	return text
}

// libraryFolders are where the libraries are looked for when no folder is named.
func libraryFolders() []string {
	var dirs []string
	if exe, err := os.Executable(); err == nil {
		dirs = append(dirs, filepath.Join(filepath.Dir(exe), "llama"))
	}
	switch runtime.GOOS {
	case "darwin":
		dirs = append(dirs, "/opt/homebrew/lib", "/usr/local/lib")
	case "linux", "freebsd":
		dirs = append(dirs, "/usr/local/lib", "/usr/lib64", "/usr/lib")
		if triplet := map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"}[runtime.GOARCH]; triplet != "" {
			dirs = append(dirs, filepath.Join("/usr/lib", triplet))
		}
	}
	return dirs
}

// findLibrary returns the folder to load from. The error is an *[backend.Error].
func findLibrary(named string, folders []string) (string, error) {
	if named != "" {
		return named, nil
	}
	for _, dir := range folders {
		if findParts(dir) == nil {
			return dir, nil
		}
	}
	return "", misconfigured("info", "no llama.cpp: "+remedyInstall, nil)
}

// cpp is llama.cpp as an engine.
type cpp struct{ dir string }

func (e cpp) load(path string, set loadSettings) (weights, error) {
	dir, err := findLibrary(e.dir, libraryFolders())
	if err != nil {
		return nil, err
	}
	if err := openLibrary(dir); err != nil {
		return nil, err
	}
	library.Lock() // so that the log is that of this model
	defer library.Unlock()
	takeLog()
	params := llama.ModelDefaultParams()
	params.NGpuLayers = int32(min(set.gpuLayers, math.MaxInt32)) //nolint:gosec // bounded
	m, err := llama.ModelLoadFromFile(path, params)
	if err != nil {
		return nil, &backend.Error{Provider: provider, Op: "load", Code: codeModel, Message: takeLog(), Err: err,
			Remedy: "llama.cpp cannot read the model: the error's message has its words; is the file whole, and a GGUF that this release knows?"}
	}
	return newModel(m, set.threads)
}
