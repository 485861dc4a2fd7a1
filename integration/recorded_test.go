package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend/backendtest"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// recordings is the folder of what real servers said, which the unit tests of the OpenAI backend replay.
var recordings = filepath.FromSlash("../backend/openai/testdata/recorded")

// said is a real server of the dialect, asked without any code of ours.
type said struct {
	name, version string // of the server
	url, key      string
	model         string
	tools         string // a model that calls two tools and then answers; "" for none
	thinker       string // a model that thinks; "" for none
	hide          map[string]string
}

// TestRecordedReplies asks each server what its recordings were answers to. What it says now must have the shape of what
// it said then: the same members, of the same types. With MELLEA_RECORD_CONFORMANCE=1 it records anew, without anything
// that differs from one run to the next.
func TestRecordedReplies(t *testing.T) {
	ollama := components.StartOllama(t)
	scripted := components.Scripted(t, ollama, weatherScript)
	thinking := components.Scripted(t, ollama, tinymodel.Script{Replies: []tinymodel.Reply{{Thinking: "Two and two.", Text: "Four."}}})
	t.Run("ollama", func(t *testing.T) {
		said{name: "ollama", version: "Ollama 0.17.4 at /v1", url: ollama.URL, model: ollama.Model, tools: scripted, thinker: thinking,
			hide: map[string]string{scripted: "scripted", thinking: "thinker"}}.record(t)
	})
	t.Run("litellm", func(t *testing.T) {
		proxy := components.StartLiteLLM(t, ollama)
		said{name: "litellm", version: "LiteLLM 1.106.12 before Ollama 0.17.4", url: proxy.URL, key: proxy.Key, model: components.LiteLLMSmall,
			tools: "openai/" + scripted, thinker: "openai/" + thinking,
			hide: map[string]string{scripted: "scripted", thinking: "thinker", ollama.URL: "http://ollama"}}.record(t)
	})
	t.Run("transformers", func(t *testing.T) {
		server := components.TransformersServe(t)
		said{name: "transformers", version: "transformers serve 5.24.0", url: server.URL, model: server.Model,
			hide: map[string]string{server.Model: "SmolLM2-135M-Instruct"}}.record(t)
	})
}

func (s said) record(t *testing.T) {
	messages := `"messages":[{"role":"user","content":"What is the capital of Italy?"}],"temperature":0,"seed":7,"max_tokens":8`
	ask := func(model, rest string) string { return fmt.Sprintf(`{"model":%q,%s}`, model, rest) }
	const streamed = `,"stream":true,"stream_options":{"include_usage":true}`
	requests := map[string]string{
		"chat":      ask(s.model, messages),
		"stream":    ask(s.model, messages+streamed),
		"bad-model": ask("no-such-model", messages),
		"bad-value": ask(s.model, strings.Replace(messages, `"temperature":0`, `"temperature":"hot"`, 1)),
	}
	if s.tools != "" {
		tools := `"messages":[{"role":"user","content":"` + weatherPrompt + `"}],"tools":[{"type":"function","function":{"name":"weather",
			"description":"tells the weather of a city","parameters":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}}]`
		requests["tools"] = ask(s.tools, tools)
		requests["stream-tools"] = ask(s.tools, tools+streamed)
	}
	if s.thinker != "" {
		requests["thinking"] = ask(s.thinker, `"messages":[{"role":"user","content":"2+2?"}]`)
		requests["stream-thinking"] = ask(s.thinker, `"messages":[{"role":"user","content":"2+2?"}]`+streamed)
	}
	for _, kind := range slices.Sorted(maps.Keys(requests)) {
		t.Run(kind, func(t *testing.T) {
			got := s.ask(t, requests[kind])
			path := filepath.Join(recordings, s.name+"-"+kind+".http")
			if os.Getenv(backendtest.RecordVariable) == "1" {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(shape(t, got), shape(t, want)); diff != "" {
				t.Errorf("%s is not what the server says: record it with %s=1 (-says +recorded):\n%s", path, backendtest.RecordVariable, diff)
			}
		})
	}
}

// ask returns the reply as a recording has it.
func (s said) ask(t *testing.T, body string) []byte {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.url+"/v1/chat/completions", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Close = true // some servers break the connection behind an error, whatever they say
	req.Header.Set("Content-Type", "application/json")
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	reply, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "# Recorded of %s\nHTTP/1.1 %s\n", s.version, resp.Status)
	for _, name := range []string{"Content-Type", "X-Litellm-Call-Id", "X-Litellm-Model-Id", "X-Litellm-Response-Cost", "X-Request-Id"} {
		if v := resp.Header.Get(name); v != "" {
			fmt.Fprintf(&b, "%s: %s\n", name, v)
		}
	}
	b.WriteString("\n")
	b.Write(reply)
	return s.still(b.Bytes())
}

// still takes out what differs from one run to the next, and what names this machine or its secrets.
func (s said) still(reply []byte) []byte {
	for from, to := range s.hide {
		reply = bytes.ReplaceAll(reply, []byte(from), []byte(to))
	}
	for _, r := range []struct{ from, to string }{
		{`"created": ?\d+`, `"created":1760000000`},
		{`\b(chatcmpl-)[0-9A-Za-z-]+`, `${1}1`},
		{`\b[0-9a-f]{64}\b`, strings.Repeat("0", 64)},
		{`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`, `00000000-0000-4000-8000-000000000000`},
		{`127\.0\.0\.1:\d+`, `localhost`},
	} {
		reply = regexp.MustCompile(r.from).ReplaceAll(reply, []byte(r.to))
	}
	ids := map[string]string{} // calls are told apart by theirs
	return regexp.MustCompile(`"call_[0-9A-Za-z-]+"`).ReplaceAllFunc(reply, func(id []byte) []byte {
		if _, known := ids[string(id)]; !known {
			ids[string(id)] = fmt.Sprintf(`"call_%d"`, len(ids)+1)
		}
		return []byte(ids[string(id)])
	})
}

// shape returns the status, the type, and the members of all documents with the types of their values.
func shape(t *testing.T, recording []byte) []string {
	t.Helper()
	head, body, _ := strings.Cut(string(recording), "\n\n")
	var all []string
	for line := range strings.Lines(head) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), ":"); strings.HasPrefix(name, "HTTP/") || name == "Content-Type" {
			all = append(all, strings.TrimSpace(name+value))
		} else if !strings.HasPrefix(name, "#") {
			all = append(all, name)
		}
	}
	for line := range strings.Lines(body) {
		data, streamed := strings.CutPrefix(strings.TrimSpace(line), "data: ")
		if data == "" || streamed && data == "[DONE]" {
			continue
		}
		if !strings.HasPrefix(data, "{") {
			all = append(all, "text: "+data)
			continue
		}
		var doc any
		if err := json.Unmarshal([]byte(data), &doc); err != nil {
			t.Fatal(err)
		}
		all = append(all, members("", doc)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func members(path string, v any) []string {
	switch v := v.(type) {
	case map[string]any:
		all := []string{path + "{}"}
		for name, inner := range v {
			all = append(all, members(path+"."+name, inner)...)
		}
		return all
	case []any:
		all := []string{path + "[]"}
		for _, inner := range v {
			all = append(all, members(path+"[]", inner)...)
		}
		return all
	default:
		return []string{fmt.Sprintf("%s %T", path, v)}
	}
}
