package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mellea-go/mellea/backend"
)

// neutral are the options with a name of ours; each takes its value as the user wrote it.
var neutral = map[string]func(backend.Options, string) (backend.Options, bool){
	"temperature":       float(backend.Options.WithTemperature),
	"top-p":             float(backend.Options.WithTopP),
	"frequency-penalty": float(backend.Options.WithFrequencyPenalty),
	"presence-penalty":  float(backend.Options.WithPresencePenalty),
	"top-k":             integer(backend.Options.WithTopK),
	"max-tokens":        integer(backend.Options.WithMaxTokens),
	"context-window":    integer(backend.Options.WithContextWindow),
	"seed":              integer(backend.Options.WithSeed),
	"thinking":          func(o backend.Options, v string) (backend.Options, bool) { return o.WithThinking(v), v != "" },
	"logits":            boolean(backend.Options.WithLogits),
	"raw-logits":        boolean(backend.Options.WithRawLogits),
	"stop":              stop,
	"stream-timeout": func(o backend.Options, v string) (backend.Options, bool) {
		d, err := time.ParseDuration(v)
		return o.WithStreamTimeout(d), err == nil
	},
}

// wants says what the value of a neutral option is, for the error when it is something else.
var wants = map[string]string{
	"temperature": "a number", "top-p": "a number", "frequency-penalty": "a number", "presence-penalty": "a number",
	"top-k": "a whole number", "max-tokens": "a whole number", "context-window": "a whole number", "seed": "a whole number",
	"logits": "true or false", "raw-logits": "true or false",
	"thinking": "a level such as low, on or off", "stop": "a text", "stream-timeout": "a duration such as 30s",
}

// parseOptions returns the options of --option flags. A name of [neutral], with - or _, is that option; any other is
// the provider's own and its value is a number, a boolean or another JSON value where it reads as one, else a text.
func parseOptions(pairs []string) (backend.Options, error) {
	var o backend.Options
	for _, pair := range pairs {
		name, value, err := cutPair("--option", pair)
		if err != nil {
			return o, err
		}
		ours := neutralName(name)
		set, known := neutral[ours]
		if !known {
			o = o.WithExtra(name, typed(value))
			continue
		}
		var ok bool
		if o, ok = set(o, value); !ok {
			return o, &usageError{text: fmt.Sprintf("--option %s=%s: the value is not %s", name, value, wants[ours])}
		}
	}
	return o, nil
}

// neutralName returns the name that an option may have in [neutral]: _ is as good as -.
func neutralName(name string) string { return strings.ReplaceAll(name, "_", "-") }

// cutPair splits what a flag of the form name=value was given.
func cutPair(flag, pair string) (name, value string, err error) {
	name, value, ok := strings.Cut(pair, "=")
	if !ok || name == "" {
		return "", "", &usageError{text: fmt.Sprintf("%s %s: write it as name=value", flag, pair)}
	}
	return name, value, nil
}

func float(with func(backend.Options, float64) backend.Options) func(backend.Options, string) (backend.Options, bool) {
	return func(o backend.Options, v string) (backend.Options, bool) {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || x-x != 0 { // infinite or not a number
			return o, false
		}
		return with(o, x), true
	}
}

func integer[N int | int64](with func(backend.Options, N) backend.Options) func(backend.Options, string) (backend.Options, bool) {
	return func(o backend.Options, v string) (backend.Options, bool) {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || int64(N(n)) != n {
			return o, false
		}
		return with(o, N(n)), true
	}
}

func boolean(with func(backend.Options, bool) backend.Options) func(backend.Options, string) (backend.Options, bool) {
	return func(o backend.Options, v string) (backend.Options, bool) {
		on, err := strconv.ParseBool(v)
		return with(o, on), err == nil
	}
}

// stop adds stop sequences: a text, a JSON string (for one with a line feed) or a JSON array of strings.
func stop(o backend.Options, v string) (backend.Options, bool) {
	add := []string{v}
	switch x := typed(v).(type) {
	case string:
		add = []string{x}
	case []any:
		add = nil
		for _, e := range x {
			s, ok := e.(string)
			if !ok {
				return o, false
			}
			add = append(add, s)
		}
	}
	if slices.Contains(add, "") {
		return o, false
	}
	return o.WithStop(append(o.Stop(), add...)...), true
}

// typed returns the JSON value that text is, with whole numbers as int64 where they fit, or else the text itself.
func typed(text string) any {
	d := json.NewDecoder(bytes.NewReader([]byte(text)))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return text
	}
	if _, err := d.Token(); err != io.EOF {
		return text
	}
	return numbers(v)
}

// numbers turns the numbers of a decoded document into int64 and float64.
func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if n, err := x.Int64(); err == nil {
			return n
		}
		if f, err := x.Float64(); err == nil {
			return f
		}
		return x
	case []any:
		for i := range x {
			x[i] = numbers(x[i])
		}
	case map[string]any:
		for k := range x {
			x[k] = numbers(x[k])
		}
	}
	return v
}
