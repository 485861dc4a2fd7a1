package semconvtest

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// CompareMetrics derives from the spans that a program sent to a receiver the metrics it should have sent, and fails the
// test for each series, by name and labels, that is missing, is there for nothing or has another value. The receiver must
// have all spans of the program, none of them sampled away, with an event for each streamed chunk
// ([telemetry.WithChunkEvents]), and its metrics under the latest names as they stood at the end.
//
// Metrics that no span tells of, those of hooks and a program's own, are left out.
func CompareMetrics(tb testing.TB, server *otlptest.Server) {
	tb.Helper()
	for _, difference := range differences(server.Spans(tb, 1), server.Series()) {
		tb.Error(difference)
	}
}

// differences says where series are not what the spans say.
func differences(spans []otlptest.Span, series []otlptest.Series) []string {
	got := map[string]otlptest.Series{}
	for _, s := range series {
		if s.Scope == semconv.ScopeMetrics && !untold[s.Name] {
			got[keyOf(s.Name, s.Attributes)] = s
		}
	}
	d := derive(spans, func(key string) bool { _, ok := got[key]; return ok })
	var all []string
	for _, key := range slices.Sorted(maps.Keys(d.want)) {
		w := d.want[key]
		g, ok := got[key]
		switch {
		case !ok && (w.least != 0 || w.count != 0):
			all = append(all, fmt.Sprintf("%s is on the spans, %s, and not on metrics", key, w))
		case ok && (!w.holds(g.Value) || w.histogram && w.count != g.Count):
			all = append(all, fmt.Sprintf("%s is %v in %d on metrics, and on the spans %s", key, g.Value, g.Count, w))
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if d.want[key] == nil {
			all = append(all, fmt.Sprintf("%s is %v on metrics, and not on the spans", key, got[key].Value))
		}
	}
	return all
}

// untold are the metrics that no span tells of: which plugins failed, and what asynchronous ones had no time for.
var untold = map[string]bool{semconv.MetricMelleaHookPluginFailures: true, semconv.MetricMelleaHookAsyncDropped: true}

// A total is what a series should come to: the sum of a counter, the sum and the number of a histogram.
type total struct {
	least, most float64 // of the sum; they differ where spans do not have all that is added up
	count       uint64
	histogram   bool
}

func (w *total) holds(v float64) bool {
	near := 1e-6 * math.Max(1, w.most)
	return v >= w.least-near && v <= w.most+near
}

func (w *total) String() string {
	text := fmt.Sprint(w.least)
	if w.most != w.least {
		text += fmt.Sprintf(" to %v", w.most)
	}
	if w.histogram {
		text += fmt.Sprintf(" in %d", w.count)
	}
	return text
}

type labels = map[string]any

func keyOf(name string, of labels) string {
	return name + "{" + otlptest.Series{Attributes: of}.Labels() + "}"
}

// derived is what spans say of metrics.
type derived struct {
	want  map[string]*total
	there func(key string) bool // whether there is such a series
}

func (d *derived) add(name string, of labels, v float64) { d.between(name, of, v, v, 1) }

func (d *derived) between(name string, of labels, least, most float64, n uint64) {
	m, _ := semconv.LookupMetric(name)
	key := keyOf(name, of)
	w := d.want[key]
	if w == nil {
		w = &total{histogram: m.Instrument == semconv.Histogram}
		d.want[key] = w
	}
	w.least += least
	w.most += most
	if w.histogram {
		w.count += n
	}
}

// derive adds up the spans of this module; whatever stands above them is the program's.
func derive(spans []otlptest.Span, there func(key string) bool) *derived {
	d := &derived{want: map[string]*total{}, there: there}
	// What has ended and arrived is neither open nor lost.
	d.between(semconv.MetricMelleaHookOpenOperations, nil, 0, 0, 0)
	d.between(semconv.MetricMelleaTracesSpansDropped, nil, 0, 0, 0)
	below := map[string][]otlptest.Span{}
	for _, s := range spans {
		below[s.Parent] = append(below[s.Parent], s)
	}
	for _, s := range spans {
		if !strings.HasPrefix(s.Scope, "mellea.") {
			continue
		}
		a := s.Attributes
		kind, _, _ := strings.Cut(s.Name, " ")
		switch kind {
		case "chat", "text_completion":
			d.call(s)
		case "execute_tool":
			d.tool(s)
		case "sampling":
			d.sampling(s)
		case "requirement":
			if passed, ok := a["mellea.requirement.passed"]; ok && a["mellea.outcome"] == nil {
				of := pick(a, "mellea.requirement.type")
				d.add(semconv.MetricMelleaRequirementChecks, of, 1)
				if passed == false {
					d.add(semconv.MetricMelleaRequirementFailures, of, 1)
				}
			}
		case "mellea": // the command: what it ran has it already
			continue
		}
		d.ending(s, below[s.SpanID])
	}
	return d
}

// ending counts what went wrong where it arose: at a span with none beneath it that went wrong in the same way.
func (d *derived) ending(s otlptest.Span, below []otlptest.Span) {
	var name, by string
	var of labels
	switch a := s.Attributes; a["mellea.outcome"] {
	case "error":
		name, by = semconv.MetricMelleaLLMErrors, "error.type"
		of = pick(a, "error.type", "mellea.error.category")
		if s.Scope == semconv.ScopeBackend {
			maps.Copy(of, pick(a, "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"))
		}
	case "rejected":
		name, by = semconv.MetricMelleaHookRejections, "mellea.rejection.point"
		of = pick(a, "mellea.rejection.point", "mellea.rejection.plugin")
	default:
		return
	}
	for _, b := range below {
		if b.Attributes["mellea.outcome"] == s.Attributes["mellea.outcome"] && b.Attributes[by] == s.Attributes[by] {
			return
		}
	}
	d.add(name, d.bounded(name, of), 1)
}

// bounded returns labels with the error.type that metrics have: a code that no provider is known to use is its HTTP status
// there, or _OTHER, while the span has it as it is.
func (d *derived) bounded(name string, of labels) labels {
	if of["error.type"] == nil || d.there(keyOf(name, of)) {
		return of
	}
	instead := maps.Clone(of)
	for _, typ := range []string{semconv.ErrorTypeOther, "400", "500"} {
		if instead["error.type"] = typ; d.there(keyOf(name, instead)) {
			return instead
		}
	}
	return of
}

func (d *derived) tool(s otlptest.Span) {
	a := s.Attributes
	d.add(semconv.MetricMelleaToolCalls, pick(a, "gen_ai.tool.name", "mellea.tool.status"), 1)
	of := pick(a, "gen_ai.tool.name", "gen_ai.tool.type", "error.type")
	d.add(semconv.MetricGenAIExecuteToolDuration, d.bounded(semconv.MetricGenAIExecuteToolDuration, of), seconds(s))
}

func (d *derived) sampling(s otlptest.Span) {
	of := pick(s.Attributes, "mellea.sampling.strategy_type")
	for _, e := range s.Events {
		if e.Name == semconv.EventIteration {
			d.add(semconv.MetricMelleaSamplingAttempts, of, 1)
		}
	}
	if s.Attributes["mellea.outcome"] != nil {
		return
	}
	name := semconv.MetricMelleaSamplingFailures
	if s.Attributes["mellea.sampling.success"] == true {
		name = semconv.MetricMelleaSamplingSuccesses
	}
	d.add(name, of, 1)
}

// call derives the metrics of a call to a model.
func (d *derived) call(s otlptest.Span) {
	a := s.Attributes
	asked := pick(a, "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model", "server.address", "server.port")
	answered := pick(a, "gen_ai.response.model")
	maps.Copy(answered, asked)
	of := pick(a, "openai.response.service_tier", "openai.response.system_fingerprint")
	maps.Copy(of, answered)

	timed := maps.Clone(of)
	maps.Copy(timed, pick(a, "error.type"))
	d.add(semconv.MetricGenAIClientInferenceDuration, d.bounded(semconv.MetricGenAIClientInferenceDuration, timed), seconds(s))
	if first, ok := a["gen_ai.response.time_to_first_chunk"].(float64); ok {
		d.add(semconv.MetricGenAIClientInferenceTimeToFirstChunk, answered, first)
	}
	d.chunks(s, asked)
	if _, reported := a["gen_ai.usage.input_tokens"]; reported {
		d.add(semconv.MetricGenAIClientInferenceOperationInputTokens, of, number(a, "gen_ai.usage.input_tokens"))
		d.add(semconv.MetricGenAIClientInferenceOperationOutputTokens, of, number(a, "gen_ai.usage.output_tokens"))
		d.tokens(a, of)
	}
	if usd := cost(a); usd > 0 {
		d.add(semconv.MetricMelleaLLMCostUSD, pick(a, "gen_ai.operation.name", "gen_ai.provider.name", "gen_ai.request.model"), usd)
	}
}

// chunks derives the time of each chunk after the first. Of a long stream the span has some of the chunks only: the last
// came at some time between the last of those and the end.
func (d *derived) chunks(s otlptest.Span, of labels) {
	first, streamed := s.Event(semconv.EventFirstChunk)
	if !streamed {
		return
	}
	var n, last float64 // of the chunks after the first
	for _, e := range s.Events {
		if e.Name == semconv.EventChunkProcessed {
			n++
			last = math.Max(last, e.Time.Sub(first.Time).Seconds())
		}
	}
	n--
	most := last
	if end, ok := s.Event(semconv.EventStreamComplete); ok && end.Attributes["mellea.generation.events_suppressed"] != nil {
		n = number(end.Attributes, "mellea.generation.chunks") - 1
		most = end.Time.Sub(first.Time).Seconds()
	}
	if n > 0 {
		d.between(semconv.MetricGenAIClientInferenceTimePerOutputChunk, of, last, most, uint64(n))
	}
}

// tokens derives the counters of tokens, by what the tokens stand for.
func (d *derived) tokens(a, of labels) {
	for _, counted := range []struct{ metric, kind string }{
		{semconv.MetricGenAIClientInferenceUsageInputTokens, "input_tokens"},
		{semconv.MetricGenAIClientInferenceUsageOutputTokens, "output_tokens"},
		{semconv.MetricGenAIClientInferenceUsageCacheReadInputTokens, "cache_read.input_tokens"},
		{semconv.MetricGenAIClientInferenceUsageCacheWriteInputTokens, "cache_write.input_tokens"},
		{semconv.MetricGenAIClientInferenceUsageReasoningOutputTokens, "reasoning.output_tokens"},
	} {
		rest := number(a, "gen_ai.usage."+counted.kind)
		for _, modality := range []string{semconv.GenAITokenModalityText, semconv.GenAITokenModalityImage, semconv.GenAITokenModalityAudio} {
			n := number(a, "gen_ai.usage."+modality+"."+counted.kind)
			rest -= n
			d.some(counted.metric, of, modality, n)
		}
		d.some(counted.metric, of, semconv.GenAITokenModalityUnknown, rest)
	}
}

func (d *derived) some(name string, of labels, modality string, n float64) {
	if n > 0 {
		of = maps.Clone(of)
		of["gen_ai.token.modality"] = modality
		d.add(name, of, n)
	}
}

// pick returns the attributes of those names that are there.
func pick(a labels, names ...string) labels {
	of := labels{}
	for _, name := range names {
		if v, ok := a[name]; ok {
			of[name] = v
		}
	}
	return of
}

func number(a labels, name string) float64 {
	n, _ := a[name].(int64)
	return float64(n)
}

func text(a labels, names ...string) string {
	var all []string
	for _, name := range names {
		s, _ := a[name].(string)
		all = append(all, s)
	}
	return cmp.Or(all...)
}

func seconds(s otlptest.Span) float64 { return s.End.Sub(s.Start).Seconds() }
