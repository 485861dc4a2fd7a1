package telemetry_test

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

// A program's own metrics go where the library's go, with their units and buckets.
func TestOwnInstruments(t *testing.T) {
	t.Parallel()
	server := otlptest.Start(t)
	tel := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ("MELLEA_METRICS_ENABLED=true", "MELLEA_METRICS_OTLP=true",
		"OTEL_EXPORTER_OTLP_ENDPOINT="+server.HTTP)))
	ctx := t.Context()
	for range 2 { // made twice, it is one
		c, err := tel.Counter("shop.invoices", "{invoice}", "Invoices read.")
		if err != nil {
			t.Fatal(err)
		}
		c.Add(ctx, 2)
	}
	up, err := tel.UpDownCounter("shop.open", "{mail}", "Mails being answered.")
	if err != nil {
		t.Fatal(err)
	}
	up.Add(ctx, 3)
	up.Add(ctx, -1)
	h, err := tel.Histogram("shop.wait", "s", "How long people wait.", 1, 10)
	if err != nil {
		t.Fatal(err)
	}
	h.Record(ctx, 4)
	if err := tel.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	type row struct {
		Name, Unit, Instrument, Scope string
		Value                         float64
		Bounds                        []float64
	}
	var got []row
	for _, s := range server.Series() {
		if s.Scope == "mellea.application" {
			got = append(got, row{s.Name, s.Unit, s.Instrument, s.Scope, s.Value, s.Bounds})
		}
	}
	want := []row{
		{"shop.invoices", "{invoice}", "counter", "mellea.application", 4, nil},
		{"shop.open", "{mail}", "updowncounter", "mellea.application", 2, nil},
		{"shop.wait", "s", "histogram", "mellea.application", 4, []float64{1, 10}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("own series (-want +got):\n%s", diff)
	}
}

func TestOwnInstrumentsRefused(t *testing.T) {
	t.Parallel()
	off := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ()))
	for _, test := range []struct {
		name     string
		tel      *telemetry.Telemetry
		reserved bool
		ok       bool
	}{
		{"shop.invoices", off, false, true},
		{"shop.invoices", nil, false, true},
		{"gen_ai.client.inference.duration", off, true, false},
		{"Mellea.llm.errors", off, true, false},
		{"mcp.x", off, true, false},
	} {
		_, counter := test.tel.Counter(test.name, "", "")
		_, up := test.tel.UpDownCounter(test.name, "", "")
		_, histogram := test.tel.Histogram(test.name, "", "")
		for _, err := range []error{counter, up, histogram} {
			if (err == nil) != test.ok || errors.Is(err, telemetry.ErrReservedMetric) != test.reserved {
				t.Errorf("%s: error = %v, want reserved: %v", test.name, err, test.reserved)
			}
		}
	}
	// What is off records nothing and fails nothing.
	c, err := off.Counter("shop.invoices", "", "")
	if err != nil {
		t.Fatal(err)
	}
	c.Add(context.Background(), 1)

	on := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ(), telemetry.WithMetrics(true)))
	t.Cleanup(func() { _ = on.Shutdown(context.Background()) })
	if _, err := on.Counter("1st", "", ""); err == nil {
		t.Error("a name that OpenTelemetry refuses is no error")
	}
}
