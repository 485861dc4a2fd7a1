package ollama

import (
	"bytes"
	"errors"
	"slices"
	"strconv"
	"sync"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
)

var errMalformed = errors.New("ollama: malformed reply")

// reply is one JSON object of a reply: a whole one, or a piece of a streamed one. Its slices are valid until the next
// decode.
type reply struct {
	message         bool // it has a message, even if an empty one
	completion      bool // it has the text of a raw completion, even if an empty one
	text, reasoning []byte
	calls           []backend.ToolDelta // without their index

	failed bool // it is an error object
	done   bool
	reason []byte
	model  []byte

	promptTokens, tokens int
}

// decoder turns bytes into a reply without allocating for text. It is used by one goroutine and kept in a pool.
type decoder struct {
	json jsontext.Decoder
	in   bytes.Buffer // what json reads; it aliases the caller's bytes
	name []byte
	raw  bool // replies are of /api/generate
	reply
}

var decoders = sync.Pool{New: func() any { return new(decoder) }}

// keep is the largest scratch buffer that stays in the pool.
const keep = 64 << 10

func (d *decoder) release() {
	d.in = bytes.Buffer{}
	d.json.Reset(&d.in) // lets go of the caller's bytes
	if cap(d.text) > keep || cap(d.reasoning) > keep {
		d.text, d.reasoning = nil, nil
	}
	clear(d.calls[:cap(d.calls)])
	d.raw = false
	decoders.Put(d)
}

// decode reads one object into d.reply. Members it does not know are skipped, repeated ones read again, and bytes that
// are not UTF-8 become U+FFFD. The error is errMalformed and quotes nothing.
func (d *decoder) decode(object []byte) error {
	d.reply = reply{text: d.text[:0], reasoning: d.reasoning[:0], calls: d.calls[:0], reason: d.reason[:0], model: d.model[:0]}
	d.in = *bytes.NewBuffer(object)
	d.json.Reset(&d.in, jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if err := d.object(d.member); err != nil {
		return errMalformed
	}
	if rest := object[d.json.InputOffset():]; len(bytes.TrimSpace(rest)) > 0 {
		return errMalformed
	}
	return nil
}

// object reads an object, or null in its place, and calls member for each of its members.
func (d *decoder) object(member func(name []byte) error) error {
	open, err := d.json.ReadToken()
	switch {
	case err != nil:
		return err
	case open.Kind() == 'n':
		return nil
	case open.Kind() != '{':
		return errMalformed
	}
	for d.json.PeekKind() != '}' {
		name, err := d.json.ReadValue()
		if err != nil {
			return err
		}
		if d.name, err = unquote(d.name[:0], name); err != nil {
			return err
		}
		if err := member(d.name); err != nil {
			return err
		}
	}
	_, err = d.json.ReadToken()
	return err
}

func (d *decoder) member(name []byte) (err error) {
	switch string(name) {
	case "message":
		d.message = true
		return d.object(d.messageMember)
	case "response":
		if !d.raw {
			return d.json.SkipValue()
		}
		d.completion = true
		d.text, err = d.string(d.text[:0])
	case "done":
		d.done, err = d.bool()
	case "done_reason":
		d.reason, err = d.string(d.reason[:0])
	case "model":
		d.model, err = d.string(d.model[:0])
	case "prompt_eval_count":
		d.promptTokens, err = d.count()
	case "eval_count":
		d.tokens, err = d.count()
	case "error":
		d.failed = true
		return d.json.SkipValue()
	default:
		return d.json.SkipValue()
	}
	return err
}

func (d *decoder) messageMember(name []byte) (err error) {
	switch string(name) {
	case "content":
		d.text, err = d.string(d.text[:0])
	case "thinking":
		d.reasoning, err = d.string(d.reasoning[:0])
	case "tool_calls":
		return d.toolCalls()
	default:
		return d.json.SkipValue()
	}
	return err
}

func (d *decoder) toolCalls() error {
	open, err := d.json.ReadToken()
	switch {
	case err != nil:
		return err
	case open.Kind() == 'n':
		return nil
	case open.Kind() != '[':
		return errMalformed
	}
	for d.json.PeekKind() != ']' {
		if len(d.calls) == backend.MaxToolCalls {
			return errMalformed
		}
		d.calls = append(d.calls, backend.ToolDelta{})
		call := &d.calls[len(d.calls)-1]
		err := d.object(func(name []byte) error {
			switch string(name) {
			case "id":
				return d.copyString(&call.ID)
			case "function":
				return d.object(func(name []byte) error {
					switch string(name) {
					case "name":
						return d.copyString(&call.Name)
					case "arguments":
						return d.arguments(&call.Arguments)
					}
					return d.json.SkipValue()
				})
			}
			return d.json.SkipValue()
		})
		if err != nil {
			return err
		}
		if call.Name == "" {
			return errMalformed
		}
	}
	_, err = d.json.ReadToken()
	return err
}

// arguments reads the arguments of a call: an object, or the text of one as some imitators of the API send it.
func (d *decoder) arguments(dst *string) error {
	if d.json.PeekKind() == '"' {
		return d.copyString(dst)
	}
	v, err := d.json.ReadValue()
	if err != nil {
		return err
	}
	if v.Kind() == 'n' {
		return nil
	}
	v = slices.Clone(v)
	if err := v.Compact(); err != nil {
		return err
	}
	*dst = string(v)
	return nil
}

// string appends a string, or nothing for null, to dst.
func (d *decoder) string(dst []byte) ([]byte, error) {
	v, err := d.json.ReadValue()
	if err != nil {
		return dst, err
	}
	return unquote(dst, v)
}

func (d *decoder) copyString(dst *string) error {
	b, err := d.string(nil)
	*dst = string(b)
	return err
}

func unquote(dst []byte, v jsontext.Value) ([]byte, error) {
	switch v.Kind() {
	case 'n':
		return dst, nil
	case '"':
		// The only error possible in a value that was read is invalid UTF-8, which has been replaced.
		dst, _ = jsontext.AppendUnquote(dst, v)
		return dst, nil
	}
	return dst, errMalformed
}

func (d *decoder) bool() (bool, error) {
	v, err := d.json.ReadToken()
	switch {
	case err != nil:
		return false, err
	case v.Kind() == 't':
		return true, nil
	case v.Kind() == 'f', v.Kind() == 'n':
		return false, nil
	}
	return false, errMalformed
}

// count reads a number of tokens.
func (d *decoder) count() (int, error) {
	v, err := d.json.ReadValue()
	if err != nil {
		return 0, err
	}
	if v.Kind() == 'n' {
		return 0, nil
	}
	n, err := strconv.ParseUint(string(v), 10, 31)
	if err != nil {
		return 0, errMalformed
	}
	return int(n), nil
}
