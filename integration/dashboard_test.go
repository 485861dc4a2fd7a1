package integration_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/backend/ollama"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/integration/components"
	"github.com/mellea-go/mellea/integration/components/tinymodel"
	"github.com/mellea-go/mellea/requirement"
	"github.com/mellea-go/mellea/sampling"
	"github.com/mellea-go/mellea/telemetry"
	"github.com/mellea-go/mellea/tool"
)

// dashboard is what of a Grafana dashboard its queries need.
type dashboard struct {
	Title      string
	UID        string
	Templating struct {
		List []struct{ Name, Type, Query string }
	}
	Panels []panel
}

type panel struct {
	Title   string
	Type    string
	Targets []struct{ Expr, RefID string }
	Panels  []panel // of a row that is closed
}

// TestDashboard runs every query of the Grafana dashboard on a real Prometheus that a program with a real model fed, by
// OTLP through a collector and by being scraped. Each must find something.
func TestDashboard(t *testing.T) {
	text, err := os.ReadFile("../docs/telemetry/grafana/mellea.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" {
		t.Error("the dashboard has no title or no uid")
	}
	model := components.StartOllama(t)
	t.Run("by OTLP", func(t *testing.T) {
		p := components.StartPrometheus(t)
		c := components.StartCollector(t, components.StartJaeger(t), p)
		feed(t, model, p, "MELLEA_METRICS_OTLP=true", "OTEL_METRIC_EXPORT_INTERVAL=500",
			"OTEL_EXPORTER_OTLP_ENDPOINT="+c.OTLPHTTP, "OTEL_SERVICE_NAME=shop")
		query(t, p, d)
	})
	t.Run("scraped", func(t *testing.T) {
		components.Require(t, components.PrometheusServer)
		address := freeAddress(t)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		p, stop, err := components.RunPrometheus(ctx, address)
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := stop(); err != nil {
				t.Error(err)
			}
		})
		feed(t, model, p, "MELLEA_METRICS_PROMETHEUS=true", "MELLEA_METRICS_PROMETHEUS_ADDR="+address)
		query(t, p, d)
	})
}

// feed runs a program in which everything happens that a metric tells of, twice, since rates need two samples.
func feed(t *testing.T, server *components.Ollama, p *components.Prometheus, vars ...string) {
	t.Helper()
	prices := filepath.Join(t.TempDir(), "prices.json")
	scripted := components.Scripted(t, server, tinymodel.Script{Replies: []tinymodel.Reply{
		{Calls: []tinymodel.Call{{Name: "weather", Arguments: `{"city": "Rome"}`}}}, {Text: "It is warm."},
	}})
	table := fmt.Sprintf(`{"date": "2026-11-25", "prices": [{"model": "ollama/%s", "input": 1, "output": 2}]}`, server.Model)
	if err := os.WriteFile(prices, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	tel, err := telemetry.Setup(t.Context(), telemetry.WithEnviron(append(vars, "MELLEA_METRICS_ENABLED=true", "MELLEA_PRICING_FILE="+prices)))
	if err != nil {
		t.Fatal(err)
	}
	for round := range 2 {
		work(t, server, scripted, tel)
		if err := tel.ForceFlush(t.Context()); err != nil {
			t.Fatal(err)
		}
		for want := fmt.Sprint(round + 1); ; time.Sleep(50 * time.Millisecond) { // the rejection is the last of the round
			if got := series(t, p, "sum(mellea_hook_rejections_total)"); slices.Contains(got, want) {
				break
			}
			if err := t.Context().Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Cleanup(func() {
		if err := tel.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
	})
}

func work(t *testing.T, server *components.Ollama, scripted string, tel *telemetry.Telemetry) {
	t.Helper()
	ctx := t.Context()
	weather := tool.New("weather", "The weather in a city.", func(context.Context, struct {
		City string `json:"city"`
	}) (string, error) {
		return "warm", nil
	})
	on := func(model string, opts ...mellea.StartOption) *mellea.Session {
		s, err := mellea.Start(ctx, ollama.New(ollama.WithBaseURL(server.URL), ollama.WithModel(model)), append(opts, mellea.WithHooks(tel))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	small := on(server.Model)
	if _, err := small.Instruct(ctx, "Say hello.", mellea.MaxTokens(8), mellea.Stream(func(int, backend.Chunk) {})); err != nil {
		t.Fatal(err)
	}
	for _, unmet := range []bool{false, true} {
		check := requirement.Func("verdict", func(string) (bool, string) { return !unmet, "" })
		_, err := small.Instruct(ctx, "Say hello.", mellea.MaxTokens(4), mellea.Check(check), mellea.Strategy(sampling.Reject(2)))
		var budget *mellea.UnmetError
		if unmet != errors.As(err, &budget) {
			t.Fatalf("a requirement that is never met: %v; the error is %v", unmet, err)
		}
	}
	if _, err := on(scripted, mellea.WithTools(weather)).Chat(ctx, "How warm is it in Rome?"); err != nil {
		t.Fatal(err)
	}
	if _, err := on("nowhere").Chat(ctx, "hi"); err == nil {
		t.Fatal("a model that is not there answers")
	}
	no := hookpoint.Generation.Guard(func(context.Context, hookpoint.GenerationStart) (hookpoint.GenerationStart, error) {
		return hookpoint.GenerationStart{}, hook.Reject("closed", "not today")
	}, hook.Name("closed"))
	if _, err := on(server.Model, mellea.WithHooks(no)).Chat(ctx, "hi"); err == nil {
		t.Fatal("a rejected call answers")
	}
}

var metricName = regexp.MustCompile(`\b(gen_ai|mellea)_[a-z_]+_(total|count|sum|bucket|operations)\b`)

// failuresOnly are counters that begin with the first failure, which this program has none of; their names are those that
// the exporters make of mellea.hook.async_dropped and mellea.hook.plugin_failures.
var failuresOnly = map[string]bool{"mellea_hook_async_dropped_total": true, "mellea_hook_plugin_failures_total": true}

// query runs the queries of all panels.
func query(t *testing.T, p *components.Prometheus, d dashboard) {
	t.Helper()
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "5m", "$__interval", "1m", "$service", ".*", "$model", ".*")
	queries := 0
	var walk func([]panel)
	walk = func(panels []panel) {
		for _, one := range panels {
			walk(one.Panels)
			for _, target := range one.Targets {
				queries++
				if got := series(t, p, variables.Replace(target.Expr)); len(got) == 0 || slices.Contains(got, "NaN") {
					t.Errorf("%s: %s gives %v", one.Title, target.Expr, got)
				}
				// A query that stands in for nothing must ask for something that there is.
				for _, name := range metricName.FindAllString(target.Expr, -1) {
					if !failuresOnly[name] && len(series(t, p, "count("+name+")")) == 0 {
						t.Errorf("%s: there is no metric %s", one.Title, name)
					}
				}
			}
		}
	}
	walk(d.Panels)
	for _, v := range d.Templating.List {
		if v.Type != "query" {
			continue
		}
		// label_values(metric, label)
		metric, label, ok := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(v.Query, "label_values("), ")"), ", ")
		if got := series(t, p, "count by ("+label+") ("+metric+")"); !ok || len(got) == 0 {
			t.Errorf("variable %s: %s gives nothing", v.Name, v.Query)
		}
	}
	if queries < 15 {
		t.Errorf("the dashboard has %d queries, want at least 15", queries)
	}
}

// series returns the values a query gives.
func series(t *testing.T, p *components.Prometheus, expr string) []string {
	t.Helper()
	var result struct {
		Result []struct {
			Metric map[string]string
			Value  [2]any
		}
	}
	askPrometheus(t, p, "/api/v1/query", url.Values{"query": {expr}}, &result)
	var all []string
	for _, r := range result.Result {
		all = append(all, fmt.Sprint(r.Value[1]))
	}
	return all
}

// askPrometheus has a query answered into data.
func askPrometheus(t *testing.T, p *components.Prometheus, path string, query url.Values, data any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL+path+"?"+query.Encode(), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer := struct {
		Status, Error string
		Data          any
	}{Data: data}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.Status != "success" {
		t.Fatalf("%s of %v: %s, %v %s", path, query, resp.Status, err, answer.Error)
	}
}

// freeAddress returns an address of this machine where nobody listens.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}
