// Command tool-approval has a person approve what a model does: it may look at files as it likes, and is asked about before
// it removes one. Without -ask the answers are those of the recording; with it the question is put on the terminal.
//
// The recording is of a model that was made to say what it says, on a real Ollama.
package main

import (
	"bufio"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"strings"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/examples/recorded"
	"github.com/mellea-go/mellea/guard"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

//go:embed recording.jsonl
var recording []byte

var ask = flag.Bool("ask", false, "ask on the terminal; of use with -live, as a recording knows its own answers only")

func main() { recorded.Main(recording, run) }

type file struct {
	Name string `json:"name"`
}

func run(ctx context.Context, w io.Writer, b backend.Backend, tel *telemetry.Telemetry) error {
	files := map[string]bool{"notes.txt": true, "old.log": true}
	list := tool.New("list_files", "Lists the files.", func(context.Context, struct{}) ([]string, error) {
		return []string{"notes.txt", "old.log"}, nil
	})
	remove := tool.New("remove_file", "Removes a file for good.", func(_ context.Context, f file) (string, error) {
		if !files[f.Name] {
			return "", fmt.Errorf("there is no file %s", f.Name)
		}
		files[f.Name] = false
		return "removed", nil
	})

	approve := []guard.ApprovalOption{guard.OnlyFor("remove_file")}
	if !*ask {
		approve = append(approve, guard.WithTerminal(answers(w, "yes", "no, the notes stay")))
	}
	s, err := mellea.Start(ctx, b, mellea.WithTools(list, remove), mellea.WithToolParallel(1),
		mellea.WithHooks(tel, guard.AllowTools("list_files", "remove_file"), guard.Approve(approve...)))
	if err != nil {
		return err
	}
	defer s.Close()

	res, err := s.Instruct(ctx, "Remove what nobody needs.")
	if err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, r := range res.ToolRuns {
		fmt.Fprintf(w, "%s %s: %s\n", r.Call.Name, r.Call.Arguments, r.Output.Text)
	}
	fmt.Fprintln(w, res.Text())
	return nil
}

// answers stands for a person at a terminal: it shows the questions on w and types the answers.
func answers(w io.Writer, texts ...string) func() (io.ReadWriteCloser, error) {
	return func() (io.ReadWriteCloser, error) {
		answer := texts[0]
		texts = texts[1:]
		return person{Writer: w, Reader: bufio.NewReader(io.TeeReader(strings.NewReader(answer+"\n"), w))}, nil
	}
}

type person struct {
	io.Writer
	io.Reader
}

func (person) Close() error { return nil }
