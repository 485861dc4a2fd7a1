package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Causes of a [FormatError].
var (
	ErrNotRecording = errors.New("not a recording")
	ErrVersion      = errors.New("a newer version of the format")
	ErrDamaged      = errors.New("damaged")
	ErrTooLarge     = errors.New("too large")
)

// FormatError says why a file is not a recording that can be replayed. Err is one of [ErrNotRecording], [ErrVersion],
// [ErrDamaged] and [ErrTooLarge]. Its text quotes nothing of the file.
type FormatError struct {
	Name   string // the file, "" when it has no name
	Line   int    // from 1
	Reason string
	Err    error
}

func (e *FormatError) Error() string {
	name := e.Name
	if name == "" {
		name = "recording"
	}
	return fmt.Sprintf("replay: %s, line %d: %v: %s", name, e.Line, e.Err, e.Reason)
}

// Unwrap returns the kind of the error.
func (e *FormatError) Unwrap() error { return e.Err }

// recording is a file that was read.
type recording struct {
	header    header
	exchanges []*exchange // in the order of their requests
	cut       bool        // the last line was incomplete and is left out
}

// read reads a recording; its errors are *FormatError, without a name, and those of r.
func read(r io.Reader) (*recording, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var (
		rec  recording
		line int
		size int64
		at   = func(kind error, reason string) error { return &FormatError{Line: line, Reason: reason, Err: kind} }
	)
	for {
		line++
		text, whole, err := readLine(in)
		size += int64(len(text))
		switch {
		case errors.Is(err, ErrTooLarge):
			return nil, at(ErrTooLarge, fmt.Sprintf("a line may have %d bytes", MaxLine))
		case size > MaxSize:
			return nil, at(ErrTooLarge, fmt.Sprintf("a recording may have %d bytes", MaxSize))
		case err == io.EOF && line == 1, line == 1 && err == nil && len(bytes.TrimSpace(text)) == 0:
			return nil, at(ErrNotRecording, "it has no header")
		case err == io.EOF:
			slices.SortStableFunc(rec.exchanges, func(a, b *exchange) int { return a.Index - b.Index })
			return &rec, nil
		case err != nil:
			return nil, err
		case line == 1:
			if err := rec.header.read(text); err != nil {
				err.Line = 1
				return nil, err
			}
			continue
		case len(bytes.TrimSpace(text)) == 0:
			continue
		}
		e := &exchange{line: line}
		if err := e.read(text); err != nil {
			if !whole {
				rec.cut = true
				continue
			}
			return nil, at(ErrDamaged, err.Error())
		}
		rec.exchanges = append(rec.exchanges, e)
	}
}

// readLine returns the next line; whole is false when the file ends without a line feed. At the end it is io.EOF.
func readLine(in *bufio.Reader) (line []byte, whole bool, err error) {
	for {
		piece, err := in.ReadSlice('\n')
		if len(line)+len(piece) > MaxLine {
			return nil, false, ErrTooLarge
		}
		line = append(line, piece...)
		switch {
		case err == nil:
			return line, true, nil
		case err == io.EOF && len(line) > 0:
			return line, false, nil
		case err != bufio.ErrBufferFull:
			return nil, false, err
		}
	}
}

func (h *header) read(text []byte) *FormatError {
	var kind struct {
		Format  string `json:"format"`
		Version int    `json:"version"`
	}
	switch err := json.Unmarshal(text, &kind); {
	case err != nil || kind.Format != formatName:
		return &FormatError{Reason: "its first line is not the header of one", Err: ErrNotRecording}
	case kind.Version > version:
		return &FormatError{Reason: fmt.Sprintf("it is of version %d, this program reads up to version %d: use a newer one", kind.Version, version), Err: ErrVersion}
	case kind.Version < 1:
		return &FormatError{Reason: "the header has no version", Err: ErrDamaged}
	}
	if err := json.Unmarshal(text, h, json.RejectUnknownMembers(true)); err != nil {
		return &FormatError{Reason: where(err), Err: ErrDamaged}
	}
	if h.Capabilities.Structured != "" && !slices.Contains(structured, h.Capabilities.Structured) {
		return &FormatError{Reason: "capabilities: unknown kind of structured output", Err: ErrDamaged}
	}
	return nil
}

// read decodes one line and finds the identity of its request.
func (e *exchange) read(text []byte) error {
	// Options and schemas may repeat names, as the providers that take them may allow.
	if err := json.Unmarshal(text, e, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(true)); err != nil {
		return errors.New(where(err))
	}
	if err := e.check(); err != nil {
		return err
	}
	var err error
	if e.canonical, err = e.Request.identity(); err != nil {
		return errors.New("the request has no canonical form")
	}
	return nil
}

// where says at which place of a line the error is, without what stands there.
func where(err error) string {
	var (
		syntax *jsontext.SyntacticError
		member *json.SemanticError
	)
	switch {
	case errors.As(err, &syntax):
		return fmt.Sprintf("not JSON at byte %d", syntax.ByteOffset+1)
	case errors.As(err, &member) && errors.Is(err, json.ErrUnknownName):
		return fmt.Sprintf("a member that version %d does not know, at byte %d", version, member.ByteOffset+1)
	case errors.As(err, &member):
		return fmt.Sprintf("a value of the wrong kind at byte %d", member.ByteOffset+1)
	}
	return "not what the format says"
}
