package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	jsonv2 "github.com/go-json-experiment/json"

	"github.com/mellea-go/mellea/content"
)

// maxChat bounds a saved chat, in bytes.
const maxChat = 64 << 20

// chatVersion is that of the format of a saved chat.
const chatVersion = 1

// savedChat is a chat in a file.
type savedChat struct {
	Version  int            `json:"mellea_chat"`
	Model    string         `json:"model,omitempty"`
	System   string         `json:"system,omitempty"`
	Messages []savedMessage `json:"messages"`
}

type savedMessage struct {
	Role      string        `json:"role"`
	Content   string        `json:"content"`
	Reasoning string        `json:"reasoning,omitempty"`
	Served    []savedServed `json:"server_tools,omitempty"`
	ToolCalls []savedCall   `json:"tool_calls,omitempty"`
	Results   []savedResult `json:"tool_results,omitempty"`
}

type savedCall struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type savedResult struct {
	CallID  string `json:"call_id,omitempty"`
	Name    string `json:"name"`
	Content string `json:"content"`
	IsError bool   `json:"is_error,omitempty"`
}

// savedServed is a call of a tool that the provider ran itself, or what it gave, which may be known by its place only.
type savedServed struct {
	Call   *savedServerCall   `json:"call,omitempty"`
	Result *savedServerResult `json:"result,omitempty"`
}

type savedServerCall struct {
	ID        string `json:"id,omitempty"`
	Name      string `json:"name"`
	Type      string `json:"type,omitempty"`
	Arguments string `json:"arguments,omitempty"`
}

type savedServerResult struct {
	CallID  string `json:"call_id,omitempty"`
	Type    string `json:"type,omitempty"`
	Content string `json:"content"`
}

// saveMessage returns a message in the form of a file. Media are left out.
func saveMessage(m content.Message) savedMessage {
	s := savedMessage{Role: string(m.Role()), Content: m.Text(), Reasoning: m.Reasoning()}
	for p := range m.Parts() {
		switch p := p.(type) {
		case content.ToolCall:
			s.ToolCalls = append(s.ToolCalls, savedCall(p))
		case content.ToolResult:
			s.Results = append(s.Results, savedResult(p))
		case content.ServerToolCall:
			call := savedServerCall(p)
			s.Served = append(s.Served, savedServed{Call: &call})
		case content.ServerToolResult:
			result := savedServerResult(p)
			s.Served = append(s.Served, savedServed{Result: &result})
		}
	}
	return s
}

// message returns the message that was saved.
func (s savedMessage) message() content.Message {
	var parts []content.Part
	if s.Reasoning != "" {
		parts = append(parts, content.Reasoning{Text: s.Reasoning})
	}
	for _, one := range s.Served {
		if one.Call != nil {
			parts = append(parts, content.ServerToolCall(*one.Call))
		} else {
			parts = append(parts, content.ServerToolResult(*one.Result))
		}
	}
	if s.Content != "" {
		parts = append(parts, content.Text(s.Content))
	}
	for _, c := range s.ToolCalls {
		parts = append(parts, content.ToolCall(c))
	}
	for _, r := range s.Results {
		parts = append(parts, content.ToolResult(r))
	}
	return content.NewMessage(content.Role(s.Role), parts...)
}

func (s savedChat) messages() []content.Message {
	all := make([]content.Message, len(s.Messages))
	for i, m := range s.Messages {
		all[i] = m.message()
	}
	return all
}

// loadChat reads a chat that was saved as JSON.
func loadChat(path string) (savedChat, error) {
	data, err := readBounded("--load", path, maxChat)
	if err != nil {
		return savedChat{}, err
	}
	s, err := parseChat(data)
	if err != nil {
		return s, &usageError{text: fmt.Sprintf("--load %s: not a chat that /save wrote as JSON: %v", path, err), err: err}
	}
	return s, nil
}

func parseChat(data []byte) (savedChat, error) {
	var s savedChat
	if jsonv2.Unmarshal(data, &s, jsonv2.RejectUnknownMembers(true)) != nil {
		return s, errors.New("it is other JSON, or none")
	}
	if s.Version != chatVersion {
		return s, fmt.Errorf("its version is %d, this command reads %d", s.Version, chatVersion)
	}
	for i, m := range s.Messages {
		switch content.Role(m.Role) {
		case content.RoleUser, content.RoleAssistant, content.RoleTool:
		default:
			return s, fmt.Errorf("message %d has an unknown role", i+1)
		}
		for _, one := range m.Served {
			if (one.Call == nil) == (one.Result == nil) {
				return s, fmt.Errorf("message %d has a server tool that is not one of a call and a result", i+1)
			}
		}
	}
	return s, nil
}

// save writes the chat to a file. One that is there already is replaced only if it is this chat's own.
func (c *chat) save(path string) error {
	if path == "" {
		return &usageError{text: "/save needs the name of a file"}
	}
	if _, err := os.Lstat(path); err == nil && path != c.owned {
		return &usageError{text: path + " is there already: choose another name"}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s := savedChat{Version: chatVersion, Model: c.modelName(), System: c.system, Messages: []savedMessage{}}
	for _, m := range c.messages() {
		s.Messages = append(s.Messages, saveMessage(m))
	}
	var text []byte
	switch strings.ToLower(filepath.Ext(path)) {
	case ".md", ".markdown":
		text = s.markdown()
	default:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		if err := enc.Encode(s); err != nil {
			return err
		}
		text = b.Bytes()
	}
	if err := replaceFile(path, text); err != nil {
		return err
	}
	c.owned = path
	c.note("saved to %s", path)
	return nil
}

// replaceFile writes a file that only its owner can read: all of it or nothing.
func replaceFile(path string, text []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(text)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// markdown returns the chat for people to read.
func (s savedChat) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Chat with %s\n", s.Model)
	if s.System != "" {
		fmt.Fprintf(&b, "\n## System\n\n%s\n", strings.TrimSpace(s.System))
	}
	titles := map[string]string{"user": "User", "assistant": "Assistant", "tool": "Tool"}
	for _, m := range s.Messages {
		fmt.Fprintf(&b, "\n## %s\n", titles[m.Role])
		for _, one := range m.Served {
			if one.Call != nil {
				fmt.Fprintf(&b, "\n%s\n", fenced("the provider calls "+one.Call.Name+" "+one.Call.Arguments))
			} else {
				fmt.Fprintf(&b, "\n%s\n", fenced(one.Result.Type+": "+one.Result.Content))
			}
		}
		if text := strings.TrimSpace(m.Content); text != "" {
			fmt.Fprintf(&b, "\n%s\n", text)
		}
		for _, c := range m.ToolCalls {
			fmt.Fprintf(&b, "\n%s\n", fenced("calls "+c.Name+" "+c.Arguments))
		}
		for _, r := range m.Results {
			fmt.Fprintf(&b, "\n%s\n", fenced(r.Name+": "+r.Content))
		}
	}
	return b.Bytes()
}

// fenced returns text as a code block, behind a fence that is longer than any in it.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "\n" + text + "\n" + fence
}
