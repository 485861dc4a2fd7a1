package telemetry

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// A series is a set of attributes in the form instruments take it, made once: a call that records allocates none.
type series struct {
	add    []metric.AddOption
	record []metric.RecordOption
}

func newSeries(attrs ...attribute.KeyValue) *series {
	set := metric.WithAttributeSet(attribute.NewSet(attrs...))
	return &series{add: []metric.AddOption{set}, record: []metric.RecordOption{set}}
}

// maxSeries bounds what a cache keeps. What is beyond it is made anew each time; the SDK has its own limit on how many an
// instrument keeps apart.
const maxSeries = 1000

// A cache keeps the series of each key.
type cache[K comparable] struct {
	mu    sync.RWMutex
	known map[K]*series
}

func (c *cache[K]) of(key K, attrs func(K) []attribute.KeyValue) *series {
	c.mu.RLock()
	s := c.known[key]
	c.mu.RUnlock()
	if s != nil {
		return s
	}
	s = newSeries(attrs(key)...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil {
		c.known = map[K]*series{}
	}
	if len(c.known) < maxSeries {
		c.known[key] = s
	}
	return s
}

// maxWords bounds a vocabulary.
const maxWords = 100

// A vocabulary bounds what others say, such as the names of the models that a server says it answered by: the first
// hundred words are kept apart, what comes later is "_OTHER".
type vocabulary struct {
	mu    sync.RWMutex
	known map[string]struct{}
}

func (v *vocabulary) of(word string) string {
	if word == "" {
		return ""
	}
	v.mu.RLock()
	_, ok := v.known[word]
	v.mu.RUnlock()
	if ok {
		return word
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= maxWords {
		if _, ok := v.known[word]; !ok {
			return semconv.ErrorTypeOther
		}
		return word
	}
	if v.known == nil {
		v.known = map[string]struct{}{}
	}
	v.known[valid(word)] = struct{}{}
	return valid(word)
}

// callLabels are those of a call to a model.
type callLabels struct {
	op, provider, model, answered string
	address                       string
	port                          int
	err                           string
	tier, fingerprint             string // OpenAI's own service
}

func (l callLabels) attributes() []attribute.KeyValue {
	attrs := []attribute.KeyValue{semconv.GenAIOperationNameKey.String(l.op), semconv.GenAIProviderNameKey.String(l.provider)}
	some := func(key attribute.Key, v string) {
		if v != "" {
			attrs = append(attrs, key.String(v))
		}
	}
	some(semconv.GenAIRequestModelKey, l.model)
	some(semconv.GenAIResponseModelKey, l.answered)
	some(semconv.ErrorTypeKey, l.err)
	some(semconv.OpenAIResponseServiceTierKey, l.tier)
	some(semconv.OpenAIResponseSystemFingerprintKey, l.fingerprint)
	return server(attrs, l.address, l.port)
}

// failureLabels are those of a failure.
type failureLabels struct {
	op, provider, model string
	typ                 string
	category            Category
}

// tokenLabels are those of tokens that are counted by what they stand for, or, by the old names, by direction.
type tokenLabels struct {
	callLabels

	modality, direction string
}

// labels makes the series of a meter, and keeps the number of them bounded whatever models, servers and providers say.
type labels struct {
	models, answered     vocabulary
	calls                cache[callLabels]
	tokens               cache[tokenLabels]
	failed               cache[failureLabels]
	costs                cache[callLabels]
	denied               cache[[2]string]
	strategies           cache[string]
	kinds                cache[string]
	toolCalls, toolTimes cache[toolLabels]
}

// call returns the labels of a call, as asked for or as made.
func (l *labels) call(op string, info *backend.Info, model string, g *backend.Generation) callLabels {
	c := callLabels{op: op, provider: info.Provider, model: model, address: info.ServerAddress, port: info.ServerPort}
	if g == nil {
		c.model = l.models.of(c.model)
		return c
	}
	if g.Model != "" {
		c.model = g.Model
	}
	if g.Provider != "" {
		c.provider = g.Provider
	}
	if g.ServerAddress != "" {
		c.address, c.port = g.ServerAddress, g.ServerPort
	}
	c.model, c.answered = l.models.of(c.model), l.answered.of(g.ResponseModel)
	if info.Provider == semconv.GenAIProviderNameOpenAI {
		c.tier, c.fingerprint = l.answered.of(g.ServiceTier), l.answered.of(g.SystemFingerprint)
	}
	return c
}

func (l *labels) of(c callLabels) *series { return l.calls.of(c, callLabels.attributes) }

func (l *labels) token(c callLabels, modality, direction string) *series {
	c.err = ""
	return l.tokens.of(tokenLabels{c, modality, direction}, func(k tokenLabels) []attribute.KeyValue {
		attrs := k.attributes()
		if k.modality != "" {
			attrs = append(attrs, semconv.GenAITokenModalityKey.String(k.modality))
		}
		if k.direction != "" {
			attrs = append(attrs, attribute.String("gen_ai.token.type", k.direction))
		}
		return attrs
	})
}

func (l *labels) failure(c *callLabels, err error) *series {
	key := failureLabels{typ: boundedErrorType(err), category: ClassifyError(err)}
	if c != nil {
		key.op, key.provider, key.model = c.op, c.provider, c.model
	}
	return l.failed.of(key, func(k failureLabels) []attribute.KeyValue {
		attrs := []attribute.KeyValue{semconv.ErrorTypeKey.String(k.typ), semconv.MelleaErrorCategoryKey.String(string(k.category))}
		if k.op != "" {
			attrs = append(attrs, semconv.GenAIOperationNameKey.String(k.op))
		}
		if k.provider != "" {
			attrs = append(attrs, semconv.GenAIProviderNameKey.String(k.provider))
		}
		if k.model != "" {
			attrs = append(attrs, semconv.GenAIRequestModelKey.String(k.model))
		}
		return attrs
	})
}

func (l *labels) cost(c callLabels) *series {
	return l.costs.of(callLabels{op: c.op, provider: c.provider, model: c.model}, callLabels.attributes)
}

func (l *labels) rejection(r *hook.Rejection) *series {
	return l.denied.of([2]string{r.Point, r.Plugin}, func(k [2]string) []attribute.KeyValue {
		attrs := []attribute.KeyValue{semconv.MelleaRejectionPointKey.String(k[0])}
		if k[1] != "" {
			attrs = append(attrs, semconv.MelleaRejectionPluginKey.String(k[1]))
		}
		return attrs
	})
}

func (l *labels) strategy(name string) *series {
	return l.strategies.of(name, func(name string) []attribute.KeyValue {
		return []attribute.KeyValue{semconv.MelleaSamplingStrategyTypeKey.String(name)}
	})
}

func (l *labels) requirement(kind string) *series {
	return l.kinds.of(kind, func(kind string) []attribute.KeyValue {
		return []attribute.KeyValue{semconv.MelleaRequirementTypeKey.String(kind)}
	})
}
