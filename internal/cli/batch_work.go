package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"sync"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/internal/batch"
	"github.com/mellea-go/mellea/telemetry"
)

// batchRecord is what a line that was done leaves in --out, behind its number and hash.
type batchRecord struct {
	ID       json.RawMessage `json:"id,omitempty"`
	Text     string          `json:"text"`
	Value    json.RawMessage `json:"value,omitempty"`
	Attempts int             `json:"attempts"`
	Usage    jsonUsage       `json:"usage"`
	Model    string          `json:"model"`
	TraceID  string          `json:"trace_id,omitempty"`
}

// batchFailure is what a line that failed leaves in --failed.
type batchFailure struct {
	ID    json.RawMessage `json:"id,omitempty"`
	Error jsonError       `json:"error"`
	// Text is the best attempt of a line that does not meet its requirements.
	Text    string `json:"text,omitempty"`
	TraceID string `json:"trace_id,omitempty"`
}

// jsonError is why a line failed. Type and Category are those of its spans.
type jsonError struct {
	Type     string `json:"type"`
	Category string `json:"category"`
	Message  string `json:"message"`
}

// batchWorker asks the model for one line at a time, in any number of goroutines.
type batchWorker struct {
	app   *app
	plan  batchPlan
	info  backend.Info
	model string
	calls *mellea.Direct

	mu              sync.Mutex
	replies, tokens int // of the output, so far
}

func newBatchWorker(a *app, b backend.Backend, info backend.Info, p batchPlan) *batchWorker {
	hooks := append(a.hooks(), hook.Plugin{Name: "cli.batch", Sources: []hook.Source{
		hookpoint.Component.Observe(noteTrace),
		hookpoint.Generation.Bracket(countGeneration),
	}})
	return &batchWorker{app: a, plan: p, info: info, model: cmp.Or(p.server.model, info.Model),
		calls: mellea.On(b, append(p.block, mellea.WithHooks(hooks...))...)}
}

// tally is what the hooks learn of one line.
type tally struct {
	mu       sync.Mutex
	traceID  string
	requests int
	tokens   int
}

type tallyKey struct{}

func tallyOf(ctx context.Context) *tally {
	t, _ := ctx.Value(tallyKey{}).(*tally)
	return t
}

// noteTrace is told of the call of a line in the context of its span.
func noteTrace(ctx context.Context, _ hookpoint.ComponentStart) {
	if t := tallyOf(ctx); t != nil {
		t.mu.Lock()
		t.traceID = traceID(ctx)
		t.mu.Unlock()
	}
}

// countGeneration counts what a line takes: repairs, judges and retries too.
func countGeneration(ctx context.Context, _ hookpoint.GenerationStart) (context.Context, func(hookpoint.GenerationOutcome)) {
	t := tallyOf(ctx)
	if t == nil {
		return nil, nil
	}
	return nil, func(o hookpoint.GenerationOutcome) {
		t.mu.Lock()
		t.requests += 1 + o.Post.Generation.Retries.Len()
		t.tokens += o.Post.Generation.Usage.Total()
		t.mu.Unlock()
	}
}

// firstReply is how many tokens a reply is taken for as long as there was none.
const firstReply = 256

// estimate guesses the tokens of a line: a quarter of its bytes, and a reply as long as they were so far, or may be.
func (w *batchWorker) estimate(it batch.Item) int {
	if n, ok := w.plan.options.MaxTokens(); ok {
		return len(it.Data)/4 + n
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.replies == 0 {
		return len(it.Data)/4 + firstReply
	}
	return len(it.Data)/4 + w.tokens/w.replies
}

// do does a line, in a trace of its own that links to the command's.
func (w *batchWorker) do(run context.Context, it batch.Item) (batch.Result, error) {
	l, err := parseLine(it)
	if err != nil {
		return batch.Result{Failed: true, Record: batchFailure{ID: json.RawMessage(l.ID),
			Error: jsonError{Type: "invalid_line", Category: string(telemetry.InvalidRequest), Message: oneLine(err.Error())}}}, nil
	}
	t := &tally{}
	ctx := context.WithValue(telemetry.NewTrace(run), tallyKey{}, t)
	if w.plan.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, w.plan.timeout)
		defer cancel()
	}
	res, err := w.ask(ctx, l)
	t.mu.Lock()
	out := batch.Result{Requests: t.requests, Tokens: t.tokens}
	traceID := t.traceID
	t.mu.Unlock()
	if out.Requests > 0 && out.Tokens == 0 { // the provider does not count
		out.Tokens = w.estimate(it)
	}
	switch {
	case err == nil:
		w.learn(res.Usage.OutputTokens)
		out.Record = w.record(l, res, traceID)
	case run.Err() != nil:
		return out, context.Cause(run)
	case w.shared(l, err):
		return out, err
	default:
		out.Failed, out.Record = true, w.failure(l, res, err, traceID)
	}
	return out, nil
}

// learn takes a reply into the guess at the next.
func (w *batchWorker) learn(tokens int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replies++
	w.tokens += tokens
}

// ask makes the call of a line.
func (w *batchWorker) ask(ctx context.Context, l batchLine) (*mellea.Result[string], error) {
	format := l.format
	if format.IsZero() {
		format = w.plan.format
	}
	demanding := len(w.plan.demands.all) > 0 || !format.IsZero()
	name := w.plan.strategy
	if name == "" && demanding && l.Messages != nil {
		name = "multi-turn" // what was wrong is said in a further message, as there is no prompt to say it in
	}
	s, err := strategy(name, w.plan.budget, w.plan.budgetGiven, demanding)
	if err != nil {
		return nil, err
	}
	call := slices.Concat(w.plan.call, formatted(format, w.info), []mellea.CallOption{mellea.Options(w.plan.options.Merge(l.options))})
	if s != nil {
		call = append(call, mellea.Strategy(s))
	}
	if l.Messages != nil {
		if l.Messages[0].Role == "system" {
			call = append(call, mellea.System("")) // its own takes the place of the command's
		}
		return mellea.Act(ctx, w.calls, l.conversation(), call...)
	}
	if w.plan.vars != nil {
		call = append(call, w.plan.vars)
	}
	if l.Vars != nil {
		call = append(call, mellea.Vars(l.Vars))
	}
	return mellea.Instruct(ctx, w.calls, *l.Prompt, call...)
}

func (w *batchWorker) record(l batchLine, res *mellea.Result[string], traceID string) batchRecord {
	r := batchRecord{ID: json.RawMessage(l.ID), Text: res.Text(), Attempts: max(len(res.Attempts), 1), Usage: usage(res.Usage),
		Model: cmp.Or(l.options.Model(), w.model), TraceID: traceID}
	if !l.format.IsZero() || !w.plan.format.IsZero() {
		r.Value = document(r.Text)
	}
	return r
}

func (w *batchWorker) failure(l batchLine, res *mellea.Result[string], err error, traceID string) batchFailure {
	f := batchFailure{ID: json.RawMessage(l.ID), TraceID: traceID, Error: jsonError{
		Type: telemetry.ErrorType(err), Category: string(telemetry.ClassifyError(err)), Message: oneLine(err.Error())}}
	var (
		unmet    *mellea.UnmetError
		rejected *hook.Rejection
	)
	switch {
	case errors.As(err, &unmet):
		f.Error = jsonError{Type: "requirements_not_met", Category: string(telemetry.ValidationError), Message: oneLine(missed(unmet))}
		f.Text = res.Text()
	case errors.As(err, &rejected):
		f.Error.Type = cmp.Or(rejected.Code, "rejected")
	}
	return f
}

// shared reports whether an error is none of the line's: the next lines would fail by it, too.
func (w *batchWorker) shared(l batchLine, err error) bool {
	failure, ok := errors.AsType[*backend.Error](err)
	if !ok {
		return false
	}
	switch failure.Code {
	case backend.CodeConfiguration, backend.CodeUnreachable, backend.CodeRedirect, backend.CodeAuthentication, "insufficient_quota":
		return true
	}
	switch failure.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusPaymentRequired:
		return true
	case http.StatusNotFound: // the model
		return l.options.Model() == ""
	}
	return false
}
