package integration_test

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/internal/otlptest"
)

// TestCommandOnLiteLLM reads the trace of a run through a real proxy: who answered is the proxy, under the body's id and
// the proxy's own.
func TestCommandOnLiteLLM(t *testing.T) {
	server := components.StartOllama(t)
	proxy := components.StartLiteLLM(t, server)
	collector := otlptest.Start(t)
	mellea := command(t)
	env := []string{"LITELLM_PROXY_API_BASE=" + proxy.URL, "LITELLM_PROXY_API_KEY=" + proxy.Key,
		"MELLEA_TRACES_ENABLED=true", "MELLEA_TRACES_OTLP=true", "OTEL_EXPORTER_OTLP_ENDPOINT=" + collector.HTTP}
	out := output(t, mellea(server.URL, env, append([]string{"run", capital, "--backend", "litellm", "--model", components.LiteLLMSmall}, sure...)...))
	if strings.TrimSpace(out) == "" {
		t.Error("the command printed nothing")
	}
	address, err := url.Parse(proxy.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range collector.Spans(t, 1) {
		if span.Name != "chat "+components.LiteLLMSmall {
			continue
		}
		get := func(key string) string { v, _ := span.Attributes[key].(string); return v }
		if span.Kind != "client" || get("server.address") != address.Hostname() || strconv.FormatInt(span.Attributes["server.port"].(int64), 10) != address.Port() {
			t.Errorf("got %s of %s:%v, want a client of %s", span.Kind, get("server.address"), span.Attributes["server.port"], address.Host)
		}
		id, call := get("gen_ai.response.id"), get("mellea.response.request_id")
		if get("gen_ai.provider.name") != "litellm" || id == "" || call == "" || id == call {
			t.Errorf("got provider %q, response id %q and request id %q, want litellm, the body's id and the proxy's", get("gen_ai.provider.name"), id, call)
		}
		return
	}
	t.Error("there is no span of the call")
}

// TestCommandOnTransformers asks a real transformers serve by the command.
func TestCommandOnTransformers(t *testing.T) {
	server := components.TransformersServe(t)
	mellea := command(t)
	out := output(t, mellea("", nil, append([]string{"run", capital, "--backend", "huggingface", "--base-url", server.URL, "--model", server.Model}, sure...)...))
	if strings.TrimSpace(out) == "" {
		t.Error("the command printed nothing")
	}
}
