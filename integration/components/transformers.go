package components

import (
	"context"
	"path/filepath"
)

// TransformersServer is a running `transformers serve`, Hugging Face's own
// server, with one model, loaded and ready.
type TransformersServer struct {
	URL    string // http://host:port, without /v1
	Model  string // the name of the model, which is the path of its folder
	server *server
}

// SmolLM2Folder returns the folder of SmolLM2-135M-Instruct as the Hugging Face
// hub has it, with weights in bfloat16. An error is as that of [Find].
func SmolLM2Folder() (string, error) {
	dir, err := Find(SmolLM2HF)
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "model"), nil
}

// RunTransformers starts `transformers serve` on the folder of a model and
// returns when it has loaded it; "" is [SmolLM2Folder]. ctx bounds the start
// only, which takes ten seconds of an idle core. The stop function ends the
// server, waits for it and may be called more than once; it must be called, and
// is nil exactly when the error is not.
//
// The server computes on one thread, about 8 tokens of SmolLM2 a second on an idle
// core, one request at a time. It refuses every model but its own.
func RunTransformers(ctx context.Context, model string) (*TransformersServer, func() error, error) {
	if model == "" {
		var err error
		if model, err = SmolLM2Folder(); err != nil {
			return nil, nil, err
		}
	}
	s, err := withRetry(func() (*TransformersServer, error) { return runTransformers(ctx, model) })
	if err != nil {
		return nil, nil, err
	}
	return s, s.server.stop, nil
}

func runTransformers(ctx context.Context, model string) (*TransformersServer, error) {
	dir, err := Find(Transformers)
	if err != nil {
		return nil, err
	}
	s, err := newServer(filepath.Dir(dir), Transformers, 1)
	if err != nil {
		return nil, err
	}
	t := &TransformersServer{URL: "http://" + s.ports.address(0), Model: model, server: s}
	env := append(s.baseEnv(), "HF_HUB_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "HF_HUB_DISABLE_PROGRESS_BARS=1",
		"OMP_NUM_THREADS=1", "TOKENIZERS_PARALLELISM=false", "NO_COLOR=1")
	err = s.start(env, filepath.Join(dir, "venv", "bin", "python"), "-m", "transformers.cli.transformers",
		"serve", model, "--device", "cpu", "--host", loopbackHost, "--port", s.ports.port(0))
	if err == nil {
		err = s.waitReady(ctx, t.URL+"/health")
	}
	if err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return t, nil
}
