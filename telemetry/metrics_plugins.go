package telemetry

import (
	"context"

	"github.com/mellea-go/mellea/hook"
)

// The plugins of metrics are the mirror image of those of tracing: a type for each family, brackets at the same points,
// within those of tracing, so that what they record is linked to the span of the operation.

// metricsPlugins returns the bindings of all families.
func metricsPlugins(m *meter) []hook.Binding {
	var all []hook.Binding
	all = append(all, sessionMetrics{m}.Bindings()...)
	all = append(all, componentMetrics{m}.Bindings()...)
	all = append(all, samplingMetrics{m}.Bindings()...)
	all = append(all, validationMetrics{m}.Bindings()...)
	all = append(all, toolMetrics{m}.Bindings()...)
	all = append(all, backendMetrics{m}.Bindings()...)
	return append(all, hook.Failures.On(m.pluginFailed, second(m, "hooks")...))
}

// second are the options of every binding of metrics: one installation however often it is installed.
func second(m *meter, name string) []hook.Option {
	return []hook.Option{hook.Priority(hook.PriorityMetrics), hook.Name("telemetry.metrics." + name), hook.Once(m)}
}

// pluginFailed counts what plugins did that they should not.
func (m *meter) pluginFailed(ctx context.Context, f hook.Failure) {
	if f.Err == hook.ErrDropped {
		m.in.asyncDropped.Add(ctx, 1)
		return
	}
	m.in.pluginFailures.Add(ctx, 1)
}
