package local

import (
	"encoding/json"
	"fmt"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/gbnf"
	"github.com/mellea-go/mellea/internal/tooltext"
	"github.com/mellea-go/mellea/schema"
)

// Extras about tools, by the names and values of OpenAI's API. Without tools they mean nothing.
const (
	extraToolChoice = backend.ToolChoice
	extraParallel   = "parallel_tool_calls"
)

// toolbox is what a call has of tools.
type toolbox struct {
	offered content.List[content.ToolSpec] // what the model is shown; none where it must not call any
	forced  content.List[content.ToolSpec] // of which the reply must be a call; none leaves it to the model
	several bool                           // calls in a reply, where it must be one
	single  bool                           // a reply ends with its first call
	format  schema.Schema                  // of a reply that is no call
}

// choice is the value of tool_choice.
type choice struct {
	mode string // auto, none, required
	name string // of the tool that is demanded
}

func parseChoice(x any) (c choice, ok bool) {
	if word, is := x.(string); is {
		switch word {
		case "auto", "none", "required":
			return choice{mode: word}, true
		}
		return c, false
	}
	text, err := json.Marshal(x)
	if err != nil {
		return c, false
	}
	var object struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(text, &object) != nil || object.Type != "function" || object.Function.Name == "" {
		return c, false
	}
	return choice{mode: "required", name: object.Function.Name}, true
}

// tools is what the request has of tools, and the settings of a reply that has any.
func (b *Backend) tools(op string, req backend.Request, set *settings) (toolbox, error) {
	if req.Tools.Len() == 0 {
		return toolbox{}, nil
	}
	want := choice{mode: "auto"}
	if x, ok := set.sent.Extra(extraToolChoice); ok {
		if want, ok = parseChoice(x); !ok {
			return toolbox{}, optionError(op, &backend.OptionError{Name: extraToolChoice,
				Want: `"auto", "none", "required" or {"type": "function", "function": {"name": …}}`})
		}
	}
	box := toolbox{format: req.Format}
	if x, ok := set.sent.Extra(extraParallel); ok {
		parallel, is := x.(bool)
		if !is {
			return toolbox{}, optionError(op, &backend.OptionError{Name: extraParallel, Want: "true or false"})
		}
		box.several, box.single = parallel, !parallel
	}
	switch {
	case want.mode == "none":
		return toolbox{}, nil
	case want.name != "":
		for t := range req.Tools.Values() {
			if t.Name == want.name {
				box.forced = content.ListOf(t)
			}
		}
		if box.forced.Len() == 0 {
			return toolbox{}, misconfigured(op, fmt.Sprintf("tool_choice names the tool %q, which is not among those offered", want.name), nil)
		}
	case want.mode == "required":
		box.forced = req.Tools
	}
	box.offered = req.Tools
	if box.forced.Len() == 0 && req.Format.IsZero() {
		return box, nil
	}
	if _, own := set.sent.Extra(extraGrammar); own {
		return toolbox{}, misconfigured(op, "the call demands a tool and has the option grammar: give one of them", nil)
	}
	g, err := box.grammar(tooltext.Hermes) // the conventions differ in nothing that can go wrong
	if err != nil {
		return toolbox{}, noGrammar(op, err)
	}
	return box, b.loose(op, set.sent, g)
}

// grammar is what holds a reply to a call, or to one or the format.
func (x toolbox) grammar(f tooltext.Format) (gbnf.Grammar, error) {
	if x.forced.Len() > 0 {
		return f.Grammar(x.forced, x.several, "")
	}
	return f.Grammar(x.offered, false, x.format.JSON())
}

// held says that a reply with these tools is held to a grammar from its start.
func (x toolbox) held() bool { return x.forced.Len() > 0 || x.offered.Len() > 0 && !x.format.IsZero() }

// noGrammar is the error for a schema that has none.
func noGrammar(op string, err error) error {
	return &backend.Error{Provider: provider, Op: op, Code: backend.CodeUnsupported, Remedy: err.Error(), Err: err}
}

// loose reports the keywords of a schema that a grammar does not enforce, or refuses them under strict options.
func (b *Backend) loose(op string, o backend.Options, g gbnf.Grammar) error {
	for _, keyword := range g.Loose {
		if o.Strict() {
			return unsupported(op, "a grammar cannot hold a reply to the schema's keyword "+keyword+": leave it out, or do without strict options")
		}
		b.report("schema keyword "+keyword, "a grammar cannot express this keyword of a schema, replies are held to the rest of it")
	}
	return nil
}
