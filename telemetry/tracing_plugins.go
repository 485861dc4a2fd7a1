package telemetry

import (
	"github.com/mellea-go/mellea/hook"
)

// The plugins of this package are brackets: outermost at their points, without an error result, so that tracing can
// neither fail nor change a call. There is one type for each family of spans; each opens its span from the payload
// before and completes it from the outcome.

// scopes says which instrumentation scopes are traced: both, unless a deprecated variable chooses one.
type scopes struct{ application, backend bool }

// plugins returns the bindings of all families that are switched on.
func plugins(t *tracer, on scopes) []hook.Binding {
	var all []hook.Binding
	if on.application {
		all = append(all, sessionPlugin{t}.Bindings()...)
		all = append(all, componentPlugin{t}.Bindings()...)
		all = append(all, samplingPlugin{t}.Bindings()...)
		all = append(all, validationPlugin{t}.Bindings()...)
		all = append(all, toolPlugin{t}.Bindings()...)
	}
	if on.backend {
		all = append(all, backendPlugin{t}.Bindings()...)
	}
	return all
}

// outermost are the options of every binding here: one installation however often it is installed.
func outermost(t *tracer, name string) []hook.Option {
	return []hook.Option{hook.Priority(hook.PriorityTracing), hook.Name("telemetry." + name), hook.Once(t)}
}
