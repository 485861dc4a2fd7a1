package content

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/url"

	"github.com/mellea-go/mellea/schema"
)

// Part is a piece of a message: [Text], [Reasoning], [ToolCall], [ToolResult], [ServerToolCall], [ServerToolResult],
// [Image], [Audio] or [File]. The set is closed.
type Part interface{ isPart() }

// Text is written text.
type Text string

// Reasoning is what a model thought before it answered. Signature is opaque: providers that give one want it back
// unchanged.
type Reasoning struct{ Text, Signature string }

// ToolCall is a model's request to run a tool. ID is the provider's, "" when it gives none. Arguments is the JSON text
// as the model wrote it: hostile until a tool has validated it.
type ToolCall struct{ ID, Name, Arguments string }

// ToolResult is the answer to a [ToolCall]. Content is text or JSON text. IsError says that the tool failed and
// Content describes how.
type ToolResult struct {
	CallID, Name, Content string
	IsError               bool
}

// Image is a picture: bytes of a media type, or the URL of one.
type Image struct{ mime, data, url string }

// Audio is a recording of a media type such as audio/wav.
type Audio struct{ mime, data string }

// File is a document such as a PDF: bytes of a media type, or the id of a file that was uploaded to the provider. OpenAI
// and servers with its API take files, other backends refuse them before any request.
type File struct{ name, mime, data, id string }

func (Text) isPart()             {}
func (Reasoning) isPart()        {}
func (ToolCall) isPart()         {}
func (ToolResult) isPart()       {}
func (ServerToolCall) isPart()   {}
func (ServerToolResult) isPart() {}
func (Image) isPart()            {}
func (Audio) isPart()            {}
func (File) isPart()             {}

// ToolSpec describes a tool to a model.
type ToolSpec struct {
	Name        string
	Description string
	// Parameters is the JSON Schema of the arguments object.
	Parameters schema.Schema
}

// MediaError says why bytes or a URL are not usable as media.
type MediaError struct{ Kind, Reason string }

func (e *MediaError) Error() string { return fmt.Sprintf("content: %s: %s", e.Kind, e.Reason) }

// NewImage returns an image of data, whose type (PNG, JPEG, GIF or WebP) is read from its first bytes. It returns a
// *[MediaError] for anything else.
func NewImage(data []byte) (Image, error) {
	var mime string
	switch {
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		mime = "image/png"
	case bytes.HasPrefix(data, []byte("\xff\xd8\xff")):
		mime = "image/jpeg"
	case bytes.HasPrefix(data, []byte("GIF87a")), bytes.HasPrefix(data, []byte("GIF89a")):
		mime = "image/gif"
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		mime = "image/webp"
	default:
		return Image{}, &MediaError{Kind: "image", Reason: "not a PNG, JPEG, GIF or WebP file"}
	}
	return Image{mime: mime, data: string(data)}, nil
}

// ImageURL returns an image that the model server, or the backend on its behalf, fetches. It returns a *[MediaError]
// unless raw is an absolute http or https URL.
func ImageURL(raw string) (Image, error) {
	u, err := url.Parse(raw)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return Image{}, &MediaError{Kind: "image", Reason: "the URL must be absolute and http or https"}
	}
	return Image{url: raw}, nil
}

// MIME returns the media type, "" for an image known by its URL.
func (i Image) MIME() string { return i.mime }

// URL returns the image's address, "" when it holds bytes.
func (i Image) URL() string { return i.url }

// Bytes returns a copy of the image file, nil for an image known by its URL.
func (i Image) Bytes() []byte { return []byte(i.data) }

// Base64 returns the image file in standard base64.
func (i Image) Base64() string { return base64.StdEncoding.EncodeToString([]byte(i.data)) }

// NewAudio returns a recording of the media type mime, for example audio/wav or audio/mpeg.
func NewAudio(mime string, data []byte) (Audio, error) {
	if mime == "" || len(data) == 0 {
		return Audio{}, &MediaError{Kind: "audio", Reason: "needs a media type and data"}
	}
	return Audio{mime: mime, data: string(data)}, nil
}

// MIME returns the media type.
func (a Audio) MIME() string { return a.mime }

// Bytes returns a copy of the recording.
func (a Audio) Bytes() []byte { return []byte(a.data) }

// Base64 returns the recording in standard base64.
func (a Audio) Base64() string { return base64.StdEncoding.EncodeToString([]byte(a.data)) }

// NewFile returns a file of the media type mime, for example application/pdf. The name, such as report.pdf, is what the
// model is told of it. It returns a *[MediaError] without any of the three.
func NewFile(name, mime string, data []byte) (File, error) {
	if name == "" || mime == "" || len(data) == 0 {
		return File{}, &MediaError{Kind: "file", Reason: "needs a name, a media type and data"}
	}
	return File{name: name, mime: mime, data: string(data)}, nil
}

// FileID returns a file that was uploaded to the provider, which gave it the id. It returns a *[MediaError] without one.
func FileID(id string) (File, error) {
	if id == "" {
		return File{}, &MediaError{Kind: "file", Reason: "needs the id that the provider gave it"}
	}
	return File{id: id}, nil
}

// Name returns the file's name, "" for one known by its id.
func (f File) Name() string { return f.name }

// MIME returns the media type, "" for a file known by its id.
func (f File) MIME() string { return f.mime }

// ID returns the provider's id, "" for a file that holds bytes.
func (f File) ID() string { return f.id }

// Bytes returns a copy of the file, nil for one known by its id.
func (f File) Bytes() []byte {
	if f.id != "" {
		return nil
	}
	return []byte(f.data)
}

// Base64 returns the file in standard base64.
func (f File) Base64() string { return base64.StdEncoding.EncodeToString([]byte(f.data)) }
