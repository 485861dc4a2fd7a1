package requirement

import (
	"encoding/json"
	"errors"
	"io"
	"strings"

	"github.com/mellea-go/mellea/schema"
)

// ValidJSON returns a requirement of kind "valid_json": the text is one JSON document. A code fence around all of it is
// taken off first, as models like to put one.
func ValidJSON() Requirement {
	return textCheck("valid_json", "Reply with one JSON document and nothing else.", func(text string) string {
		return jsonReason(unfenced(text))
	})
}

// JSONSchema returns a requirement of kind "json_schema": the text is a JSON document that s accepts. A code fence
// around all of it is taken off first. Null for an optional property counts as none: providers that take schemas in their
// strict form only ask the model for it.
func JSONSchema(s schema.Schema) Requirement {
	description := "Reply with one JSON document that matches this JSON Schema, and nothing else: " + s.JSON()
	return textCheck("json_schema", description, func(text string) string {
		text = unfenced(text)
		if reason := jsonReason(text); reason != "" {
			return reason
		}
		err := s.Validate([]byte(text))
		if err != nil {
			if _, repaired := s.Repair(text); repaired == nil {
				return ""
			}
		}
		if mismatch, ok := errors.AsType[*schema.MismatchError](err); ok {
			err = mismatch.Err
		}
		if err != nil {
			return "does not match the JSON Schema: " + err.Error()
		}
		return ""
	})
}

// jsonReason says why text is not one JSON document, "" when it is.
func jsonReason(text string) string {
	var document json.RawMessage
	err := json.Unmarshal([]byte(text), &document)
	switch {
	case err == nil:
		return ""
	case text == "":
		err = io.ErrUnexpectedEOF
	}
	return "is not one JSON document: " + err.Error()
}

// unfenced returns the text inside a code fence that encloses all of it, else the text without white space around it.
func unfenced(text string) string {
	const fence = "```"
	text = strings.TrimSpace(text)
	body, ok := strings.CutPrefix(text, fence)
	if !ok {
		return text
	}
	info, body, ok := strings.Cut(body, "\n")
	if !ok || strings.Contains(info, "`") {
		return text
	}
	body, ok = strings.CutSuffix(body, fence)
	if !ok {
		return text
	}
	return strings.TrimSpace(body)
}
