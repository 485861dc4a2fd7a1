package main

import (
	"fmt"
	"io"
	"os"
	"regexp"

	"github.com/mellea-go/mellea/examples/recorded"
)

// steady writes lines without their time, and counts the ids in place of what they are.
type steady struct {
	io.Writer

	seen map[string]string
}

var changing = regexp.MustCompile(`(trace_id|span_id|session_id|request_id)=(\S+)`)

func (s steady) Write(p []byte) (int, error) {
	line := regexp.MustCompile(`^\S+ `).ReplaceAllString(string(p), "")
	line = changing.ReplaceAllStringFunc(line, func(field string) string {
		m := changing.FindStringSubmatch(field)
		if s.seen[field] == "" {
			s.seen[m[1]] += "#"
			s.seen[field] = fmt.Sprintf("%s=%d", m[1], len(s.seen[m[1]]))
		}
		return s.seen[field]
	})
	_, err := io.WriteString(s.Writer, line)
	return len(p), err
}

func Example() {
	recorded.Run(steady{os.Stdout, map[string]string{}}, recording, run)
	// Output:
	// INFO asking messages=1 trace_id=1 span_id=1 session_id=1 request_id=1 model=scripted-2
	// INFO forecast found.sky=rain found.celsius=9 trace_id=1 span_id=2 session_id=1 request_id=1 model=scripted-2
	// WARN no forecast days=1 trace_id=1 span_id=3 session_id=1 request_id=1 model=scripted-2
	// INFO asking messages=4 trace_id=1 span_id=4 session_id=1 request_id=2 model=scripted-2
	// INFO forecast found.sky=sun found.celsius=27 trace_id=1 span_id=5 session_id=1 request_id=2 model=scripted-2
	// INFO asking messages=6 trace_id=1 span_id=6 session_id=1 request_id=3 model=scripted-2
	// INFO done
}
