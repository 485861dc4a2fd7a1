package cli_test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A screen is a process at a terminal of its own.
type screen struct {
	t    *testing.T
	keys *os.File
	cmd  *exec.Cmd

	mu   sync.Mutex
	text strings.Builder
	more chan struct{}
	read chan struct{} // closes when there is no more to read
}

// newScreen starts the command at a terminal.
func newScreen(t *testing.T, env []string, args ...string) *screen {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no terminal to be had: %v", err)
	}
	raw, err := keys.SyscallConn() // unlike Fd, it leaves a read such that Close ends it
	if err != nil {
		t.Fatal(err)
	}
	control := func(request uintptr, value *uint32) {
		_ = raw.Control(func(fd uintptr) {
			if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(value))); errno != 0 {
				t.Fatal(errno)
			}
		})
	}
	var unlocked, number uint32
	control(syscall.TIOCSPTLCK, &unlocked)
	control(syscall.TIOCGPTN, &number)
	tty, err := os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	s := &screen{t: t, keys: keys, cmd: command(t, append(env, "TERM=xterm"), args...), more: make(chan struct{}, 1), read: make(chan struct{})}
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = tty, tty, tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go s.follow()
	t.Cleanup(func() {
		_ = s.cmd.Process.Kill()
		_ = keys.Close()
		<-s.read
	})
	return s
}

func (s *screen) follow() {
	defer close(s.read)
	buf := make([]byte, 4096)
	for {
		n, err := s.keys.Read(buf)
		s.mu.Lock()
		s.text.Write(buf[:n])
		s.mu.Unlock()
		select {
		case s.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// shows waits until the screen shows text behind what it showed when shows was called last, and returns all up to there.
func (s *screen) shows(text string) string {
	s.t.Helper()
	for {
		s.mu.Lock()
		all := s.text.String()
		if at := strings.Index(all, text); at >= 0 {
			seen := all[:at+len(text)]
			s.text.Reset()
			s.text.WriteString(all[at+len(text):])
			s.mu.Unlock()
			return seen
		}
		s.mu.Unlock()
		select {
		case <-s.more:
		case <-s.read:
			s.t.Fatalf("the screen shows %q in the end, want %q", all, text)
		case <-time.After(30 * time.Second):
			s.t.Fatalf("the screen shows %q, want %q", all, text)
		}
	}
}

func (s *screen) types(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end of the process and returns its exit code.
func (s *screen) ends() int {
	s.t.Helper()
	err := s.cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return exit.ExitCode()
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return 0
}

// prompt is what stands before what a person types.
const prompt = ">>> "

func TestChatAtATerminal(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.answer = func(q request) (string, int) {
		if q.prompt() == "nasty" {
			return "\x1b[2Jgone", 0
		}
		return strings.ToUpper(q.prompt()), 0
	}
	s := newScreen(t, f.env(), "chat")
	s.shows("/help lists the commands")
	s.shows(prompt)
	s.types("hello\r")
	s.shows("HELLO")
	s.shows(prompt)
	s.types("nasty\r")
	if seen := s.shows("gone"); !strings.Contains(seen, `\x1b[2Jgone`) {
		t.Errorf("the screen shows %q, want the sequence escaped", seen)
	}
	s.shows(prompt)
	s.types("one \\\r")
	s.shows("... ")
	s.types("two\r")
	s.shows("ONE \r\nTWO")
	s.shows(prompt)
	s.types("\"\"\"x\r")
	s.shows("... ")
	s.types("y\"\"\"\r")
	s.shows("X\r\nY")
	s.shows(prompt)
	s.types("\x1b[200~p\rq\x1b[201~\r") // pasted
	s.shows("P\r\nQ")
	s.shows(prompt)
	s.types("\x1b[A\x1b[A?\x7f!\r") // the line before the last one, changed
	s.shows("P!")
	s.shows(prompt)
	s.types("/undo\r")
	s.shows("taken back: p!")
	s.shows(prompt)
	s.types("/model\r")
	s.shows("the model is tiny:latest")
	s.shows(prompt)
	s.types("/nothing\r")
	s.shows("error: ")
	s.shows("there is no command /nothing")
	s.shows(prompt)
	s.types("half a line\x03")
	s.shows("Ctrl-C again")
	s.shows(prompt)
	s.types("again\r")
	s.shows("AGAIN")
	s.shows(prompt)
	s.types("\x04")
	if code := s.ends(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// Calls of tools are shown, and nothing that a model writes into one acts on the terminal.
func TestChatShowsTools(t *testing.T) {
	t.Parallel()
	f := newFake(t, "it is 42")
	calls := []string{`{"name":"calculator","arguments":{"expression":"6*7"}}`, `{"name":"calculator","arguments":{"expression":"6*"}}`,
		`{"name":"shell\u001b[2J","arguments":{}}`}
	f.tool = func(request) string {
		if len(calls) == 0 {
			return ""
		}
		next := calls[0]
		calls = calls[1:]
		return next
	}
	s := newScreen(t, f.env("NO_COLOR=1"), "chat", "--tool", "calculator")
	s.shows(prompt)
	s.types("how much?\r")
	for _, line := range []string{`→ calculator {"expression":"6*7"}` + "\r\n", "← 42\r\n", `→ calculator {"expression":"6*"}`, "ends too early", `→ shell\x1b[2J {}`, "failed: ", "it is 42", prompt} {
		s.shows(line)
	}
	s.types("\x04")
	if code := s.ends(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// So are those that the provider ran itself.
func TestChatShowsToolsOfTheProvider(t *testing.T) {
	t.Parallel()
	f := newFake(t, "it rains")
	f.executed = json.RawMessage(`[{"index":0,"type":"search\u001b[2J","arguments":"{\"query\":\"x\"}","output":"rain\u001b]0;x"},{"index":1,"type":"python","arguments":"1+1"}]`)
	s := newScreen(t, []string{"NO_COLOR=1", "OPENAI_API_KEY=k"}, "chat", "--backend", "openai", "--base-url", f.URL+"/v1", "--model", "m")
	s.shows(prompt)
	s.types("weather?\r")
	for _, line := range []string{`→ the provider's search\x1b[2J {"query":"x"}` + "\r\n", `← search\x1b[2J {"output":"rain\u001b]0;x"}` + "\r\n", "it rains", "→ the provider's python 1+1\r\n", prompt} {
		s.shows(line)
	}
	s.types("\x04")
	if code := s.ends(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// Ctrl-C gives a reply up, which is not remembered then; twice at the prompt it leaves.
func TestChatInterrupted(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	there := f.hangs()
	s := newScreen(t, f.env(), "chat")
	s.shows(prompt)
	s.types("hello\r")
	<-there
	s.types("\x03")
	s.shows("given up: the turn is not remembered")
	s.shows(prompt)
	f.mu.Lock()
	f.hang = nil
	f.mu.Unlock()
	s.types("/retry\r")
	s.shows("fine")
	if q := f.chats()[1]; said(q) != "u:hello" {
		t.Errorf("asked %q", said(q))
	}
	s.shows(prompt)
	s.types("\x03")
	s.shows("Ctrl-C again")
	s.shows(prompt)
	s.types("\x03")
	if code := s.ends(); code != 0 {
		t.Errorf("exit %d, want 0", code)
	}
}

// A signal ends a chat that waits for a line, and leaves the terminal as it was.
func TestChatTerminated(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	s := newScreen(t, f.env(), "chat")
	s.shows(prompt)
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	s.shows("mellea: interrupted")
	if code := s.ends(); code != 143 {
		t.Errorf("exit %d, want 143", code)
	}
}
