package local

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/tooltext"
)

// prompter turns conversations into tokens, by the chat template of a model.
//
// A template puts control tokens around the messages, such as <|im_start|>. Where a message has the text of one, it must
// not become one: whoever wrote it could speak in the place of the system otherwise. So before the template is applied
// such texts are replaced by marks that nobody can guess, and put back as plain text when the rest is tokens.
type prompter struct {
	weights  weights
	template string
	format   tooltext.Format
	thinks   bool // the model thinks before it answers
	marker   func() *marker
}

// newPrompter returns the prompter of a model. A template or format that is not given is the model's own.
func newPrompter(w weights, template string, format ToolFormat) prompter {
	own := w.template()
	if template == "" {
		template = own
	}
	return prompter{weights: w, template: template, format: format.of(own, template), thinks: thinks(own) || thinks(template), marker: sync.OnceValue(func() *marker { return newMarker(w.controls()) })}
}

type marker struct {
	controls  []string
	open, end string // a mark is open, the index of a control, end
	replace   *strings.Replacer
}

func newMarker(controls []string) *marker {
	m := &marker{controls: slices.Clone(controls), open: fmt.Sprintf("\uE0F0%016x-", rand.Uint64()), end: "\uE0F1"}
	// The longest first: of two that match at one place the replacer takes the one it was given first.
	slices.SortStableFunc(m.controls, func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for i, c := range m.controls {
		pairs = append(pairs, c, m.open+strconv.Itoa(i)+m.end)
	}
	m.replace = strings.NewReplacer(pairs...)
	return m
}

// chat returns the tokens of a conversation, up to where the model's turn begins. The error is an *[backend.Error].
func (p *prompter) chat(messages content.Messages, tools content.List[content.ToolSpec]) ([]token, error) {
	mark := p.marker()
	var turns []turn
	for _, t := range p.format.Turns(messages, tools, mark.replace.Replace) {
		turns = append(turns, turn{role: mark.replace.Replace(t.Role), text: t.Text})
	}
	if messages.Len() == 0 {
		return nil, misconfigured("chat", "the request has no messages", nil)
	}
	if p.template == "" {
		return nil, misconfigured("chat", "the model's file has no chat template: name one by WithChatTemplate, or use raw completions", nil)
	}
	rendered, ok := p.weights.render(p.template, turns)
	if !ok {
		return nil, misconfigured("chat", "llama.cpp does not know the model's chat template: name one it knows by WithChatTemplate, such as chatml", nil)
	}
	if rendered == "" {
		return nil, misconfigured("chat", "the chat template makes nothing of the request", nil)
	}
	return p.tokens(rendered, mark), nil
}

// tokens turns a rendered conversation into tokens, its marks into plain text.
func (p *prompter) tokens(rendered string, mark *marker) []token {
	var all []token
	begin := true
	add := func(text string, control bool) {
		if text != "" {
			all = append(all, p.weights.tokenize(text, begin, control)...)
			begin = false
		}
	}
	for i, part := range strings.Split(rendered, mark.open) {
		if i > 0 {
			index, rest, _ := strings.Cut(part, mark.end)
			if n, err := strconv.Atoi(index); err == nil && n >= 0 && n < len(mark.controls) {
				add(mark.controls[n], false)
			}
			part = rest
		}
		add(part, true)
	}
	return all
}

// readable says whether a model can read a message: the error is for what is not text. Reasoning is left out, as the makers
// of reasoning models ask, and what the tools of another provider did, of which the text tells.
func readable(m content.Message) error {
	for part := range m.Parts() {
		switch part.(type) {
		case content.Text, content.Reasoning, content.ToolCall, content.ToolResult, content.ServerToolCall, content.ServerToolResult:
		default:
			return unsupported("chat", "a model in process reads text only: leave images, recordings and files out, or use an endpoint")
		}
	}
	return nil
}

// raw returns the tokens of a prompt as it is.
func (p *prompter) raw(prompt string) ([]token, error) {
	if prompt == "" {
		return nil, misconfigured("batch", "the prompt is empty", nil)
	}
	return p.weights.tokenize(prompt, true, false), nil
}

// tooLong is a prompt that leaves no room for a reply.
func tooLong(op string, tokens, window int) error {
	return &backend.Error{Provider: provider, Op: op, Code: codeLength,
		Remedy: fmt.Sprintf("the prompt has %d tokens and the context window %d: shorten it, or ask for a larger context window", tokens, window)}
}

const codeLength = "context_length_exceeded"
