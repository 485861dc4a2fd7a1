package telemetry_test

import (
	"bufio"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/mellea-go/mellea/telemetry"
)

// terminal returns both ends of a terminal: what a program writes to, and what a person sees.
func terminal(t *testing.T) (tty *os.File, seen *bufio.Reader) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there is no terminal to be had: %v", err)
	}
	t.Cleanup(func() { _ = screen.Close() })
	raw := must[syscall.RawConn](t)(screen.SyscallConn())
	var unlocked, number uint32
	for request, value := range map[uintptr]*uint32{syscall.TIOCSPTLCK: &unlocked, syscall.TIOCGPTN: &number} {
		if err := raw.Control(func(fd uintptr) {
			if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(value))); errno != 0 {
				t.Fatal(errno)
			}
		}); err != nil {
			t.Fatal(err)
		}
	}
	tty = must[*os.File](t)(os.OpenFile("/dev/pts/"+strconv.Itoa(int(number)), os.O_RDWR|syscall.O_NOCTTY, 0))
	t.Cleanup(func() { _ = tty.Close() })
	return tty, bufio.NewReader(screen)
}

// A terminal gets colours, by level, unless the person who looks at it wants none; control characters of values do not
// get there either way.
func TestConsoleColours(t *testing.T) { //nolint:paralleltest // it sets variables of the process
	for _, noColor := range []string{"", "1"} {
		t.Setenv("TERM", "xterm")
		t.Setenv("NO_COLOR", noColor)
		tty, seen := terminal(t)
		tel, _ := logs(t, telemetry.WithLogsConsole(tty))
		slog.New(tel.LogHandler()).Error("went wrong", "v", "\x1b[2J")
		line := must[string](t)(seen.ReadString('\n'))
		want := "\x1b[31mERROR\x1b[0m went wrong\x1b[2m v=\"\\x1b[2J\"\x1b[0m"
		if noColor != "" {
			want = " ERROR went wrong v=\"\\x1b[2J\""
		}
		if !strings.Contains(line, want) || noColor != "" && strings.Contains(line, "\x1b") {
			t.Errorf("NO_COLOR=%q: the screen shows %q, want %q", noColor, line, want)
		}
	}
}
