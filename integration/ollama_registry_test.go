package integration_test

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// Media types of a model in a registry.
const (
	typeManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeConfig   = "application/vnd.docker.container.image.v1+json"
	typeModel    = "application/vnd.ollama.image.model"
	typeTemplate = "application/vnd.ollama.image.template"
	typeParams   = "application/vnd.ollama.image.params"
	typeSystem   = "application/vnd.ollama.image.system"
)

// registry serves one model as registry.ollama.ai does, by the distribution protocol of OCI: a manifest, and blobs that
// it redirects to storage at another host. It has no TLS.
type registry struct {
	*httptest.Server
	name  string // of its model: host:port/library/scripted
	files []registryFile

	manifest []byte

	mu    sync.Mutex
	asked []registryRequest
	// serve writes a range of a file; tests replace it for one that cuts or holds.
	serve func(w http.ResponseWriter, r *http.Request, data []byte)
	down  bool // connections are cut instead of answered
}

// registryFile is a blob of the model.
type registryFile struct {
	Type   string `json:"mediaType"`
	Digest string `json:"digest"`
	Size   int    `json:"size"`

	data []byte
}

// registryRequest is a request for a blob's bytes. From is where its range begins.
type registryRequest struct {
	digest string
	from   int
}

// newRegistry serves a model that says text: its small files, then its weights. What the server installed of it is
// removed when the test ends.
func newRegistry(t *testing.T, server *components.Ollama, text string) *registry {
	t.Helper()
	var weights bytes.Buffer
	if err := tinymodel.WriteScripted(&weights, tinymodel.Script{Replies: []tinymodel.Reply{{Text: text}}}); err != nil {
		t.Fatal(err)
	}
	r := &registry{}
	add := func(kind string, data []byte) registryFile {
		f := registryFile{Type: kind, Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(data)), Size: len(data), data: data}
		r.files = append(r.files, f)
		return f
	}
	// The text is in each file: the server fetches no file that it has.
	layers := []registryFile{
		add(typeTemplate, []byte("{{- range .Messages }}{{ .Role }}: {{ .Content }}\n{{ end }}{{/* "+text+" */}}")),
		add(typeSystem, []byte("Say: "+text)),
		add(typeParams, fmt.Appendf(nil, `{"temperature":0,"num_thread":1,"stop":[%q]}`, "<<"+text+">>")),
		add(typeModel, weights.Bytes()),
	}
	config := add(typeConfig, fmt.Appendf(nil, `{"model_format":"gguf","model_family":"llama","model_families":["llama"],"model_type":%q,
		"file_type":"F32","architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}`, text))
	manifest, err := json.Marshal(map[string]any{"schemaVersion": 2, "mediaType": typeManifest, "config": config, "layers": layers})
	if err != nil {
		t.Fatal(err)
	}
	r.manifest, r.serve = manifest, whole
	mux := http.NewServeMux()
	mux.HandleFunc("GET /v2/library/scripted/manifests/latest", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", typeManifest)
		w.Write(r.manifest)
	})
	mux.HandleFunc("GET /v2/library/scripted/blobs/{digest}", r.blob) // HEAD, too
	mux.HandleFunc("GET /storage/{digest}", r.storage)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		r.mu.Lock()
		down := r.down
		r.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler) // cuts the connection
		}
		mux.ServeHTTP(w, q)
	}))
	t.Cleanup(r.Close)
	r.name = r.Listener.Addr().String() + "/library/scripted"
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if _, err := ollama.New(ollama.WithBaseURL(server.URL)).Installed(ctx, r.name); err != nil {
			return // it never got so far
		}
		if err := server.Remove(ctx, r.name); err != nil {
			t.Error(err)
		}
	})
	return r
}

// blob answers HEAD with the size and GET with the way to the storage, which has another name.
func (r *registry) blob(w http.ResponseWriter, q *http.Request) {
	f, ok := r.file(q.PathValue("digest"))
	if !ok {
		http.NotFound(w, q)
		return
	}
	if q.Method == http.MethodHead {
		w.Header().Set("Content-Length", fmt.Sprint(f.Size))
		return
	}
	_, port, _ := net.SplitHostPort(r.Listener.Addr().String())
	http.Redirect(w, q, "http://localhost:"+port+"/storage/"+f.Digest, http.StatusTemporaryRedirect)
}

func (r *registry) storage(w http.ResponseWriter, q *http.Request) {
	f, ok := r.file(q.PathValue("digest"))
	if !ok {
		http.NotFound(w, q)
		return
	}
	request := registryRequest{digest: f.Digest}
	fmt.Sscanf(q.Header.Get("Range"), "bytes=%d-", &request.from)
	r.mu.Lock()
	r.asked = append(r.asked, request)
	serve := r.serve
	r.mu.Unlock()
	serve(w, q, f.data)
}

// whole serves all that is asked for.
func whole(w http.ResponseWriter, q *http.Request, data []byte) {
	http.ServeContent(w, q, "", time.Time{}, bytes.NewReader(data))
}

// half writes the first half of what is asked for, and then calls then, which may cut the connection.
func half(then func(*http.Request)) func(http.ResponseWriter, *http.Request, []byte) {
	return func(w http.ResponseWriter, q *http.Request, data []byte) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.WriteHeader(http.StatusPartialContent)
		io.Copy(w, bytes.NewReader(data[:len(data)/2]))
		w.(http.Flusher).Flush()
		then(q)
		panic(http.ErrAbortHandler)
	}
}

func (r *registry) file(digest string) (registryFile, bool) {
	i := slices.IndexFunc(r.files, func(f registryFile) bool { return f.Digest == digest })
	if i < 0 {
		return registryFile{}, false
	}
	return r.files[i], true
}

// weights is the largest file.
func (r *registry) weights() registryFile {
	return slices.MaxFunc(r.files, func(a, b registryFile) int { return cmp.Compare(a.Size, b.Size) })
}

// serving has files served another way.
func (r *registry) serving(serve func(http.ResponseWriter, *http.Request, []byte)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.serve = serve
}

// cut takes the registry off the network, or brings it back.
func (r *registry) cut(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

// fetched forgets and returns what was asked for since it was called last, in the order of the first request for each.
func (r *registry) fetched() []registryRequest {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

// kind names a file by its type, for failures.
func (r *registry) kind(digest string) string {
	f, _ := r.file(digest)
	return strings.TrimPrefix(f.Type, "application/vnd.ollama.image.")
}
