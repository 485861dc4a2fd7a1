package semconvtest

import (
	"github.com/mellea-go/mellea/content"
	"github.com/mellea-go/mellea/telemetry"
)

// cost is what the server said that a call cost, or what it costs by the prices of this version.
func cost(a labels) float64 {
	if usd, ok := a["mellea.usage.cost.usd"].(float64); ok {
		return usd
	}
	tier := text(a, "openai.response.service_tier", "openai.request.service_tier")
	waits := a["gen_ai.provider.name"] == "openai" && (tier == "flex" || tier == "batch")
	for _, model := range []string{text(a, "gen_ai.response.model"), text(a, "gen_ai.request.model")} {
		if usd, ok := telemetry.DefaultPricing().Cost(text(a, "gen_ai.provider.name"), model, usageOf(a), waits); ok {
			return usd
		}
	}
	return 0
}

func usageOf(a labels) content.Usage {
	n := func(name string) int { return int(number(a, "gen_ai.usage."+name)) }
	return content.Usage{InputTokens: n("input_tokens"), OutputTokens: n("output_tokens"), CacheReadTokens: n("cache_read.input_tokens"),
		CacheWriteTokens: n("cache_write.input_tokens"), ReasoningTokens: n("reasoning.output_tokens"),
		Audio: content.Modality{InputTokens: n("audio.input_tokens"), OutputTokens: n("audio.output_tokens")}}
}
