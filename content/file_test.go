package content_test

import (
	"errors"
	"testing"

	"github.com/mellea-go/mellea/content"
)

func TestFile(t *testing.T) {
	t.Parallel()
	data := []byte("%PDF-1.7")
	f, err := content.NewFile("r.pdf", "application/pdf", data)
	if err != nil {
		t.Fatal(err)
	}
	data[0] = 'x' // a file is a value of its own
	if f.Name() != "r.pdf" || f.MIME() != "application/pdf" || string(f.Bytes()) != "%PDF-1.7" || f.Base64() != "JVBERi0xLjc=" || f.ID() != "" {
		t.Errorf("got %q, %q, %q, %q, %q", f.Name(), f.MIME(), f.Bytes(), f.Base64(), f.ID())
	}
	byID, err := content.FileID("file-1")
	if err != nil || byID.ID() != "file-1" || byID.Bytes() != nil || byID.Name() != "" {
		t.Errorf("got %+v, %v", byID, err)
	}
	for name, try := range map[string]func() (content.File, error){
		"no name": func() (content.File, error) { return content.NewFile("", "a/b", data) },
		"no type": func() (content.File, error) { return content.NewFile("n", "", data) },
		"no data": func() (content.File, error) { return content.NewFile("n", "a/b", nil) },
		"no id":   func() (content.File, error) { return content.FileID("") },
	} {
		if _, err := try(); !errors.As(err, new(*content.MediaError)) {
			t.Errorf("%s: got %v, want a *MediaError", name, err)
		}
	}
	m := content.NewMessage(content.RoleUser, content.Text("Summarise"), f)
	if same := content.NewMessage(content.RoleUser, content.Text("Summarise"), f); !m.Equal(same) || m.Text() != "Summarise" {
		t.Error("two messages with the same file differ")
	}
}
