package components

import (
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A collector passes on what it gets, also after a crash, at the same addresses.
func TestCollector(t *testing.T) {
	Require(t, JaegerServer, PrometheusServer, CollectorServer)
	j, p := StartJaeger(t), StartPrometheus(t)
	c := StartCollector(t, j, p)
	checkPort(t, c.OTLPHTTP)
	checkPort(t, c.OTLPGRPC)
	checkPort(t, p.URL)

	const scope = `"scope":{"name":"test"}`
	const resource = `"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"here"}}]}`
	do(t, "POST", c.OTLPHTTP+"/v1/traces", `{"resourceSpans":[{`+resource+`,"scopeSpans":[{`+scope+`,"spans":[{"traceId":"0102030405060708090a0b0c0d0e0f10",
		"spanId":"0102030405060708","name":"first","kind":1,"startTimeUnixNano":"1760000000000000000","endTimeUnixNano":"1760000000000000001"}]}]}]}`)
	poll(t, "the span in Jaeger", func() bool {
		status, body := ask(t, j.QueryURL+"/api/traces/0102030405060708090a0b0c0d0e0f10")
		return status == 200 && strings.Contains(body, `"first"`)
	})
	if err := c.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context(), "POST", c.OTLPHTTP+"/v1/logs"); err == nil {
		t.Error("a killed collector answers")
	}
	if err := c.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	now := time.Now().UnixNano()
	do(t, "POST", c.OTLPHTTP+"/v1/metrics", `{"resourceMetrics":[{`+resource+`,"scopeMetrics":[{`+scope+`,"metrics":[{"name":"shop.orders","unit":"{order}",
		"sum":{"aggregationTemporality":2,"isMonotonic":true,"dataPoints":[{"asInt":"7","startTimeUnixNano":"`+strconv.FormatInt(now-1e9, 10)+`","timeUnixNano":"`+strconv.FormatInt(now, 10)+`"}]}}]}]}]}`)
	poll(t, "the metric in Prometheus", func() bool {
		_, body := ask(t, p.URL+"/api/v1/query?query=shop_orders_total")
		return strings.Contains(body, `"here"`) && strings.Contains(body, `"7"`)
	})
	do(t, "POST", c.OTLPHTTP+"/v1/logs", `{"resourceLogs":[{`+resource+`,"scopeLogs":[{`+scope+`,"logRecords":[{"body":{"stringValue":"a line"}}]}]}]}`)
	poll(t, "the line in the file", func() bool {
		text, _ := os.ReadFile(c.Logs)
		return strings.Contains(string(text), "a line")
	})
}

// poll asks until the answer is yes.
func poll(t *testing.T, what string, ask func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ask(); {
		if time.Now().After(end) {
			t.Fatalf("no %s after a minute", what)
		}
		time.Sleep(probePause)
	}
}

// ask returns the answer to a GET, whatever it is.
func ask(t *testing.T, url string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}
