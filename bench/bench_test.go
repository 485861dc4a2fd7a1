package bench

import (
	"net/http"
	"sync"
	"testing"
)

func client(b *testing.B) *http.Client {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConnsPerHost = 64
	b.Cleanup(t.CloseIdleConnections)
	return &http.Client{Transport: t}
}

func BenchmarkChat(b *testing.B) {
	url := serve(b, chatResponse())
	b.Run("floor", func(b *testing.B) {
		c := client(b)
		b.ReportAllocs()
		for b.Loop() {
			floor(b, c, url)
		}
	})
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			s := session(b, url, mode.traced)
			b.ReportAllocs()
			for b.Loop() {
				chat(b, s)
			}
		})
	}
}

func BenchmarkStream200(b *testing.B) {
	url := serve(b, streamResponse(200))
	b.Run("floor", func(b *testing.B) {
		c := client(b)
		b.ReportAllocs()
		for b.Loop() {
			floorStream(b, c, url)
		}
	})
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			s := session(b, url, mode.traced)
			b.ReportAllocs()
			for b.Loop() {
				stream(b, s)
			}
		})
	}
}

// BenchmarkChat64 has 64 callers at once; its figures are per call.
func BenchmarkChat64(b *testing.B) {
	url := serve(b, chatResponse())
	at64 := func(b *testing.B, call func()) {
		b.ReportAllocs()
		b.ResetTimer()
		var wg sync.WaitGroup
		next := make(chan struct{})
		for range 64 {
			wg.Go(func() {
				for range next {
					call()
				}
			})
		}
		for range b.N {
			next <- struct{}{}
		}
		close(next)
		wg.Wait()
	}
	b.Run("floor", func(b *testing.B) {
		c := client(b)
		at64(b, func() { floor(b, c, url) })
	})
	for _, mode := range modes {
		b.Run(mode.name, func(b *testing.B) {
			s := session(b, url, mode.traced)
			at64(b, func() { chat(b, s) })
		})
	}
}

var modes = []struct {
	name   string
	traced bool
}{{"tracing-off", false}, {"tracing-on", true}}
