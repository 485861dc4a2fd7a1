// Package redact has functions that take secrets and personal data out of texts, to be given to
// [github.com/mellea-go/mellea/telemetry.WithRedactor] or used in a guard.
//
// [Default] has all of what this package knows. [All] combines some of it with patterns of one's own:
//
//	telemetry.WithRedactor(redact.All(redact.Secrets(), redact.Pattern(regexp.MustCompile(`CASE-\d+`), "[case]")))
//
// What is found is replaced by a label such as [redacted:email], which holds nothing that JSON would have to escape. A rule
// looks for shapes: it cannot know a secret that looks like nothing, such as a bare IBM Cloud key or a name, and it finds
// what only looks like one. Redaction lowers what leaks; it does not make a trace public.
//
// Rules are for texts, and telemetry gives them texts: of JSON each string by itself. In JSON as it is written an escape may
// stand in the middle of what is replaced.
//
// Time is linear in the length of a text, whatever the text is.
package redact
