package check

import (
	"slices"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

func (s *span) failed() bool { return s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_ERROR }

// checkStatus checks a span's status, and error.type, which says the same.
func (c *checker) checkStatus(s *span) {
	errorType, hasType := s.attrs.text(semconv.ErrorTypeKey)
	switch {
	case s.GetStatus().GetCode() == tracepb.Status_STATUS_CODE_OK:
		c.report(s.finding(SpanStatusOKSetByInstrumentation, Violation, "has status Ok, which is the application's to set: leave it unset"))
	case s.failed() && !s.attrs.has(semconv.ErrorTypeKey):
		c.report(s.finding(ErrorTypeMissingOnError, Violation, "has status Error and no error.type").on(semconv.ErrorTypeKey))
	}
	if !s.failed() && s.attrs.has(semconv.ErrorTypeKey) {
		c.report(s.finding(ErrorTypeWithoutErrorStatus, Violation, "is there and the status is not Error").on(semconv.ErrorTypeKey))
	}
	switch description := s.GetStatus().GetMessage(); {
	case description == "":
	case !s.failed():
		c.report(s.finding(StatusDescriptionWithoutError, Improvement, "has a status description and the status is not Error"))
	case hasType && description == errorType:
		c.report(s.finding(StatusDescriptionRepeatsErrorType, Improvement, "its status description only repeats error.type"))
	}
}

// checkOutcome checks how one of this module's spans says that it did not end well.
func (c *checker) checkOutcome(s *span) {
	bad := func(key attribute.Key, format string, args ...any) {
		c.report(s.finding(OutcomeInconsistent, Violation, format, args...).on(key))
	}
	outcome, ended := s.attrs.text(semconv.MelleaOutcomeKey)
	category, classified := s.attrs.text(semconv.MelleaErrorCategoryKey)
	switch {
	case !ended && classified && !s.failed():
		bad(semconv.MelleaErrorCategoryKey, "is there without mellea.outcome")
	case ended && (outcome == semconv.MelleaOutcomeError) != s.failed():
		bad(semconv.MelleaOutcomeKey, "is %s and the status is %s", outcome,
			strings.TrimPrefix(s.GetStatus().GetCode().String(), "STATUS_CODE_"))
	case ended && classified && !agree(outcome, category):
		bad(semconv.MelleaErrorCategoryKey, "is %s and the outcome is %s", category, outcome)
	}
	if outcome == semconv.MelleaOutcomeRejected {
		return
	}
	for _, key := range []attribute.Key{semconv.MelleaRejectionPointKey, semconv.MelleaRejectionPluginKey, semconv.MelleaRejectionCodeKey} {
		if s.attrs.has(key) {
			bad(key, "is there and the outcome is not rejected")
		}
	}
}

// agree reports whether a category may go with an outcome.
func agree(outcome, category string) bool {
	switch outcome {
	case semconv.MelleaOutcomeRejected:
		return category == semconv.MelleaErrorCategoryRejected
	case semconv.MelleaOutcomeCancelled, semconv.MelleaOutcomeAbandoned:
		return category == semconv.MelleaErrorCategoryCancelled
	default:
		return category != semconv.MelleaErrorCategoryRejected && category != semconv.MelleaErrorCategoryCancelled
	}
}

// clockNoise is how far, in ns, times may be apart that are meant to be the same: the wall clock is read for one and a
// monotonic clock for the other.
const clockNoise = 1_000_000

// checkEvents checks the events on a span.
func (c *checker) checkEvents(s *span) {
	for _, e := range s.GetEvents() {
		name := e.GetName()
		at := e.GetTimeUnixNano()
		if at+clockNoise < s.GetStartTimeUnixNano() || at > s.GetEndTimeUnixNano()+clockNoise {
			c.report(s.finding(EventOutsideSpan, Information, "its time is not within the span's").in(name))
		}
		p := place{c: c, from: s, signal: Span, span: s, event: name, attrs: attributesOf(e.GetAttributes()), report: c.report}
		if known, ok := s.desc.events[name]; ok {
			p.table, p.own, p.use, p.tables = name, s.desc.own, known.Attribute, []string{name}
			c.checkAttributes(p)
			c.checkPresence(p, slices.Collect(known.Attributes()))
			continue
		}
		c.unknownEvent(s, name)
		c.checkAttributes(p)
	}
}

func (c *checker) unknownEvent(s *span, name string) {
	if name == "exception" {
		c.report(s.finding(ExceptionSpanEvent, Improvement,
			"exceptions are recorded as the log event %s", semconv.EventGenAIClientOperationException).in(name))
		return
	}
	if d, ok := semconv.Deprecated(semconv.SignalEvent, name); ok {
		c.report(s.finding(Deprecated, Violation, "the conventions have given it up%s", instead(d)).in(name))
		return
	}
	known, ok := semconv.LookupEvent(name)
	switch {
	case ok && known.Log:
		c.report(s.finding(UnexpectedEvent, Improvement, "is a log event, not one on a span").in(name))
	case ok && s.desc.own:
		c.report(s.finding(UnexpectedEvent, Improvement, "is not among the events of %s", s.desc.id).in(name))
	case s.desc.own || isReserved(name):
		c.report(s.finding(MissingEvent, Violation, "is in no registry").in(name))
	}
}
