//go:build unix

package components

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// supported says whether this system can run the components.
const supported = true

// tryLock takes an exclusive lock on the file at path, which it creates, and
// returns it open; nil and no error mean that somebody else holds the lock. The
// lock ends when the file is closed, at the latest with the process: Go opens
// files so that a child process does not inherit them.
func tryLock(path string) (*os.File, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, fmt.Errorf("components: lock: %w", err)
		}
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, nil
			}
			return nil, fmt.Errorf("components: lock %s: %w", path, err)
		}
		// Whoever held the lock before may have removed the file: then this lock
		// is on a file that nobody else can see, and counts for nothing.
		if sameFile(f, path) {
			return f, nil
		}
		f.Close()
	}
}

func sameFile(f *os.File, path string) bool {
	opened, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(path)
	return err == nil && os.SameFile(opened, named)
}

// ownGroup makes a command that is not yet started lead a process group of its
// own: a Ctrl-C at the terminal does not reach it, and killGroup reaches its
// children.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
}

// terminate asks the process, not its group, to end.
func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// killGroup kills what is left of the group that pid leads; an empty group is
// no error.
func killGroup(pid int) error {
	if err := syscall.Kill(-pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	return nil
}

// guardCommand returns a command that waits until its standard input closes,
// which happens at the latest when this process dies, however it dies, and then
// ends the group that pid leads.
func guardCommand(pid int) *exec.Cmd {
	const script = `while read -r _; do :; done
kill -s TERM -- "-$1" || exit 0
sleep 5
kill -s KILL -- "-$1"`
	cmd := exec.Command("/bin/sh", "-c", script, "sh", fmt.Sprint(pid))
	ownGroup(cmd)
	return cmd
}
