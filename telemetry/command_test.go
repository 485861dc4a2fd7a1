package telemetry_test

import (
	"context"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mellea-go/mellea"
	"github.com/mellea-go/mellea/backend"
	"github.com/mellea-go/mellea/hook"
	"github.com/mellea-go/mellea/internal/otlptest"
	"github.com/mellea-go/mellea/telemetry"
)

func leakyTree(t *testing.T, tel *telemetry.Telemetry) {
	t.Helper()
	s := start(t, t.Context(), says("hello"), mellea.WithHooks(tel))
	must[*mellea.Result[string]](t)(s.Instruct(t.Context(), "one"))
	_ = s.Close()
}

// A run of the command line is the root of its trace and says how it ended.
func TestStartCommand(t *testing.T) {
	t.Parallel()
	args := []string{"--backend", "ollama", "--model=smollm2:135m", "--budget", "3", "--system", "planted", "--stream",
		"--timeout", "planted text", "planted", "--", "--strategy", "planted"}
	base := map[string]any{"mellea.cli.command": "run", "mellea.cli.subcommand": "all",
		"mellea.cli.args": []any{"--backend=ollama", "--model=smollm2:135m", "--budget=3", "--stream"}}
	tests := map[string]struct {
		code   int
		err    error
		status string
		want   map[string]any
	}{
		"done":          {code: 0, status: "unset", want: map[string]any{"process.exit.code": int64(0)}},
		"not met":       {code: 1, status: "unset", want: map[string]any{"process.exit.code": int64(1)}},
		"usage":         {code: 2, status: "error", want: map[string]any{"process.exit.code": int64(2), "mellea.outcome": "error", "error.type": "usage", "mellea.error.category": "invalid_request"}},
		"another error": {code: 3, status: "error", want: map[string]any{"process.exit.code": int64(3), "mellea.outcome": "error", "error.type": "_OTHER", "mellea.error.category": "unknown"}},
		"a call's error": {code: 3, err: &backend.Error{Provider: "openai", Status: 401}, status: "error",
			want: map[string]any{"process.exit.code": int64(3), "mellea.outcome": "error", "error.type": "401", "mellea.error.category": "auth"}},
		"rejected": {code: 4, status: "unset", want: map[string]any{"process.exit.code": int64(4), "mellea.outcome": "rejected", "mellea.error.category": "rejected"}},
		"a call's rejection": {code: 4, err: &hook.Rejection{Point: "generation", Plugin: "budget", Code: "spent", Reason: "planted"}, status: "unset",
			want: map[string]any{"process.exit.code": int64(4), "mellea.outcome": "rejected", "mellea.error.category": "rejected",
				"mellea.rejection.point": "generation", "mellea.rejection.plugin": "budget", "mellea.rejection.code": "spent"}},
		"interrupted": {code: 130, status: "unset", want: map[string]any{"process.exit.code": int64(130), "mellea.outcome": "cancelled", "mellea.error.category": "cancelled"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := otlptest.Start(t)
			tel := setup(t, server)
			ctx, end := tel.StartCommand(t.Context(), "run", "all", args)
			b := says("hello")
			if test.err != nil {
				b = fails(test.err)
			}
			s := start(t, ctx, b, mellea.WithHooks(tel))
			_, _ = s.Instruct(ctx, "one")
			_ = s.Close()
			end(test.code)
			end(99)
			flush(t, tel)
			spans := server.Spans(t, 5)
			if diff := cmp.Diff("mellea run\n  start_session\n  session\n    action\n      chat m1\n", otlptest.Tree(spans)); diff != "" {
				t.Errorf("tree (-want +got):\n%s", diff)
			}
			want := maps.Clone(base)
			maps.Copy(want, test.want)
			if diff := cmp.Diff(want, spans[0].Attributes); diff != "" || spans[0].Status != test.status {
				t.Errorf("status %s, want %s; attributes (-want +got):\n%s", spans[0].Status, test.status, diff)
			}
			if indexOf(server.Raw(), "planted") >= 0 {
				t.Error("the exported bytes hold an argument that is content")
			}
		})
	}
}

// With traces off a run opens nothing, and its end is a no-op.
func TestStartCommandOff(t *testing.T) {
	t.Parallel()
	var none *telemetry.Telemetry
	off := must[*telemetry.Telemetry](t)(telemetry.Setup(t.Context(), environ()))
	for _, tel := range []*telemetry.Telemetry{none, off} {
		ctx, end := tel.StartCommand(context.Background(), "run", "", nil)
		end(0)
		if ctx != context.Background() || tel.TracerProvider() != nil || tel.Bindings() != nil || tel.DroppedSpans() != 0 {
			t.Errorf("%v is not off", tel)
		}
	}
}
