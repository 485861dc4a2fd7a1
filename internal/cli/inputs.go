package cli

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/schema"
)

// Bounds on files that flags name, in bytes.
const (
	maxSchema = 1 << 20
	maxImage  = 20 << 20
)

// readBounded reads a file that a flag names, of at most limit bytes.
func readBounded(flag, path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, err
	}
	if int64(len(data)) > limit {
		return nil, &usageError{text: fmt.Sprintf("%s %s: the file has more than %d MiB", flag, path, limit>>20)}
	}
	return data, nil
}

// readSchema reads the JSON Schema in a file.
func readSchema(path string) (schema.Schema, error) {
	text, err := readBounded("--schema", path, maxSchema)
	if err != nil {
		return schema.Schema{}, err
	}
	s, err := schema.Parse(schemaName(path), text)
	if bad, ok := errors.AsType[*schema.Error](err); ok {
		return s, &usageError{text: fmt.Sprintf("--schema %s: not a JSON Schema: %v", path, bad.Err), err: err}
	}
	return s, err
}

// formatted returns the options of a call whose reply is to match a schema, none for the zero one. A model that is not
// held to it by its server is told of it.
func formatted(s schema.Schema, info backend.Info) []mellea.CallOption {
	if s.IsZero() {
		return nil
	}
	matches := requirement.JSONSchema(s)
	if info.Capabilities.Structured != backend.StructuredSchema {
		return []mellea.CallOption{mellea.Format(s), mellea.Require(matches.Description(), matches)}
	}
	return []mellea.CallOption{mellea.Format(s), mellea.Check(matches)}
}

// schemaName makes of a file's name one that providers take: letters, digits, _ and -, at most 64.
func schemaName(path string) string {
	name, _, _ := strings.Cut(filepath.Base(path), ".")
	name = strings.Map(func(r rune) rune {
		switch {
		case r == '_' || r == '-' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			return r
		default:
			return '_'
		}
	}, name)
	return cmp.Or(name[:min(len(name), 64)], "response")
}

// readImages reads the files of --image flags. Their types are read from their first bytes.
func readImages(paths []string) ([]content.Part, error) {
	var parts []content.Part
	for _, path := range paths {
		data, err := readBounded("--image", path, maxImage)
		if err != nil {
			return nil, err
		}
		image, err := content.NewImage(data)
		if bad, ok := errors.AsType[*content.MediaError](err); ok {
			return nil, &usageError{text: fmt.Sprintf("--image %s: %s", path, bad.Reason), err: err}
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, image)
	}
	return parts, nil
}

// seesImages refuses images before any request where nobody would look at them.
func seesImages(images []content.Part, info backend.Info, model string) error {
	if len(images) == 0 || info.Capabilities.Images {
		return nil
	}
	return &usageError{text: fmt.Sprintf("--image: %s with model %s reads no images: choose a model that does with --model, or another --backend",
		info.Provider, model)}
}

// document returns the JSON document that a reply is, without the code fence that models like to put around one; nil
// when there is none.
func document(text string) json.RawMessage {
	text = strings.TrimSpace(text)
	if inside, ok := strings.CutPrefix(text, "```"); ok {
		if _, body, ok := strings.Cut(inside, "\n"); ok {
			text = strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(body), "```"))
		}
	}
	var compact bytes.Buffer
	if json.Compact(&compact, []byte(text)) != nil {
		return nil
	}
	return compact.Bytes()
}
