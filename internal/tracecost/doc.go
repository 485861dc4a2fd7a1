// Package tracecost adds up what the calls to models in a trace used and cost, of any program in any language that follows
// the GenAI conventions of OpenTelemetry, today's or older ones, or those of OpenLLMetry or OpenInference.
//
// Only spans of calls count: a span of an agent or of a workflow repeats what the calls beneath it used. A call that two
// instrumentations recorded counts once.
package tracecost
