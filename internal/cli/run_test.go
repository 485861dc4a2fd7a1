package cli_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRunPrintsTheResultAndOneLine(t *testing.T) {
	t.Parallel()
	f := newFake(t, "Po, Arno, Tiber")
	got := process{env: f.env()}.run(t, "run", "Name three rivers of Italy")
	if got.code != 0 || got.stdout != "Po, Arno, Tiber\n" {
		t.Errorf("exit %d, stdout %q, want 0 and the reply", got.code, got.stdout)
	}
	wantLines(t, "stderr", got.stderr, "mellea: ollama, model tiny:latest at 127.0.0.1:")
	if p := f.asked(t).prompt(); p != "Name three rivers of Italy" {
		t.Errorf("prompt = %q", p)
	}
}

// TestRunFlags looks at what the server is asked for.
func TestRunFlags(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args    []string
		stdin   string
		env     []string
		prompt  string
		system  string
		model   string
		options map[string]any
		stream  bool
	}{
		"defaults":             {args: []string{"hi"}, prompt: "hi"},
		"model":                {args: []string{"hi", "--model", "big"}, prompt: "hi", model: "big"},
		"model of environment": {args: []string{"hi"}, env: []string{"MELLEA_MODEL=small"}, prompt: "hi", model: "small"},
		"flag over environment": {args: []string{"hi", "--model=big"}, env: []string{"MELLEA_MODEL=small"}, prompt: "hi",
			model: "big"},
		"system":             {args: []string{"hi", "--system", "Be brief."}, prompt: "hi", system: "Be brief."},
		"variables":          {args: []string{"{{greeting}} {{.name}}", "--var", "greeting=Hello", "--var", "name=a=b"}, prompt: "Hello a=b"},
		"values are no code": {args: []string{"{{x}}", "--var", "x={{y}}"}, prompt: "{{y}}"},
		"standard input is data": {args: []string{"-"}, stdin: "{{.x}} {{y}} {{ not a template\n",
			prompt: "{{.x}} {{y}} {{ not a template\n"},
		"standard input with variables": {args: []string{"-", "--var", "x=1"}, stdin: "x is {{x}}", prompt: "x is 1"},
		"stream":                        {args: []string{"hi", "--stream"}, prompt: "hi", stream: true},
		"options": {args: []string{"hi", "--option", "temperature=0.5", "--option", "max-tokens=9", "--option", "seed=7",
			"--option", "top_p=0.9", "--option", "top-k=3", "--option", "stop=END", "--option", `stop="\n"`,
			"--option", "frequency-penalty=1", "--option", "presence-penalty=-1", "--option", "context-window=512"}, prompt: "hi",
			options: map[string]any{"temperature": 0.5, "num_predict": 9.0, "seed": 7.0, "top_p": 0.9, "top_k": 3.0,
				"stop": []any{"END", "\n"}, "frequency_penalty": 1.0, "presence_penalty": -1.0, "num_ctx": 512.0}},
		"options of the provider": {args: []string{"hi", "--option", "mirostat=2", "--option", "penalize_newline=false",
			"--option", "numa=[1,2]", "--option", "name=x y"}, prompt: "hi",
			options: map[string]any{"mirostat": 2.0, "penalize_newline": false, "numa": []any{1.0, 2.0}, "name": "x y"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			got := process{env: f.env(c.env...), stdin: c.stdin}.run(t, append([]string{"run"}, c.args...)...)
			if got.code != 0 {
				t.Fatalf("exit %d: %s", got.code, got.stderr)
			}
			r := f.asked(t)
			if r.prompt() != c.prompt {
				t.Errorf("prompt = %q, want %q", r.prompt(), c.prompt)
			}
			system := ""
			if r.Messages[0].Role == "system" {
				system = r.Messages[0].Content
			}
			if system != c.system {
				t.Errorf("system = %q, want %q", system, c.system)
			}
			if want := cmpOr(c.model, "tiny:latest"); r.Model != want {
				t.Errorf("model = %q, want %q", r.Model, want)
			}
			if diff := cmp.Diff(c.options, r.Options); diff != "" {
				t.Errorf("options (-want +got):\n%s", diff)
			}
			if stream := r.Stream == nil || *r.Stream; stream != c.stream {
				t.Errorf("stream = %v, want %v", stream, c.stream)
			}
		})
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

// TestStrategies looks at how many attempts are made, and with which prompts.
func TestStrategies(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args     []string
		replies  []string
		requests int
		code     int
		// told says whether the prompt of the last request tells what was wrong, turns how many messages it has.
		told  bool
		turns int
	}{
		"repair is the default": {replies: []string{"one two three", "one"}, requests: 2, told: true, turns: 1},
		"repair":                {args: []string{"--strategy", "repair"}, replies: []string{"one two three", "one"}, requests: 2, told: true, turns: 1},
		"reject":                {args: []string{"--strategy", "reject"}, replies: []string{"one two three", "one"}, requests: 2, turns: 1},
		"multi-turn":            {args: []string{"--strategy", "multi-turn"}, replies: []string{"one two three", "one"}, requests: 2, told: true, turns: 3},
		"none":                  {args: []string{"--strategy", "none"}, replies: []string{"one two three"}, requests: 1, code: 1, turns: 1},
		"default budget":        {replies: []string{"one two three"}, requests: 3, code: 1, told: true, turns: 1},
		"budget":                {args: []string{"--budget", "5"}, replies: []string{"one two three"}, requests: 5, code: 1, told: true, turns: 1},
		"budget of one":         {args: []string{"--budget", "1"}, replies: []string{"one two three"}, requests: 1, code: 1, turns: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.replies...)
			got := process{env: f.env()}.run(t, append([]string{"run", "Say one word", "--check", "max-words:2"}, c.args...)...)
			requests := f.chats()
			if got.code != c.code || len(requests) != c.requests {
				t.Fatalf("exit %d after %d requests, want %d after %d: %s", got.code, len(requests), c.code, c.requests, got.stderr)
			}
			if want := c.replies[len(c.replies)-1] + "\n"; got.stdout != want {
				t.Errorf("stdout = %q, want %q", got.stdout, want)
			}
			last := requests[len(requests)-1]
			if told := strings.Contains(last.prompt(), "3 words"); told != c.told {
				t.Errorf("the last prompt is %q, want the reason in it: %v", last.prompt(), c.told)
			}
			if len(last.Messages) != c.turns {
				t.Errorf("the last request has %d messages, want %d", len(last.Messages), c.turns)
			}
		})
	}
}

// TestRequirements tries every kind of check, and a requirement that the model judges.
func TestRequirements(t *testing.T) {
	t.Parallel()
	schemaFile := filepath.Join(t.TempDir(), "answer.json")
	if err := os.WriteFile(schemaFile, []byte(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ flag, spec, reply string }{
		{"--check", "max-words:2", "two words"},
		{"--check", "min-words:2", "two words"},
		{"--check", "contains:: x", "a: x"},
		{"--check", "excludes:ASAP", "soon"},
		{"--check", "regex:^[a-z]+$", "word"},
		{"--check", "one-of:yes|no", "no"},
		{"--check", "json", `{"a":1}`},
		{"--check", "schema:" + schemaFile, `{"n":3}`},
		{"--require", "be polite", "yes"},
	} {
		t.Run(c.spec, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.reply)
			if got := (process{env: f.env()}).run(t, "run", "Go", c.flag, c.spec); got.code != 0 || got.stdout != c.reply+"\n" {
				t.Errorf("exit %d, stdout %q: %s", got.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("shown and not shown", func(t *testing.T) {
		t.Parallel()
		f := newFake(t, "yes")
		process{env: f.env()}.run(t, "run", "Go", "--require", "be polite", "--check", "max-words:17")
		if p := f.chats()[0].prompt(); !strings.Contains(p, "be polite") || strings.Contains(p, "17") {
			t.Errorf("prompt = %q, want the requirement and not the check", p)
		}
	})
}

func TestJSON(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		replies []string
		args    []string
		code    int
		want    string
	}{
		"repaired": {
			replies: []string{"one two three", "yes <b>"}, args: []string{"--check", "max-words:2", "--check", "contains:e"},
			want: `{"text":"yes <b>","success":true,"attempts":[` +
				`{"text":"one two three","passed":false,"requirements":[{"name":"max-words:2","passed":false,"reason":"has 3 words, at most 2 are allowed"},{"name":"contains:e","passed":true,"reason":""}],"usage":{"input_tokens":10,"output_tokens":3}},` +
				`{"text":"yes <b>","passed":true,"requirements":[{"name":"max-words:2","passed":true,"reason":""},{"name":"contains:e","passed":true,"reason":""}],"usage":{"input_tokens":10,"output_tokens":2}}],` +
				`"usage":{"input_tokens":20,"output_tokens":5},"model":"tiny:latest","trace_id":""}` + "\n",
		},
		"unmet": {
			replies: []string{"one two three"}, args: []string{"--check", "max-words:2", "--budget", "1"}, code: 1,
			want: `{"text":"one two three","success":false,"attempts":[` +
				`{"text":"one two three","passed":false,"requirements":[{"name":"max-words:2","passed":false,"reason":"has 3 words, at most 2 are allowed"}],"usage":{"input_tokens":10,"output_tokens":3}}],` +
				`"usage":{"input_tokens":10,"output_tokens":3},"model":"tiny:latest","trace_id":""}` + "\n",
		},
		"nothing required": {
			replies: []string{"hello"}, args: []string{"--stream"},
			want: `{"text":"hello","success":true,"attempts":[{"text":"hello","passed":true,"requirements":[],"usage":{"input_tokens":10,"output_tokens":1}}],` +
				`"usage":{"input_tokens":10,"output_tokens":1},"model":"tiny:latest","trace_id":""}` + "\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, c.replies...)
			got := process{env: f.env()}.run(t, append([]string{"run", "Go", "--output", "json"}, c.args...)...)
			if diff := cmp.Diff(c.want, got.stdout); diff != "" || got.code != c.code {
				t.Errorf("exit %d, want %d; stdout (-want +got):\n%s", got.code, c.code, diff)
			}
		})
	}
}

// TestBackendChoice tries who is asked. URL stands for the address of a server that speaks both APIs.
func TestBackendChoice(t *testing.T) {
	t.Parallel()
	const (
		isOllama = "OLLAMA_HOST=URL"
		silent   = "OLLAMA_HOST=http://127.0.0.1:1"
		key      = "OPENAI_API_KEY=sk-secret"
		isOpenAI = "OPENAI_BASE_URL=URL/v1"
	)
	for name, c := range map[string]struct {
		env, args []string
		path      string // of the chat, "" for none
		text      string // on standard error
	}{
		"Ollama answers":              {env: []string{isOllama, key}, path: "/api/chat", text: "mellea: ollama, model tiny:latest"},
		"Ollama at the base URL":      {env: []string{silent}, args: []string{"--base-url", "URL"}, path: "/api/chat"},
		"Ollama is silent":            {env: []string{silent, key, isOpenAI, "MELLEA_MODEL=gpt"}, path: "/v1/chat/completions", text: "mellea: openai, model gpt"},
		"flag":                        {env: []string{isOllama, key, isOpenAI}, args: []string{"--backend", "openai", "--model", "m"}, path: "/v1/chat/completions"},
		"environment":                 {env: []string{isOllama, key, isOpenAI, "MELLEA_BACKEND=openai", "MELLEA_MODEL=m"}, path: "/v1/chat/completions"},
		"flag over environment":       {env: []string{isOllama, "MELLEA_BACKEND=openai"}, args: []string{"--backend", "ollama"}, path: "/api/chat"},
		"base URL of a local server":  {env: []string{silent}, args: []string{"--backend", "openai", "--base-url", "URL/v1", "--model", "m"}, path: "/v1/chat/completions"},
		"nobody is there":             {env: []string{silent}, text: "mellea: no model server: start Ollama (`ollama serve`)"},
		"OpenAI without a model":      {env: []string{silent, key}, text: "name one with --model or MELLEA_MODEL"},
		"OpenAI without a key":        {env: []string{silent}, args: []string{"--backend", "openai", "--model", "m"}, text: "set OPENAI_API_KEY"},
		"no such backend":             {env: []string{silent}, args: []string{"--backend", "olama"}, text: `--backend: there is no backend "olama", did you mean "ollama"?`},
		"no such backend, in env":     {env: []string{silent, "MELLEA_BACKEND=x"}, text: `MELLEA_BACKEND: there is no backend "x"`},
		"replay without a file":       {env: []string{silent}, args: []string{"--backend", "replay"}, text: "--replay FILE"},
		"replay and another backend":  {env: []string{silent}, args: []string{"--backend", "ollama", "--replay", "x"}, text: "leave out --backend ollama"},
		"a base URL that cannot work": {env: []string{silent}, args: []string{"--base-url", "http://localhost:99999"}, text: "port"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t, "hi")
			put := func(texts []string) []string {
				out := make([]string, len(texts))
				for i, s := range texts {
					out[i] = strings.ReplaceAll(s, "URL/", f.URL+"/")
					if strings.HasSuffix(s, "=URL") || s == "URL" {
						out[i] = strings.TrimSuffix(s, "URL") + f.URL
					}
				}
				return out
			}
			got := process{env: put(c.env)}.run(t, append([]string{"run", "hi"}, put(c.args)...)...)
			code, path := 2, ""
			if c.path != "" {
				code, path = 0, f.lastPath()
			}
			if got.code != code || !strings.Contains(got.stderr, c.text) || path != c.path {
				t.Errorf("exit %d, %q asked, stderr %q, want %d, %q and %q", got.code, path, got.stderr, code, c.path, c.text)
			}
			if strings.Contains(got.stderr, "sk-secret") {
				t.Errorf("stderr shows the key: %q", got.stderr)
			}
		})
	}
}

func TestRecordAndReplay(t *testing.T) {
	t.Parallel()
	f := newFake(t, "one two three", "one")
	file := filepath.Join(t.TempDir(), "recording.jsonl")
	args := []string{"run", "Say one word", "--check", "max-words:2", "--output", "json"}
	recorded := process{env: f.env()}.run(t, append(args, "--record", file)...)
	f.Close()
	// A model of the environment does not replace that of the recording.
	replayed := process{env: append([]string{"MELLEA_MODEL=other", "MELLEA_BACKEND=openai"}, nowhere...)}.run(t, append(args, "--replay", file)...)
	if recorded.code != 0 || replayed.code != 0 || recorded.stdout != replayed.stdout || recorded.stdout == "" {
		t.Errorf("recorded: exit %d, %q\nreplayed: exit %d, %q, %q", recorded.code, recorded.stdout, replayed.code, replayed.stdout, replayed.stderr)
	}
	other := process{env: nowhere}.run(t, "run", "Say two words", "--replay", file)
	if other.code != 3 || !strings.Contains(other.stderr, "mellea: ") {
		t.Errorf("a request that was not recorded: exit %d, %q, want 3", other.code, other.stderr)
	}
}

// What shapes the reply is not for the judge: a short bound would cut its answer off.
func TestOptionsAreTheReplysOwn(t *testing.T) {
	t.Parallel()
	f := newFake(t, "a reply", "yes")
	got := process{env: f.env()}.run(t, "run", "hi", "--require", "be nice", "--option", "max-tokens=5", "--option", "stop=END", "--option", "seed=7")
	if got.code != 0 {
		t.Fatalf("exit %d: %s", got.code, got.stderr)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.requests) != 2 {
		t.Fatalf("%d requests, want the reply's and the judge's", len(f.requests))
	}
	if diff := cmp.Diff(map[string]any{"num_predict": 5.0, "stop": []any{"END"}, "seed": 7.0}, f.requests[0].Options); diff != "" {
		t.Errorf("options of the reply (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string]any{"seed": 7.0}, f.requests[1].Options); diff != "" {
		t.Errorf("options of the judge (-want +got):\n%s", diff)
	}
}
