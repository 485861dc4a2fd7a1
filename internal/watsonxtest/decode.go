package watsonxtest

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/schema"
)

// scope is what a request belongs to.
type scope struct {
	ModelID   string `json:"model_id"`
	ProjectID string `json:"project_id"`
	SpaceID   string `json:"space_id"`
}

func (s scope) check() error {
	switch {
	case s.ModelID == "":
		return errors.New("no model_id")
	case (s.ProjectID == "") == (s.SpaceID == ""):
		return errors.New("either project_id or space_id has to be given")
	}
	return nil
}

// chatRequest has the members of the reference for a chat.
type chatRequest struct {
	scope

	Messages []json.RawMessage `json:"messages"`
	Tools    []struct {
		Type     string `json:"type"`
		Function *struct {
			Name        string          `json:"name"`
			Description string          `json:"description"`
			Parameters  json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
	ToolChoiceOption *string `json:"tool_choice_option"`
	ToolChoice       *struct {
		Type     string `json:"type"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	} `json:"tool_choice"`
	ResponseFormat *struct {
		Type       string `json:"type"`
		JSONSchema *struct {
			Name   string          `json:"name"`
			Schema json.RawMessage `json:"schema"`
			Strict bool            `json:"strict"`
		} `json:"json_schema"`
	} `json:"response_format"`

	FrequencyPenalty    *float64        `json:"frequency_penalty"`
	PresencePenalty     *float64        `json:"presence_penalty"`
	RepetitionPenalty   *float64        `json:"repetition_penalty"`
	LengthPenalty       *float64        `json:"length_penalty"`
	Temperature         *float64        `json:"temperature"`
	TopP                *float64        `json:"top_p"`
	LogitBias           map[string]int  `json:"logit_bias"`
	Logprobs            *bool           `json:"logprobs"`
	TopLogprobs         *int            `json:"top_logprobs"`
	MaxTokens           *int            `json:"max_tokens"`
	MaxCompletionTokens *int            `json:"max_completion_tokens"`
	N                   *int            `json:"n"`
	Seed                *int            `json:"seed"`
	Stop                []string        `json:"stop"`
	TimeLimit           *int            `json:"time_limit"`
	IncludeReasoning    *bool           `json:"include_reasoning"`
	ReasoningEffort     *string         `json:"reasoning_effort"`
	ChatTemplateKwargs  map[string]any  `json:"chat_template_kwargs"`
	GuidedChoice        []string        `json:"guided_choice"`
	GuidedRegex         *string         `json:"guided_regex"`
	GuidedGrammar       *string         `json:"guided_grammar"`
	GuidedJSON          json.RawMessage `json:"guided_json"`
	Context             *string         `json:"context"`
	Moderations         map[string]any  `json:"moderations"`
}

// generationRequest has the members of the reference for a raw completion.
type generationRequest struct {
	scope

	Input      *string `json:"input"`
	Parameters *struct {
		DecodingMethod      *string         `json:"decoding_method"`
		LengthPenalty       json.RawMessage `json:"length_penalty"`
		MaxNewTokens        *int            `json:"max_new_tokens"`
		MinNewTokens        *int            `json:"min_new_tokens"`
		RandomSeed          *int            `json:"random_seed"`
		StopSequences       []string        `json:"stop_sequences"`
		Temperature         *float64        `json:"temperature"`
		TimeLimit           *int            `json:"time_limit"`
		TopK                *int            `json:"top_k"`
		TopP                *float64        `json:"top_p"`
		RepetitionPenalty   *float64        `json:"repetition_penalty"`
		TruncateInputTokens *int            `json:"truncate_input_tokens"`
		ReturnOptions       map[string]any  `json:"return_options"`
		IncludeStopSequence *bool           `json:"include_stop_sequence"`
	} `json:"parameters"`
	Moderations map[string]any `json:"moderations"`
}

// message has the members of all kinds of messages; check knows which kind has which.
type message struct {
	Role       string          `json:"role"`
	Content    json.RawMessage `json:"content"`
	Name       *string         `json:"name"`
	Refusal    *string         `json:"refusal"`
	ToolCallID *string         `json:"tool_call_id"`
	ToolCalls  []struct {
		ID       string `json:"id"`
		Type     string `json:"type"`
		Function struct {
			Name      string  `json:"name"`
			Arguments *string `json:"arguments"`
		} `json:"function"`
	} `json:"tool_calls"`
}

// userPart is a part of what a user says.
type userPart struct {
	Type     string  `json:"type"`
	Text     *string `json:"text"`
	ImageURL *struct {
		URL    string `json:"url"`
		Detail string `json:"detail"`
	} `json:"image_url"`
	InputAudio *struct {
		Data   string `json:"data"`
		Format string `json:"format"`
	} `json:"input_audio"`
}

// strict decodes the only document of data and refuses members that v does not have.
func strict(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(v); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("more text follows the request")
	}
	return nil
}

// Decode reads the body of a POST to path.
func (Dialect) Decode(path string, body []byte) (backendtest.Received, error) {
	switch path {
	case pathChat, pathStream:
		return decodeChat(body, path == pathStream)
	case pathGeneration:
		return decodeGeneration(body)
	}
	return backendtest.Received{}, fmt.Errorf("no such resource: %s", path)
}

func decodeGeneration(body []byte) (got backendtest.Received, err error) {
	var req generationRequest
	if err := strict(body, &req); err != nil {
		return got, err
	}
	if err := req.check(); err != nil {
		return got, err
	}
	if req.Input == nil {
		return got, errors.New("no input")
	}
	if p := req.Parameters; p != nil {
		method := ""
		if p.DecodingMethod != nil {
			method = *p.DecodingMethod
		}
		switch {
		case method != "" && method != "sample" && method != "greedy":
			return got, fmt.Errorf("decoding_method %q", method)
		case method != "sample" && (p.Temperature != nil || p.TopK != nil || p.TopP != nil || p.RandomSeed != nil):
			return got, errors.New("parameters of sampling without sampling, where they have no effect")
		}
	}
	return backendtest.Received{Model: req.ModelID, Prompts: []string{*req.Input}}, nil
}

func decodeChat(body []byte, stream bool) (got backendtest.Received, err error) {
	var req chatRequest
	if err := strict(body, &req); err != nil {
		return got, err
	}
	if err := req.check(); err != nil {
		return got, err
	}
	if err := req.checkTools(); err != nil {
		return got, err
	}
	if f := req.ResponseFormat; f != nil && (f.Type == "json_schema") != (f.JSONSchema != nil) {
		return got, fmt.Errorf("response_format of type %q with json_schema: %t", f.Type, f.JSONSchema != nil)
	}
	if len(req.Messages) == 0 {
		return got, errors.New("no messages")
	}
	got = backendtest.Received{Model: req.ModelID, Stream: stream}
	for _, tool := range req.Tools {
		parameters, err := schema.Parse(tool.Function.Name, tool.Function.Parameters)
		if err != nil {
			return got, err
		}
		got.Tools = got.Tools.Append(content.ToolSpec{Name: tool.Function.Name, Description: tool.Function.Description, Parameters: parameters})
	}
	names := map[string]string{} // of the functions, by the id of the call
	for i, raw := range req.Messages {
		var m message
		if err := strict(raw, &m); err != nil {
			return got, fmt.Errorf("messages[%d]: %w", i, err)
		}
		parsed, err := m.read(names)
		if err != nil {
			return got, fmt.Errorf("messages[%d]: %w", i, err)
		}
		got.Messages = got.Messages.Append(parsed)
	}
	return got, nil
}

func (r chatRequest) checkTools() error {
	if r.ToolChoice != nil && r.ToolChoiceOption != nil {
		return errors.New("only one of tool_choice_option and tool_choice must be present")
	}
	if (r.ToolChoice != nil || r.ToolChoiceOption != nil) && len(r.Tools) == 0 {
		return errors.New("a choice of tools, and no tools")
	}
	if c := r.ToolChoice; c != nil && (c.Type != "function" || c.Function.Name == "") {
		return errors.New("tool_choice is not a function with a name")
	}
	if o := r.ToolChoiceOption; o != nil && *o != "none" && *o != "auto" && *o != "required" {
		return fmt.Errorf("tool_choice_option %q", *o)
	}
	for _, t := range r.Tools {
		if t.Type != "function" || t.Function == nil || t.Function.Name == "" {
			return errors.New("a tool that is not a function with a name")
		}
	}
	return nil
}

func (m message) read(names map[string]string) (content.Message, error) {
	role := content.Role(m.Role)
	none := content.Message{}
	if m.Role != "tool" && m.ToolCallID != nil || m.Role != "assistant" && (m.ToolCalls != nil || m.Refusal != nil) {
		return none, fmt.Errorf("a message of role %q has no such member", m.Role)
	}
	if m.Role == "user" && bytes.HasPrefix(bytes.TrimSpace(m.Content), []byte("[")) {
		parts, err := readParts(m.Content)
		return content.NewMessage(role, parts...), err
	}
	var text *string
	if m.Content != nil {
		if err := json.Unmarshal(m.Content, &text); err != nil || text == nil {
			return none, errors.New("content is not a string")
		}
	}
	switch {
	case m.Role == "assistant" && len(m.ToolCalls) > 0:
	case text == nil:
		return none, errors.New("no content")
	}
	var parts []content.Part
	switch m.Role {
	case "tool":
		if m.ToolCallID == nil || *m.ToolCallID == "" {
			return none, errors.New("no tool_call_id")
		}
		return content.NewMessage(role, content.ToolResult{CallID: *m.ToolCallID, Name: names[*m.ToolCallID], Content: *text}), nil
	case "system", "user", "assistant":
		if text != nil {
			parts = append(parts, content.Text(*text))
		}
	default:
		return none, fmt.Errorf("role %q", m.Role)
	}
	for _, c := range m.ToolCalls {
		if c.ID == "" || c.Type != "function" || c.Function.Name == "" || c.Function.Arguments == nil {
			return none, errors.New("a tool call without id, type, name or arguments")
		}
		names[c.ID] = c.Function.Name
		parts = append(parts, content.ToolCall{ID: c.ID, Name: c.Function.Name, Arguments: *c.Function.Arguments})
	}
	return content.NewMessage(role, parts...), nil
}

func readParts(raw json.RawMessage) ([]content.Part, error) {
	var list []userPart
	if err := strict(raw, &list); err != nil {
		return nil, err
	}
	var parts []content.Part
	for _, p := range list {
		var part content.Part
		var err error
		switch {
		case p.Type == "text" && p.Text != nil && p.ImageURL == nil && p.InputAudio == nil:
			part = content.Text(*p.Text)
		case p.Type == "image_url" && p.ImageURL != nil && p.Text == nil && p.InputAudio == nil:
			part, err = readImage(p.ImageURL.URL)
		case p.Type == "input_audio" && p.InputAudio != nil && p.Text == nil && p.ImageURL == nil:
			part, err = readAudio(p.InputAudio.Format, p.InputAudio.Data)
		default:
			err = fmt.Errorf("a part of type %q with other members", p.Type)
		}
		if err != nil {
			return nil, err
		}
		parts = append(parts, part)
	}
	return parts, nil
}

// readImage reads the URL of an image, which holds the image.
func readImage(address string) (content.Part, error) {
	head, encoded, ok := strings.Cut(address, ";base64,")
	mime, isData := strings.CutPrefix(head, "data:")
	if !ok || !isData {
		return nil, errors.New("the URL of an image is not data:…;base64,…")
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	img, err := content.NewImage(data)
	if err == nil && img.MIME() != mime {
		return nil, fmt.Errorf("the image is of type %s, not %s", img.MIME(), mime)
	}
	return img, err
}

func readAudio(format, encoded string) (content.Part, error) {
	if format != "wav" && format != "mp3" {
		return nil, fmt.Errorf("audio of format %q: either wav or mp3", format)
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err != nil {
		return nil, err
	}
	return content.NewAudio("audio/"+format, data)
}
