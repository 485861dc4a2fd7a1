package backendtest

import (
	"context"
	"net/url"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea/backend"
)

func runMetadata(t *testing.T, s Suite) {
	t.Run("a generation is described", func(t *testing.T) {
		t.Parallel()
		both(t, func(t *testing.T, stream bool) {
			srv, b := s.serve(t, always(script{reply: s.reply()}))
			req := ask(stream)
			req.Options = req.Options.WithModel(calledModel).WithSeed(7)
			r, err := generate(t, b, req)
			if err != nil {
				t.Fatal(err)
			}
			host, port := s.address(t, srv)
			g := r.Generation
			seed, _ := g.Sent.Seed()
			type summary struct {
				Provider, Model, ResponseModel, ResponseID, RequestID string
				Finish                                                []string
				Usage                                                 any
				Address                                               string
				Port                                                  int
				Streaming, InProcess                                  bool
				Retries                                               int
				SentModel                                             string
				SentSeed                                              int64
				SentStream                                            bool
			}
			want := summary{
				Provider: s.Provider, Model: calledModel, ResponseModel: "served-model", ResponseID: "reply-1", RequestID: requestID,
				Finish: []string{"stop"}, Usage: s.Usage, Address: host, Port: port, Streaming: stream,
				SentModel: calledModel, SentSeed: 7, SentStream: stream,
			}
			if s.NoResponseID {
				want.ResponseID = ""
			}
			if s.InProcess {
				want.RequestID, want.InProcess = "", true
			}
			got := summary{
				g.Provider, g.Model, g.ResponseModel, g.ResponseID, g.RequestID, g.FinishReasons.Slice(), g.Usage,
				g.ServerAddress, g.ServerPort, g.Streaming, g.InProcess, g.Retries.Len(), g.Sent.Model(), seed, g.Sent.Stream(),
			}
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("metadata (-got +want):\n%s", diff)
			}
			wantTimes(t, g)
		})
	})
	t.Run("the backend describes itself", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, always(script{}))
		info, err := b.Info(patient(t))
		if err != nil {
			t.Fatalf("Info: %v", err)
		}
		host, port := s.address(t, srv)
		got := []any{info.Provider, info.Model, info.ServerAddress, info.ServerPort}
		if diff := cmp.Diff(got, []any{s.Provider, ownModel, host, port}); diff != "" {
			t.Errorf("info (-got +want):\n%s", diff)
		}
	})
	if s.InProcess {
		return
	}
	t.Run("headers of the context go with every try", func(t *testing.T) {
		t.Parallel()
		srv, b := s.serve(t, sequence(script{status: 503, header: map[string]string{"Retry-After": "0"}}, script{reply: s.reply()}),
			func(c *Config) { c.Retries = 1 })
		tries := 0
		ctx := backend.WithCarrier(context.Background(), func(set func(key, value string)) {
			tries++
			set("traceparent", "00-trace-"+strconv.Itoa(tries))
			set("tracestate", "s=1")
		})
		if _, err := start(t, ctx, b, ask(false)).Reply(patient(t)); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, r := range srv.recorded() {
			got = append(got, r.header.Get("Traceparent")+" "+r.header.Get("Tracestate"))
		}
		if diff := cmp.Diff(got, []string{"00-trace-1 s=1", "00-trace-2 s=1"}); diff != "" {
			t.Errorf("trace context (-got +want):\n%s", diff)
		}
	})
}

// wantTimes checks the order of a generation's times.
func wantTimes(tb testing.TB, g backend.Generation) {
	tb.Helper()
	if g.Started.IsZero() || g.FirstChunk.IsZero() || g.FirstToken.IsZero() || g.Ended.IsZero() {
		tb.Fatalf("got times %v, %v, %v, %v, want all of them", g.Started, g.FirstChunk, g.FirstToken, g.Ended)
	}
	if g.FirstChunk.Before(g.Started) || g.FirstToken.Before(g.FirstChunk) || g.Ended.Before(g.FirstToken) {
		tb.Errorf("got start %v, first chunk %v, first token %v, end %v, want them in this order", g.Started, g.FirstChunk, g.FirstToken, g.Ended)
	}
	if g.Chunks == 0 {
		tb.Error("got no chunks counted, want some")
	}
}

// address is where requests are told to go.
func (s Suite) address(tb testing.TB, srv *server) (host string, port int) {
	tb.Helper()
	if s.InProcess {
		return "", 0
	}
	return hostPort(tb, srv.url)
}

func hostPort(tb testing.TB, raw string) (host string, port int) {
	tb.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		tb.Fatal(err)
	}
	port, err = strconv.Atoi(u.Port())
	if err != nil {
		tb.Fatal(err)
	}
	return u.Hostname(), port
}
