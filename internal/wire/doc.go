// Package wire carries requests to model servers over HTTP and reads their replies, whole or streamed.
//
// It knows no dialect: a backend hands over encoded bytes and gets bytes back. What it does know is how such
// servers fail. Every failure is one of a few typed errors ([*StatusError], [*TransportError],
// [*ProtocolError], [*RedirectError], [*IdleTimeoutError], [*ConfigError]) or the cause of the caller's
// context, and the text of none of them holds a header value, URL user-info, a URL query, or anything a
// server or a model wrote; only the Message field of a StatusError does.
//
// A reply is retried only before its first byte reached the caller. The time a byte arrived is the time the
// read that brought it returned ([Response.LastRead]), never the time it was parsed or consumed.
package wire
