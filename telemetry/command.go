package telemetry

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// commandFlags are the flags whose values may be recorded: none of them can hold a prompt, a requirement, a file name or
// a secret. Of all other arguments nothing is recorded, not even that they were there.
var commandFlags = []string{"--backend", "--model", "--strategy", "--budget", "--stream", "--timeout", "--output", "--live",
	"--concurrency", "--rpm", "--tpm", "--retry-failed"}

// StartCommand opens the root span of a run of the command line: "mellea {name}". The context returned is for all of the
// run. The function returned ends the span with the exit code; what has ended is exported by Shutdown. With traces off,
// or only calls to models traced, it opens nothing.
//
// Of args only flags of an allow-list and their values are recorded.
func (t *Telemetry) StartCommand(ctx context.Context, name, subcommand string, args []string) (context.Context, func(exitCode int)) {
	if t == nil || t.tracer == nil || !t.command {
		return ctx, func(int) {}
	}
	name = valid(name)
	o := t.tracer.open(t.tracer.here(ctx), t.tracer.application, familyCommand, "",
		semconv.SpanCLI+" "+name, internal, semconv.MelleaCLICommandKey.String(name))
	var attrs []attribute.KeyValue
	if subcommand != "" {
		attrs = append(attrs, semconv.MelleaCLISubcommandKey.String(subcommand))
	}
	if allowed := allowedArgs(args); len(allowed) > 0 {
		attrs = append(attrs, semconv.MelleaCLIArgsKey.StringSlice(allowed))
	}
	o.set(attrs)
	var once sync.Once
	return o, func(exitCode int) { once.Do(func() { o.exited(exitCode) }) }
}

// exited ends the span of a run. The error or rejection of a run that did not end well is the last that was seen beneath
// it.
func (o *operation) exited(code int) {
	attrs := []attribute.KeyValue{semconv.ProcessExitCodeKey.Int(code)}
	ended := func(outcome string, c Category) {
		attrs = append(attrs, semconv.MelleaOutcomeKey.String(outcome), semconv.MelleaErrorCategoryKey.String(string(c)))
	}
	switch code {
	case 0, 1: // done; requirements not met
	case 4:
		ended(semconv.MelleaOutcomeRejected, Rejected)
		o.mu.Lock()
		attrs = rejection(attrs, o.rejected)
		o.mu.Unlock()
	case 130, 143:
		ended(semconv.MelleaOutcomeCancelled, Cancelled)
	default:
		o.mu.Lock()
		f := o.failure
		o.mu.Unlock()
		switch {
		case code == 2:
			f.typ, f.category = "usage", InvalidRequest
		case f.err == nil:
			f.typ, f.category = semconv.ErrorTypeOther, Unknown
		}
		ended(semconv.MelleaOutcomeError, f.category)
		attrs = append(attrs, semconv.ErrorTypeKey.String(f.typ))
		o.span.SetStatus(codes.Error, "exit "+strconv.Itoa(code))
	}
	o.set(attrs)
	now := time.Now()
	o.end(o.start, now)
}

// allowedArgs keeps allow-listed flags, in the form --flag=value.
func allowedArgs(args []string) []string {
	var kept []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			break
		}
		flag, value, inline := strings.Cut(args[i], "=")
		if !slices.Contains(commandFlags, flag) {
			continue
		}
		switch {
		case inline:
		case flag == "--stream" || flag == "--live" || flag == "--retry-failed": // switches
			kept = append(kept, flag)
			continue
		case i+1 < len(args):
			i++
			value = args[i]
		default:
			continue
		}
		if isValue(value) {
			kept = append(kept, flag+"="+value)
		}
	}
	return kept
}

// isValue reports whether s looks like a word, a number or a model's name: no spaces, nothing to quote, not long.
func isValue(s string) bool {
	if len(s) > 128 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if !strings.ContainsRune("_.-:/", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}
