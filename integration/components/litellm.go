package components

import (
	"context"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Names of models that the LiteLLM proxy serves, beside every name of the form
// ollama_chat/MODEL and openai/MODEL for a MODEL of the Ollama server behind it.
const (
	LiteLLMSmall   = "small"   // the server's model, by Ollama's own API; LiteLLMInputCost and LiteLLMOutputCost a token
	LiteLLMFragile = "fragile" // no server answers for it, and the proxy falls back to LiteLLMSmall
	LiteLLMBroken  = "broken"  // no server answers for it
)

// What a token of [LiteLLMSmall] costs, in US dollars.
const (
	LiteLLMInputCost  = 0.000001
	LiteLLMOutputCost = 0.000002
)

// LiteLLM is a running LiteLLM proxy in front of an Ollama server. It has no
// database: it makes no keys, and refuses every key but Key and Keys.
type LiteLLM struct {
	URL    string // http://host:port, without /v1
	Key    string // the master key
	Keys   LiteLLMKeys
	server *server
}

// LiteLLMKeys are virtual keys: the proxy is given what its database would have of
// each, and judges by that; budgets, which it counts in the database, it does not
// judge. Tests can share each but Limited.
type LiteLLMKeys struct {
	Small   string // may use LiteLLMSmall, and nothing else
	Expired string // was good until yesterday
	Blocked string
	Limited string // may be used once a minute
}

// RunLiteLLM starts a LiteLLM proxy in front of o and returns when it answers.
// ctx bounds the start only, which takes ten seconds of an idle core. The stop
// function ends the proxy, waits for it and may be called more than once; it
// must be called, before that of o, and is nil exactly when the error is not.
//
// The proxy repeats nothing, so that a test sees what it makes of one failure.
func RunLiteLLM(ctx context.Context, o *Ollama) (*LiteLLM, func() error, error) {
	l, err := withRetry(func() (*LiteLLM, error) { return runLiteLLM(ctx, o) })
	if err != nil {
		return nil, nil, err
	}
	return l, l.server.stop, nil
}

func runLiteLLM(ctx context.Context, o *Ollama) (*LiteLLM, error) {
	dir, err := Find(LiteLLMProxy)
	if err != nil {
		return nil, err
	}
	// The second port is held so that nobody listens on it.
	s, err := newServer(filepath.Dir(dir), LiteLLMProxy, 2)
	if err != nil {
		return nil, err
	}
	l := &LiteLLM{URL: "http://" + s.ports.address(0), Key: "sk-" + rand.Text(), server: s}
	config := filepath.Join(s.dir, "config.yaml")
	keys, err := l.makeKeys()
	if err == nil {
		err = os.WriteFile(config, []byte(liteLLMConfig(o, "http://"+s.ports.address(1)+"/v1")), 0o600)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, "keys.py"), liteLLMKeys, 0o600)
	}
	if err == nil {
		env := append(s.baseEnv(), "LITELLM_MASTER_KEY="+l.Key, "VIRTUAL_KEYS="+keys)
		env = append(env, liteLLMEnv...)
		err = s.start(env, filepath.Join(dir, "venv", "bin", "python"), "-c", "from litellm import run_server; run_server()",
			"--config", config, "--host", loopbackHost, "--port", s.ports.port(0), "--num_workers", "1")
	}
	if err == nil {
		err = s.waitReady(ctx, l.URL+"/health/liveliness")
	}
	if err != nil {
		s.stop() // the start's error says what happened
		return nil, err
	}
	return l, nil
}

// liteLLMKeys looks virtual keys up in place of the proxy's database.
//
//go:embed litellm_keys.py
var liteLLMKeys []byte

// makeKeys makes the virtual keys and returns what the proxy is to know of them.
func (l *LiteLLM) makeKeys() (string, error) {
	known := map[string]map[string]any{}
	for key, is := range map[*string]map[string]any{
		&l.Keys.Small:   {"key_alias": "small", "models": []string{LiteLLMSmall}},
		&l.Keys.Expired: {"expires": time.Now().AddDate(0, 0, -1).UTC().Format(time.RFC3339)},
		&l.Keys.Blocked: {"blocked": true},
		&l.Keys.Limited: {"rpm_limit": 1},
	} {
		*key = "sk-" + rand.Text()
		is["user_id"] = "tester"
		known[*key] = is
	}
	text, err := json.Marshal(known)
	if err != nil {
		return "", fmt.Errorf("components: %w", err)
	}
	return string(text), nil
}

// liteLLMEnv keeps the proxy from asking the network for what its package has,
// and from reading settings from a file.
var liteLLMEnv = []string{
	"LITELLM_MODE=PRODUCTION",
	"LITELLM_LOCAL_MODEL_COST_MAP=True",
	"LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS=True",
	"LITELLM_LOCAL_AUTOROUTER_PRESETS=True",
	"LITELLM_LOCAL_POLICY_TEMPLATES=True",
	"LITELLM_LOCAL_BLOG_POSTS=True",
	"DISABLE_ADMIN_UI=True",
	"DO_NOT_TRACK=1",
	"NO_COLOR=1",
}

func liteLLMConfig(o *Ollama, nowhere string) string {
	return fmt.Sprintf(`model_list:
  - model_name: %[1]s
    litellm_params: { model: "ollama_chat/%[4]s", api_base: "%[5]s" }
    model_info: { id: %[1]s-1, input_cost_per_token: %[7]g, output_cost_per_token: %[8]g }
  - model_name: %[2]s
    litellm_params: { model: "openai/none", api_base: "%[6]s", api_key: none, max_retries: 0 }
    model_info: { id: %[2]s-1 }
  - model_name: %[3]s
    litellm_params: { model: "openai/none", api_base: "%[6]s", api_key: none, max_retries: 0 }
    model_info: { id: %[3]s-1 }
  - model_name: "ollama_chat/*"
    litellm_params: { model: "ollama_chat/*", api_base: "%[5]s" }
  - model_name: "openai/*"
    litellm_params: { model: "openai/*", api_base: "%[5]s/v1", api_key: none }
router_settings:
  num_retries: 0
  disable_cooldowns: true
  fallbacks: [{ %[2]s: [%[1]s] }]
litellm_settings:
  telemetry: false
  enable_post_custom_auth_checks: true
general_settings:
  master_key: os.environ/LITELLM_MASTER_KEY
  custom_auth: keys.look_up
  custom_auth_run_common_checks: true
`, LiteLLMSmall, LiteLLMFragile, LiteLLMBroken, o.Model, o.URL, nowhere, LiteLLMInputCost, LiteLLMOutputCost)
}
