package watsonx

import (
	"maps"
	"slices"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/openai"
)

// member is a member of a request whose value is a string.
type member struct{ name, value string }

// style is how a chat differs from that of OpenAI.
var style = openai.Style{NoReasoning: true, NoNull: true}

// appendChat appends the request for a chat. Its options have one layer. Members come in a fixed order, so equal
// requests are equal bytes. The error is an *[openai.ValueError] or a *[backend.Error].
func appendChat(dst []byte, scope member, req backend.Request) (_ []byte, err error) {
	if err := checkMessages(req.Messages); err != nil {
		return dst, err
	}
	dst = appendHead(dst, scope, req.Options.Model())
	dst = append(dst, `,"messages":[`...)
	if dst, err = openai.AppendMessages(dst, req.Messages, style); err != nil {
		return dst, err
	}
	dst = append(dst, ']')
	thinking := req.Options.Thinking()
	options := req.Options
	if thinking == "on" || thinking == "off" { // no effort, see below
		options = options.Without(backend.NeutralThinking)
	}
	if dst, err = openai.AppendParameters(dst, options, style); err != nil {
		return dst, err
	}
	dst = openai.AppendTools(dst, req.Tools)
	dst = openai.AppendFormat(dst, req.Format)

	extras := extrasOf(req.Options)
	if thinking == "on" || thinking == "off" {
		// The templates of models call the switch by one name or the other, as IBM's own SDK knows.
		on := thinking == "on"
		extras["chat_template_kwargs"] = merge(map[string]any{"thinking": on, "enable_thinking": on}, extras["chat_template_kwargs"])
	}
	if err := choose(extras, req.Tools.Len() > 0); err != nil {
		return dst, err
	}
	if n, ok := extras["n"]; ok && n != 1 && n != 1.0 {
		return dst, unsupported(opChat, "n asks for several replies: a generation has one")
	}
	dst, err = appendExtras(dst, extras, func(name string) bool { return chatHas(req, options, name) })
	return append(dst, '}'), err
}

func appendHead(dst []byte, scope member, model string) []byte {
	dst = appendString(append(dst, `{"model_id":`...), model)
	dst = appendString(append(dst, ','), scope.name)
	return appendString(append(dst, ':'), scope.value)
}

// checkMessages refuses what the API has no form for, before anything is sent.
func checkMessages(ms content.Messages) error {
	for _, m := range ms.All() {
		for p := range m.Parts() {
			switch p := p.(type) {
			case content.Image:
				if p.URL() != "" {
					return unsupported(opChat, "the service takes images as bytes, not by their URL: fetch it and use content.NewImage")
				}
			case content.Audio:
				if f := openai.AudioFormat(p.MIME()); f != "wav" && f != "mp3" {
					return unsupported(opChat, "the service takes recordings as WAV or MP3 only: convert it")
				}
			case content.File:
				return unsupported(opChat, "the service takes no files: send their text, or their pages as images")
			default:
				continue
			}
			if m.Role() != content.RoleUser {
				return unsupported(opChat, "the service takes images and recordings from the user only: move them to a message of the user")
			}
		}
	}
	return nil
}

// choose gives the choice of tools the form of this API: a word is a tool_choice_option, a function a tool_choice, and
// there may be one of the two. With tools and no choice the model is free to call them or not, as elsewhere; without tools
// there is nothing to choose.
func choose(extras map[string]any, tools bool) error {
	if word, ok := extras["tool_choice"].(string); ok {
		if _, both := extras["tool_choice_option"]; both {
			return unsupported(opChat, "tool_choice and tool_choice_option exclude each other: leave one out")
		}
		delete(extras, "tool_choice")
		extras["tool_choice_option"] = word
	}
	_, function := extras["tool_choice"]
	_, word := extras["tool_choice_option"]
	switch {
	case function && word:
		return unsupported(opChat, "tool_choice and tool_choice_option exclude each other: leave one out")
	case !tools:
		delete(extras, "tool_choice")
		delete(extras, "tool_choice_option")
	case !function && !word:
		extras["tool_choice_option"] = "auto"
	}
	return nil
}

// chatHas reports whether a chat writes a member itself, so that an extra of the name cannot stand beside it.
func chatHas(req backend.Request, sent backend.Options, name string) bool {
	switch name {
	case "model_id", "messages", "project_id", "space_id":
		return true
	case "tools":
		return req.Tools.Len() > 0
	case "response_format":
		return !req.Format.IsZero()
	}
	n, ok := chatNames[name]
	return ok && sent.Has(n)
}

// appendCompletion appends the request for one raw completion. Its options have one layer.
func appendCompletion(dst []byte, scope member, o backend.Options, prompt string) (_ []byte, err error) {
	dst = appendHead(dst, scope, o.Model())
	dst = appendString(append(dst, `,"input":`...), prompt)
	extras := extrasOf(o)
	parameters := completionParameters(o)
	for name, v := range extras {
		switch name {
		case "moderations", "parameters": // beside the parameters, or all of them
		default:
			parameters[name] = v
			delete(extras, name)
		}
	}
	switch all := merge(parameters, extras["parameters"]).(type) {
	case map[string]any:
		if len(all) > 0 {
			extras["parameters"] = all
		}
	default:
		return dst, &openai.ValueError{Name: `"parameters"`, Reason: "is not an object"}
	}
	dst, err = appendExtras(dst, extras, func(string) bool { return false })
	return append(dst, '}'), err
}

// completionParameters are those that neutral options stand for. The API samples only when it is told to, and a
// temperature of 0 is its other method of decoding.
func completionParameters(o backend.Options) map[string]any {
	p := map[string]any{}
	temperature, warm := o.Temperature()
	switch {
	case warm && temperature == 0:
		p["decoding_method"] = "greedy"
	case warm || o.Has(backend.NeutralTopP) || o.Has(backend.NeutralTopK) || o.Has(backend.NeutralSeed):
		p["decoding_method"] = "sample"
	}
	if warm && temperature != 0 {
		p["temperature"] = temperature
	}
	if n, ok := o.MaxTokens(); ok {
		p["max_new_tokens"] = n
	}
	if v, ok := o.TopP(); ok {
		p["top_p"] = v
	}
	if k, ok := o.TopK(); ok {
		p["top_k"] = k
	}
	if seed, ok := o.Seed(); ok {
		p["random_seed"] = seed
	}
	if stop := o.Stop(); len(stop) > 0 {
		p["stop_sequences"] = stop
		p["include_stop_sequence"] = false // the API keeps it otherwise
	}
	return p
}

// extrasOf returns the provider's own parameters as a map to change.
func extrasOf(o backend.Options) map[string]any { return maps.Collect(o.Extras()) }

// merge lays over on top of base, member by member, where it is an object; anything else takes its place.
func merge(base map[string]any, over any) any {
	top, ok := over.(map[string]any)
	switch {
	case over == nil:
		return base
	case !ok:
		return over
	}
	maps.Copy(base, top)
	return base
}

// appendExtras appends members after others, sorted by name. Those that has reports are the request's own.
func appendExtras(dst []byte, extras map[string]any, has func(name string) bool) ([]byte, error) {
	for _, name := range slices.Sorted(maps.Keys(extras)) {
		if has(name) {
			return dst, &openai.ValueError{Name: strconv.Quote(name), Reason: "is set by the request itself: use the option for it, not an extra of that name"}
		}
		dst = append(appendString(append(dst, ','), name), ':')
		text, err := json.Marshal(extras[name], json.Deterministic(true))
		if err != nil {
			return dst, &openai.ValueError{Name: strconv.Quote(name), Reason: "cannot be encoded as JSON", Err: err}
		}
		dst = append(dst, text...)
	}
	return dst, nil
}

// appendString appends s as a JSON string. Invalid UTF-8 becomes U+FFFD, which is the only error there could be.
func appendString(dst []byte, s string) []byte {
	dst, _ = jsontext.AppendQuote(dst, s)
	return dst
}
