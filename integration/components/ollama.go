package components

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// modelName is the name under which the weights are imported.
const modelName = "smollm2:135m-instruct"

// Ollama is a running Ollama server with one model, loaded and ready. What is
// done to its store of models ends with it.
type Ollama struct {
	URL    string // http://host:port
	Model  string // the name of the model: smollm2:135m-instruct
	binary string
	server *server

	made atomic.Int64 // models made by Script and Seeing
}

// RunOllama starts Ollama and returns when it has loaded its model. ctx bounds
// the start only. The stop function ends the server, waits for it and may be
// called more than once; it must be called, and is nil exactly when the error is
// not.
//
// The server runs one request at a time and keeps models loaded. It computes on
// one thread: a reply of 50 tokens takes about a second on an idle core.
func RunOllama(ctx context.Context) (*Ollama, func() error, error) {
	weights, err := Find(SmolLM2)
	if err != nil {
		return nil, nil, err
	}
	store, err := modelStore(ctx, weights)
	if err != nil {
		return nil, nil, err
	}
	o, err := withRetry(func() (*Ollama, error) { return serveOllama(ctx, store) })
	if err != nil {
		return nil, nil, err
	}
	o.Model = modelName
	if err := o.load(ctx, modelName); err != nil {
		err = fmt.Errorf("%w; the end of the server's log:\n%s", err, o.server.logTail())
		o.server.stop() // the load's error says what happened
		return nil, nil, err
	}
	return o, o.server.stop, nil
}

// Create makes a model called name from the Modelfile at the path modelfile, in
// this server's store. A FROM line may name a GGUF file relative to the
// Modelfile's folder. This is how a test brings a model of its own, such as one
// that says exactly what the test scripts.
func (o *Ollama) Create(ctx context.Context, name, modelfile string) error {
	if err := o.command(ctx, "create", name, "-f", modelfile); err != nil {
		return fmt.Errorf("components: create model %s from %s: %w", name, modelfile, err)
	}
	return nil
}

// Remove takes the model called name out of this server's store.
func (o *Ollama) Remove(ctx context.Context, name string) error {
	if err := o.command(ctx, "rm", name); err != nil {
		return fmt.Errorf("components: remove model %s: %w", name, err)
	}
	return nil
}

// command runs Ollama's own command on this server.
func (o *Ollama) command(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, o.binary, args...)
	cmd.Env = append(o.server.baseEnv(), "OLLAMA_HOST="+o.URL)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
	}
	return nil
}

// Script makes a model that says the script, in this server's store, and
// returns its name. It answers in some 20 ms, after about half a second for the
// first request, and has tools.
func (o *Ollama) Script(ctx context.Context, script tinymodel.Script) (name string, err error) {
	return o.make(ctx, "scripted", func(dir string) (string, error) { return tinymodel.WriteModelfile(dir, script) })
}

// Seeing makes a model that says which colours are in the images it is shown, in
// this server's store, and returns its name; see [tinymodel.WriteSeeing]. It is as
// fast as that of [Ollama.Script], and has no tools.
func (o *Ollama) Seeing(ctx context.Context) (name string, err error) {
	return o.make(ctx, "seeing", tinymodel.WriteSeeingModelfile)
}

// make makes a model whose files write puts into a folder, and returns a name of
// its own that begins with kind.
func (o *Ollama) make(ctx context.Context, kind string, write func(dir string) (modelfile string, err error)) (name string, err error) {
	dir, err := os.MkdirTemp(o.server.dir, kind+"-")
	if err != nil {
		return "", fmt.Errorf("components: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }() // the store has its own copy
	modelfile, err := write(dir)
	if err != nil {
		return "", err
	}
	name = fmt.Sprintf("%s-%d", kind, o.made.Add(1))
	return name, o.Create(ctx, name, modelfile)
}

// serveOllama starts a server whose store of models is a private copy of the
// one in the folder store, or empty when store is "". Its Model is not set.
func serveOllama(ctx context.Context, store string) (*Ollama, error) {
	dir, err := Find(OllamaServer)
	if err != nil {
		return nil, err
	}
	s, err := newServer(filepath.Dir(dir), OllamaServer, 1)
	if err != nil {
		return nil, err
	}
	o := &Ollama{
		URL:    "http://" + s.ports.address(0),
		binary: filepath.Join(dir, "bin", "ollama"),
		server: s,
	}
	if store != "" {
		err = cloneStore(store, o.modelsDir())
	}
	if err == nil {
		err = s.start(append(s.baseEnv(), o.serveEnv()...), o.binary, "serve")
	}
	if err == nil {
		err = s.waitReady(ctx, o.URL+"/api/version")
	}
	if err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return o, nil
}

func (o *Ollama) modelsDir() string { return filepath.Join(o.server.dir, "models") }

func (o *Ollama) serveEnv() []string {
	return []string{
		"OLLAMA_HOST=" + strings.TrimPrefix(o.URL, "http://"),
		"OLLAMA_MODELS=" + o.modelsDir(),
		"OLLAMA_NUM_PARALLEL=1",
		"OLLAMA_KEEP_ALIVE=-1",
		"OLLAMA_CONTEXT_LENGTH=4096", // the default depends on the machine's memory
		"OLLAMA_NO_CLOUD=1",
		"OLLAMA_NOPRUNE=1",
		"OLLAMA_NOHISTORY=1",
		"GIN_MODE=release", // a short log
	}
}

// load has the server load a model, by a request that generates nothing.
func (o *Ollama) load(ctx context.Context, model string) error {
	body, err := json.Marshal(map[string]any{"model": model, "stream": false})
	if err != nil {
		return fmt.Errorf("components: load model %s: %w", model, err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, o.URL+"/api/generate", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("components: load model %s: %w", model, err)
	}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("components: load model %s: %w", model, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, 1<<16))
	if err != nil {
		return fmt.Errorf("components: load model %s: %w", model, err)
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("components: load model %s: %s: %s", model, resp.Status, bytes.TrimSpace(text))
	}
	return nil
}

// fileExists says whether something is at path.
func fileExists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
