package tracecost

import (
	"cmp"
	"math"
	"strconv"
	"strings"

	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"

	"github.com/mellea-go/mellea/content"
)

// A call is one to a model, as its span tells of it.
type call struct {
	scope                 string
	operation, provider   string
	requested, answered   string // models
	session, conversation string
	response, kind        string
	tier, askedTier       string
	usage                 content.Usage
	counted               bool // it says what it used
	usd                   *float64
}

// Names of attributes, and of those they were before or are elsewhere.
var fields = map[string]func(*call, *commonpb.AnyValue){
	"gen_ai.operation.name":   text(func(c *call) *string { return &c.operation }),
	"llm.request.type":        text(func(c *call) *string { return &c.operation }),
	"openinference.span.kind": text(func(c *call) *string { return &c.kind }),

	"gen_ai.provider.name": text(func(c *call) *string { return &c.provider }),
	"gen_ai.system":        text(func(c *call) *string { return &c.provider }),
	"llm.provider":         text(func(c *call) *string { return &c.provider }),

	"gen_ai.request.model":  text(func(c *call) *string { return &c.requested }),
	"gen_ai.response.model": text(func(c *call) *string { return &c.answered }),
	"llm.model_name":        text(func(c *call) *string { return &c.requested }),
	"embedding.model_name":  text(func(c *call) *string { return &c.requested }),

	"mellea.session.id":      text(func(c *call) *string { return &c.session }),
	"session.id":             text(func(c *call) *string { return &c.session }),
	"gen_ai.conversation.id": text(func(c *call) *string { return &c.conversation }),
	"gen_ai.response.id":     text(func(c *call) *string { return &c.response }),

	"openai.response.service_tier":        text(func(c *call) *string { return &c.tier }),
	"openai.request.service_tier":         text(func(c *call) *string { return &c.askedTier }),
	"gen_ai.openai.response.service_tier": text(func(c *call) *string { return &c.tier }),

	"gen_ai.usage.input_tokens":      count(func(c *call) *int { return &c.usage.InputTokens }),
	"gen_ai.usage.prompt_tokens":     count(func(c *call) *int { return &c.usage.InputTokens }),
	"llm.usage.prompt_tokens":        count(func(c *call) *int { return &c.usage.InputTokens }),
	"llm.token_count.prompt":         count(func(c *call) *int { return &c.usage.InputTokens }),
	"gen_ai.usage.output_tokens":     count(func(c *call) *int { return &c.usage.OutputTokens }),
	"gen_ai.usage.completion_tokens": count(func(c *call) *int { return &c.usage.OutputTokens }),
	"llm.usage.completion_tokens":    count(func(c *call) *int { return &c.usage.OutputTokens }),
	"llm.token_count.completion":     count(func(c *call) *int { return &c.usage.OutputTokens }),

	"gen_ai.usage.cache_read.input_tokens":       count(func(c *call) *int { return &c.usage.CacheReadTokens }),
	"gen_ai.usage.cache_read_input_tokens":       count(func(c *call) *int { return &c.usage.CacheReadTokens }),
	"llm.token_count.prompt_details.cache_read":  count(func(c *call) *int { return &c.usage.CacheReadTokens }),
	"gen_ai.usage.cache_write.input_tokens":      count(func(c *call) *int { return &c.usage.CacheWriteTokens }),
	"gen_ai.usage.cache_creation.input_tokens":   count(func(c *call) *int { return &c.usage.CacheWriteTokens }),
	"gen_ai.usage.cache_creation_input_tokens":   count(func(c *call) *int { return &c.usage.CacheWriteTokens }),
	"llm.token_count.prompt_details.cache_write": count(func(c *call) *int { return &c.usage.CacheWriteTokens }),

	"gen_ai.usage.reasoning.output_tokens":         count(func(c *call) *int { return &c.usage.ReasoningTokens }),
	"gen_ai.usage.reasoning_tokens":                count(func(c *call) *int { return &c.usage.ReasoningTokens }),
	"llm.token_count.completion_details.reasoning": count(func(c *call) *int { return &c.usage.ReasoningTokens }),
	"gen_ai.usage.audio.input_tokens":              count(func(c *call) *int { return &c.usage.Audio.InputTokens }),
	"gen_ai.usage.audio.output_tokens":             count(func(c *call) *int { return &c.usage.Audio.OutputTokens }),
	"llm.token_count.prompt_details.audio":         count(func(c *call) *int { return &c.usage.Audio.InputTokens }),
	"llm.token_count.completion_details.audio":     count(func(c *call) *int { return &c.usage.Audio.OutputTokens }),

	"mellea.usage.cost.usd": func(c *call, v *commonpb.AnyValue) {
		if usd := v.GetDoubleValue(); usd >= 0 && !math.IsInf(usd, 0) {
			c.usd = &usd
		}
	},
}

// text keeps the first value that is there.
func text(of func(*call) *string) func(*call, *commonpb.AnyValue) {
	return func(c *call, v *commonpb.AnyValue) {
		if at := of(c); *at == "" {
			*at = short(v.GetStringValue())
		}
	}
}

// maxName is more than a name has that is one. A hostile file has others, and they are kept.
const maxName = 256

func short(s string) string {
	if len(s) <= maxName {
		return s
	}
	return strings.ToValidUTF8(strings.Clone(s[:maxName]), "")
}

// maxTokens is more than any call has: sums of what is more would overflow.
const maxTokens = 1 << 40

// count keeps the first value that is there, whether it was written as a whole number, as another or as a text.
func count(of func(*call) *int) func(*call, *commonpb.AnyValue) {
	return func(c *call, v *commonpb.AnyValue) {
		var n int64
		switch v := v.GetValue().(type) {
		case *commonpb.AnyValue_IntValue:
			n = v.IntValue
		case *commonpb.AnyValue_DoubleValue:
			if !(v.DoubleValue >= 0 && v.DoubleValue <= maxTokens) {
				return
			}
			n = int64(v.DoubleValue)
		case *commonpb.AnyValue_StringValue:
			var err error
			if n, err = strconv.ParseInt(strings.TrimSpace(v.StringValue), 10, 64); err != nil {
				return
			}
		default:
			return
		}
		if n < 0 || n > maxTokens {
			return
		}
		c.counted = true
		if at := of(c); *at == 0 {
			*at = int(n)
		}
	}
}

func callOf(scope string, s *tracepb.Span) call {
	c := call{scope: scope}
	for _, kv := range s.GetAttributes() {
		if set := fields[kv.GetKey()]; set != nil {
			set(&c, kv.GetValue())
		}
	}
	// Anthropic's own counts leave what the cache had out of the input, and some instrumentations pass them on.
	if u := &c.usage; u.CacheReadTokens+u.CacheWriteTokens > u.InputTokens {
		u.InputTokens += u.CacheReadTokens + u.CacheWriteTokens
	}
	return c
}

// isInference reports whether the span is that of a call to a model, and not of something that calls models.
func (c *call) isInference() bool {
	switch strings.ToLower(c.operation) {
	case "chat", "text_completion", "generate_content", "embeddings", "completion", "embedding", "responses":
		return true
	case "":
	default:
		return false
	}
	switch strings.ToUpper(c.kind) {
	case "LLM", "EMBEDDING":
		return true
	case "":
		return c.provider != "" && c.model() != "" && c.counted
	}
	return false
}

func (c *call) model() string {
	if c.requested != "" {
		return c.requested
	}
	return c.answered
}

// mayWait reports whether the call costs what those in a batch do.
func (c *call) mayWait() bool {
	tier := cmp.Or(c.tier, c.askedTier)
	return c.provider == "openai" && (tier == "flex" || tier == "batch")
}
