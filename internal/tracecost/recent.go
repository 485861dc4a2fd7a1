package tracecost

import tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

// recentCalls bounds what is remembered, to count no call twice; a call takes up to three. A span that was exported again, or a
// call that another instrumentation recorded too, follows soon.
const recentCalls = 1 << 16

// A fact is what is remembered of a call that was counted.
type fact struct {
	scope         string
	input, output int // tokens
}

// recent remembers the last calls.
type recent struct {
	facts map[string]fact
	ring  []string // keys, in the order they came
	next  int
}

func newRecent(n int) *recent { return &recent{facts: map[string]fact{}, ring: make([]string, 0, n)} }

func (r *recent) keep(k string, f fact) {
	if _, there := r.facts[k]; there {
		return
	}
	r.facts[k] = f
	if len(r.ring) < cap(r.ring) {
		r.ring = append(r.ring, k)
		return
	}
	delete(r.facts, r.ring[r.next])
	r.ring[r.next] = k
	r.next = (r.next + 1) % len(r.ring)
}

// seen reports whether a call has been counted, and remembers it. It has when its span has, or when a span of another
// instrumentation that is its parent or its child used as much, or has the same reply.
func (r *recent) seen(c *call, s *tracepb.Span) bool {
	if len(s.GetSpanId()) == 0 {
		return false
	}
	trace := string(s.GetTraceId())
	own, beneath := "span"+trace+string(s.GetSpanId()), "beneath"+trace+string(s.GetSpanId())
	above, beside := "span"+trace+string(s.GetParentSpanId()), "beneath"+trace+string(s.GetParentSpanId())
	if _, again := r.facts[own]; again {
		return true
	}
	f := fact{scope: c.scope, input: c.usage.InputTokens, output: c.usage.OutputTokens}
	for _, k := range []string{above, beneath} {
		if o, ok := r.facts[k]; ok && c.counted && o.scope != f.scope && o.input == f.input && o.output == f.output {
			return true
		}
	}
	if c.response != "" {
		reply := "reply" + trace + c.response
		if o, ok := r.facts[reply]; ok && o.scope != f.scope {
			return true
		}
		r.keep(reply, f)
	}
	r.keep(own, f)
	if len(s.GetParentSpanId()) > 0 {
		r.keep(beside, f)
	}
	return false
}
