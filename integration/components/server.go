package components

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

const (
	graceTime  = 10 * time.Second // from the request to end to the kill
	probePause = 50 * time.Millisecond
	tailBytes  = 16 << 10
)

// errAddressInUse marks the failure of a server that lost its port to a
// stranger before it could listen; a start with other ports may succeed.
var errAddressInUse = errors.New("address already in use")

// server is a running server with a folder of its own, in which its log and all
// it writes are. One goroutine waits for the process and ends with it.
type server struct {
	name  string
	dir   string
	mark  *os.File // lock that says that dir is in use
	ports *ports
	cmd   *exec.Cmd
	done  chan struct{} // closed once the process has been waited for
	exit  error         // its fate; read only after done

	guard     *exec.Cmd
	guardPipe io.Closer

	stopOnce sync.Once
	stopErr  error
}

// newServer makes the folder and reserves the ports of a server that is started
// later by start. The caller must call stop, whether start is called or not.
func newServer(cache, name string, nports int) (*server, error) {
	if !supported {
		return nil, fmt.Errorf("components: %s: %w on this system: use Linux or macOS", name, errors.ErrUnsupported)
	}
	root := filepath.Join(cache, "run")
	if err := os.MkdirAll(root, 0o755); err != nil {
		return nil, fmt.Errorf("components: %w", err)
	}
	sweep(root)
	sweep(filepath.Join(cache, "ports"))
	s := &server{name: name, done: make(chan struct{})}
	for s.mark == nil { // the lock comes first, so that sweep never sees a folder without it
		s.dir = filepath.Join(root, fmt.Sprintf("%s-%08x", name, rand.Uint32()))
		var err error
		if s.mark, err = tryLock(s.dir + ".lock"); err != nil {
			return nil, err
		}
	}
	err := os.Mkdir(s.dir, 0o700)
	if err == nil {
		s.ports, err = reservePorts(cache, nports)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("components: %s: %w", name, err), s.stop())
	}
	return s, nil
}

// sweep removes the locks in a folder whose holders were killed, and the folders
// of servers that they marked. It is an attempt: what it cannot remove it leaves.
func sweep(dir string) {
	marks, _ := filepath.Glob(filepath.Join(dir, "*.lock"))
	for _, path := range marks {
		if f, err := tryLock(path); err == nil && f != nil {
			os.RemoveAll(strings.TrimSuffix(path, ".lock"))
			unlock(f)
		}
	}
}

// start starts the server with exactly the given environment, its output in its
// log. It does not wait until the server is ready.
func (s *server) start(env []string, binary string, args ...string) error {
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return fmt.Errorf("components: %s: %w", s.name, err)
	}
	defer log.Close() // the process has its own copy
	cmd := exec.Command(binary, args...)
	cmd.Dir, cmd.Env = s.dir, env
	cmd.Stdout, cmd.Stderr = log, log
	ownGroup(cmd)
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("components: start %s: %w: reinstall it with scripts/components/install.sh %s", s.name, err, s.name)
	}
	s.cmd = cmd
	done := s.done
	go func() {
		s.exit = cmd.Wait()
		close(done)
	}()

	guard := guardCommand(cmd.Process.Pid)
	pipe, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		return fmt.Errorf("components: start the guard of %s: %w", s.name, err)
	}
	s.guard, s.guardPipe = guard, pipe
	return nil
}

// waitReady asks until the URL answers 200, the server ends, or ctx does.
func (s *server) waitReady(ctx context.Context, url string) error {
	return s.waitFor(ctx, http.MethodGet, url)
}

func (s *server) waitFor(ctx context.Context, method, url string) error {
	var last error
	for {
		if last = probe(ctx, method, url); last == nil {
			return nil
		}
		select {
		case <-s.done:
			tail := s.logTail()
			err := fmt.Errorf("components: %s ended while it started (%v); the end of its log:\n%s", s.name, s.exit, tail)
			if strings.Contains(tail, errAddressInUse.Error()) {
				err = fmt.Errorf("%w: %w", errAddressInUse, err)
			}
			return err
		case <-ctx.Done():
			return fmt.Errorf("components: %s is not ready: %w (%v); the end of its log:\n%s",
				s.name, context.Cause(ctx), last, s.logTail())
		case <-time.After(probePause):
		}
	}
}

// probe sends a request, whose body is an empty JSON document where it has one.
func probe(ctx context.Context, method, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	var body io.Reader
	if method == http.MethodPost {
		body = strings.NewReader("{}")
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, io.LimitReader(resp.Body, 1<<20))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s %s: %s", method, url, resp.Status)
	}
	return nil
}

// client keeps no connection open, so that a stopped server leaves nothing
// behind, and uses no proxy.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// stop asks the server to end, kills it and its children when it has not ended
// after the grace time, waits for all it started, and removes the folder. It may
// be called more than once, also at the same time: every call returns when the
// server is gone, with the same error. A server that ended by itself before is
// an error.
func (s *server) stop() error {
	s.stopOnce.Do(func() {
		s.stopErr = s.end()
		if s.guard != nil {
			s.guard.Process.Kill() // its work is done; it must not signal a reused id
			s.guardPipe.Close()
			s.guard.Wait()
		}
		if s.ports != nil {
			s.ports.release()
		}
		if err := os.RemoveAll(s.dir); err != nil {
			s.stopErr = errors.Join(s.stopErr, fmt.Errorf("components: %s: %w", s.name, err))
		}
		if s.mark != nil {
			unlock(s.mark)
		}
	})
	return s.stopErr
}

func (s *server) end() error {
	if s.cmd == nil {
		return nil
	}
	var err error
	select {
	case <-s.done:
		err = fmt.Errorf("components: %s ended before it was stopped (%v); the end of its log:\n%s", s.name, s.exit, s.logTail())
	default:
		if e := terminate(s.cmd.Process); e != nil && !errors.Is(e, os.ErrProcessDone) {
			err = fmt.Errorf("components: stop %s: %w", s.name, e)
		}
		grace := time.NewTimer(graceTime)
		defer grace.Stop()
		select {
		case <-s.done:
		case <-grace.C:
			err = fmt.Errorf("components: %s did not end within %v and was killed; the end of its log:\n%s", s.name, graceTime, s.logTail())
		}
	}
	if e := killGroup(s.cmd.Process.Pid); e != nil {
		err = errors.Join(err, fmt.Errorf("components: kill %s: %w", s.name, e))
	}
	<-s.done
	return err
}

// kill ends the process at once, as a crash does, and waits until it and its guard are gone. The server keeps its folder
// and ports: start starts it again. No other method may be called meanwhile.
func (s *server) kill() error {
	if s.cmd == nil {
		return nil
	}
	err := killGroup(s.cmd.Process.Pid)
	<-s.done
	if s.guard != nil {
		s.guard.Process.Kill()
		s.guardPipe.Close()
		s.guard.Wait()
	}
	s.cmd, s.guard, s.done = nil, nil, make(chan struct{})
	if err != nil {
		return fmt.Errorf("components: kill %s: %w", s.name, err)
	}
	return nil
}

func (s *server) logPath() string { return filepath.Join(s.dir, "server.log") }

// logTail returns the end of the log, from the start of a line.
func (s *server) logTail() string {
	f, err := os.Open(s.logPath())
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	from := max(0, info.Size()-tailBytes)
	text, err := io.ReadAll(io.NewSectionReader(f, from, tailBytes))
	if err != nil {
		return "(no log: " + err.Error() + ")"
	}
	if i := bytes.IndexByte(text, '\n'); from > 0 && i >= 0 {
		text = text[i+1:]
	}
	return string(text)
}

// baseEnv is the environment every server starts from: nothing of this process
// that could change how a server behaves.
func (s *server) baseEnv() []string {
	env := []string{"HOME=" + s.dir, "TMPDIR=" + s.dir, "NO_PROXY=*"}
	if path := os.Getenv("PATH"); path != "" {
		env = append(env, "PATH="+path)
	}
	return env
}

// withRetry starts a server again, with other ports, when a stranger took one.
func withRetry[T any](start func() (T, error)) (T, error) {
	for attempt := 1; ; attempt++ {
		v, err := start()
		if err == nil || attempt == 3 || !errors.Is(err, errAddressInUse) {
			return v, err
		}
	}
}
