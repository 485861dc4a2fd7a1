package telemetry

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
	"github.com/mellea-go/mellea/tool"
)

// toolPlugin traces execute_tool, with a link to the chat that asked for it.
type toolPlugin struct{ t *tracer }

func (p toolPlugin) Bindings() []hook.Binding {
	return []hook.Binding{hookpoint.Tool.Bracket(p.execute, outermost(p.t, "tool")...)}
}

func (p toolPlugin) execute(ctx context.Context, pre hookpoint.ToolStart) (context.Context, func(hookpoint.ToolOutcome)) {
	where := p.t.place(ctx, pre.Session)
	if pre.Call.Origin != nil {
		if asked := p.t.below(pre.Call.Origin, familyGeneration); asked != nil {
			where.asked = asked.span.SpanContext()
		}
	}
	s := p.t.scratch()
	s.attrs = toolKind(append(s.attrs, semconv.GenAIOperationNameKey.String(semconv.GenAIOperationNameExecuteTool)), pre)
	o := p.t.open(where, p.t.application, familyTool, pre.Session.ID, toolSpan(pre), internal, s.attrs...)
	p.t.release(s)
	return o, o.executed
}

// toolName is that of the tool, or _OTHER for one that a model made up: its words name no span and no series.
func toolName(pre hookpoint.ToolStart) string {
	if t, ok := pre.Tool(); ok {
		return t.Name()
	}
	return semconv.ErrorTypeOther
}

func toolStatus(ending hook.Ending) string {
	if ending == hook.Completed {
		return semconv.MelleaToolStatusSuccess
	}
	return semconv.MelleaToolStatusFailure
}

func toolSpan(pre hookpoint.ToolStart) string { return semconv.SpanExecuteTool + " " + toolName(pre) }

func toolKind(a []attribute.KeyValue, pre hookpoint.ToolStart) []attribute.KeyValue {
	a = append(a, semconv.GenAIToolNameKey.String(toolName(pre)))
	if _, ok := pre.Tool(); ok {
		a = append(a, semconv.GenAIToolTypeKey.String("function"))
	}
	return a
}

func (o *operation) executed(out hookpoint.ToolOutcome) {
	defer o.end(out.Start, out.End)
	s := o.tracer.scratch()
	defer o.tracer.release(s)
	pre, post := &out.Pre, &out.Post
	o.span.SetName(toolSpan(*pre)) // a guard may have chosen another tool
	t, _ := pre.Tool()
	a := append(toolKind(s.attrs, *pre),
		semconv.MelleaToolStatusKey.String(toolStatus(out.Ending)),
		semconv.MelleaToolIsControlFlowKey.Bool(t.IsControlFlow()))
	if post.Ran {
		a = append(a, semconv.MelleaToolExecutionTimeMsKey.Int64(post.Took.Milliseconds()))
	}
	if d := t.Description(); d != "" {
		a = append(a, semconv.GenAIToolDescriptionKey.String(d))
	}
	if id := pre.Call.ID; id != "" {
		a = append(a, semconv.GenAIToolCallIDKey.String(id))
	}
	if pre.Conversation != "" {
		a = append(a, semconv.GenAIConversationIDKey.String(pre.Conversation))
	}
	if h := o.tracer.hash(pre.Call.Arguments); h != "" {
		a = append(a, semconv.MelleaToolArgumentsHashKey.String(h))
	}
	s.attrs = o.outcome(o.membership(a), out.Ending, out.Err)
	o.set(s.attrs)
	if out.Ending == hook.Rejected {
		return
	}
	o.tracer.capture.object(o.span, semconv.GenAIToolCallArgumentsKey, "text", pre.Call.Arguments)
	if out.Ending == hook.Completed {
		o.tracer.capture.object(o.span, semconv.GenAIToolCallResultKey, "result", post.Output.Text)
	}
}

// hash tells equal arguments from others without telling what they are: 16 hexadecimal digits of an HMAC over their
// canonical form, or over the text where that is no JSON. Of no arguments it is "".
func (t *tracer) hash(arguments string) string {
	text := canonical(arguments)
	if len(text) == 0 || string(text) == "{}" {
		return ""
	}
	mac := hmac.New(sha256.New, t.hashKey)
	_, _ = mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil)[:8])
}

// canonical sorts the members of objects and drops white space.
func canonical(text string) []byte {
	trimmed := bytes.TrimSpace([]byte(text))
	if len(trimmed) > tool.MaxArguments {
		return trimmed
	}
	dec := json.NewDecoder(bytes.NewReader(trimmed))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil || dec.More() {
		return trimmed
	}
	sorted, err := json.Marshal(v)
	if err != nil {
		return trimmed
	}
	return sorted
}
