package backendtest

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// RealImages are pictures, and what a model that sees says of each. They must differ in it: a model that does not look
// would say the same of all.
type RealImages struct {
	// Model is one that sees; "" is that of the backend. Prompt is what it is asked beside a picture.
	Model, Prompt string
	Pictures      []RealPicture
}

// RealPicture is a picture, and a part of what a model that sees says of it.
type RealPicture struct {
	File []byte
	Says string
}

// eachPicture asks about every picture, which known makes a part of a message, until one is refused.
func (r *realRun) eachPicture(t *testing.T, stream bool, known func(i int, file []byte) (content.Image, error)) error {
	t.Helper()
	for i, p := range r.Images.Pictures {
		img, err := known(i, p.File)
		if err != nil {
			t.Fatal(err)
		}
		req := r.request("", stream)
		req.Messages = content.NewMessages(content.NewMessage(content.RoleUser, content.Text(r.Images.Prompt), img))
		if r.Images.Model != "" {
			req.Options = req.Options.WithModel(r.Images.Model)
		}
		out, err := r.backend.Generate(r.ctx, req)
		if err != nil {
			return err
		}
		reply, err := out.Reply(r.ctx)
		if err != nil {
			return err
		}
		if got := reply.Message.Text(); !strings.Contains(got, p.Says) {
			t.Errorf("got %q of picture %d, want %q in it", got, i, p.Says)
		}
	}
	return nil
}

func realImages(t *testing.T, r *realRun) Outcome {
	if r.Images == nil { // no model that sees
		return ""
	}
	r.eachWay(t, func(t *testing.T, stream bool) {
		if err := r.eachPicture(t, stream, func(_ int, file []byte) (content.Image, error) { return content.NewImage(file) }); err != nil {
			t.Fatal(err)
		}
	})
	return Pass
}

// realImageURLs checks that a model sees what is at a URL of this machine, or that the URL is refused with a remedy.
func realImageURLs(t *testing.T, r *realRun) Outcome {
	if r.Images == nil {
		return ""
	}
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		i, err := strconv.Atoi(strings.TrimPrefix(req.URL.Path, "/"))
		if err != nil || i < 0 || i >= len(r.Images.Pictures) {
			http.NotFound(w, req)
			return
		}
		_, _ = w.Write(r.Images.Pictures[i].File)
	}))
	t.Cleanup(web.Close)
	outcome := Pass
	r.eachWay(t, func(t *testing.T, stream bool) {
		err := r.eachPicture(t, stream, func(i int, _ []byte) (content.Image, error) {
			return content.ImageURL(web.URL + "/" + strconv.Itoa(i))
		})
		var e *backend.Error
		switch {
		case err == nil:
		case errors.As(err, &e) && e.Remedy != "" && (e.Code == backend.CodeUnsupported || e.Status == http.StatusBadRequest):
			outcome = Cannot
		default:
			t.Error(err)
		}
	})
	return outcome
}
