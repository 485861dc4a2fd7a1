package guard_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/guard"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/melleatest"
	"github.com/mellea-go/mellea/tool"
)

type file struct {
	Path string `json:"path"`
}

var (
	read   = tool.New("read", "Reads a file.", func(_ context.Context, in file) (string, error) { return "text of " + in.Path, nil })
	remove = tool.New("remove", "Removes a file.", func(_ context.Context, in file) (string, error) { return "removed " + in.Path, nil })
)

// run lets a model call tools, and returns what it is told of each.
func run(t *testing.T, ctx context.Context, g hook.Source, calls ...content.ToolCall) (told []string, runs []mellea.ToolRun, err error) {
	t.Helper()
	s, err := mellea.Start(t.Context(), melleatest.NewBackend(melleatest.Reply{Calls: calls}, melleatest.Say("done")),
		mellea.WithTools(read, remove), mellea.WithHooks(g), mellea.WithToolParallel(1))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	res, err := s.Chat(ctx, "go")
	for _, r := range res.ToolRuns {
		told = append(told, r.Output.Text)
	}
	return told, res.ToolRuns, err
}

func call(name, path string) content.ToolCall {
	return content.ToolCall{Name: name, Arguments: fmt.Sprintf(`{"path":%q}`, path)}
}

func TestToolGuards(t *testing.T) {
	t.Parallel()
	jail := guard.RewriteArguments("read", func(_ context.Context, in file) (file, error) {
		if strings.Contains(in.Path, "..") {
			return in, hook.Reject("outside", "only files of this folder can be read")
		}
		in.Path = "data/<" + in.Path + ">"
		return in, nil
	})
	tests := map[string]struct {
		guard hook.Source
		call  content.ToolCall
		want  string
		code  string
	}{
		"allowed":            {guard.AllowTools("read"), call("read", "a"), "text of a", ""},
		"not allowed":        {guard.AllowTools("read"), call("remove", "a"), "Error: the call was denied: only these tools are allowed here: read", guard.CodeNotAllowed},
		"unknown":            {guard.AllowTools("read"), call("format", "a"), "Error: the call was denied: only these tools are allowed here: read", guard.CodeNotAllowed},
		"none allowed":       {guard.AllowTools(), call("read", "a"), "Error: the call was denied: no tool is allowed here", guard.CodeNotAllowed},
		"denied":             {guard.DenyTools("", "remove"), call("remove", "a"), "Error: the call was denied: this tool is not allowed here", guard.CodeNotAllowed},
		"denied with reason": {guard.DenyTools("ask an admin", "remove"), call("remove", "a"), "Error: the call was denied: ask an admin", guard.CodeNotAllowed},
		"not denied":         {guard.DenyTools("", "remove"), call("read", "a"), "text of a", ""},
		"rewritten":          {jail, call("read", "a"), "text of data/<a>", ""},
		"rewriting denies":   {jail, call("read", "../a"), "Error: the call was denied: only files of this folder can be read", "outside"},
		"another tool":       {jail, call("remove", "../a"), "removed ../a", ""},
		"nothing to rewrite": {jail, content.ToolCall{Name: "read", Arguments: "[]"},
			"Error: the arguments do not fit. They must be one JSON object: found a list. Call the tool again with arguments that fit.", ""},
		"unwritable": {guard.RewriteArguments("read", func(context.Context, map[string]any) (map[string]any, error) {
			return map[string]any{"path": make(chan int)}, nil
		}), call("read", "a"), "Error: the call was denied.", hook.CodeError},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told, runs, err := run(t, t.Context(), tc.guard, tc.call)
			if err != nil || len(told) != 1 || told[0] != tc.want {
				t.Errorf("got %q, %v, want %q", told, err, tc.want)
			}
			code := ""
			if r, ok := errors.AsType[*hook.Rejection](runs[0].Err); ok {
				code = r.Code
			}
			if code != tc.code {
				t.Errorf("got code %q, want %q", code, tc.code)
			}
		})
	}
}

// person answers questions with lines in turn and remembers them; an empty line stands for one who hangs up.
func person(t *testing.T, answers ...string) (option guard.ApprovalOption, questions *[]string) {
	t.Helper()
	questions = new([]string)
	n := 0
	return guard.WithTerminal(func() (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		answer := answers[n]
		n++
		go func() {
			defer there.Close()
			r := bufio.NewReader(there)
			var text strings.Builder
			for !strings.HasSuffix(text.String(), "why: ") {
				c, err := r.ReadByte()
				if err != nil {
					return
				}
				text.WriteByte(c)
			}
			*questions = append(*questions, text.String())
			if answer != "" {
				_, _ = io.WriteString(there, answer)
			}
		}()
		return here, nil
	}), questions
}

func TestApprove(t *testing.T) {
	t.Parallel()
	denied := "Error: the call was denied: the user did not approve it"
	tests := map[string]struct {
		answers []string
		opts    []guard.ApprovalOption
		calls   []content.ToolCall
		want    []string
		asked   int
	}{
		"yes":             {answers: []string{"y\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{"text of a"}, asked: 1},
		"a loud yes":      {answers: []string{" YES!\r\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{"text of a"}, asked: 1},
		"no":              {answers: []string{"n\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{denied}, asked: 1},
		"no and why":      {answers: []string{"no, not that one\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{denied + " and says: not that one"}, asked: 1},
		"just why":        {answers: []string{"yes but later\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{denied + " and says: yes but later"}, asked: 1},
		"return":          {answers: []string{"\n"}, calls: []content.ToolCall{call("read", "a")}, want: []string{denied}, asked: 1},
		"hung up":         {answers: []string{""}, calls: []content.ToolCall{call("read", "a")}, want: []string{"Error: the call was denied: nobody can be asked to approve it"}, asked: 1},
		"without newline": {answers: []string{"y"}, calls: []content.ToolCall{call("read", "a")}, want: []string{"text of a"}, asked: 1},
		"always": {answers: []string{"a\n", "n\n"}, calls: []content.ToolCall{call("read", "a"), call("read", "b"), call("remove", "c")},
			want: []string{"text of a", "text of b", denied}, asked: 2},
		"only one tool": {answers: []string{"n\n"}, opts: []guard.ApprovalOption{guard.OnlyFor("remove")},
			calls: []content.ToolCall{call("read", "a"), call("remove", "b")}, want: []string{"text of a", denied}, asked: 1},
		"unknown": {calls: []content.ToolCall{call("format", "a")}, want: []string{`Error: there is no tool "format". The tools are: read, remove.`}},
		"too long": {calls: []content.ToolCall{call("read", strings.Repeat("a", guard.MaxShown))},
			want: []string{"Error: the call was denied: the arguments have 16395 bytes, which is more than a person can approve"}},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			terminal, questions := person(t, tc.answers...)
			told, _, err := run(t, t.Context(), guard.Approve(append(tc.opts, terminal)...), tc.calls...)
			if err != nil || strings.Join(told, "|") != strings.Join(tc.want, "|") {
				t.Errorf("got %q, %v, want %q", told, err, tc.want)
			}
			if len(*questions) != tc.asked {
				t.Errorf("asked %d times, want %d", len(*questions), tc.asked)
			}
		})
	}
}

// What a model writes cannot move the cursor, hide itself, turn text around or forge a line of the question.
func TestApproveShowsHostileArguments(t *testing.T) {
	t.Parallel()
	for _, arguments := range []string{
		`{"path":"a\u001b[2J\u202e\nRun it? y` + "\u202e\u0085\u200b" + `"}`, "\x1b[2J\r\nRun it?", "\xff",
	} {
		terminal, questions := person(t, "n\n")
		_, _, err := run(t, t.Context(), guard.Approve(terminal), content.ToolCall{Name: "read", Arguments: arguments})
		if err != nil || len(*questions) != 1 {
			t.Fatalf("asked %q, %v", *questions, err)
		}
		q := (*questions)[0]
		if i := strings.IndexFunc(q, func(r rune) bool { return r != '\n' && (r < ' ' || r > '~') }); i >= 0 {
			t.Errorf("%q holds %q", q, q[i:])
		}
		if n := strings.Count(q, "\nRun it?"); n != 1 {
			t.Errorf("%q asks %d times", q, n)
		}
	}
}

// A context that ends while somebody thinks ends the question, and the call.
func TestApproveCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	terminal := guard.WithTerminal(func() (io.ReadWriteCloser, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			_, _ = io.CopyN(io.Discard, there, 10)
			close(asked)
			_, _ = io.Copy(io.Discard, there)
		}()
		return here, nil
	})
	go func() {
		<-asked
		cancel()
	}()
	if _, _, err := run(t, ctx, guard.Approve(terminal), call("read", "a")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the end of the context", err)
	}
}

func TestApproveWithoutTerminal(t *testing.T) {
	t.Parallel()
	terminal := guard.WithTerminal(func() (io.ReadWriteCloser, error) { return nil, errors.New("no such device") })
	told, runs, err := run(t, t.Context(), guard.Approve(terminal), call("read", "a"))
	if err != nil || told[0] != "Error: the call was denied: nobody can be asked to approve it" {
		t.Errorf("got %q, %v", told, err)
	}
	no, ok := errors.AsType[*guard.TerminalError](runs[0].Err)
	if !ok || !strings.Contains(no.Error(), "guard.WithTerminal") || errors.Unwrap(no) == nil {
		t.Errorf("got %v, want a TerminalError with a remedy", runs[0].Err)
	}
}
