package telemetry

import (
	"context"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	otellog "go.opentelemetry.io/otel/log"

	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A validProvider makes loggers that repair what is not UTF-8: OTLP refuses a whole batch for one such text, and a program
// may log what a model said.
type validProvider struct{ otellog.LoggerProvider }

// Logger wraps that of the provider.
func (p validProvider) Logger(name string, opts ...otellog.LoggerOption) otellog.Logger {
	return validLogger{p.LoggerProvider.Logger(name, opts...)}
}

type validLogger struct{ otellog.Logger }

// Emit sends the record, or a repaired copy.
func (l validLogger) Emit(ctx context.Context, r otellog.Record) {
	if recordIsValid(&r) {
		l.Logger.Emit(ctx, r)
		return
	}
	var to otellog.Record
	to.SetEventName(r.EventName())
	to.SetTimestamp(r.Timestamp())
	to.SetObservedTimestamp(r.ObservedTimestamp())
	to.SetSeverity(r.Severity())
	to.SetSeverityText(r.SeverityText())
	to.SetBody(validValue(r.Body()))
	attrs := make([]attribute.KeyValue, 0, r.AttributesLen()+1)
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		attrs = append(attrs, validAttribute(kv))
		return true
	})
	if err := r.Err(); err != nil {
		to.SetErr(err) // tells the type
		attrs = append(attrs, semconv.ExceptionMessageKey.String(valid(err.Error())))
	}
	to.AddAttributes(attrs...)
	l.Logger.Emit(ctx, to)
}

func recordIsValid(r *otellog.Record) bool {
	ok := valueIsValid(r.Body())
	r.WalkAttributes(func(kv attribute.KeyValue) bool {
		ok = ok && utf8.ValidString(string(kv.Key)) && valueIsValid(kv.Value)
		return ok
	})
	if err := r.Err(); ok && err != nil {
		ok = utf8.ValidString(err.Error())
	}
	return ok
}

func valueIsValid(v attribute.Value) bool {
	switch v.Type() {
	case attribute.STRING:
		return utf8.ValidString(v.AsString())
	case attribute.STRINGSLICE:
		for _, s := range v.AsStringSlice() {
			if !utf8.ValidString(s) {
				return false
			}
		}
	case attribute.SLICE:
		for _, in := range v.AsSlice() {
			if !valueIsValid(in) {
				return false
			}
		}
	case attribute.MAP:
		for _, kv := range v.AsMap() {
			if !utf8.ValidString(string(kv.Key)) || !valueIsValid(kv.Value) {
				return false
			}
		}
	}
	return true
}

func validAttribute(kv attribute.KeyValue) attribute.KeyValue {
	return attribute.KeyValue{Key: attribute.Key(valid(string(kv.Key))), Value: validValue(kv.Value)}
}

func validValue(v attribute.Value) attribute.Value {
	switch v.Type() {
	case attribute.STRING:
		return attribute.StringValue(valid(v.AsString()))
	case attribute.STRINGSLICE:
		all := v.AsStringSlice()
		for i, s := range all {
			all[i] = valid(s)
		}
		return attribute.StringSliceValue(all)
	case attribute.SLICE:
		all := v.AsSlice()
		for i, in := range all {
			all[i] = validValue(in)
		}
		return attribute.SliceValue(all...)
	case attribute.MAP:
		all := v.AsMap()
		for i, kv := range all {
			all[i] = validAttribute(kv)
		}
		return attribute.MapValue(all...)
	}
	return v
}
