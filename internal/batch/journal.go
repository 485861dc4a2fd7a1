package batch

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// A Journal is a file of records, one JSON object a line, that is only ever appended to. It is safe for concurrent use.
type Journal struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64 // up to the end of the last whole record
	err  error // of a write that left the file in a state nobody knows
	last map[int]hash
}

// hash is that of an item. Journals keep one for each line.
type hash [16]byte

// A JournalError says that a file is not a journal, or is not free.
type JournalError struct {
	Path   string
	Line   int // of the journal; 0 for all of it
	Reason string
	Err    error
}

func (e *JournalError) Error() string {
	if e.Line > 0 {
		return fmt.Sprintf("%s:%d: %s", e.Path, e.Line, e.Reason)
	}
	return fmt.Sprintf("%s: %s", e.Path, e.Reason)
}

// Unwrap returns the cause.
func (e *JournalError) Unwrap() error { return e.Err }

// head is what every record begins with.
type head struct {
	Line int    `json:"line"`
	Hash string `json:"hash"`
}

// Open opens the journal at path, or begins one that only its owner can read. It locks the file where the system can,
// so that two runs do not do the same lines. A record whose end is missing, because the run that wrote it was killed,
// is taken away; one that lacks nothing but the line feed is kept.
func Open(path string) (*Journal, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	j := &Journal{path: path, file: f, last: map[int]hash{}}
	if err := j.begin(); err != nil {
		_ = f.Close()
		return nil, err
	}
	return j, nil
}

func (j *Journal) begin() error {
	info, err := j.file.Stat()
	switch {
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return &JournalError{Path: j.path, Reason: "not a regular file: a run that is cut off could not be resumed from it"}
	}
	free, err := lock(j.file)
	switch {
	case err != nil:
		return &JournalError{Path: j.path, Reason: "cannot be locked", Err: err}
	case !free:
		return &JournalError{Path: j.path, Reason: "another run is writing to it"}
	}
	return j.recover()
}

// recover reads what is there and repairs its end.
func (j *Journal) recover() error {
	in := bufio.NewReader(j.file)
	for n := 1; ; n++ {
		record, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("%s: %w", j.path, err)
		}
		whole := err == nil
		switch line, sum, ok := parseHead(record); {
		case ok:
			j.last[line] = sum
			j.size += int64(len(record))
			if !whole { // nothing but its line feed is missing
				return j.append([]byte("\n"))
			}
		case whole && len(bytes.TrimSpace(record)) > 0:
			return &JournalError{Path: j.path, Line: n, Reason: "not a record of a batch: name another file, or take the line out"}
		case whole:
			j.size += int64(len(record))
		default:
			return j.cut()
		}
	}
}

func parseHead(record []byte) (line int, sum hash, ok bool) {
	var h head
	if json.Unmarshal(record, &h) != nil || h.Line < 1 {
		return 0, sum, false
	}
	sum, ok = parseHash(h.Hash)
	return h.Line, sum, ok
}

func parseHash(text string) (hash, bool) {
	var h hash
	if len(text) != 2*len(h) {
		return h, false
	}
	_, err := hex.Decode(h[:], []byte(text))
	return h, err == nil
}

// cut takes away what stands behind the last whole record.
func (j *Journal) cut() error {
	if err := j.file.Truncate(j.size); err != nil {
		return fmt.Errorf("%s: %w", j.path, err)
	}
	return nil
}

// Has reports whether the last record of a line is one of its present content, and whether there is one of another.
func (j *Journal) Has(it Item) (same, other bool) {
	if j == nil {
		return false, false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	sum, ok := j.last[it.Line]
	if !ok {
		return false, false
	}
	own, _ := parseHash(it.Hash)
	return sum == own, sum != own
}

// Add appends the record of an item: its line and hash, and the members of the JSON object that v encodes as. When it
// returns nil, the record is there whatever becomes of this process.
func (j *Journal) Add(it Item, v any) error {
	record, err := encode(it, v)
	if err != nil {
		return err
	}
	sum, _ := parseHash(it.Hash)
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	if err := j.append(record); err != nil {
		return err
	}
	j.last[it.Line] = sum
	return nil
}

// encode returns the record of an item, with its line feed.
func encode(it Item, v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("record of line %d: %w", it.Line, err)
	}
	members := b.Bytes()
	if len(members) < 3 || members[0] != '{' {
		return nil, fmt.Errorf("record of line %d: a %T is no JSON object", it.Line, v)
	}
	record := fmt.Appendf(nil, `{"line":%d,"hash":%q`, it.Line, it.Hash)
	if members[1] != '}' {
		record = append(record, ',')
	}
	return append(record, members[1:]...), nil
}

// append writes behind the last record, in one call. What a write that failed has left is taken away.
func (j *Journal) append(b []byte) error {
	if _, err := j.file.WriteAt(b, j.size); err != nil {
		if j.cut() != nil {
			j.err = err
		}
		return err
	}
	j.size += int64(len(b))
	return nil
}

// Keep rewrites the journal so that it holds, for each line, the last record alone, where keep says so. The file is
// replaced as a whole: a process that is killed leaves the old one or the new one.
func (j *Journal) Keep(keep func(Item) bool) error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.err != nil {
		return j.err
	}
	places, all, err := j.places()
	if err != nil {
		return err
	}
	for line := range places {
		if sum := j.last[line]; !keep(Item{Line: line, Hash: hex.EncodeToString(sum[:])}) {
			delete(places, line)
		}
	}
	if len(places) == all {
		return nil
	}
	return j.rewrite(places)
}

// places returns where the last record of each line begins, and how many records there are in all.
func (j *Journal) places() (map[int]int64, int, error) {
	places, all := map[int]int64{}, 0
	err := j.each(func(at int64, record []byte) error {
		if line, _, ok := parseHead(record); ok {
			places[line] = at
			all++
		}
		return nil
	})
	return places, all, err
}

func (j *Journal) each(visit func(at int64, record []byte) error) error {
	in := bufio.NewReader(io.NewSectionReader(j.file, 0, j.size))
	for at := int64(0); ; {
		record, err := in.ReadBytes('\n')
		if len(record) > 0 {
			if err := visit(at, record); err != nil {
				return err
			}
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return fmt.Errorf("%s: %w", j.path, err)
		}
		at += int64(len(record))
	}
}

// rewrite puts a file that holds only the records at these places where the journal is.
func (j *Journal) rewrite(places map[int]int64) (err error) {
	f, err := os.CreateTemp(filepath.Dir(j.path), "."+filepath.Base(j.path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	next := &Journal{path: j.path, file: f, last: map[int]hash{}}
	if _, err := lock(f); err != nil {
		return err
	}
	out := bufio.NewWriter(f)
	err = j.each(func(at int64, record []byte) error {
		line, sum, ok := parseHead(record)
		if kept, wanted := places[line]; !ok || !wanted || kept != at {
			return nil
		}
		next.last[line] = sum
		next.size += int64(len(record))
		_, err := out.Write(record)
		return err
	})
	if err = errors.Join(err, out.Flush()); err != nil {
		return err
	}
	if err = errors.Join(f.Sync(), os.Rename(f.Name(), j.path)); err != nil {
		return err
	}
	_ = j.file.Close()
	j.file, j.size, j.last = next.file, next.size, next.last
	return nil
}

// Close makes the records last over a loss of power, and closes the file.
func (j *Journal) Close() error {
	if j == nil {
		return nil
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	err := errors.Join(j.err, j.file.Sync())
	unlock(j.file)
	return errors.Join(err, j.file.Close())
}
