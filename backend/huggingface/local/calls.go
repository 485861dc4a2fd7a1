package local

import (
	"bytes"
	"strconv"
	"time"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/internal/tooltext"
)

// answer takes in the text of one reply: it passes it on, and where tools are offered takes the calls out of it.
type answer struct {
	w      *backend.Writer
	stream bool
	box    toolbox
	format tooltext.Format
	think  *thinker         // nil for a model that does not
	reader *tooltext.Reader // nil without tools
	ids    ids

	at    time.Time    // when the bytes came that are being read
	text  bytes.Buffer // of a reply that is not asked for in pieces
	ideas bytes.Buffer // its reasoning
	calls []backend.ToolDelta
	some  bool  // something came
	asked int   // calls
	err   error // of the writer

	guides bool // calls that the model begins of its own accord are held to the tools
	tried  bool // for the call that is being written
	guided bool // and a grammar holds it
}

func newAnswer(w *backend.Writer, c *chat, plan *prompter) *answer {
	a := &answer{w: w, stream: c.set.stream, box: c.box, format: plan.format, ids: idsOf(c.messages), guides: c.set.sampling.grammar == ""}
	if c.box.offered.Len() > 0 {
		a.reader = plan.format.NewReader(a.say, a.call)
	}
	if plan.thinks {
		a.think = &thinker{reasoning: a.reason, text: a.read}
	}
	return a
}

// feed takes the next piece of the reply, which came at a time.
func (a *answer) feed(at time.Time, piece []byte) {
	a.at = at
	before := a.w.Generation().Chunks
	if a.think != nil {
		a.think.feed(piece)
	} else {
		a.read(piece)
	}
	if a.stream && a.w.Generation().Chunks == before {
		a.w.Other(at) // what is held back is a sign of life
	}
}

// read takes what is no reasoning.
func (a *answer) read(piece []byte) {
	if a.reader == nil {
		a.say(piece)
		return
	}
	a.reader.Feed(piece)
}

func (a *answer) reason(text []byte) {
	a.some = true
	if a.stream {
		a.w.Reasoning(a.at, text)
		return
	}
	a.ideas.Write(text)
}

func (a *answer) say(text []byte) {
	a.some = true
	if a.stream {
		a.w.Text(a.at, text)
		return
	}
	a.text.Write(text)
}

func (a *answer) call(c tooltext.Call) {
	a.some = true
	d := backend.ToolDelta{Index: a.asked, ID: a.ids.next(), Name: c.Name, Arguments: c.Arguments}
	a.asked++
	if a.err != nil {
		return
	}
	if a.stream {
		a.err = a.w.ToolCall(a.at, d)
		return
	}
	a.calls = append(a.calls, d)
}

// end brings out what is left when no more comes.
func (a *answer) end() error {
	if a.at.IsZero() {
		a.at = time.Now()
	}
	if a.think != nil {
		a.think.end()
	}
	if a.reader != nil {
		a.reader.End()
	}
	a.w.Reasoning(a.at, a.ideas.Bytes())
	a.w.Text(a.at, a.text.Bytes())
	for _, d := range a.calls {
		if a.err == nil {
			a.err = a.w.ToolCall(a.at, d)
		}
	}
	return a.err
}

// follow runs after each token, and says whether the reply is to end. With the beginning of a call the sampler is held to
// what the tools take, and let go at its end: a small model writes a call that can be used, and is free before and after.
// The reader must know all that the model has written for that, which certain says.
func (a *answer) follow(s sampler, certain bool) (done bool, err error) {
	switch {
	case a.reader == nil:
		return false, nil
	case a.err != nil:
		return true, a.err
	case a.box.single && a.asked > 0:
		return true, nil
	case !a.guides:
		return false, nil
	}
	opening, open := a.reader.Opening()
	switch {
	case !open && a.guided:
		a.guided, a.tried = false, false
		return false, s.hold("")
	case !open:
		a.tried = false
	case !a.tried && certain:
		a.tried = true
		g, ok, err := a.format.Rest(a.box.offered, opening)
		// Where no grammar can be had the call is free: arguments are checked before a tool sees them.
		a.guided = err == nil && ok && s.hold(g.Text) == nil
	}
	return false, nil
}

// ids are the ids of a conversation's calls. Models in process have none, so that they are made up: they depend on nothing
// but the conversation, and the same request gives the same.
type ids struct {
	taken map[string]bool
	n     int
}

func idsOf(messages content.Messages) ids {
	x := ids{taken: map[string]bool{}}
	for m := range messages.Values() {
		for c := range m.ToolCalls() {
			x.taken[c.ID] = true
			x.n++
		}
	}
	return x
}

func (x *ids) next() string {
	for {
		x.n++
		if id := "call_" + strconv.Itoa(x.n); !x.taken[id] {
			x.taken[id] = true
			return id
		}
	}
}
