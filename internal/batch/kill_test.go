package batch_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/batch"
)

// childOut names the journal of a child process: this test binary, which does nothing then but a run.
const childOut = "MELLEA_BATCH_TEST_OUT"

const childLines = 300

// child does a run whose lines take as long as a write, and notes each line that it begins.
func child(path string) int {
	out, err := batch.Open(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	begun, err := os.OpenFile(path+".begun", os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	_, err = batch.Run(context.Background(), batch.Config{Input: strings.NewReader(numbered(childLines)), MaxLine: 100, Out: out, Concurrency: 4,
		Do: func(ctx context.Context, it batch.Item) (batch.Result, error) {
			if _, err := fmt.Fprintf(begun, "%d\n", it.Line); err != nil {
				return batch.Result{}, err
			}
			time.Sleep(200 * time.Microsecond)
			return echo(ctx, it)
		}})
	if err = errors.Join(err, out.Close()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// TestKill kills the process at random moments until it has come to its end: every line is there once, and none was
// begun again after its record was there.
func TestKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "out")
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	kills := 0
	for ended := false; !ended; {
		recorded := map[string]bool{}
		if _, err := os.Stat(path); err == nil {
			out := open(t, path) // which mends it
			_ = out.Close()
			for line := range read(t, path) {
				recorded[fmt.Sprint(line)] = true
			}
		}
		_ = os.Remove(path + ".begun")
		cmd := exec.CommandContext(t.Context(), os.Args[0])
		cmd.Env = append(os.Environ(), childOut+"="+path)
		var stderr strings.Builder
		cmd.Stderr = &stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if kills < 20 {
			wait := time.AfterFunc(time.Duration(r.IntN(60_000))*time.Microsecond, func() { _ = cmd.Process.Kill() })
			defer wait.Stop()
		}
		err := cmd.Wait()
		ended = err == nil
		if !ended {
			kills++
			if stderr.Len() > 0 {
				t.Fatal(stderr.String())
			}
		}
		begun, _ := os.ReadFile(path + ".begun")
		for line := range strings.FieldsSeq(string(begun)) {
			if recorded[line] {
				t.Errorf("line %s was done before and is begun again", line)
			}
		}
	}
	t.Logf("ended after %d kills", kills)
	if diff := cmp.Diff(echoed(childLines), read(t, path)); diff != "" {
		t.Errorf("out (-want +got):\n%s", diff)
	}
}
