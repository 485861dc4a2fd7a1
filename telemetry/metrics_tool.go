package telemetry

import (
	"context"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// toolMetrics counts and times calls of tools.
type toolMetrics struct{ m *meter }

func (p toolMetrics) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.Tool.Bracket(p.execute, second(p.m, "tool")...)}
}

func (p toolMetrics) execute(ctx context.Context, _ hookpoint.ToolStart) (context.Context, func(hookpoint.ToolOutcome)) {
	x := p.m.open(ctx)
	return x, x.executed
}

func (x *measurement) executed(out hookpoint.ToolOutcome) {
	in, l := &x.meter.in, &x.meter.labels
	key := toolLabels{name: toolName(out.Pre), known: true, status: toolStatus(out.Ending)}
	_, key.known = out.Pre.Tool()
	if out.Ending == hook.Failed {
		key.err = boundedErrorType(out.Err)
	}
	in.toolCalls.Add(x, 1, l.toolCall(key).add...)
	in.toolDuration.Record(x, seconds(out.Start, out.End), l.toolTime(key).record...)
	x.close(out.Ending, out.Err, nil)
}

// toolLabels are those of a call of a tool. A name is that of a registered tool or _OTHER.
type toolLabels struct {
	name        string
	known       bool
	status, err string
}

func (l *labels) toolCall(k toolLabels) *series {
	return l.toolCalls.of(toolLabels{name: k.name, status: k.status}, func(k toolLabels) []attribute.KeyValue {
		return []attribute.KeyValue{semconv.GenAIToolNameKey.String(k.name), semconv.MelleaToolStatusKey.String(k.status)}
	})
}

func (l *labels) toolTime(k toolLabels) *series {
	k.status = ""
	return l.toolTimes.of(k, func(k toolLabels) []attribute.KeyValue {
		attrs := []attribute.KeyValue{semconv.GenAIToolNameKey.String(k.name)}
		if k.known {
			attrs = append(attrs, semconv.GenAIToolTypeKey.String("function"))
		}
		if k.err != "" {
			attrs = append(attrs, semconv.ErrorTypeKey.String(k.err))
		}
		return attrs
	})
}
