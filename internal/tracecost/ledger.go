package tracecost

import (
	"cmp"
	"encoding/hex"
	"maps"
	"slices"
	"time"

	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
)

// By is what rows are of.
type By string

// What rows may be of. Days are those of UTC on which calls began.
const (
	ByModel     By = "model"
	ByOperation By = "operation"
	ByTrace     By = "trace"
	BySession   By = "session"
	ByDay       By = "day"
)

// All has every [By].
var All = []By{ByModel, ByOperation, ByTrace, BySession, ByDay}

// A Row is what the calls of one key used and cost.
type Row struct {
	Key string
	// Provider is that of a model; "" where rows are of something else.
	Provider string
	Calls    int
	Usage    content.Usage
	USD      float64
	// Unpriced is how many calls have no price, and so are not part of USD.
	Unpriced int
}

func (r *Row) add(o Row) {
	r.Calls += o.Calls
	r.Usage = r.Usage.Add(o.Usage)
	r.USD += o.USD
	r.Unpriced += o.Unpriced
}

// A Ledger adds up calls. One goroutine uses it. What it keeps is bounded: rows, calls that could be recorded twice and,
// where rows are of sessions, spans.
type Ledger struct {
	by       By
	prices   *telemetry.Pricing
	rows     map[key]*Row
	unpriced map[key]*Row
	recent   *recent
	tree     *tree // of sessions
}

type key struct{ name, provider string }

// New returns an empty ledger. prices may be nil.
func New(by By, prices *telemetry.Pricing) *Ledger {
	l := &Ledger{by: by, prices: prices, rows: map[key]*Row{}, unpriced: map[key]*Row{}, recent: newRecent(recentCalls)}
	if by == BySession {
		l.tree = newTree(treeSpans)
	}
	return l
}

// Add adds the calls of r.
func (l *Ledger) Add(r *tracepb.ResourceSpans) {
	for _, scope := range r.GetScopeSpans() {
		for _, s := range scope.GetSpans() {
			l.span(scope.GetScope().GetName(), s)
		}
	}
}

// The length of ids, in bytes. Longer ones are none, and are not worth remembering.
const traceIDSize, spanIDSize = 16, 8

func (l *Ledger) span(scope string, s *tracepb.Span) {
	if len(s.GetTraceId()) > traceIDSize || len(s.GetSpanId()) > spanIDSize || len(s.GetParentSpanId()) > spanIDSize {
		s = &tracepb.Span{Name: s.GetName(), StartTimeUnixNano: s.GetStartTimeUnixNano(), EndTimeUnixNano: s.GetEndTimeUnixNano(),
			Attributes: s.GetAttributes(), Status: s.GetStatus()}
	}
	c := callOf(scope, s)
	if l.tree != nil {
		l.tree.add(s, c.session)
	}
	if !c.isInference() || l.recent.seen(&c, s) {
		return
	}
	entry := Row{Calls: 1, Usage: c.usage}
	usd, priced := l.price(&c)
	entry.USD = usd
	if !priced {
		entry.Unpriced = 1
		enter(l.unpriced, key{c.priced(), c.provider}, entry)
	}
	k, provider := "", ""
	switch l.by {
	case ByModel:
		k, provider = c.model(), c.provider
	case ByOperation:
		k = c.operation
	case ByTrace:
		k = hex.EncodeToString(s.GetTraceId())
	case ByDay:
		k = time.Unix(0, int64(min(s.GetStartTimeUnixNano(), 1<<62))).UTC().Format(time.DateOnly)
	case BySession:
		if k = c.session; k == "" {
			l.tree.wait(s, c.conversation, entry)
			return
		}
	}
	enter(l.rows, key{k, provider}, entry)
}

// maxRows bounds the rows: what is beyond them is one of [Others].
const maxRows = 1 << 17

// Others is the key of what there are too many of.
const Others = "(others)"

func enter(into map[key]*Row, k key, entry Row) {
	r := into[k]
	if r == nil && len(into) >= maxRows {
		k = key{Others, ""}
		r = into[k]
	}
	if r == nil {
		r = &Row{Key: k.name, Provider: k.provider}
		into[k] = r
	}
	r.add(entry)
}

// priced is the model a price is looked for.
func (c *call) priced() string { return cmp.Or(c.answered, c.requested) }

// price returns what a call cost: what the server said, or what its tokens come to. ok is false for a call that has no
// price, and tokens that would cost something.
func (l *Ledger) price(c *call) (usd float64, ok bool) {
	if c.usd != nil {
		return *c.usd, true
	}
	if !c.usage.Reported() {
		return 0, true
	}
	for _, model := range []string{c.answered, c.requested} {
		if usd, ok := l.prices.Cost(c.provider, model, c.usage, c.mayWait()); ok {
			return usd, true
		}
	}
	return 0, c.provider == "ollama" || c.provider == "huggingface" // one's own machines
}

// Rows returns the rows, the dearest first; days in their order.
func (l *Ledger) Rows() []Row {
	all := maps.Clone(l.rows)
	for k, r := range all {
		own := *r
		all[k] = &own
	}
	if l.tree != nil {
		l.tree.settle(func(session string, entry Row) { enter(all, key{session, ""}, entry) })
	}
	return sorted(all, l.by == ByDay)
}

func sorted(all map[key]*Row, byKey bool) []Row {
	rows := make([]Row, 0, len(all))
	for _, r := range all {
		rows = append(rows, *r)
	}
	slices.SortFunc(rows, func(a, b Row) int {
		if byKey {
			return cmp.Compare(a.Key, b.Key)
		}
		return cmp.Or(cmp.Compare(b.USD, a.USD), cmp.Compare(b.Usage.Total(), a.Usage.Total()), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Provider, b.Provider))
	})
	return rows
}

// Unpriced returns the models that have no price, with what was used of them.
func (l *Ledger) Unpriced() []Row { return sorted(l.unpriced, false) }

// Total returns the sum of all rows.
func Total(rows []Row) Row {
	var t Row
	for _, r := range rows {
		t.add(r)
	}
	return t
}
