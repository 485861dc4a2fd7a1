//go:build unix

package cli_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/mellea-go/mellea/internal/otlptest"
)

// binary builds the command, once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	path := filepath.Join(scratch, "mellea")
	if out, err := exec.Command("go", "build", "-o", path, "github.com/mellea-go/mellea/cmd/mellea").CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
})

func command(t *testing.T, env []string, args ...string) *exec.Cmd {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append([]string{}, env...)
	return cmd
}

// TestDemoProcess runs the demonstration as users do: an empty environment, an empty folder.
func TestDemoProcess(t *testing.T) {
	t.Parallel()
	cmd := command(t, nil, "demo", "--speed", "2")
	cmd.Dir = t.TempDir()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		text.WriteString(lines.Text() + "\n")
		if strings.Contains(lines.Text(), "attempt 1 of 3") { // the model is at work
			noSockets(t, cmd.Process.Pid)
		}
	}
	if err := cmd.Wait(); err != nil || stderr.Len() > 0 {
		t.Errorf("%v: %s", err, stderr.String())
	}
	for _, part := range []string{"attempt 1 of 3", "Its trace:", "mellea demo ", "exit=0"} {
		if !strings.Contains(text.String(), part) {
			t.Errorf("stdout has no %q:\n%s", part, text.String())
		}
	}
}

// noSockets looks that a process neither listens nor is connected.
func noSockets(t *testing.T, pid int) {
	t.Helper()
	if runtime.GOOS != "linux" {
		return
	}
	dir := "/proc/" + strconv.Itoa(pid) + "/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if to, err := os.Readlink(dir + "/" + e.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			t.Errorf("the process has %s open as %s", to, e.Name())
		}
	}
}

// TestSignals interrupts a process while its model replies: it ends by the shell's convention, and its spans arrive.
func TestSignals(t *testing.T) {
	t.Parallel()
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			f := newFake(t)
			there := f.hangs()
			cmd := command(t, f.env(tracing(collector)...), "run", "hi")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			<-there
			if err := cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			_ = cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != code || !strings.Contains(stderr.String(), "mellea: interrupted") {
				t.Errorf("exit %d, stderr %q, want %d", got, stderr.String(), code)
			}
			root := collector.Spans(t, 5)[0]
			if root.Name != "mellea run" || root.Attributes["process.exit.code"] != int64(code) || root.Attributes["mellea.outcome"] != "cancelled" {
				t.Errorf("root span = %+v", root)
			}
		})
	}
}

// TestSecondSignal looks that a command which does not end at the first signal ends at the second.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	stuck := make(chan struct{})
	f := newFake(t)
	there := f.hangs()
	collector := newStuckServer(t, stuck)
	cmd := command(t, f.env("MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT="+collector), "run", "hi")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-there
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	<-stuck // it flushes, to a collector that never answers
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() || status.Signal() != syscall.SIGINT {
		t.Errorf("%v, want an end by the signal", cmd.ProcessState)
	}
}

// TestBadVariables looks that a value nobody can use is a warning of the command and of nobody else, and is not quoted:
// the SDK, which reads these variables too, prints it.
func TestBadVariables(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{
		"OTEL_EXPORTER_OTLP_HEADERS=planted", "OTEL_EXPORTER_OTLP_TIMEOUT=planted", "OTEL_EXPORTER_OTLP_COMPRESSION=planted",
		"OTEL_EXPORTER_OTLP_CERTIFICATE=/planted", "OTEL_RESOURCE_ATTRIBUTES=planted", "OTEL_TRACES_SAMPLER=planted",
		"OTEL_BSP_SCHEDULE_DELAY=planted",
	} {
		name, _, _ := strings.Cut(variable, "=")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			collector := otlptest.Start(t)
			cmd := command(t, append(tracing(collector), variable), "version")
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Run(); err != nil {
				t.Fatal(err)
			}
			if got := stderr.String(); strings.Contains(got, "planted") {
				t.Errorf("stderr quotes the value: %q", got)
			}
			wantLines(t, "stderr", stderr.String(), "mellea: warning: telemetry: "+name+" ")
			if name == "OTEL_EXPORTER_OTLP_HEADERS" {
				return // the exporter would print them, so there is none
			}
			collector.Spans(t, 1)
		})
	}
}

// TestConsoleProcess looks that the tree of a trace goes to standard error, where it disturbs no pipe.
func TestConsoleProcess(t *testing.T) {
	t.Parallel()
	cmd := command(t, []string{"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_CONSOLE=true"}, "version")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(stdout.String(), "mellea ") || strings.Contains(stdout.String(), "trace ") {
		t.Errorf("stdout = %q, want the version alone", stdout.String())
	}
	if !strings.HasPrefix(stderr.String(), "trace ") || !strings.Contains(stderr.String(), "mellea version ") {
		t.Errorf("stderr = %q, want the tree", stderr.String())
	}
}

// TestPipedInput reads a prompt from a real pipe.
func TestPipedInput(t *testing.T) {
	t.Parallel()
	f := newFake(t, "fine")
	cmd := command(t, f.env(), "run", "-")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(in, "a prompt\n")
	_ = in.Close()
	if err := cmd.Wait(); err != nil || stdout.String() != "fine\n" {
		t.Errorf("%v, stdout %q", err, stdout.String())
	}
	if p := f.asked(t).prompt(); p != "a prompt\n" {
		t.Errorf("prompt = %q", p)
	}
}

// TestStreamedProcess looks that standard output is still there when a reply has been streamed to it.
func TestStreamedProcess(t *testing.T) {
	t.Parallel()
	f := newFake(t).echoes()
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"run":  {args: []string{"run", "one two", "--stream"}, want: "ONE TWO\n"},
		"chat": {args: []string{"chat"}, stdin: "one two\nthree\n", want: "ONE TWO\nTHREE\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := command(t, f.env(), c.args...)
			cmd.Stdin = strings.NewReader(c.stdin)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if out, err := cmd.Output(); err != nil || string(out) != c.want {
				t.Errorf("%v: stdout %q, want %q: %s", err, out, c.want, stderr.String())
			}
		})
	}
}

// TestBatchKilled kills a batch by SIGKILL, again and again: in the end each line has one result, and none was asked for
// again after its result was there.
func TestBatchKilled(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	const n = 60
	var (
		mu    sync.Mutex
		asked = map[string]int{}
		done  = map[string]bool{}
		again []string
		kill  func()
	)
	countdown := 7
	f.answer = func(q request) (string, int) {
		mu.Lock()
		defer mu.Unlock()
		asked[q.prompt()]++
		if done[q.prompt()] {
			again = append(again, q.prompt())
		}
		if countdown--; countdown == 0 {
			kill()
		}
		return "fine", 0
	}
	var lines strings.Builder
	for i := range n {
		lines.WriteString(`{"prompt":"p` + strconv.Itoa(i+1) + `"}` + "\n")
	}
	in, out := file(t, "in", lines.String()), filepath.Join(t.TempDir(), "out")
	kills := 0
	for {
		cmd := command(t, f.env(), "batch", in, "--out", out, "--concurrency", "3")
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		mu.Lock()
		countdown = 7
		kill = func() { _ = cmd.Process.Kill() }
		if kills == 5 {
			countdown = -1
		}
		err := cmd.Start()
		mu.Unlock()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err == nil {
			break
		}
		if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
			t.Fatalf("%v: %s", cmd.ProcessState, stderr.String())
		}
		kills++
		mu.Lock()
		text, _ := os.ReadFile(out)
		for line := range strings.SplitSeq(string(text), "\n") {
			var r batchLine
			if json.Unmarshal([]byte(line), &r) == nil {
				done["p"+strconv.Itoa(r.Line)] = true
			}
		}
		mu.Unlock()
	}
	if got := len(records(t, out)); got != n || kills != 5 || len(again) > 0 {
		t.Errorf("%d results after %d kills, want %d after 5; asked for again: %v", got, kills, n, again)
	}
}
