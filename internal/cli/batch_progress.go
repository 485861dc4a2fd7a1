package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/mellea-go/mellea/internal/batch"
)

// How often progress is shown: on a terminal, and in a pipe, where every line stays.
const (
	refreshTime = 100 * time.Millisecond
	reportTime  = 10 * time.Second
)

// batchProgress shows how a batch goes: a bar on a terminal, a line now and then in a pipe.
type batchProgress struct {
	out    Output
	style  style
	total  int
	start  time.Time
	shown  time.Time
	before int // lines that took no time
	bar    bool
}

func (a *app) batchProgress(total int) *batchProgress {
	p := &batchProgress{out: a.Stderr, style: a.style(a.Stderr), total: total, start: time.Now()}
	if !p.out.Terminal { // there the first line is as good as any
		p.shown = p.start
	}
	return p
}

// update is called after each line, by one goroutine at a time.
func (p *batchProgress) update(s batch.Summary) {
	now := time.Now()
	p.before = s.Before + s.Left
	switch since := now.Sub(p.shown); {
	case p.out.Terminal && since >= refreshTime:
		fmt.Fprint(p.out, "\r\x1b[K"+p.line(s, now))
		p.bar = true
	case !p.out.Terminal && since >= reportTime:
		fmt.Fprintln(p.out, "mellea: "+counts(s, p.total))
	default:
		return
	}
	p.shown = now
}

// finish takes the bar away and says what came of it all.
func (p *batchProgress) finish(s batch.Summary) {
	if p.bar {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
	fmt.Fprintln(p.out, "mellea: "+counts(s, p.total))
}

// counts says how many lines are done.
func counts(s batch.Summary, total int) string {
	text := fmt.Sprintf("%d of %d lines done", s.Before+s.Done, total)
	if s.Before > 0 {
		text += fmt.Sprintf(", %d of them before", s.Before)
	}
	if n := s.Failed + s.Left; n > 0 {
		text += fmt.Sprintf(", %d failed", n)
	}
	return text
}

// line is the bar.
func (p *batchProgress) line(s batch.Summary, now time.Time) string {
	all := s.All()
	text := fmt.Sprintf("  %s %d/%d", bar(p.style, all, p.total), all, p.total)
	if n := s.Failed + s.Left; n > 0 {
		text += "  " + p.style.red(fmt.Sprintf("%d failed", n))
	}
	if done := all - p.before; done > 0 {
		each := now.Sub(p.start) / time.Duration(done)
		left := each * time.Duration(max(p.total-all, 0))
		text += p.style.faint(fmt.Sprintf("  %.1f/s, %s left", float64(time.Second)/float64(max(each, 1)), left.Round(time.Second)))
	}
	return text
}

// barWidth is that of a bar, in characters.
const barWidth = 24

// bar draws how much of a whole there is.
func bar[N int | int64](s style, part, whole N) string {
	full := barWidth
	if whole > 0 {
		full = int(float64(barWidth) * float64(min(max(part, 0), whole)) / float64(whole))
	}
	return s.green(strings.Repeat("█", full)) + s.faint(strings.Repeat("░", barWidth-full))
}
