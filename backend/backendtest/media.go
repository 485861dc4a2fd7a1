package backendtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
)

// picture is the smallest file of its kind: what matters is that each of its bytes arrives.
const picture = "GIF89a\x01\x00\x01\x00\x00\xff\x00,\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x00;"

func runImages(t *testing.T, s Suite) Outcome {
	img, err := content.NewImage([]byte(picture))
	if err != nil {
		t.Fatal(err)
	}
	return s.runMedia(t, s.capabilities(t).Images, img)
}

func runAudio(t *testing.T, s Suite) Outcome {
	sound, err := content.NewAudio("audio/wav", []byte("RIFF\x24\x00\x00\x00WAVEfmt \x00"))
	if err != nil {
		t.Fatal(err)
	}
	return s.runMedia(t, s.capabilities(t).Audio, sound)
}

// runMedia checks that a part of a message arrives, or is refused when the backend says it cannot take it.
func (s Suite) runMedia(t *testing.T, can bool, media content.Part) Outcome {
	message := content.NewMessage(content.RoleUser, content.Text("what is this?"), media)
	if !can {
		return s.wantRefused(t, func(b backend.Backend) error { return s.send(t, b, message) })
	}
	both(t, func(t *testing.T, stream bool) {
		srv, b := s.serve(t, always(script{reply: s.reply()}))
		req := ask(stream)
		req.Messages = content.NewMessages(content.User("look:"), message)
		if _, err := generate(t, b, req); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(srv.recorded()[0].Messages.Slice(), req.Messages.Slice(), cmp.Comparer(content.Message.Equal)); diff != "" {
			t.Errorf("messages (-got +want):\n%s", diff)
		}
	})
	return Pass
}

func (s Suite) send(t *testing.T, b backend.Backend, m content.Message) error {
	req := ask(false)
	req.Messages = content.NewMessages(m)
	out, err := b.Generate(patient(t), req)
	if err != nil {
		return err
	}
	return out.Wait(patient(t))
}

// runImageURLs checks that an image known by its URL arrives: as the URL, for the server to fetch, or as the bytes that
// the backend fetched itself.
func runImageURLs(t *testing.T, s Suite) Outcome {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "image/gif")
		_, _ = w.Write([]byte(picture))
	}))
	t.Cleanup(web.Close)
	byURL, err := content.ImageURL(web.URL + "/picture.gif")
	if err != nil {
		t.Fatal(err)
	}
	fetched, err := content.NewImage([]byte(picture))
	if err != nil {
		t.Fatal(err)
	}
	message := func(img content.Image) content.Message {
		return content.NewMessage(content.RoleUser, content.Text("what is this?"), img)
	}
	srv, b := s.serve(t, always(script{reply: s.reply()}), func(c *Config) { c.FetchLocal = true })
	err = s.send(t, b, message(byURL))
	var refused *backend.Error
	switch {
	case errors.As(err, &refused) && refused.Code == backend.CodeUnsupported:
		return s.wantRefused(t, func(b backend.Backend) error { return s.send(t, b, message(byURL)) })
	case err != nil:
		t.Fatal(err)
	}
	got, _ := srv.recorded()[0].Messages.Last()
	if !got.Equal(message(byURL)) && !got.Equal(message(fetched)) {
		t.Errorf("the server got %v, want the URL of the image or its bytes", got)
	}
	return Pass
}

// compact returns a JSON text without its white space, and anything else as it is.
func compact(text string) string {
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		return text
	}
	return b.String()
}
