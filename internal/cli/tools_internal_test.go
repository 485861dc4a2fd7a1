package cli

import (
	"math"
	"strings"
	"testing"
	"time"
)

func TestCalculate(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]float64{
		"1": 1, " 1 + 2 * 3 ": 7, "(1+2)*3": 9, "2-3-4": -5, "8/2/2": 2, "7 % 4": 3, "2^3^2": 512, "-2^2": -4, "2^-1": 0.5, "2**3": 8,
		"1.5e3": 1500, "1.5e-3*2": 0.003, "--1": 1, "+1": 1, "3×4": 12, "9÷3": 3, "((((1))))": 1, "1-(2-3)": 2,
	} {
		if got, err := calculate(expression); got != want || err != nil {
			t.Errorf("%s = %v, %v, want %v", expression, got, err, want)
		}
	}
	for expression, want := range map[string]string{
		"": "ends too early", "1+": "ends too early", "(1": "ends too early", "1)": "wrong at character 2", "1 2": "wrong at character 3",
		"x": "wrong at character 1", "1/0": "not a number", "0/0": "not a number", "9^9^9": "not a number", "1e999": "not a number",
		strings.Repeat("(", 500): "nested", strings.Repeat("-", 500) + "1": "nested", strings.Repeat("1", 1001): "more than 1000 characters",
		"1..2": "wrong at character 1", "import os": "wrong at character 1",
	} {
		if got, err := calculate(expression); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20s = %v, %v, want an error with %q", expression, got, err, want)
		}
	}
}

func FuzzCalculate(f *testing.F) {
	for _, seed := range []string{"", "1+2*3", "((1)", "2^3^2", "1e9", "-.5%2", "**"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, expression string) {
		if x, err := calculate(expression); err == nil && (math.IsNaN(x) || math.IsInf(x, 0)) {
			t.Errorf("%q = %v", expression, x)
		}
	})
}

func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	if got, err := (place{Zone: "UTC"}).now(at); got != "Friday, 2 January 2026, 03:04:05 UTC (+00:00)" || err != nil {
		t.Errorf("now = %q, %v", got, err)
	}
	for _, zone := range []string{"Nowhere/Else", "../../etc/passwd"} {
		if got, err := (place{Zone: zone}).now(at); err == nil || strings.Contains(err.Error(), "passwd") {
			t.Errorf("%s: %q, %v, want an error", zone, got, err)
		}
	}
}
