// Package otlpfile reads and writes files of OTLP: JSON as the OpenTelemetry Collector's file exporter writes it, one
// export a line, JSON documents and arrays of them over any number of lines, and protobuf, as one message or with a
// length of four bytes before each.
//
// The reader is for files of any size and of any origin: it holds one record at a time, a record is bounded, and what is
// broken is named by its line and passed over.
package otlpfile
