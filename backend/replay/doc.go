// Package replay records the exchanges with a backend to a file and replays them without one.
//
// [Record] and [RecordFile] decorate any backend; [Open] and [New] return a backend that answers from a recording. The
// file is JSON Lines, readable, versioned and described in FORMAT.md. It holds prompts and replies, never request
// headers or keys.
//
// A request is answered by the recorded exchange that asked for the same: the same model, messages, options, format
// and tools. How the reply is carried (streamed or whole, the stream's timeout, strict mode) does not count. Equal
// requests are answered in the order in which they were made. A request that was not recorded is an error that tells
// where it differs from the nearest one that was.
package replay
