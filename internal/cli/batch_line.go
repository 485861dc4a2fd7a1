package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	jsonv2 "github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/component"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/batch"
	"github.com/mellea-go/mellea/schema"
)

// maxLine bounds a line of a batch, in bytes.
const maxLine = 4 << 20

// batchLine is one line of a batch, as docs/cli.md describes it.
type batchLine struct {
	ID       jsontext.Value            `json:"id"`
	Prompt   *string                   `json:"prompt"`
	Messages []batchMessage            `json:"messages"`
	Vars     map[string]any            `json:"vars"`
	Schema   jsontext.Value            `json:"schema"`
	Options  map[string]jsontext.Value `json:"options"`

	format  schema.Schema
	options backend.Options
}

type batchMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// lineError says what is wrong with a line. Its text holds no value of the line.
type lineError struct {
	reason string
	err    error
}

func (e *lineError) Error() string { return e.reason }
func (e *lineError) Unwrap() error { return e.err }

func badLine(format string, args ...any) error {
	return &lineError{reason: fmt.Sprintf(format, args...)}
}

// parseLine reads a line. What can be read of a line with an error is its id.
func parseLine(it batch.Item) (batchLine, error) {
	var l batchLine
	if it.TooLong() {
		return l, badLine("the line has more than %d MiB", maxLine>>20)
	}
	if err := jsonv2.Unmarshal(it.Data, &l, jsonv2.RejectUnknownMembers(true)); err != nil {
		return batchLine{ID: idOf(it.Data)}, &lineError{reason: jsonReason(err), err: err}
	}
	switch id := l.ID; {
	case id.Kind() == 'n':
		l.ID = nil
	case len(id) > 0 && id.Kind() != '"' && id.Kind() != '0':
		l.ID = nil
		return l, badLine("id: it is a string or a number")
	}
	for _, step := range []func() error{l.check, l.parseSchema, l.parseOptions} {
		if err := step(); err != nil {
			return l, err
		}
	}
	return l, nil
}

// idOf returns the id in a line that is otherwise not what it should be, nil when there is none.
func idOf(line []byte) jsontext.Value {
	var only struct {
		ID jsontext.Value `json:"id"`
	}
	if jsonv2.Unmarshal(line, &only) != nil || only.ID.Kind() != '"' && only.ID.Kind() != '0' {
		return nil
	}
	return only.ID
}

// jsonReason says why a line is not what it should be, without the values in it.
func jsonReason(err error) string {
	if syntax, ok := errors.AsType[*jsontext.SyntacticError](err); ok {
		return fmt.Sprintf("not a JSON object: wrong at byte %d", syntax.ByteOffset)
	}
	semantic, ok := errors.AsType[*jsonv2.SemanticError](err)
	if !ok {
		return "not a line of a batch"
	}
	at := shorten(string(semantic.JSONPointer), 100)
	switch {
	case errors.Is(err, jsonv2.ErrUnknownName):
		return fmt.Sprintf("%s: there is no such field; known are id, prompt, messages, vars, schema and options", at)
	case at == "":
		return "a line is a JSON object"
	default:
		return fmt.Sprintf("%s: it is not of the right type", at)
	}
}

// check holds the line against what its fields mean together.
func (l *batchLine) check() error {
	switch {
	case l.Prompt == nil && l.Messages == nil:
		return badLine("there is neither a prompt nor messages")
	case l.Prompt != nil && l.Messages != nil:
		return badLine("there are both a prompt and messages: a line has one of them")
	case l.Prompt != nil && *l.Prompt == "":
		return badLine("prompt: it is empty")
	case l.Messages != nil && l.Vars != nil:
		return badLine("vars: they are for a prompt, messages are taken as they are")
	case l.Messages != nil && len(l.Messages) == 0:
		return badLine("messages: there is none")
	}
	for i, m := range l.Messages {
		switch {
		case m.Role != "system" && m.Role != "user" && m.Role != "assistant":
			return badLine("/messages/%d/role: it is system, user or assistant", i)
		case m.Content == "":
			return badLine("/messages/%d/content: it is empty", i)
		case m.Role == "system" && i > 0:
			return badLine("/messages/%d/role: a system message stands first", i)
		case i == len(l.Messages)-1 && m.Role != "user":
			return badLine("/messages/%d/role: the last message is the user's", i)
		}
	}
	return nil
}

func (l *batchLine) parseSchema() error {
	if len(l.Schema) == 0 || l.Schema.Kind() == 'n' {
		return nil
	}
	var err error
	if l.format, err = schema.Parse("", l.Schema); err != nil {
		return &lineError{reason: "schema: not a JSON Schema", err: err}
	}
	return nil
}

// parseOptions reads the options, whose names are those of --option, and model.
func (l *batchLine) parseOptions() error {
	for _, name := range slices.Sorted(maps.Keys(l.Options)) {
		raw, text := l.Options[name], string(l.Options[name])
		var s string
		isText := json.Unmarshal(raw, &s) == nil && raw.Kind() == '"'
		if isText {
			text = s
		}
		switch {
		case name == "model" && isText && s != "":
			l.options = l.options.WithModel(s)
			continue
		case name == "model":
			return badLine("/options/model: it is a name")
		case name == "stop": // a string that reads as another JSON value is still a string
			text = string(raw)
		}
		ours := neutralName(name)
		set, known := neutral[ours]
		if !known {
			l.options = l.options.WithExtra(name, value(raw))
			continue
		}
		var ok bool
		if l.options, ok = set(l.options, text); !ok {
			return badLine("/options/%s: it is not %s", name, wants[ours])
		}
	}
	return nil
}

// value returns what a JSON document means, with whole numbers as int64 where they fit.
func value(raw jsontext.Value) any {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var v any
	_ = d.Decode(&v) // it was decoded once
	return numbers(v)
}

// conversation is a component that shows messages as they are.
type conversation struct{ messages content.Messages }

var _ component.Typed[string] = conversation{}

// Kind returns "message".
func (conversation) Kind() string { return "message" }

// Prompt returns the messages.
func (c conversation) Prompt() (component.Prompt, error) {
	return component.Prompt{Messages: c.messages}, nil
}

// Pending returns nil: messages are complete.
func (conversation) Pending() []*backend.Output { return nil }

// Parse returns the reply's text.
func (conversation) Parse(reply content.Message) (string, error) { return reply.Text(), nil }

// conversation returns the messages of a line.
func (l *batchLine) conversation() conversation {
	all := make([]content.Message, len(l.Messages))
	for i, m := range l.Messages {
		all[i] = content.NewMessage(content.Role(m.Role), content.Text(m.Content))
	}
	return conversation{content.NewMessages(all...)}
}
