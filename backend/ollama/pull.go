package ollama

import (
	"context"
	"io"
	"iter"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/internal/wire"
)

const opPull = "pull"

// pullSilence is the longest silence of a server that installs a model: it checks large files without a word.
const pullSilence = 10 * time.Minute

// Progress is how far the installation of a model has come.
type Progress struct {
	// Status is the server's word for what it does, for example "pulling manifest", and "success" at the end.
	Status string
	// Digest names the file that is being fetched, "" in other steps; Total and Completed are its bytes, 0 when not known.
	// Completed goes back when the server begins a piece anew whose connection broke.
	Digest           string
	Total, Completed int64
}

// Done reports whether the model is installed.
func (p Progress) Done() bool { return p.Status == "success" }

// PullOption changes how [Backend.Pull] has a model installed.
type PullOption func(*pullRequest)

type pullRequest struct {
	model    string
	insecure bool
}

func (r pullRequest) body() []byte {
	b := appendString([]byte(`{"model":`), r.model)
	if r.insecure {
		b = append(b, `,"insecure":true`...)
	}
	return append(b, '}')
}

// AllowInsecure lets the server fetch from a registry without TLS, such as one in a network of your own, whose host and
// port begin the model's name: "registry.lan:5000/team/model". The server then asks without TLS whatever the registry
// is: whoever sits between them reads which model is fetched and can put another one in its place.
func AllowInsecure() PullOption { return func(r *pullRequest) { r.insecure = true } }

// Pull has the server install a model, or bring it up to date, and tells how far it is. The server goes on with what it
// has when it is asked again, so leaving the iteration, which ends the request, loses nothing. Progress is told at the
// server's pace, several times a second; a consumer that is slow holds the telling up and not the installation.
//
// An error is the last thing told: an *[backend.Error], or the cause of ctx. Without one the last Progress is Done.
func (b *Backend) Pull(ctx context.Context, model string, opts ...PullOption) iter.Seq2[Progress, error] {
	request := pullRequest{model: model}
	for _, o := range opts {
		o(&request)
	}
	return func(yield func(Progress, error) bool) {
		err := b.pull(ctx, request, func(p Progress) bool { return yield(p, nil) })
		if err != nil {
			yield(Progress{}, err)
		}
	}
}

// pull calls tell for each step until tell returns false.
func (b *Backend) pull(ctx context.Context, request pullRequest, tell func(Progress) bool) error {
	if b.err != nil {
		return b.err
	}
	if request.model == "" {
		return &backend.Error{Provider: provider, Op: opPull, Code: backend.CodeConfiguration, Remedy: "no model: name the one to install"}
	}
	resp, err := b.client.Do(ctx, wire.Call{
		Path: "/api/pull", Body: request.body(), Stream: true, Accept: "application/x-ndjson", ReadIdle: pullSilence,
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) },
	})
	if err != nil {
		return notPulled(fail(opPull, err))
	}
	defer resp.Close()
	for lines := resp.NDJSON(); ; {
		line, err := lines.Next()
		switch {
		case err == io.EOF:
			return cutOff(opPull, resp)
		case err != nil:
			return broken(opPull, resp, err)
		}
		var step struct {
			Status    string `json:"status"`
			Digest    string `json:"digest"`
			Total     int64  `json:"total"`
			Completed int64  `json:"completed"`
			Error     any    `json:"error"`
		}
		if err := json.Unmarshal(line, &step, json.RejectUnknownMembers(false)); err != nil {
			return malformed(opPull, resp)
		}
		if step.Error != nil {
			if s := resp.StreamError(line); s != nil {
				return notPulled(failStream(opPull, s))
			}
			return malformed(opPull, resp)
		}
		if step.Status == "" {
			return malformed(opPull, resp)
		}
		p := Progress{Status: step.Status, Digest: step.Digest, Total: max(0, step.Total), Completed: max(0, step.Completed)}
		if !tell(p) || p.Done() {
			return nil
		}
	}
}
