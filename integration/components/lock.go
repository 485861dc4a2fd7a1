package components

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// Ports are taken from [minPort, maxPort): below the range from which systems
// hand out ports by themselves, so no outgoing connection sits on one.
const (
	minPort = 20000
	maxPort = 32000
)

// lock waits for the exclusive lock on the file at path.
func lock(ctx context.Context, path string) (*os.File, error) {
	for {
		f, err := tryLock(path)
		if f != nil || err != nil {
			return f, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("components: waiting for the lock %s, held by another process: %w", path, context.Cause(ctx))
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// unlock removes the lock's file and lets the lock go.
func unlock(f *os.File) {
	os.Remove(f.Name())
	f.Close()
}

// ports are loopback ports reserved among all processes that use this package.
type ports struct {
	numbers []int
	locks   []*os.File
}

// reservePorts reserves n ports that nobody listens on. A lock per port keeps
// other users of this package off until release; a stranger can still take a
// port before the server does, which the server then reports.
func reservePorts(cache string, n int) (*ports, error) {
	dir := filepath.Join(cache, "ports")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("components: %w", err)
	}
	p := &ports{}
	for range 1000 {
		if len(p.numbers) == n {
			return p, nil
		}
		number := minPort + rand.IntN(maxPort-minPort)
		f, err := tryLock(filepath.Join(dir, strconv.Itoa(number)+".lock"))
		if err != nil {
			p.release()
			return nil, err
		}
		if f == nil {
			continue
		}
		listener, err := net.Listen("tcp", loopback(number))
		if err != nil {
			unlock(f)
			continue
		}
		listener.Close()
		p.numbers = append(p.numbers, number)
		p.locks = append(p.locks, f)
	}
	p.release()
	return nil, errors.New("components: found no free loopback port below 32768: stop what listens on them")
}

// address returns the i-th port as host:port.
func (p *ports) address(i int) string { return loopback(p.numbers[i]) }

func (p *ports) port(i int) string { return strconv.Itoa(p.numbers[i]) }

func (p *ports) release() {
	for _, f := range p.locks {
		unlock(f)
	}
	p.numbers, p.locks = nil, nil
}

const loopbackHost = "127.0.0.1"

func loopback(port int) string { return net.JoinHostPort(loopbackHost, strconv.Itoa(port)) }
