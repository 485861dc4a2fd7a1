package telemetry

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// treeText writes one tree.
type treeText struct {
	b        strings.Builder
	colour   bool
	children map[trace.SpanID][]sdktrace.ReadOnlySpan
}

// Colours of a terminal.
const (
	dim   = "2"
	red   = "31"
	green = "32"
	bold  = "1"
)

func (t *treeText) paint(colour, text string) string {
	if !t.colour {
		return text
	}
	return "\x1b[" + colour + "m" + text + "\x1b[0m"
}

func (t *treeText) header(id trace.TraceID) {
	t.b.WriteString(t.paint(dim, "trace "+id.String()) + "\n")
}

// span writes a span and all beneath it. first stands before its own line, rest before the lines beneath.
func (t *treeText) span(s sdktrace.ReadOnlySpan, first, rest string) {
	name := t.paint(bold, escapeControl(s.Name()))
	if s.Status().Code == codes.Error {
		name = t.paint(red, escapeControl(s.Name()))
	}
	t.b.WriteString(t.paint(dim, first) + name + " " + t.paint(dim, duration(s.EndTime().Sub(s.StartTime()))))
	t.attributes(s.Attributes())
	if d := s.Status().Description; d != "" {
		t.b.WriteString(" " + t.paint(red, strconv.Quote(d)))
	}
	t.b.WriteByte('\n')
	all := lines(s, t.children[s.SpanContext().SpanID()])
	for i, l := range all {
		branch, below := "├─ ", "│  "
		if i == len(all)-1 {
			branch, below = "└─ ", "   "
		}
		if l.child != nil {
			t.span(l.child, rest+branch, rest+below)
			continue
		}
		t.b.WriteString(t.paint(dim, rest+branch+"• "+escapeControl(l.event.Name)+" +"+duration(l.at.Sub(s.StartTime()))))
		t.attributes(l.event.Attributes)
		t.b.WriteByte('\n')
	}
}

// shownAttributes are the ones that tell most, by the order and the short names they are printed with.
var shownAttributes = []struct {
	key  attribute.Key
	name string
}{
	{semconv.MelleaOutcomeKey, "outcome"},
	{semconv.ErrorTypeKey, "error"},
	{semconv.MelleaErrorCategoryKey, "category"},
	{semconv.MelleaRejectionPointKey, "rejected at"},
	{semconv.MelleaRejectionPluginKey, "by"},
	{semconv.MelleaRejectionCodeKey, "code"},
	{semconv.MelleaComponentTypeKey, "component"},
	{semconv.MelleaSamplingStrategyTypeKey, "strategy"},
	{semconv.MelleaSamplingLoopBudgetKey, "budget"},
	{semconv.MelleaSamplingIterationKey, "attempt"},
	{semconv.MelleaSamplingIterationsUsedKey, "attempts"},
	{semconv.MelleaSamplingSuccessKey, "success"},
	{semconv.MelleaSamplingAllValidationsPassedKey, "passed"},
	{semconv.MelleaSamplingRepairIterationKey, "attempt"},
	{semconv.MelleaSamplingRepairTypeKey, "by"},
	{semconv.MelleaValidationPassedKey, "passed"},
	{semconv.MelleaValidationPassedCountKey, "met"},
	{semconv.MelleaValidationFailedCountKey, "failed"},
	{semconv.MelleaRequirementNameKey, "name"},
	{semconv.MelleaRequirementPassedKey, "passed"},
	{semconv.MelleaRequirementScoreKey, "score"},
	{semconv.MelleaToolStatusKey, "status"},
	{semconv.MelleaRequestNumActionsKey, "prompts"},
	{semconv.MelleaBatchFailedCountKey, "failed"},
	{semconv.GenAIUsageInputTokensKey, "in"},
	{semconv.GenAIUsageOutputTokensKey, "out"},
	{semconv.GenAIResponseFinishReasonsKey, "finish"},
	{semconv.GenAIResponseTimeToFirstChunkKey, "first chunk"},
	{semconv.MelleaRequestRetriesKey, "retries"},
	{semconv.MelleaRetryAttemptKey, "retry"},
	{semconv.MelleaGenerationChunksKey, "chunks"},
	{semconv.MelleaSessionInteractionsKey, "interactions"},
	{semconv.ProcessExitCodeKey, "exit"},
	{semconv.MelleaRequirementReasonKey, "reason"},
	{semconv.MelleaActionResponseKey, "response"},
}

func (t *treeText) attributes(attrs []attribute.KeyValue) {
	for _, show := range shownAttributes {
		for _, a := range attrs {
			if a.Key != show.key {
				continue
			}
			t.b.WriteString(" " + t.paint(dim, show.name+"=") + t.value(a))
		}
	}
}

const treeMaxValue = 80 // runes

func (t *treeText) value(a attribute.KeyValue) string {
	switch a.Value.Type() {
	case attribute.BOOL:
		if a.Value.AsBool() {
			return t.paint(green, "true")
		}
		return t.paint(red, "false")
	case attribute.FLOAT64:
		if a.Key == semconv.GenAIResponseTimeToFirstChunkKey { // in seconds
			return duration(time.Duration(a.Value.AsFloat64() * float64(time.Second)))
		}
		return strconv.FormatFloat(a.Value.AsFloat64(), 'g', 3, 64)
	case attribute.STRINGSLICE:
		return escapeControl(strings.Join(a.Value.AsStringSlice(), ","))
	}
	text := a.Value.String()
	if utf8.RuneCountInString(text) > treeMaxValue {
		text = string([]rune(text)[:treeMaxValue]) + "…"
	}
	if strings.ContainsAny(text, " \t\n\"=") {
		return strconv.Quote(text)
	}
	return escapeControl(text)
}

func duration(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return fmt.Sprintf("%.0fµs", float64(d)/float64(time.Microsecond))
	case d < time.Second:
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	}
	return fmt.Sprintf("%.2fs", d.Seconds())
}

// escapeControl shows what a terminal would obey.
func escapeControl(s string) string {
	if strings.IndexFunc(s, isControl) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if !isControl(r) {
			b.WriteRune(r)
			continue
		}
		q := strconv.QuoteRune(r)
		b.WriteString(q[1 : len(q)-1])
	}
	return b.String()
}

func isControl(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == utf8.RuneError
}
