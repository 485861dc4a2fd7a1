package telemetry

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
)

// A rotatingFile is a file of bounded size: a write that would not fit makes file into file.1, that into file.2 and so
// on, and begins anew. It is this package's own because the size is set in bytes, the names of the old files are those
// that people know from other log files, and nothing of it runs in the background.
//
// One process writes to it. A file that exists is continued; what is made is readable for its owner only.
type rotatingFile struct {
	path    string
	most    int64                 // bytes; 0 never rotates
	backups int                   // old files that are kept
	failing atomic.Pointer[error] // what went wrong last, to be reported

	mu     sync.Mutex
	f      *os.File // nil when it could not be opened anew
	size   int64
	closed bool
}

func openRotating(c fileConfig) (*rotatingFile, error) {
	r := &rotatingFile{path: c.path, most: c.most, backups: c.backups}
	return r, r.open()
}

func (r *rotatingFile) open() error {
	f, err := os.OpenFile(r.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
		_ = f.Close()
		return err
	case !info.Mode().IsRegular(): // /dev/stderr is not to be renamed
		r.most = 0
	}
	r.f, r.size = f, info.Size()
	return nil
}

// Write writes one record. It is whole in one file, however long it is.
func (r *rotatingFile) Write(p []byte) (int, error) {
	n, err, failed := r.write(p)
	if failed != nil {
		r.failing.Store(&failed)
	}
	return n, err
}

func (r *rotatingFile) write(p []byte) (n int, err, failed error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closed:
		return 0, os.ErrClosed, nil
	case r.f == nil:
		failed = r.open()
	case r.most > 0 && r.size > 0 && r.size+int64(len(p)) > r.most:
		failed = r.rotate()
	}
	if r.f == nil {
		return 0, failed, failed
	}
	n, err = r.f.Write(p)
	r.size += int64(n)
	return n, err, errors.Join(failed, err)
}

// rotate begins a new file. Where that cannot be done the old one goes on, for as long as a new one would have.
func (r *rotatingFile) rotate() error {
	err := r.f.Close()
	r.f = nil
	if err == nil {
		err = r.shift()
	}
	opened := r.open()
	if err != nil {
		r.size = 1
	}
	return errors.Join(err, opened)
}

func (r *rotatingFile) shift() error {
	if r.backups == 0 {
		return os.Remove(r.path)
	}
	for i := r.backups - 1; i > 0; i-- {
		if err := os.Rename(r.old(i), r.old(i+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return os.Rename(r.path, r.old(1))
}

func (r *rotatingFile) old(i int) string { return r.path + "." + strconv.Itoa(i) }

// Close ends the file; what is written later is refused.
func (r *rotatingFile) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	if r.f == nil {
		return nil
	}
	err := r.f.Close()
	r.f = nil
	return err
}
