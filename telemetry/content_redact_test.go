package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/telemetry/redact"
	"github.com/mellea-go/mellea/tool"
)

// A vault makes secrets and remembers pieces of them that stand nowhere else.
type vault struct {
	r   *rand.Rand
	all []string
}

const piece = 8

func (v *vault) keep(s string, from int) string {
	v.all = append(v.all, s[from:from+piece])
	return s
}

func (v *vault) some(n int, alphabet string) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[v.r.IntN(len(alphabet))]
	}
	return string(b)
}

// secret returns a new one, of any of the kinds that are known by their looks. They are put together here, so that no
// scanner takes them for some that leaked.
func (v *vault) secret() string {
	const upper, number = "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "0123456789"
	const word = upper + "abcdefghijklmnopqrstuvwxyz" + number
	var s string
	switch v.r.IntN(9) {
	case 0:
		s = "sk-proj-" + v.some(48, word) + "7"
	case 1:
		s = "sk-ant-api03-" + v.some(60, word) + "7"
	case 2:
		s = "ghp_" + v.some(36, word)
	case 3:
		s = "AKIA" + v.some(16, upper+number)
	case 4:
		s = "AIza" + v.some(35, word)
	case 5:
		s = "xoxb-" + v.some(12, number) + "-" + v.some(24, word)
	case 6:
		s = "hf_" + v.some(34, word)
	case 7:
		s = "eyJ" + v.some(20, word) + ".eyJ" + v.some(30, word) + "." + v.some(40, word)
	default:
		return v.keep("jane."+v.some(8, "abcdefghijklmnopqrstuvwxyz")+"@example.com", 5)
	}
	v.keep(s, len(s)/2-piece/2)
	return v.keep(s, len(s)-piece)
}

// password returns a secret that only its name tells.
func (v *vault) password() string {
	s := v.some(6, "abcdefghijklmnopqrstuvwxyz") + " " + v.some(6, "abcdefghijklmnopqrstuvwxyz")
	return v.keep(s, 4)
}

type lookup struct {
	Query    string            `json:"query"`
	Password string            `json:"password"`
	Nested   map[string]string `json:"nested"`
}

// keyed runs n prompts with a new secret in everything that is content: system, prompt, variable, reasoning, reply, arguments
// and result of a tool and of one of the provider's, reason of a check, error of a check, of a tool and of the server.
func keyed(t *testing.T, tel *telemetry.Telemetry, v *vault, n int) {
	t.Helper()
	var next int
	b := &scripted{answer: func(_ context.Context, _ int, req backend.Request, w *backend.Writer) error {
		last, _ := req.Messages.Last()
		switch next++; {
		case strings.Contains(last.Text(), "fail"):
			return &backend.Error{Provider: "openai", Op: "chat", Status: 400, Code: "bad", Message: "your key " + v.secret() + " is wrong"}
		case last.Role() == content.RoleUser && next%2 == 1:
			args, err := json.Marshal(lookup{Query: "with " + v.secret(), Password: v.password(), Nested: map[string]string{v.secret(): "\n" + v.secret() + "\u2028"}})
			if err != nil {
				return err
			}
			if err := served(w, v); err != nil {
				return err
			}
			return w.ToolCall(time.Now(), backend.ToolDelta{ID: "c", Name: "lookup", Arguments: string(args)})
		}
		w.Reasoning(time.Now(), []byte("I think of "+v.secret()))
		if err := served(w, v); err != nil {
			return err
		}
		half := v.secret() // split over two chunks
		w.Text(time.Now(), []byte("The answer is "+half[:7]))
		w.Text(time.Now(), []byte(half[7:]+"."))
		return nil
	}}
	find := tool.New("lookup", "Finds it.", func(_ context.Context, in lookup) (map[string]any, error) {
		if len(v.all)%5 == 0 {
			return nil, errors.New("no access with " + v.secret())
		}
		return map[string]any{"found": v.secret(), "list": []any{1, "x " + v.secret()}, "api_key": v.password()}, nil
	})
	call := mellea.On(b, mellea.WithHooks(tel), mellea.WithTools(find))
	for i := range n {
		prompt := "Say {{.what}} of " + v.secret()
		if i%7 == 6 {
			prompt = "fail " + v.secret()
		}
		_, err := mellea.Instruct(t.Context(), call, prompt, mellea.Vars{"what": v.secret()},
			mellea.Strategy(sampling.Repair(1)), mellea.Require("without "+v.secret(), requirement.Excludes("nothing")),
			mellea.Check(requirement.New("reasoned", func(context.Context, requirement.Env) (requirement.Verdict, error) {
				if i%11 == 10 {
					return requirement.Verdict{}, errors.New("the judge choked on " + v.secret())
				}
				return requirement.Verdict{Passed: false, Reason: "it names " + v.secret()}, nil
			})))
		if err == nil {
			t.Fatal("a check that fails passed")
		}
	}
	flush(t, tel)
}

// served tells of a tool that the provider ran, with a secret in everything that it says.
func served(w *backend.Writer, v *vault) error {
	called := backend.ServerToolDelta{ID: "s " + v.secret(), Name: "search " + v.secret(), Type: "of " + v.secret()}
	args, err := json.Marshal(lookup{Query: "with " + v.secret(), Password: v.password(), Nested: map[string]string{v.secret(): v.secret()}})
	if err != nil {
		return err
	}
	found, err := json.Marshal([]any{map[string]any{"url": "https://example.com/" + v.secret(), "api_key": v.password()}, v.secret()})
	if err != nil {
		return err
	}
	gave := backend.ServerToolDelta{ResultType: "found " + v.secret(), Result: string(found)}
	plain := backend.ServerToolDelta{Index: 1, Name: "code", Arguments: "print " + v.secret(), ResultType: "text", Result: "it printed " + v.secret()}
	return errors.Join(w.ServerTool(time.Now(), called), w.ServerTool(time.Now(), backend.ServerToolDelta{Arguments: string(args)}),
		w.ServerTool(time.Now(), gave), w.ServerTool(time.Now(), plain))
}

// exported waits for the spans and returns the bytes of everything that has been exported, by signal.
func exported(t *testing.T, s *otlptest.Server, spans int) map[string][]byte {
	t.Helper()
	s.Spans(t, spans)
	all := map[string][]byte{}
	for _, m := range s.Metrics() {
		all["metrics"] = append(all["metrics"], marshalled(t, m)...)
	}
	for _, m := range s.Logs() {
		all["logs"] = append(all["logs"], marshalled(t, m)...)
	}
	all["spans and all others"] = s.Raw()
	return all
}

// allSignals exports everything to the server. A signal that is added is switched on here.
func allSignals(t *testing.T, s *otlptest.Server, opts ...telemetry.Option) *telemetry.Telemetry {
	t.Helper()
	vars := []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"MELLEA_LOGS_OTLP=true", "OTEL_BSP_MAX_QUEUE_SIZE=100000", "OTEL_BLRP_MAX_QUEUE_SIZE=100000", "OTEL_EXPORTER_OTLP_ENDPOINT=" + s.HTTP}
	if len(opts) > 0 { // content is on, for events too
		vars = append(vars, "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_AND_EVENT")
	}
	tel, err := telemetry.Setup(t.Context(), append([]telemetry.Option{telemetry.WithLogger((&logbook{}).logger()), environ(vars...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = tel.Shutdown(context.Background()) })
	return tel
}

// A thousand prompts full of keys: with the ready-made redactor not even a piece of one is in any byte
// that is exported; with content off nothing is at all.
func TestNoKeyIsExported(t *testing.T) {
	t.Parallel()
	const prompts = 1000
	for name, opts := range map[string][]telemetry.Option{
		"redacted":            {telemetry.WithContent(true), telemetry.WithRedactor(redact.Default())},
		"redacted as strings": {telemetry.WithContent(true), telemetry.WithRedactor(redact.Default()), telemetry.WithContentStrings()},
		"content off":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			v := &vault{r: rand.New(rand.NewPCG(1, 2))}
			keyed(t, allSignals(t, server, opts...), v, prompts)
			if len(v.all) < 10*prompts {
				t.Fatalf("only %d secrets were planted", len(v.all))
			}
			all := exported(t, server, 5*prompts)
			if len(all["metrics"]) == 0 || len(all["logs"]) == 0 {
				t.Fatal("no metrics or no events were exported")
			}
			secrets := map[string]bool{}
			for _, s := range v.all {
				secrets[s] = true
			}
			for signal, raw := range all {
				for i := range len(raw) - piece + 1 {
					if secrets[string(raw[i:i+piece])] {
						t.Fatalf("%s have the secret %q: %q", signal, raw[i:i+piece], raw[max(0, i-60):i+piece])
					}
				}
			}
			if on := strings.Contains(string(server.Raw()), "[redacted:"); on != (opts != nil) {
				t.Errorf("labels of the redactor are exported: %v", on)
			}
		})
	}
}

// The redactor sees texts as they were meant, whatever JSON made of them, and is asked about the name of a member too.
func TestRedactorSeesWhatWasMeant(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		message content.Message
		want    string
	}{
		{"escapes", content.NewMessage(content.RoleAssistant, content.ToolCall{Name: "f", Arguments: `{"a":"jane\u0040example.com"}`}),
			`{"arguments":{"a":"[redacted:email]"},"name":"f","type":"tool_call"}`},
		{"numbers", content.NewMessage(content.RoleAssistant, content.ToolCall{Name: "f", Arguments: `{"card":4111111111111111,"n":12}`}),
			`{"arguments":{"card":"[redacted:card]","n":12},"name":"f","type":"tool_call"}`},
		{"names of members", content.NewMessage(content.RoleAssistant, content.ToolCall{Name: "f", Arguments: `{"jane@example.com":[1]}`}),
			`{"arguments":{"[redacted:email]":[1]},"name":"f","type":"tool_call"}`},
		{"a password", content.NewMessage(content.RoleTool, content.ToolResult{Content: `{"password":"correct horse battery","pin":1234,"tokens":3,"api_keys":["a b c d"],"secret":{"of":"x"}}`}),
			`{"response":{"api_keys":["a b c d"],"password":"[redacted]","pin":1234,"secret":{"of":"x"},"tokens":3},"type":"tool_call_response"}`},
		{"a password that is a number", content.NewMessage(content.RoleTool, content.ToolResult{Content: `{"password":12345678}`}),
			`{"response":{"password":"[redacted]"},"type":"tool_call_response"}`},
		{"text that is no JSON", content.NewMessage(content.RoleTool, content.ToolResult{Content: `{"password": "hunter2"`}),
			`{"response":"{\"password\": \"[redacted:secret]\"","type":"tool_call_response"}`},
		{"nested too deep", content.NewMessage(content.RoleTool, content.ToolResult{Content: strings.Repeat("[", 40) + `"a@example.com"` + strings.Repeat("]", 40)}),
			`{"response":"` + strings.Repeat("[", 40) + `\"[redacted:email]\"` + strings.Repeat("]", 40) + `","type":"tool_call_response"}`},
		{"split over two parts", content.NewMessage(content.RoleUser, content.Text("I am jane@exam"), content.Text("ple.com")),
			`{"content":"I am [redacted:email]","type":"text"}`},
		{"two parts", content.NewMessage(content.RoleUser, content.Text("a@example.com"), content.Text(" b@example.com")),
			`{"content":"[redacted:email]","type":"text"},{"content":" [redacted:email]","type":"text"}`},
		{"a text file", content.NewMessage(content.RoleUser, must[content.File](t)(content.NewFile("a.txt", "text/plain", []byte("a@example.com")))),
			`{"content":"W3JlZGFjdGVkOmVtYWlsXQ==","mime_type":"text/plain","modality":"document","type":"blob"}`},
		{"a call of the provider's tool", content.NewMessage(content.RoleAssistant, content.ServerToolCall{ID: "a@example.com", Name: "f", Type: "b@example.com", Arguments: `{"q":"a@example.com","password":"hunter two"}`}),
			`{"id":"[redacted:email]","name":"f","server_tool_call":{"arguments":{"password":"[redacted]","q":"[redacted:email]"},"type":"[redacted:email]"},"type":"server_tool_call"}`},
		{"what it gave", content.NewMessage(content.RoleAssistant, content.ServerToolResult{Type: "t", Content: `[{"by":"a@example.com"}]`}),
			`{"server_tool_call_response":{"content":[{"by":"[redacted:email]"}],"type":"t"},"type":"server_tool_call_response"}`},
		{"a name", content.NewMessage(content.RoleAssistant, content.ToolCall{Name: "a@example.com"}),
			`{"arguments":"","name":"[redacted:email]","type":"tool_call"}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			want := fmt.Sprintf(`[{"parts":[%s],"role":%q}]`, tt.want, tt.message.Role())
			for key, doc := range telemetry.CaptureForTest(content.NewMessages(tt.message), content.List[content.ToolSpec]{}, content.Message{}, 1<<20, redact.Default()) {
				strict(t, key, doc)
				if diff := cmp.Diff(doc, want); diff != "" {
					t.Errorf("%s (-got +want):\n%s", key, diff)
				}
			}
		})
	}
}

// A variable is known by its name too.
func TestRedactorOfVariables(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := setup(t, server, telemetry.WithContent(true), telemetry.WithRedactor(redact.Default()))
	generate(t, tel, hookpoint.GenerationStart{Messages: content.NewMessages(content.User("open sesame")),
		Variables: content.ListOf(hookpoint.Variable{Name: "password", Value: "open sesame"}, hookpoint.Variable{Name: "verb", Value: "open"})}, hookpoint.GenerationEnd{}, nil)
	flush(t, tel)
	got := server.Spans(t, 1)[0].Attributes
	if got["gen_ai.prompt.variable.password"] != "[redacted]" || got["gen_ai.prompt.variable.verb"] != "open" {
		t.Errorf("variables are %v", got)
	}
}

func marshalled(t *testing.T, m proto.Message) []byte {
	t.Helper()
	b, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
