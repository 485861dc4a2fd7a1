package ollama

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/wire"
)

// maxSighted bounds how many models are known to see; beyond it they are asked about anew.
const maxSighted = 256

// sighted are the models that the server said to see. What does not see is asked about each time: it is an error, and
// the model may be replaced.
type sighted struct {
	mu     sync.Mutex
	models map[string]bool
}

func (s *sighted) has(model string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.models[model]
}

func (s *sighted) add(model string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.models == nil || len(s.models) >= maxSighted {
		s.models = map[string]bool{}
	}
	s.models[model] = true
}

// mustSee returns an error when the server says that the model has no vision: it would leave the images out of the
// prompt without a word. A server that does not tell, as before version 0.6.4, is believed to know what it does.
func (b *Backend) mustSee(ctx context.Context, model string) error {
	if b.sighted.has(model) {
		return nil
	}
	resp, err := b.client.Do(ctx, wire.Call{Path: "/api/show", Body: closeRequest([]byte(`{"verbose":false`), model),
		SetHeaders: func(set func(key, value string)) { backend.Inject(ctx, set) }})
	if err != nil {
		if e, ok := errors.AsType[*backend.Error](fail(opChat, err)); ok && (e.Status > 0 || e.Code == backend.CodeInvalidResponse) {
			return nil // what is wrong shows again at the request itself
		}
		return fail(opChat, err)
	}
	defer resp.Close()
	body, err := resp.ReadAll(0)
	if err != nil {
		return broken(opChat, resp, err)
	}
	var shown struct {
		Capabilities []string `json:"capabilities"`
	}
	if json.Unmarshal(body, &shown) != nil || len(shown.Capabilities) == 0 {
		return nil
	}
	if !slices.Contains(shown.Capabilities, "vision") {
		return unsupported(blindRemedy(model))
	}
	b.sighted.add(model)
	return nil
}

func blindRemedy(model string) string {
	if !showable(model) {
		model = "it"
	}
	return "the model sees no images, and Ollama would leave them out unsaid: choose one whose capabilities have vision (`ollama show " + model + "`)"
}

// pictures counts the images of messages, and those of them that are known by their URL.
func pictures(ms content.Messages) (all, byURL int) {
	for _, m := range ms.All() {
		if m.PlainText() {
			continue
		}
		for p := range m.Parts() {
			if img, ok := p.(content.Image); ok {
				all++
				if img.URL() != "" {
					byURL++
				}
			}
		}
	}
	return all, byURL
}
