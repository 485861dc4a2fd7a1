package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"

	"github.com/mellea-go/mellea/hookpoint"
	"github.com/mellea-go/mellea/telemetry/semconv"
)

// maxChunkEvents bounds the chunk_processed events of one span.
const maxChunkEvents = 100

// A chunkLog keeps an even sample of the chunks of a stream: all of them up to maxChunkEvents, then every second, every
// fourth and so on of the whole stream.
type chunkLog struct {
	every  int // of the chunks that are wanted at all, one in every is kept
	wanted int
	seen   int
	kept   []hookpoint.ChunkArrived
}

// add takes in a chunk; of all that arrive one in stride is wanted.
func (l *chunkLog) add(c hookpoint.ChunkArrived, stride int) {
	l.seen++
	if (l.seen-1)%stride != 0 {
		return
	}
	l.wanted++
	if (l.wanted-1)%l.every != 0 {
		return
	}
	if len(l.kept) == maxChunkEvents {
		l.every *= 2
		for i := range maxChunkEvents / 2 {
			l.kept[i] = l.kept[2*i]
		}
		clear(l.kept[maxChunkEvents/2:])
		l.kept = l.kept[:maxChunkEvents/2]
	}
	l.kept = append(l.kept, c)
}

func (p backendPlugin) chunk(ctx context.Context, c hookpoint.ChunkArrived) {
	o := p.t.below(ctx, familyGeneration)
	if o == nil || !o.span.IsRecording() {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunks == nil {
		o.chunks = &chunkLog{every: 1}
	}
	o.chunks.add(c, p.t.chunkEvery)
}

func chunk(c hookpoint.ChunkArrived) []attribute.KeyValue {
	attrs := []attribute.KeyValue{
		semconv.MelleaGenerationChunkIndexKey.Int(c.Index),
		semconv.MelleaGenerationChunkTextLengthKey.Int(c.Length),
	}
	if c.Index > 0 {
		attrs = append(attrs, semconv.MelleaGenerationTimeSinceLastChunkMsKey.Float64(
			float64(c.SincePrevious)/float64(time.Millisecond)))
	}
	return attrs
}

// spanNames remembers the names of chat spans, so that a call does not build one. Beyond a bound it only builds.
type spanNames struct {
	mu    sync.RWMutex
	known map[string]string
}

const maxSpanNames = 64

func (n *spanNames) of(op, model string) string {
	switch {
	case model == "":
		return op
	case op != semconv.SpanChat: // the only one that many calls a second have
		return op + " " + model
	}
	n.mu.RLock()
	name, ok := n.known[model]
	n.mu.RUnlock()
	if ok {
		return name
	}
	name = semconv.SpanChat + " " + model
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.known == nil {
		n.known = map[string]string{}
	}
	if len(n.known) < maxSpanNames {
		n.known[model] = name
	}
	return name
}
