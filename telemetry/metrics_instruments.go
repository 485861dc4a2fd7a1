package telemetry

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"go.opentelemetry.io/otel/metric"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// instruments are what a meter records with. Their units, descriptions and buckets are those of the registries.
type instruments struct {
	duration, firstChunk, perChunk durations

	inputTokens, outputTokens      amounts // per operation
	legacyTokens                   amounts
	usedInput, usedOutput          metric.Int64Counter
	cacheRead, cacheWrite, thought metric.Int64Counter

	failures, rejections           metric.Int64Counter
	cost                           metric.Float64Counter
	attempts, successes, exhausted metric.Int64Counter
	checks, unmet                  metric.Int64Counter
	toolCalls                      metric.Int64Counter
	toolDuration                   metric.Float64Histogram
	asyncDropped, pluginFailures   metric.Int64Counter
	openNow                        atomic.Int64
	registration                   metric.Registration
}

// A maker makes instruments from their description in the registries and keeps what goes wrong.
type maker struct {
	from metric.Meter
	errs []error
}

func (k *maker) described(name string) semconv.Metric {
	d, ok := semconv.LookupMetric(name)
	if !ok {
		k.errs = append(k.errs, fmt.Errorf("telemetry: %s is in no registry", name))
	}
	return d
}

func (k *maker) counter(name string) metric.Int64Counter {
	d := k.described(name)
	c, err := k.from.Int64Counter(name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief))
	k.errs = append(k.errs, err)
	return c
}

// seconds makes a histogram as like describes it.
func (k *maker) seconds(name, like string) metric.Float64Histogram {
	d := k.described(like)
	h, err := k.from.Float64Histogram(name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief),
		metric.WithExplicitBucketBoundaries(d.Buckets()...))
	k.errs = append(k.errs, err)
	return h
}

func (k *maker) tokens(name, like string) metric.Int64Histogram {
	d := k.described(like)
	h, err := k.from.Int64Histogram(name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief),
		metric.WithExplicitBucketBoundaries(d.Buckets()...))
	k.errs = append(k.errs, err)
	return h
}

// make makes them all under the names that are in force.
func (in *instruments) make(from metric.Meter, names Naming, droppedSpans func() int64) error {
	k := &maker{from: from}
	pair := func(name, old string) (all durations) {
		if names.latest() {
			all = append(all, k.seconds(name, name))
		}
		if names.legacy() {
			all = append(all, k.seconds(old, name))
		}
		return all
	}
	in.duration = pair(semconv.MetricGenAIClientInferenceDuration, legacyDuration)
	in.firstChunk = pair(semconv.MetricGenAIClientInferenceTimeToFirstChunk, legacyFirstChunk)
	in.perChunk = pair(semconv.MetricGenAIClientInferenceTimePerOutputChunk, legacyPerOutputChunk)
	if names.latest() {
		const input, output = semconv.MetricGenAIClientInferenceOperationInputTokens, semconv.MetricGenAIClientInferenceOperationOutputTokens
		in.inputTokens, in.outputTokens = amounts{k.tokens(input, input)}, amounts{k.tokens(output, output)}
		in.usedInput = k.counter(semconv.MetricGenAIClientInferenceUsageInputTokens)
		in.usedOutput = k.counter(semconv.MetricGenAIClientInferenceUsageOutputTokens)
		in.cacheRead = k.counter(semconv.MetricGenAIClientInferenceUsageCacheReadInputTokens)
		in.cacheWrite = k.counter(semconv.MetricGenAIClientInferenceUsageCacheWriteInputTokens)
		in.thought = k.counter(semconv.MetricGenAIClientInferenceUsageReasoningOutputTokens)
	}
	if names.legacy() {
		in.legacyTokens = amounts{k.tokens(legacyTokenUsage, semconv.MetricGenAIClientInferenceOperationInputTokens)}
	}
	in.failures = k.counter(semconv.MetricMelleaLLMErrors)
	in.rejections = k.counter(semconv.MetricMelleaHookRejections)
	in.attempts = k.counter(semconv.MetricMelleaSamplingAttempts)
	in.successes = k.counter(semconv.MetricMelleaSamplingSuccesses)
	in.exhausted = k.counter(semconv.MetricMelleaSamplingFailures)
	in.checks = k.counter(semconv.MetricMelleaRequirementChecks)
	in.unmet = k.counter(semconv.MetricMelleaRequirementFailures)
	in.toolCalls = k.counter(semconv.MetricMelleaToolCalls)
	in.toolDuration = k.seconds(semconv.MetricGenAIExecuteToolDuration, semconv.MetricGenAIExecuteToolDuration)
	in.asyncDropped = k.counter(semconv.MetricMelleaHookAsyncDropped)
	in.pluginFailures = k.counter(semconv.MetricMelleaHookPluginFailures)
	d := k.described(semconv.MetricMelleaLLMCostUSD)
	cost, err := from.Float64Counter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief))
	in.cost = cost
	k.errs = append(k.errs, err)
	in.observe(k, droppedSpans)
	return errors.Join(k.errs...)
}

// observe registers what is read when metrics are collected.
func (in *instruments) observe(k *maker, droppedSpans func() int64) {
	d := k.described(semconv.MetricMelleaHookOpenOperations)
	open, err := k.from.Int64ObservableUpDownCounter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief))
	k.errs = append(k.errs, err)
	d = k.described(semconv.MetricMelleaTracesSpansDropped)
	lost, err := k.from.Int64ObservableCounter(d.Name, metric.WithUnit(d.Unit), metric.WithDescription(d.Brief))
	k.errs = append(k.errs, err)
	in.registration, err = k.from.RegisterCallback(func(_ context.Context, o metric.Observer) error {
		o.ObserveInt64(open, in.openNow.Load())
		o.ObserveInt64(lost, droppedSpans())
		return nil
	}, open, lost)
	k.errs = append(k.errs, err)
}
