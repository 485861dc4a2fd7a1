// Package otlptest is an OTLP receiver for tests: a real server on the loopback interface, for gRPC and for HTTP, that
// decodes what it is sent and keeps the bytes.
package otlptest
