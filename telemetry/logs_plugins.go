package telemetry

import (
	"github.com/mellea-go/mellea/hook"
)

// The plugins of logs are the mirror image of those of tracing and metrics: a type for each family, brackets at the same
// points, within those of both, so that events belong to the span of the operation. The brackets tell the log handler
// where a line is written; those of calls to models and of requirements also send the events of the GenAI conventions,
// where there is somewhere to send them.

// logsPlugins returns the bindings of all families.
func logsPlugins(j *journal) []hook.Binding {
	var all []hook.Binding
	all = append(all, sessionLogs{j}.Bindings()...)
	all = append(all, componentLogs{j}.Bindings()...)
	all = append(all, validationLogs{j}.Bindings()...)
	all = append(all, toolLogs{j}.Bindings()...)
	return append(all, backendLogs{j}.Bindings()...)
}

// third are the options of every binding of logs: one installation however often it is installed.
func third(j *journal, name string) []hook.Option {
	return []hook.Option{hook.Priority(hook.PriorityLogs), hook.Name("telemetry.logs." + name), hook.Once(j)}
}
