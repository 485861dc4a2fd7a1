// Package check tells whether spans, metrics and log events are what the OpenTelemetry conventions for generative AI and
// MCP, and this module's own registry, say they should be.
//
// It takes OTLP as any program in any language exports it, and reports findings in the vocabulary of OpenTelemetry
// Weaver: each has the ID of the rule, a level, what it is about and a message. [Violation] is what the conventions
// forbid, [Improvement] what they advise against, and [Information] what only the program's author can judge. No
// message holds a value of an attribute that may be content.
//
// A span is held against the table of its operation. Spans of this module are known by their scope and name, those of
// MCP by mcp.method.name, all others by gen_ai.operation.name and, for invoke_agent, their kind. Where a provider has a
// table of its own, it is laid over. Metrics and log events are known by their names. What has no table is passed over,
// but for attributes in the namespaces gen_ai, mcp and mellea; so are attributes of other namespaces, unless a table has
// them or they are known to be given up.
//
// # Rules
//
// Weaver's own:
//
//	missing_attribute                            violation    a name in one of the namespaces above that is in no registry
//	missing_attribute                            information  the same in the namespace of a provider, openai
//	missing_metric                               violation    a metric in one of the namespaces above that is in no registry
//	unit_mismatch                                violation    a metric in another unit
//	unexpected_instrument                        violation    a metric of another instrument
//	missing_event                                violation    the same for an event, on a span or in the log; on this module's spans, any event
//	deprecated                                   violation    a name the conventions have given up; the message has its successor
//	type_mismatch                                violation    a value of another type; a whole number may stand for a double
//	undefined_enum_variant                       violation    a value that is not in a closed list
//	undefined_enum_variant                       information  a value that is not in an open list
//	required_attribute_not_present               violation    a required attribute is missing
//	conditionally_required_attribute_not_present violation    the same, under a condition that the data shows to hold
//	conditionally_required_attribute_not_present information  … or that only the program knows
//	recommended_attribute_not_present            improvement  a recommended attribute is missing
//	recommended_attribute_not_present            information  … under a condition that only the program knows
//	entity_required_attribute_not_present        violation    a resource describes something without what identifies it
//	not_stable                                   improvement  a name that may still change; once for each name
//
// Those of OpenTelemetry's conformance policies for generative AI, applied to all spans that have a table:
//
//	genai_span_name_format                       violation    the name is not the one the table asks for
//	genai_span_kind_unexpected                   violation    the kind is not one the table allows
//	genai_operation_name_unknown                 violation    gen_ai.operation.name is not one of the operations there are
//	genai_content_schema                         violation    content is not what its JSON Schema asks for
//	span_status_ok_set_by_instrumentation        violation    status Ok, which is the application's to set
//	error_type_missing_on_error                  violation    status Error without error.type
//	error_type_without_error_status              violation    error.type with another status
//
// On spans, content may be structured or a JSON string. A part of a message is held against the definition of its type: where the
// schema would let a text part without text pass as a part of an unknown type, it is a finding here.
//
// And those of this package:
//
//	missing_span                                 violation    a scope of this module has no span of that name
//	scope_unexpected                             violation    a span or a metric of this module's is in another scope
//	schema_url_unexpected                        violation    a scope of this module has another schema URL
//	unexpected_attribute                         improvement  an attribute that the table of one of this module's spans does not have
//	unexpected_attribute                         information  a registered attribute that another span's table does not have
//	high_cardinality_attribute                   improvement  a label of a metric with another value for each call, or with content
//	unexpected_event                             improvement  a log event on a span, an event of another span, or one of a span in the log
//	unexpected_metric                            improvement  a metric that is not for that operation
//	unexpected_buckets                           improvement  a histogram with other buckets than the convention advises
//	unexpected_severity                          improvement  a log event with another severity than the convention asks for
//	unexpected_body                              information  a log event with a body, where the convention has attributes
//	invalid_data_point                           violation    a value that is negative or no number, buckets that do not add up
//	content_not_structured                       violation    content as a JSON string on a log event
//	event_span_mismatch                          violation    a log event that says something else than its span
//	unexpected_value                             improvement  a value that is told by leaving the attribute out
//	duplicate_attribute                          violation    a name that is there twice
//	exception_span_event                         improvement  an exception on a span, which belongs into the log
//	event_outside_span                           information  an event more than a millisecond outside the span's time
//	status_description_repeats_error_type        improvement  a description that says no more than error.type
//	status_description_without_error             improvement  a description where the status is not Error
//	outcome_inconsistent                         violation    mellea.outcome against status, category or rejection
//	count_inconsistent                           violation    a part that is more than its whole, counts that do not add up
//	conversation_id_made_up                      violation    gen_ai.conversation.id is the trace's or the session's id
//	invalid_span_id                              violation    ids that are no ids, a span that is its own parent
//	duplicate_span                               violation    two spans with the same ids
//	span_ends_before_start                       violation    the end is before the start
//	parent_in_other_trace                        violation    the parent is a span of another trace
//
//	mcp_error_classification                     violation    error.type and status against the code of a JSON-RPC response
//	mcp_meta_exposed                             improvement  arguments or a result with _meta, which is the protocol's
//	mcp_trace_not_joined                         improvement  both sides of a request, in different traces
//
// What cannot be told from the data is not judged: whether content should have been captured at all, whether a
// conversation id is the program's, whether a parameter was sent, whether the trace context was in _meta of a request, but
// for what comes of it.
package check
