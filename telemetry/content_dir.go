package telemetry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// A ContentDir is a [ContentStore] in a folder: a file of mode 0600 for each document, named after its content, in one of
// 256 folders. A file is there whole or not at all, so other programs may read the folder at any time. Several processes
// may share one. Nothing is ever removed from it: how long content may be kept is for its owner to say.
type ContentDir struct{ path string }

// NewContentDir returns a store in the folder at path, which is made, with mode 0700, when the first content is put there.
// The error is that of a working directory which is not there.
func NewContentDir(path string) (*ContentDir, error) {
	if path == "" {
		return nil, errors.New("telemetry: the folder for content has no name")
	}
	full, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("telemetry: the folder for content: %w", err)
	}
	return &ContentDir{path: full}, nil
}

// Ref returns the file's URL (RFC 8089).
func (d *ContentDir) Ref(name string) string {
	path := filepath.ToSlash(filepath.Join(d.path, shelf(name), name))
	if !strings.HasPrefix(path, "/") { // a drive's letter
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// shelf is the folder that a name is in.
func shelf(name string) string {
	if len(name) < 2 {
		return "00"
	}
	return name[:2]
}

// ContentNameError says that a name is none of a document's. It could lead out of the folder.
type ContentNameError struct{ Name string }

func (e *ContentNameError) Error() string {
	return fmt.Sprintf("telemetry: %q is not the name of a document: want hexadecimal digits and .json", e.Name)
}

func isDocumentName(name string) bool {
	digits, ok := strings.CutSuffix(name, ".json")
	return ok && len(digits) >= 2 && strings.Trim(digits, "0123456789abcdef") == ""
}

// Put writes the file, unless it is there. A name that is not one of hexadecimal digits and .json is a
// *[ContentNameError], all others are those of package os.
func (d *ContentDir) Put(ctx context.Context, name string, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !isDocumentName(name) {
		return &ContentNameError{Name: name}
	}
	if err := os.MkdirAll(d.path, 0o700); err != nil {
		return err
	}
	root, err := os.OpenRoot(d.path) // no symbolic link leads out of it
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	target := shelf(name) + "/" + name
	if info, err := root.Lstat(target); err == nil && info.Mode().IsRegular() && info.Size() == int64(len(data)) {
		return nil
	}
	if err := root.Mkdir(shelf(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	temporary := target + "." + rand.Text() + ".tmp"
	if err := write(root, temporary, data); err != nil {
		_ = root.Remove(temporary) // the error that counts is the first
		return err
	}
	if err := root.Rename(temporary, target); err != nil {
		_ = root.Remove(temporary)
		return err
	}
	return nil
}

func write(root *os.Root, name string, data []byte) error {
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Close())
}
