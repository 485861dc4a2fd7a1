package components

import (
	"bufio"
	"bytes"
	"context"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea/integration/components/tinymodel"
)

// get returns the body of a GET that must answer 200.
func get(t *testing.T, url string) string {
	t.Helper()
	return do(t, http.MethodGet, url, "")
}

func do(t *testing.T, method, url, body string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s %s: %s: %s", method, url, resp.Status, text)
	}
	return string(text)
}

// checkPort fails the test unless the address is loopback, below 32768.
func checkPort(t *testing.T, address string) {
	t.Helper()
	host, port, err := net.SplitHostPort(strings.TrimPrefix(address, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(port); err != nil || n >= 32768 || host != "127.0.0.1" {
		t.Errorf("%s is not a loopback port below 32768", address)
	}
}

func TestOllama(t *testing.T) {
	o := StartOllama(t)
	checkPort(t, o.URL)
	if got := get(t, o.URL+"/api/version"); !strings.Contains(got, versions[OllamaServer]) {
		t.Errorf("version = %s, want %s", got, versions[OllamaServer])
	}

	if got := get(t, o.URL+"/api/ps"); !strings.Contains(got, o.Model) {
		t.Errorf("the model is not loaded: %s", got)
	}

	chat := func(body string) (reply struct {
		Message    struct{ Content string } `json:"message"`
		DoneReason string                   `json:"done_reason"`
		Debug      struct {
			Rendered string `json:"rendered_template"`
		} `json:"_debug_info"`
	}) {
		t.Helper()
		if err := json.Unmarshal([]byte(do(t, http.MethodPost, o.URL+"/api/chat", body)), &reply); err != nil {
			t.Fatal(err)
		}
		return reply
	}
	const hello = `{"model":"` + modelName + `","stream":false,"options":{"temperature":0,"num_predict":12},
		"messages":[{"role":"user","content":"What is gravity?"}]}`
	first := chat(hello)
	if strings.TrimSpace(first.Message.Content) == "" {
		t.Error("the chat's reply is empty")
	}
	t.Logf("reply: %q (%s)", first.Message.Content, first.DoneReason)

	// The prompt is what the authors' own chat template makes.
	const system = "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n"
	for _, tt := range []struct{ name, messages, want string }{
		{"default system prompt", `{"role":"user","content":"Hi"}`,
			system + "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
		{"own system prompt", `{"role":"system","content":"Be brief."},{"role":"user","content":"Hi"}`,
			"<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"},
		{"several turns", `{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"}`,
			system + "<|im_start|>user\na<|im_end|>\n<|im_start|>assistant\nb<|im_end|>\n<|im_start|>user\nc<|im_end|>\n<|im_start|>assistant\n"},
	} {
		got := chat(`{"model":"` + o.Model + `","stream":false,"_debug_render_only":true,"messages":[` + tt.messages + `]}`)
		if got.Debug.Rendered != tt.want {
			t.Errorf("%s: rendered %q, want %q", tt.name, got.Debug.Rendered, tt.want)
		}
	}

	// A model that a test brings is in this server only.
	weights, err := Find(SmolLM2)
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Create(t.Context(), "another", filepath.Join(weights, "Modelfile")); err != nil {
		t.Fatal(err)
	}
	if got := get(t, o.URL+"/api/tags"); !strings.Contains(got, `"another:latest"`) {
		t.Errorf("models = %s, want another:latest among them", got)
	}
	if err := o.Create(t.Context(), "bad", filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "create model bad") {
		t.Errorf("Create of a missing file: %v", err)
	}
}

// A scripted model says what its script says, token by token, with thoughts and native tool calls.
func TestScripted(t *testing.T) {
	o := StartOllama(t)
	script := tinymodel.Script{Replies: []tinymodel.Reply{
		{Thinking: "I do not know the weather.", Text: "One moment.", Calls: []tinymodel.Call{
			{Name: "weather", Arguments: `{"city": "Paris", "days": 2}`}, {Name: "clock", Arguments: `{"zone": "CET"}`},
		}},
		{Text: "It is 18 degrees in Paris.\nIt is noon."},
	}}
	model := Scripted(t, o, script)
	type message struct {
		Role      string `json:"role"`
		Content   string `json:"content"`
		Thinking  string `json:"thinking,omitempty"`
		ToolCalls []struct {
			Function struct {
				Name      string         `json:"name"`
				Arguments map[string]any `json:"arguments"`
			} `json:"function"`
		} `json:"tool_calls,omitempty"`
	}
	tool := func(name string) map[string]any {
		return map[string]any{"type": "function", "function": map[string]any{"name": name, "description": name,
			"parameters": map[string]any{"type": "object", "properties": map[string]any{}}}}
	}
	chat := func(messages []message, options map[string]any) (reply message, tokens int) {
		t.Helper()
		body, err := json.Marshal(map[string]any{"model": model, "stream": false, "messages": messages,
			"tools": []any{tool("weather"), tool("clock")}, "options": options})
		if err != nil {
			t.Fatal(err)
		}
		var out struct {
			Message message `json:"message"`
			Tokens  int     `json:"eval_count"`
			Why     string  `json:"done_reason"`
		}
		if err := json.Unmarshal([]byte(do(t, http.MethodPost, o.URL+"/api/chat", string(body))), &out); err != nil {
			t.Fatal(err)
		}
		if out.Why != "stop" {
			t.Errorf("done reason = %q, want stop", out.Why)
		}
		return out.Message, out.Tokens
	}

	conversation := []message{{Role: "system", Content: "Be brief."}, {Role: "user", Content: "The weather in Paris?"}}
	for _, options := range []map[string]any{nil, {"temperature": 1.5, "seed": 3, "top_k": 0, "top_p": 1, "repeat_penalty": 1.5}} {
		first, tokens := chat(conversation, options)
		if first.Content != "One moment." || first.Thinking != "I do not know the weather." || tokens < 10 {
			t.Errorf("the first reply is %+v in %d tokens", first, tokens)
		}
		var calls []string
		for _, c := range first.ToolCalls {
			arguments, err := json.Marshal(c.Function.Arguments)
			if err != nil {
				t.Fatal(err)
			}
			calls = append(calls, c.Function.Name+string(arguments))
		}
		if got, want := strings.Join(calls, " "), `weather{"city":"Paris","days":2} clock{"zone":"CET"}`; got != want {
			t.Errorf("calls = %s, want %s", got, want)
		}
		second, _ := chat(append(conversation, first, message{Role: "tool", Content: "18"}, message{Role: "tool", Content: "12:00"}), options)
		if second.Content != script.Replies[1].Text || len(second.ToolCalls) > 0 {
			t.Errorf("the second reply is %+v, want %q", second, script.Replies[1].Text)
		}
	}

	// Each piece is a chunk of the stream, and a prompt without the template has the first reply.
	plain := Scripted(t, o, tinymodel.Say("one two three"))
	stream := do(t, http.MethodPost, o.URL+"/api/generate", `{"model":"`+plain+`","prompt":"Count!","raw":true}`)
	for _, piece := range []string{`"response":"one"`, `"response":" two"`, `"response":" three"`} {
		if !strings.Contains(stream, piece) {
			t.Errorf("the stream has no chunk %s: %s", piece, stream)
		}
	}
}

func TestRandomModel(t *testing.T) {
	o := StartOllama(t)
	dir := t.TempDir()
	var weights bytes.Buffer
	if err := tinymodel.WriteRandom(&weights, 42); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"random.gguf": weights.String(), "Modelfile": "FROM ./random.gguf\nPARAMETER num_thread 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := o.Create(t.Context(), "random", filepath.Join(dir, "Modelfile")); err != nil {
		t.Fatal(err)
	}
	say := func(seed int) string {
		t.Helper()
		var out struct{ Response string }
		body := fmt.Sprintf(`{"model":"random","prompt":"the people","stream":false,"options":{"temperature":1,"seed":%d,"num_predict":20}}`, seed)
		if err := json.Unmarshal([]byte(do(t, http.MethodPost, o.URL+"/api/generate", body)), &out); err != nil {
			t.Fatal(err)
		}
		return out.Response
	}
	if one, again, two := say(1), say(1), say(2); one == "" || one != again || one == two {
		t.Errorf("seed 1 says %q and %q, seed 2 says %q: want the seed to decide", one, again, two)
	}
}

func TestJaeger(t *testing.T) {
	j := StartJaeger(t)
	checkPort(t, j.OTLPGRPC)
	checkPort(t, j.OTLPHTTP)
	checkPort(t, j.QueryURL)
	if got := get(t, j.QueryURL+"/api/v3/services"); strings.Contains(got, "services") {
		t.Errorf("a new Jaeger has services: %s", got)
	}
	conn, err := net.DialTimeout("tcp", j.OTLPGRPC, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()

	// One span in, by OTLP over HTTP, and the service is there.
	now := time.Now().UnixNano()
	do(t, http.MethodPost, j.OTLPHTTP+"/v1/traces", fmt.Sprintf(`{"resourceSpans":[{
		"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"probe"}}]},
		"scopeSpans":[{"spans":[{"traceId":"0af7651916cd43dd8448eb211c80319c","spanId":"b7ad6b7169203331",
			"name":"one","kind":1,"startTimeUnixNano":"%d","endTimeUnixNano":"%d"}]}]}]}`, now, now+1000))
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(get(t, j.QueryURL+"/api/v3/services"), "probe") {
		if time.Now().After(deadline) {
			t.Fatal("the span's service is not there after 20 s")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// The names that programs load the libraries by lead to files, and so do the names that these need of each other.
func TestLlamaLib(t *testing.T) {
	t.Parallel()
	dir := LlamaLib(t)
	for _, name := range []string{"libllama.so", "libggml.so", "libggml-base.so"} {
		library, err := elf.Open(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
			continue
		}
		needed, err := library.ImportedLibraries()
		library.Close()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		for _, other := range needed {
			if (strings.HasPrefix(other, "libggml") || strings.HasPrefix(other, "libllama")) && !fileExists(filepath.Join(dir, other)) {
				t.Errorf("%s needs %s, which is not beside it", name, other)
			}
		}
	}
	if path := SmolLM2GGUF(t); !fileExists(path) {
		t.Errorf("%s is not there", path)
	}
}

// Two servers of one kind run side by side, and stop leaves nothing behind.
func TestStop(t *testing.T) {
	Require(t, JaegerServer)
	ctx, cancel := context.WithTimeout(t.Context(), startTime)
	defer cancel()
	one, stopOne, err := RunJaeger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopOne() })
	two, stopTwo, err := RunJaeger(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stopTwo() })
	if one.QueryURL == two.QueryURL {
		t.Errorf("both listen on %s", one.QueryURL)
	}
	for range 2 { // the second call finds nothing to do
		if err := stopOne(); err != nil {
			t.Error(err)
		}
	}
	if _, err := net.DialTimeout("tcp", one.OTLPGRPC, time.Second); err == nil {
		t.Error("the stopped server still listens")
	}
	if fileExists(one.server.dir) || fileExists(one.server.dir+".lock") {
		t.Error("the stopped server left its folder")
	}
	get(t, two.QueryURL+"/api/v3/services")

	// A server that dies by itself is an error of stop, with its log.
	if err := killGroup(two.server.cmd.Process.Pid); err != nil {
		t.Fatal(err)
	}
	<-two.server.done
	if err := stopTwo(); err == nil || !strings.Contains(err.Error(), "ended before it was stopped") {
		t.Errorf("stop of a dead server: %v", err)
	}
}

// Killing the process that started a server ends the server.
func TestGuard(t *testing.T) {
	if os.Getenv("COMPONENTS_TEST_CHILD") == "1" {
		j, _, err := RunJaeger(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(j.QueryURL)
		time.Sleep(time.Minute) // the parent kills this process at once
		return
	}
	Require(t, JaegerServer)
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestGuard$")
	cmd.Env = append(os.Environ(), "COMPONENTS_TEST_CHILD=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	cmd.Process.Kill()
	cmd.Wait()
	if err != nil || !strings.HasPrefix(line, "http://") {
		t.Fatalf("the child printed %q (%v)", line, err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		conn, err := net.DialTimeout("tcp", strings.TrimPrefix(strings.TrimSpace(line), "http://"), time.Second)
		if err != nil {
			return
		}
		conn.Close()
		if time.Now().After(deadline) {
			t.Fatalf("the server of a killed process still listens on %s", line)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestStartCancelled(t *testing.T) {
	Require(t, JaegerServer)
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	if _, stop, err := RunJaeger(ctx); !errors.Is(err, cause) || stop != nil {
		t.Errorf("err = %v, stop set = %v", err, stop != nil)
	}
}

func TestFind(t *testing.T) {
	t.Setenv("MELLEA_COMPONENTS_DIR", t.TempDir())
	_, err := Find(JaegerServer)
	if !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "scripts/components/install.sh jaeger") {
		t.Errorf("a missing component: %v", err)
	}
	if _, err := Find("nothing"); err == nil || errors.Is(err, ErrMissing) {
		t.Errorf("an unknown component: %v", err)
	}
	if _, _, err := RunOllama(t.Context()); !errors.Is(err, ErrMissing) {
		t.Errorf("RunOllama: %v", err)
	}
}

func TestRequire(t *testing.T) {
	t.Setenv("MELLEA_COMPONENTS_DIR", t.TempDir())
	for value, want := range map[string]string{"": "skip", "1": "fatal"} {
		t.Setenv("MELLEA_REQUIRE_COMPONENTS", value)
		r := &recorder{TB: t}
		finished := make(chan struct{})
		go func() { // Skip and Fatal end the goroutine they are called on
			defer close(finished)
			Require(r, OllamaServer, JaegerServer)
		}()
		<-finished
		if r.ended != want {
			t.Errorf("MELLEA_REQUIRE_COMPONENTS=%q: %q, want %q", value, r.ended, want)
		}
		for _, name := range []string{"install.sh ollama", "install.sh jaeger"} {
			if !strings.Contains(r.text, name) {
				t.Errorf("the message does not name %q: %s", name, r.text)
			}
		}
	}
}

// The pins of this package are those of the script.
func TestVersions(t *testing.T) {
	script, err := os.ReadFile("../../scripts/components/install.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, packages := range map[string]string{LiteLLMProxy: "litellm.txt", Transformers: "transformers.txt"} {
		pins, err := os.ReadFile("../../scripts/components/" + packages)
		if err != nil {
			t.Fatal(err)
		}
		if line := name + "==" + versions[name]; !strings.Contains(string(pins), "\n"+line+"\n") {
			t.Errorf("%s has no line %s", packages, line)
		}
	}
	for name, version := range versions {
		line := strings.ToUpper(name) + "_VERSION=" + version
		if !strings.Contains(string(script), "\n"+line) {
			t.Errorf("install.sh has no line %s", line)
		}
	}
}

func TestPorts(t *testing.T) {
	cache := t.TempDir()
	seen := map[string]bool{}
	var held []*ports
	for range 10 {
		p, err := reservePorts(cache, 5)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, p)
		for i := range 5 {
			checkPort(t, p.address(i))
			if seen[p.address(i)] {
				t.Errorf("%s was reserved twice", p.address(i))
			}
			seen[p.address(i)] = true
		}
	}
	for _, p := range held {
		p.release()
	}
	if left, _ := os.ReadDir(filepath.Join(cache, "ports")); len(left) != 0 {
		t.Errorf("release left %d files", len(left))
	}
}
