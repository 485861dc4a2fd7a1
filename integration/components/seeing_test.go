package components

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"image"
	"image/jpeg"
	"image/png"
	"net/http"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

func encoded(t *testing.T, kind string, img image.Image) string {
	t.Helper()
	var b bytes.Buffer
	err := png.Encode(&b, img)
	if kind == "jpeg" {
		b.Reset()
		err = jpeg.Encode(&b, img, nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(b.Bytes())
}

// What a seeing model says depends on the pixels it is shown, and on nothing else.
func TestSeeing(t *testing.T) {
	o := StartOllama(t)
	model := Seeing(t, o)
	const red, green, blue = tinymodel.Red, tinymodel.Green, tinymodel.Blue

	if got := do(t, http.MethodPost, o.URL+"/api/show", `{"model":"`+model+`"}`); !strings.Contains(got, `"vision"`) {
		t.Errorf("the server does not say that the model sees: %s", got)
	}
	say := func(kind, prompt string, options map[string]any, pictures ...tinymodel.Colours) string {
		t.Helper()
		var images []string
		for _, c := range pictures {
			images = append(images, encoded(t, kind, tinymodel.Picture(c)))
		}
		body, err := json.Marshal(map[string]any{"model": model, "stream": false, "options": options,
			"messages": []any{map[string]any{"role": "user", "content": prompt, "images": images}}})
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Message struct {
				Content string `json:"content"`
			} `json:"message"`
		}
		if err := json.Unmarshal([]byte(do(t, http.MethodPost, o.URL+"/api/chat", string(body))), &out); err != nil {
			t.Fatal(err)
		}
		return out.Message.Content
	}

	for kind := range map[string]bool{"png": true, "jpeg": true} {
		for c := range red | green | blue + 1 {
			if got, want := say(kind, "What do you see?", nil, c), c.Seen(); got != want {
				t.Errorf("of a %s: %q, want %q", kind, got, want)
			}
		}
	}
	long := strings.Repeat("Red, green, blue or grey? ", 100)
	tests := []struct {
		prompt   string
		pictures []tinymodel.Colours
		want     string
	}{
		{"What is red?", nil, tinymodel.Unseen},
		{long, nil, tinymodel.Unseen},
		{long, []tinymodel.Colours{blue}, blue.Seen()},
		{"", []tinymodel.Colours{green}, green.Seen()},
		{"Both?", []tinymodel.Colours{red, blue}, (red | blue).Seen()},
		{"Both?", []tinymodel.Colours{blue, red}, (red | blue).Seen()},
		{"All?", []tinymodel.Colours{0, green, 0, red | blue}, (red | green | blue).Seen()},
	}
	for _, tt := range tests {
		for _, options := range []map[string]any{nil, {"temperature": 1, "seed": 3, "top_k": 0, "top_p": 1}} {
			if got := say("png", tt.prompt, options, tt.pictures...); got != tt.want {
				t.Errorf("of %d images, asked %.20q with %v: %q, want %q", len(tt.pictures), tt.prompt, options, got, tt.want)
			}
		}
	}
}
