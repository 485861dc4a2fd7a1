package tracecost

import tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

// treeSpans is how many spans are remembered where rows are of sessions: which one a call belongs to is known when the
// span of the session has come, which is the last of them.
const treeSpans = 1 << 20

// NoSession is the key of calls that belong to no session, or to one that did not come.
const NoSession = "(none)"

// A tree finds the session of a call by the spans above it.
type tree struct {
	most    int
	spans   map[spanID]above
	waiting map[waiting]*Row
}

type spanID struct {
	trace [16]byte
	span  [8]byte
}

type above struct {
	parent  [8]byte
	session string
}

// waiting is where a sum waits for its session: beneath a span, and what to call it when there is none.
type waiting struct {
	parent       spanID
	conversation string
}

func newTree(most int) *tree {
	return &tree{most: most, spans: map[spanID]above{}, waiting: map[waiting]*Row{}}
}

func idOf(trace, span []byte) spanID {
	var id spanID
	copy(id.trace[:], trace)
	copy(id.span[:], span)
	return id
}

func (t *tree) add(s *tracepb.Span, session string) {
	if len(t.spans) >= t.most {
		return
	}
	t.spans[idOf(s.GetTraceId(), s.GetSpanId())] = above{parent: idOf(nil, s.GetParentSpanId()).span, session: session}
}

// wait keeps a sum until its session is known.
func (t *tree) wait(s *tracepb.Span, conversation string, entry Row) {
	w := waiting{parent: idOf(s.GetTraceId(), s.GetParentSpanId()), conversation: conversation}
	if len(t.waiting) >= t.most {
		w.parent = spanID{}
	}
	r := t.waiting[w]
	if r == nil {
		r = &Row{}
		t.waiting[w] = r
	}
	r.add(entry)
}

// maxDepth bounds how far up a session is looked for: parents may go in circles in a hostile file.
const maxDepth = 1000

// settle gives what waits to its session, or else to its conversation.
func (t *tree) settle(to func(session string, entry Row)) {
	for w, entry := range t.waiting {
		session := ""
		for id, n := w.parent, 0; n < maxDepth; n++ {
			up, ok := t.spans[id]
			if !ok {
				break
			}
			if session = up.session; session != "" {
				break
			}
			id.span = up.parent
		}
		switch {
		case session != "":
		case w.conversation != "":
			session = w.conversation
		default:
			session = NoSession
		}
		to(session, *entry)
	}
}
