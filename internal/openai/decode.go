package openai

import (
	"cmp"
	"math"
	"strconv"

	"github.com/mellea-go/mellea/content"
)

// Decoder decodes replies and chunks into one Event that it uses again. The zero Decoder is ready; it is not safe for
// concurrent use.
type Decoder struct {
	// Whole says that the documents are whole replies and not chunks: of a choice that has both a message and a delta,
	// as those of Perplexity have, the message counts, in a chunk the delta. Either alone is taken as it is.
	Whole bool

	scan scanner
	ev   Event
	// What every chunk of a stream repeats is kept from one call to the next.
	id, model, finish string
	fingerprint, tier string
	calls             []ToolCall
	served            []ServerTool
}

// MaxToolCalls bounds the tool calls of one document.
const MaxToolCalls = 256

// Decode reads one reply or one chunk. The Event is valid until the next call. The error is a *[FormatError].
//
// What it does not know it skips, as new members appear all the time; members it does know must be of their type. It
// judges the form only: whether there are enough choices is the caller's to say.
func (d *Decoder) Decode(doc []byte) (*Event, error) {
	if err := d.document(doc, d.top); err != nil {
		return nil, err
	}
	if len(d.calls) > 0 {
		d.ev.ToolCalls = d.calls
	}
	if len(d.served) > 0 {
		d.ev.ServerTools = d.served
	}
	return &d.ev, nil
}

// document reads a JSON object and nothing after it, member by member.
func (d *Decoder) document(doc []byte, member func(name []byte) error) error {
	d.ev = Event{}
	d.calls, d.served = d.calls[:0], d.served[:0]
	d.scan.reset(doc)
	if d.scan.dec.PeekKind() != '{' {
		return &FormatError{Reason: "is not a JSON object"}
	}
	if err := d.scan.object("", member); err != nil {
		return err
	}
	return d.scan.end()
}

func (d *Decoder) top(name []byte) (err error) {
	s := &d.scan
	switch string(name) {
	case `"id"`:
		d.ev.ID, err = d.repeated("id", &d.id)
	case `"model"`:
		d.ev.Model, err = d.repeated("model", &d.model)
	case `"model_id"`: // watsonx.ai, which may have both, with one value
		if d.ev.Model != "" {
			return s.skip()
		}
		d.ev.Model, err = d.repeated("model_id", &d.model)
	case `"system_fingerprint"`:
		d.ev.Fingerprint, err = d.repeated("system_fingerprint", &d.fingerprint)
	case `"service_tier"`:
		d.ev.ServiceTier, err = d.repeated("service_tier", &d.tier)
	case `"created"`:
		var n int
		n, err = s.count("created")
		d.ev.Created = int64(n)
	case `"choices"`:
		err = s.array("choices", d.choice)
	case `"usage"`:
		err = d.usage()
	case `"error"`, `"errors"`:
		d.ev.HasError = d.ev.HasError || s.dec.PeekKind() != 'n'
		err = s.skip()
	case `"moderations"`: // watsonx.ai: findings by the name of the detector
		err = s.object("moderations", func([]byte) error {
			d.ev.Moderated = true
			return s.skip()
		})
	default:
		err = s.skip()
	}
	return err
}

func (d *Decoder) repeated(field string, kept *string) (string, error) {
	b, err := d.scan.bytes(field)
	if err != nil {
		return "", err
	}
	*kept = same(*kept, b)
	return *kept, nil
}

// choice reads the choice with index 0. The others, which a request for several brings, are counted and skipped: a
// choice whose index comes after its message has been read by then, so the index must come first, as it does.
func (d *Decoder) choice(i int) error {
	d.ev.Choices++
	other, settled := i > 0, false
	return d.scan.object("choices", func(name []byte) (err error) {
		s := &d.scan
		if string(name) == `"index"` {
			n, err := s.count("index")
			other = n != 0
			return err
		}
		if other {
			return s.skip()
		}
		switch string(name) {
		case `"delta"`, `"message"`:
			if s.dec.PeekKind() == 'n' || settled {
				return s.skip()
			}
			if settled = (name[1] == 'm') == d.Whole; settled {
				d.ev.Text, d.ev.Reasoning, d.ev.Refusal, d.calls, d.served = nil, nil, nil, d.calls[:0], d.served[:0]
			}
			d.ev.HasMessage = true
			return s.object("message", d.message)
		case `"finish_reason"`:
			b, err := s.bytes("finish_reason")
			if err == nil && len(b) > 0 {
				d.finish = finishReason(d.finish, b)
				d.ev.FinishReason = d.finish
			}
			return err
		}
		return s.skip()
	})
}

// finishReason returns b as a string, without an allocation for the usual ones.
func finishReason(old string, b []byte) string {
	for _, known := range [...]string{FinishStop, FinishLength, FinishToolCalls, FinishContentFilter} {
		if string(b) == known {
			return known
		}
	}
	return same(old, b)
}

func (d *Decoder) message(name []byte) (err error) {
	s, ev := &d.scan, &d.ev
	switch string(name) {
	case `"role"`:
		ev.HasRole = true
		err = s.skip()
	case `"content"`:
		err = d.content()
	case `"reasoning_content"`, `"reasoning"`:
		// Servers that send both say the same thing twice.
		var b []byte
		if b, err = s.bytes("reasoning"); err == nil && len(b) > 0 {
			ev.Reasoning = b
		}
	case `"refusal"`:
		ev.Refusal, err = s.bytes("refusal")
	case `"tool_calls"`:
		err = s.array("tool_calls", d.toolCall)
	case `"executed_tools"`:
		err = d.executedTools()
	case `"provider_specific_fields"`:
		err = d.providerFields()
	default:
		err = s.skip()
	}
	return err
}

// content reads the text of a message: a string, or parts of which the text ones count.
func (d *Decoder) content() (err error) {
	s := &d.scan
	if s.dec.PeekKind() != '[' {
		d.ev.Text, err = s.bytes("content")
		return err
	}
	var text, reasoning []byte
	err = s.array("content", func(int) error {
		return s.object("content", func(name []byte) error {
			switch string(name) {
			case `"text"`:
				b, err := s.bytes("text")
				text = append(text, b...)
				return err
			case `"thinking"`: // Mistral: a list of text parts
				return s.array("thinking", func(int) error {
					return s.object("thinking", func(name []byte) error {
						if string(name) != `"text"` {
							return s.skip()
						}
						b, err := s.bytes("text")
						reasoning = append(reasoning, b...)
						return err
					})
				})
			}
			return s.skip()
		})
	})
	d.ev.Text = text
	if len(reasoning) > 0 {
		d.ev.Reasoning = reasoning
	}
	return err
}

func (d *Decoder) toolCall(i int) error {
	if i >= MaxToolCalls {
		return &FormatError{Field: "tool_calls", Reason: "has too many elements"}
	}
	c := ToolCall{Index: -1}
	err := d.scan.toolCall(&c)
	d.calls = append(d.calls, c)
	return err
}

// toolCall reads one tool call. Arguments that a server gives as an object instead of a string stay as they stand.
func (s *scanner) toolCall(c *ToolCall) error {
	return s.object("tool_calls", func(name []byte) (err error) {
		switch string(name) {
		case `"index"`:
			if s.dec.PeekKind() == 'n' {
				return s.skip()
			}
			c.Index, err = s.count("index")
			return err
		case `"id"`:
			c.ID, err = s.text("id")
			return err
		case `"function"`:
			return s.object("function", func(name []byte) (err error) {
				switch string(name) {
				case `"name"`:
					c.Name, err = s.text("name")
				case `"arguments"`:
					if s.dec.PeekKind() != '{' {
						c.Arguments, err = s.bytes("arguments")
						return err
					}
					v, err := s.raw()
					start := len(s.arena)
					s.arena = append(s.arena, v...)
					c.Arguments = s.arena[start:len(s.arena):len(s.arena)]
					return err
				default:
					err = s.skip()
				}
				return err
			})
		}
		return s.skip()
	})
}

func (d *Decoder) usage() error {
	if d.scan.dec.PeekKind() == 'n' {
		return d.scan.skip()
	}
	var u content.Usage
	var read, written int   // the top-level counts of caching of Anthropic's models, which are preferred
	var cached, thought int // those of servers that have no breakdown, or nothing in it
	err := d.scan.object("usage", func(name []byte) (err error) {
		s := &d.scan
		switch string(name) {
		case `"prompt_tokens"`:
			u.InputTokens, err = s.count("prompt_tokens")
		case `"completion_tokens"`:
			u.OutputTokens, err = s.count("completion_tokens")
		case `"cache_read_input_tokens"`:
			read, err = s.count("cache_read_input_tokens")
		case `"cache_creation_input_tokens"`:
			written, err = s.count("cache_creation_input_tokens")
		case `"cached_tokens"`, `"num_cached_tokens"`, `"prompt_cache_hit_tokens"`: // Together, Mistral, DeepSeek
			cached, err = s.count("cached_tokens")
		case `"reasoning_tokens"`: // Together
			thought, err = s.count("reasoning_tokens")
		case `"cost"`:
			d.ev.CostUSD, d.ev.HasCost, err = s.price()
		case `"prompt_tokens_details"`:
			err = s.details(&u, &u.Text.InputTokens, &u.Image.InputTokens, &u.Audio.InputTokens)
		case `"completion_tokens_details"`:
			err = s.details(&u, &u.Text.OutputTokens, &u.Image.OutputTokens, &u.Audio.OutputTokens)
		default:
			err = s.skip()
		}
		return err
	})
	u.CacheReadTokens = cmp.Or(read, u.CacheReadTokens, cached)
	u.CacheWriteTokens = cmp.Or(written, u.CacheWriteTokens)
	u.ReasoningTokens = cmp.Or(u.ReasoningTokens, thought)
	d.ev.Usage, d.ev.HasUsage = u, true
	return err
}

// details reads a breakdown of tokens. The names it knows do not occur in both breakdowns with different meanings.
func (s *scanner) details(u *content.Usage, text, image, audio *int) error {
	return s.object("token details", func(name []byte) (err error) {
		switch string(name) {
		case `"cached_tokens"`:
			u.CacheReadTokens, err = s.count("cached_tokens")
		case `"cache_write_tokens"`:
			u.CacheWriteTokens, err = s.count("cache_write_tokens")
		case `"reasoning_tokens"`:
			u.ReasoningTokens, err = s.count("reasoning_tokens")
		case `"text_tokens"`:
			*text, err = s.count("text_tokens")
		case `"image_tokens"`:
			*image, err = s.count("image_tokens")
		case `"audio_tokens"`:
			*audio, err = s.count("audio_tokens")
		default:
			err = s.skip()
		}
		return err
	})
}

// price reads an amount of money; ok is false for what is none: a breakdown, a number below 0.
func (s *scanner) price() (usd float64, ok bool, err error) {
	v, err := s.raw()
	if err != nil || v.Kind() != '0' {
		return 0, false, err
	}
	// The only error of a number the decoder accepted is that it is too large, and then it is infinite.
	usd, _ = strconv.ParseFloat(string(v), 64)
	if usd < 0 || math.IsInf(usd, 0) {
		return 0, false, nil
	}
	return usd, true, nil
}
